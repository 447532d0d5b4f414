"""The answers of sql/queries/health.sql as rows, whatever state the file is in: what fails is a row too."""

import os
from pathlib import Path

import apsw

from .database import Refused, harden, load, roll_back, statements

MAGIC = b"SQLite format 3\0"


def health(path, library):
    """(rule, expected, actual, ok, remedy) for each rule."""
    path = Path(path)
    if not path.is_file():
        return [("file", "a database", "none there", 0, "fafcas ingest DIR DB, or make ingest DIR=... DB=...")]
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except apsw.Error as error:
        return [cannot_read(path, error)]
    return [*prepare(connection, library), *answers(connection)]


def prepare(connection, library):
    """Loads and hardens; what cannot be done is a row."""
    try:
        load(connection, library)
    except Refused as error:
        yield "library", "loaded", str(error), 0, "make build"
    try:
        advice = harden(connection)
        if advice:
            yield "journal", "wal", advice, 0, "a local disk, with a service in front of it for other computers"
    except apsw.Error as error:
        yield "settings", "those of sql/harden.sql", str(error), 0, "leave to write the file and its folder"


def answers(connection):
    for statement in statements("queries/health.sql"):
        try:
            yield from (five(row) for row in connection.execute(statement).fetchall())
        except apsw.Error as error:
            yield subject(statement), "an answer", str(error), 0, "the rules above say more"
    roll_back(connection)


def five(row):
    return row if len(row) == 5 else (*row, None)


def subject(statement):
    for word, rule in (("fafcas_health", "vectors and settings"), ("probe", "write and read")):
        if word in statement:
            return rule
    return "tables"


def cannot_read(path, error):
    """Why a file cannot even be looked at."""
    try:
        with path.open("rb") as file:
            head = file.read(20)
    except OSError as failure:
        return "file", "one that can be read", failure.strerror.lower(), 0, "leave to read the file"
    if head[:16] != MAGIC[: len(head)]:
        return "file", "an SQLite database", str(error), 0, "another file, or a backup"
    if head[18:20] == b"\x02\x02" and isinstance(error, (apsw.CantOpenError, apsw.ReadOnlyError)):
        return (
            "write-ahead log",
            "shared memory that a reader can make or join",
            f"{error}: the file is in WAL mode, and {path.name}-shm can neither be made nor written here",
            0,
            wal_remedy(path),
        )
    return "file", "one that can be read", str(error), 0, "restore a backup"


def wal_remedy(path):
    if Path(f"{path}-wal").exists() and os.path.getsize(f"{path}-wal"):
        return "let a process that may write open the file, as the log holds what is not in it yet; or give leave to write the folder"
    return f"open it as file:{path.name}?immutable=1 while nobody writes; or let its owner set PRAGMA journal_mode = DELETE"
