"""Puts the built library into the wheel, and tells from it which platforms the wheel is for.

`make wheel` calls it; FAFCAS_LIBRARY names the library, which cargo has built before. The source package of `make sdist` has the
sources of the library in its folder `rust`, and cargo builds them here.
"""

import functools
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

ENDINGS = {"win32": ".dll", "darwin": ".dylib"}


SOURCES = Path(__file__).resolve().with_name("rust")


@functools.lru_cache(maxsize=None)
def library():
    named = os.environ.get("FAFCAS_LIBRARY", "")
    if not named and SOURCES.is_dir():
        return built()
    if not Path(named).is_file():
        sys.exit("fafcas: FAFCAS_LIBRARY must name the built library: run `make wheel` in the repository")
    return Path(named)


def built():
    if shutil.which("cargo") is None:
        sys.exit("fafcas: expected cargo on the path, to build from source: install Rust 1.89 or newer, or take a wheel for this platform")
    into = Path(os.environ.get("CARGO_TARGET_DIR", SOURCES / "target")).resolve()
    command = ["cargo", "build", "--release", "--locked", "--lib", "--manifest-path", str(SOURCES / "Cargo.toml"), "--target-dir", str(into)]
    if subprocess.run(command).returncode:
        sys.exit("fafcas: cargo could not build the library; it wants Rust 1.89 or newer and a C compiler")
    return into / "release" / ("fafcas.dll" if sys.platform == "win32" else "libfafcas" + ENDINGS.get(sys.platform, ".so"))


# The field `e_machine` of an ELF header, which is not that of this machine if the library was built for another one.
MACHINES = {62: "x86_64", 183: "aarch64"}
# The name that older pips know a platform by.
OLDER_NAMES = {17: "manylinux2014"}


def platform():
    """The tag of the platforms that the library runs on: on Linux from the newest glibc that it asks for. FAFCAS_WHEEL_TAG names it if
    the library is for another system than this one."""
    named = os.environ.get("FAFCAS_WHEEL_TAG")
    if named:
        return named
    here = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    if not here.startswith("linux_"):
        return here
    content = library().read_bytes()
    asked = re.findall(rb"GLIBC_2\.(\d+)", content)
    if not asked:
        sys.exit(f"fafcas: {library()} is not built for glibc, and there is no wheel for anything else on Linux")
    newest = max(map(int, asked))
    machine = MACHINES.get(int.from_bytes(content[18:20], "little"), here.removeprefix("linux_"))
    older = f".{OLDER_NAMES[newest]}_{machine}" if newest in OLDER_NAMES else ""
    return f"manylinux_2_{newest}_{machine}{older}"


class WithLibrary(build_py):
    def run(self):
        super().run()
        shutil.copyfile(library(), Path(self.build_lib, "fafcas", "fafcas" + library().suffix))


class ForPlatform(bdist_wheel):
    def get_tag(self):
        return "py3", "none", platform()


class NotPure(Distribution):
    def has_ext_modules(self):
        return True


setup(cmdclass={"build_py": WithLibrary, "bdist_wheel": ForPlatform}, distclass=NotPure)
