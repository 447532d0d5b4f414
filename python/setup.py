"""Puts the built library into the wheel, and tells from it which platforms the wheel is for.

`make wheel` calls it; FAFCAS_LIBRARY names the library, which cargo has built before.
"""

import os
import re
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

ENDINGS = {"win32": ".dll", "darwin": ".dylib"}


def library():
    path = Path(os.environ.get("FAFCAS_LIBRARY", ""))
    if not path.is_file():
        sys.exit("fafcas: FAFCAS_LIBRARY must name the built library: run `make wheel` in the repository")
    return path


def platform():
    """The tag of the platforms that the library runs on: on Linux from the newest glibc that it asks for."""
    here = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    if not here.startswith("linux_"):
        return here
    asked = re.findall(rb"GLIBC_2\.(\d+)", library().read_bytes())
    if not asked:
        sys.exit(f"fafcas: {library()} is not built for glibc, and there is no wheel for anything else on Linux")
    return f"manylinux_2_{max(map(int, asked))}_{here.removeprefix('linux_')}"


class WithLibrary(build_py):
    def run(self):
        super().run()
        target = Path(self.build_lib, "fafcas", "fafcas" + ENDINGS.get(sys.platform, ".so"))
        shutil.copyfile(library(), target)


class ForPlatform(bdist_wheel):
    def get_tag(self):
        return "py3", "none", platform()


class NotPure(Distribution):
    def has_ext_modules(self):
        return True


setup(cmdclass={"build_py": WithLibrary, "bdist_wheel": ForPlatform}, distclass=NotPure)
