"""The answers of sql/queries/health.sql as rows, whatever state the file is in: what fails is a row too.

A database that is no knowledge base is asked fafcas_health of each column of vectors instead, and left as it is.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import apsw

from . import source as sources
from .database import NETWORK, Refused, file_system, load, roll_back, script, set_up, statements
from .folder import reason

LONGEST_LOG = 16 << 20
NETWORK_REMEDY = "a local disk, with a service in front of it for other computers; until then PRAGMA journal_mode = DELETE"
MAGIC = b"SQLite format 3\0"

# Of these most are there as long as anything of a knowledge base is.
NAMES = ("kit", "models", "nodes", "edges", "nodes_text", "nodes_fuzzy", "history", "folders", "documents", "links", "stale", "plain_texts", "nodes_plain")


# Rule, what is expected, what is so, whether that is well (1) or not (0), and what to do.
Row = tuple[str, Any, Any, int, Optional[str]]


def health(path: str | Path, library: str | Path, table: str | None = None, column: str | None = None) -> list[Row]:
    """(rule, expected, actual, ok, remedy) for each rule, of a whole knowledge base or of a column of vectors."""
    path = Path(path)
    if not path.is_file():
        return [("file", "a database", "none there", 0, "fafcas ingest DIR DB, or make ingest DIR=... DB=...")]
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except apsw.Error as error:
        rule, expected, actual, ok, remedy = cannot_read(path, error)
        return [(rule, expected, f"{path}: {actual}", ok, remedy)]
    if table is None and was_kit(connection):
        found = [*prepare(connection, library), *answers(connection)]
    else:
        load(connection, library)
        found = [*integrity(connection), *of_vectors(connection, table, column)]
    return [*found, *alerts(connection, {rule for rule, *_ in found}), *long_log(path)]


def was_kit(connection: apsw.Connection) -> bool:
    """Whether this is a knowledge base, or what is left of one."""
    try:
        names = "SELECT count(*) FROM sqlite_schema WHERE name IN (SELECT value FROM json_each(?))"
        return sources.is_kit(connection) or connection.execute(names, (json.dumps(NAMES),)).get > len(NAMES) // 2
    except apsw.Error:
        return True


def integrity(connection: apsw.Connection) -> Iterator[Row]:
    said = "; ".join(row for (row,) in connection.execute("SELECT quick_check FROM pragma_quick_check LIMIT 3"))
    shown = said if said == "ok" else f"{connection.db_filename('main')}: {said}"
    yield "integrity", "ok", shown, int(said == "ok"), "restore a backup, or save what can be read: sqlite3 DB .recover"


def of_vectors(connection: apsw.Connection, table: str | None, column: str | None) -> Iterator[Row]:
    found = with_vectors(connection, table, column)
    if not found:
        yield "vectors", "a column of them", "none found", 0, "say TABLE and COLUMN, or fafcas embed DB TABLE COLUMN"
    # Settings are those of this connection here, and say nothing of the program that the database is of.
    settings = re.findall(r"^PRAGMA (\w+)", script("harden.sql"), re.MULTILINE)
    for source in found:
        place = f"{source.table}.{source.vectors}: " if len(found) > 1 else ""
        rows: list[Any] = connection.execute(question(source)).fetchall()
        for rule, expected, actual, ok in rows:
            if rule not in settings:
                yield place + rule, expected, actual, ok, None


def with_vectors(connection: apsw.Connection, table: str | None, column: str | None) -> list[sources.Source]:
    """The columns of vectors that are meant: one that is named, else all."""
    found = [sources.find(connection, table, column)] if table or column else sources.sources(connection)
    return [source for source in found if source.vectors]


def question(source: sources.Source) -> str:
    arguments = f"{sources.literal(sources.path_of(source.table))}, {sources.literal(source.vectors)}"
    return f"SELECT rule, expected, actual, ok FROM fafcas_health({arguments})"


def written(connection: apsw.Connection, table: str | None = None, column: str | None = None) -> str:
    """The statements that answer."""
    if table is None and was_kit(connection):
        return script("queries/health.sql").strip()
    asked = [question(source) for source in with_vectors(connection, table, column)]
    return "\n".join(f"{sql};" for sql in ["PRAGMA quick_check", *asked])


def prepare(connection: apsw.Connection, library: str | Path) -> Iterator[Row]:
    """Loads and sets up; what cannot be done is a row. The file is left as it is: its journal is the owner's choice."""
    try:
        load(connection, library)
    except Refused as error:
        yield "library", "loaded", str(error), 0, "make build"
    try:
        set_up(connection)
        network = file_system(connection.db_filename("main"))
        if network in NETWORK:
            yield "journal", "a file on a local disk", f"on a network drive ({network})", 0, NETWORK_REMEDY
    except apsw.Error as error:
        yield "settings", "those of sql/harden.sql", str(error), 0, "leave to write the file and its folder"


def answers(connection: apsw.Connection) -> Iterator[Row]:
    for statement in statements("queries/health.sql"):
        try:
            yield from (with_own_journal(five(row)) for row in connection.execute(statement).fetchall())
        except apsw.Error as error:
            yield subject(statement), "an answer", str(error), 0, "the rules above say more"
    roll_back(connection)


def alerts(connection: apsw.Connection, told: set[str]) -> Iterator[Row]:
    """The rows of sql/queries/alerts.sql, but those of rules that were told already."""
    if "library" in told:
        return
    try:
        for statement in statements("queries/alerts.sql"):
            rows: list[Any] = connection.execute(statement).fetchall()
            for alert, subject_, what, todo in rows:
                if alert not in told and not (alert == "another model" and "one model" in told):
                    yield alert, "nothing", f"{subject_}: {what}", 0, todo
    except apsw.Error as error:
        yield "alerts", "an answer", str(error), 0, "the rules above say more"
    roll_back(connection)


def long_log(path: Path) -> Iterator[Row]:
    """A write-ahead log that was not written back, though SQLite tries after every 4 MB."""
    log = Path(f"{path}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > LONGEST_LOG:
        remedy = "end readers that stay open, or transactions that last; then PRAGMA wal_checkpoint(TRUNCATE)"
        yield "long log", f"{LONGEST_LOG >> 20} MB at most", f"{size >> 20} MB in {log.name}", 0, remedy


def five(row: tuple[Any, ...]) -> Row:
    return row if len(row) == 5 else (*row, None)


def with_own_journal(row: Row) -> Row:
    """A journal without WAL is sound, and its owner may have left WAL mode so that others can read the file."""
    rule, _, actual, _, remedy = row
    return (rule, "wal, or delete where readers may wait", actual, 1, remedy) if (rule, actual) == ("journal_mode", "delete") else row


def subject(statement: str) -> str:
    for word, rule in (("fafcas_health", "vectors and settings"), ("probe", "write and read")):
        if word in statement:
            return rule
    return "tables"


def cannot_read(path: Path, error: apsw.Error) -> Row:
    """Why a file cannot even be looked at."""
    try:
        with path.open("rb") as file:
            head = file.read(20)
    except OSError as failure:
        return "file", "one that can be read", reason(failure), 0, "leave to read the file"
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


def wal_remedy(path: Path) -> str:
    if Path(f"{path}-wal").exists() and os.path.getsize(f"{path}-wal"):
        return "let a process that may write open the file, as the log holds what is not in it yet; or give leave to write the folder"
    return f"open it as file:{path.name}?immutable=1 while nobody writes; or let its owner set PRAGMA journal_mode = DELETE"
