"""The scripts of sql/, and how what cannot be done with them is said. It needs no database module."""

from __future__ import annotations

from pathlib import Path

# Of sql/schema.sql.
VERSION = 4


class Refused(Exception):
    """What the user can mend, in a sentence."""


def script(name: str) -> str:
    return (folder() / name).read_text(encoding="utf-8")


def folder() -> Path:
    """A package carries sql/, in the repository it lies at the root."""
    package = Path(__file__).parents[1]
    carried = package / "sql"
    return carried if carried.is_dir() else package.parents[1] / "sql"
