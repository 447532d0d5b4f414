"""Where the library lies that SQLite loads."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_ENDINGS = {"win32": ".dll", "darwin": ".dylib"}


class LoadError(RuntimeError):
    """The library cannot be loaded into this connection; the text says why, and what to use instead."""


def loadable_path() -> str:
    """The path of the library, for whatever loads SQLite extensions by their path. It is the package's own, unless
    FAFCAS_LIBRARY in the environment names another."""
    named = os.environ.get("FAFCAS_LIBRARY")
    if named:
        return named
    path = Path(__file__).with_name("fafcas" + _ENDINGS.get(sys.platform, ".so"))
    if not path.is_file():
        raise LoadError(f"fafcas: expected the library {path}, not a package without it: install the wheel")
    return str(path)
