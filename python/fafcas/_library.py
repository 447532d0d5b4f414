"""Where the library lies that SQLite loads."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ._platform import other_platform

_ENDINGS = {"win32": ".dll", "darwin": ".dylib"}


class LoadError(RuntimeError):
    """The library cannot be loaded into this connection; the text says why, and what to use instead."""


def loadable_path() -> str:
    """The path of the library, for whatever loads SQLite extensions by their path. It is the package's own, unless
    FAFCAS_LIBRARY in the environment names another."""
    named = os.environ.get("FAFCAS_LIBRARY")
    path = Path(named) if named else Path(__file__).with_name("fafcas" + _ENDINGS.get(sys.platform, ".so"))
    if path.is_file():
        wrong = other_platform(path)
        if wrong is not None:
            raise LoadError(wrong)
    elif not named:
        raise LoadError(_not_there(path))
    return named or str(path)


def _not_there(path: Path) -> str:
    """A package that was copied from another system has that one's library."""
    for other in (path.with_suffix(ending) for ending in (".so", ".dylib", ".dll")):
        if other.is_file():
            return other_platform(other) or f"fafcas: expected the library {path}, not {other}"
    return f"fafcas: expected the library {path}, not a package without it: install the wheel"
