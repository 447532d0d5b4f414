"""What the tests share: the environment of a program that has the package installed, with its entry point for `llm`."""

import os
import sys
from pathlib import Path

import fafcas
import pytest


@pytest.fixture()
def installed(tmp_path):
    packages = tmp_path / "packages"
    packages.mkdir()
    info = packages / "fafcas-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fafcas\nVersion: 0\n")
    (info / "entry_points.txt").write_text("[llm]\nfafcas = fafcas.llm\n")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(packages), str(Path(fafcas.__file__).parents[1]))), "LLM_USER_PATH": str(tmp_path), "PATH": path}
