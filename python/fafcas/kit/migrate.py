"""Brings a knowledge base to the schema version of this kit, one file of sql/migrations at a time, after a backup."""

from __future__ import annotations

import os
import time
from pathlib import Path

import apsw

from .database import VERSION, Refused, roll_back, script


def migrate(path: str | Path) -> tuple[int, Path | None]:
    """Gives the version it had, and the backup's path, which is None where nothing was to be done."""
    path = Path(path)
    if not path.is_file():
        raise Refused(f"{path}: expected a knowledge base, not nothing")
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.execute("PRAGMA busy_timeout = 5000")
    before = version_of(connection, path)
    if before == VERSION:
        return before, None
    if connection.readonly("main"):
        raise Refused(f"{path}: expected a file that can be written")
    copy = back_up(connection, path, before)
    for version in range(before + 1, VERSION + 1):
        run(connection, version, copy)
    return before, copy


def version_of(connection: apsw.Connection, path: Path) -> int:
    ours = "SELECT 1 FROM sqlite_schema WHERE name = 'kit' AND sql LIKE '%fafcas knowledge base%'"
    if connection.execute(ours).get is None:
        raise Refused(f"{path}: expected a knowledge base that sql/schema.sql made")
    version = connection.execute("SELECT value FROM kit WHERE key = 'version'").get
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise Refused(f"{path}: expected schema version 1 to {VERSION}, not {version}; use the kit that made it")
    return version


def back_up(connection: apsw.Connection, path: Path, version: int) -> Path:
    """A copy beside the file, which has its name only once it is whole."""
    copy = Path(f"{path}.version-{version}.{time.strftime('%Y%m%d-%H%M%S')}.backup")
    part = Path(f"{copy}.part")
    part.unlink(missing_ok=True)
    target = apsw.Connection(str(part))
    with target.backup("main", connection, "main") as backup:
        backup.step()
    target.close()
    os.replace(part, copy)
    return copy


def run(connection: apsw.Connection, version: int, copy: Path) -> None:
    try:
        connection.execute(script(f"migrations/{version}.sql")).fetchall()
    except apsw.Error as error:
        roll_back(connection)
        raise Refused(f"{error}; the database is as it was, and {copy} is a copy of it") from error
