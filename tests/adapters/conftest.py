"""What the tests share: the environment of a program that has the package installed, with its entry point for `llm`."""

import json
import os
import shutil
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


@pytest.fixture()
def prompted(installed, tmp_path):
    """The same with a model, `prompted`, that wants a prompt before questions."""
    data, model = Path(__file__).parents[1] / "data/tiny", tmp_path / "models/prompted"
    (model / "1_Pooling").mkdir(parents=True)
    shutil.copy(data / "tokens.onnx", model / "model.onnx")
    shutil.copy(data / "tokenizer.json", model)
    (model / "config.json").write_text(json.dumps({"max_position_embeddings": 64, "hidden_size": 4, "vocab_size": 12}))
    (model / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode": "mean"}))
    (model / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "sea ", "document": ""}}))
    return {**installed, "FAFCAS_MODEL_DIR": str(model.parent)}
