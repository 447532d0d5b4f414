"""What is known of the databases of a Datasette: which tables have vectors, and which belong to an index.

Datasette asks for it many times for each page, and not where it could wait. So it is kept until the file changes.
"""

from __future__ import annotations

import os
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from datasette.utils.sqlite import sqlite3

from .._load import load
from ..kit import source as sources
from ..kit.scripts import Refused

# A file that is written to all the time is looked at no more often than this.
SECONDS = 2.0


@dataclass(frozen=True)
class Known:
    tables: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True)
class Looked:
    """What was found, in which state of the file, and when."""

    state: tuple[int, ...]
    at: float
    known: Known


LOOKED: weakref.WeakKeyDictionary[Any, dict[str, Looked]] = weakref.WeakKeyDictionary()


def of(datasette: Any, name: str) -> Known:
    path = datasette.databases[name].path if name in datasette.databases else None
    if path is None:
        return Known()
    before = LOOKED.setdefault(datasette, {})
    state, now = state_of(Path(path)), time.monotonic()
    last = before.get(name)
    if last is None or last.state != state and now - last.at > SECONDS:
        last = before[name] = Looked(state, now, look(path))
    return last.known


def state_of(path: Path) -> tuple[int, ...]:
    found = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        try:
            told = os.stat(file)
        except OSError:
            continue
        found += [told.st_mtime_ns, told.st_size]
    return tuple(found)


def look(path: str) -> Known:
    """Nothing, where the file cannot be read: that is told where it is searched."""
    try:
        connection = sqlite3.connect(address(path), uri=True)
    except sqlite3.Error:
        return Known()
    try:
        load(connection)
        found = sources.sources(connection)
        tables = tuple(source.table for source in found if source.vectors)
        return Known(tables, tuple(sorted(sources.hidden_tables(connection))))
    except (sqlite3.Error, Refused):
        return Known()
    finally:
        connection.close()


def address(path: str) -> str:
    """That of a file which is only read."""
    return f"file:{quote(str(path))}?mode=ro"
