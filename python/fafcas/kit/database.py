"""Opens a knowledge base with the settings of sql/harden.sql and the schema of sql/schema.sql, or says why not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import apsw

from .scripts import VERSION, Refused, script

__all__ = ["VERSION", "Refused", "harden", "load", "make", "open_or_make", "roll_back", "script", "statements", "transaction"]

# File systems of other computers, as Linux names them. The shared memory of WAL does not reach across.
NETWORK = ("9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs", "virtiofs")


def statements(name: str) -> list[str]:
    """The single statements of a script."""
    found, current = [], ""
    for line in script(name).splitlines(keepends=True):
        current += line
        if apsw.complete(current):
            found.append(current)
            current = ""
    return found


@contextlib.contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """Takes the write lock at once, so that waiting for it happens before anything is read."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        roll_back(connection)
        raise
    connection.execute("COMMIT")


def roll_back(connection: apsw.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def load(connection: apsw.Connection, library: str | Path) -> None:
    connection.enable_load_extension(True)
    try:
        connection.load_extension(str(Path(library).resolve()))
    except apsw.Error as error:
        raise Refused(f"{library}: expected the library that `make build` makes ({error})") from error
    connection.enable_load_extension(False)


def harden(connection: apsw.Connection, mounts: str | None = None) -> str | None:
    """The settings of sql/harden.sql; gives a sentence where the journal could not be made WAL."""
    network = file_system(connection.db_filename("main"), mounts)
    set_up(connection, "DELETE" if network in NETWORK else "WAL")
    mode = connection.execute("PRAGMA journal_mode").get
    if network in NETWORK:
        return f"the file is on a network drive ({network}), so it has no write-ahead log: readers wait while somebody writes"
    if mode == "delete":
        return "this file system has no shared memory for a write-ahead log: readers wait while somebody writes"
    return None


def set_up(connection: apsw.Connection, journal: str | None = None) -> None:
    """The settings of sql/harden.sql. The journal, which is the only one that the file keeps, is left as it is unless one is named."""
    setting = f"PRAGMA journal_mode = {journal};" if journal else ""
    connection.execute(script("harden.sql").replace("PRAGMA journal_mode = WAL;", setting)).fetchall()


def file_system(path: str, mounts: str | None = None) -> str | None:
    """The kind of file system that a file is on, or None where that is not to be found out."""
    try:
        table = mounts if mounts is not None else Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    best: tuple[str, str | None] = ("", None)
    for line in table.splitlines():
        fields = line.split()
        place = fields[1].replace("\\040", " ")
        if (path == place or path.startswith(place.rstrip("/") + "/")) and len(place) >= len(best[0]):
            best = (place, fields[2])
    return best[1]


def open_or_make(path: str | Path, library: str | Path) -> tuple[apsw.Connection, str | None]:
    """A knowledge base to write to, made where there is none. Gives the connection and what the user should know."""
    path = Path(path)
    if not path.absolute().parent.is_dir():
        raise Refused(f"{path}: expected a folder {path.absolute().parent} to put it in")
    if path.is_dir():
        raise Refused(f"{path}: expected a database file, not a folder")
    connection = apsw.Connection(str(path))
    load(connection, library)
    if connection.readonly("main"):
        raise Refused(f"{path}: expected a file that can be written")
    advice = harden(connection)
    make(connection, path)
    return connection, advice


def make(connection: apsw.Connection, path: str | Path) -> None:
    try:
        connection.execute(script("schema.sql")).fetchall()
    except apsw.Error as error:
        roll_back(connection)
        raise Refused(f"{path}: {str(error).removeprefix('schema.sql: ')}") from error
