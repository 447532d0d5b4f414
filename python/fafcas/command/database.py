"""Opening a database that somebody names, and saying in one line why that, or what was asked of it, cannot be done."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import apsw

from .. import loadable_path
from ..kit.database import Refused, load
from ..kit.health import cannot_read
from .interrupt import interruptible

WAIT_MS = 5000


@contextlib.contextmanager
def reading(path: str) -> Iterator[apsw.Connection]:
    """A connection that writes nothing of its own. It may write what SQLite needs to read a file in WAL mode."""
    with opened(path) as connection:
        connection.execute("PRAGMA query_only = ON")
        yield connection


@contextlib.contextmanager
def writing(path: str) -> Iterator[apsw.Connection]:
    with opened(path) as connection:
        if connection.readonly("main"):
            raise Refused(f"{path}: expected a file that can be written")
        yield connection


@contextlib.contextmanager
def opened(path: str) -> Iterator[apsw.Connection]:
    if not Path(path).exists():
        raise Refused(f"{path}: expected a database, not nothing")
    if not Path(path).is_file():
        raise Refused(f"{path}: expected a database file, not a folder")
    with explained(path):
        connection = readable(path)
        try:
            load(connection, loadable_path())
            with interruptible(connection):
                yield connection
        finally:
            connection.close()


def readable(path: str) -> apsw.Connection:
    try:
        connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(WAIT_MS)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except apsw.BusyError:
        raise
    except apsw.Error as error:
        _, expected, actual, _, remedy = cannot_read(Path(path), error)
        raise Refused(f"{path}: expected {expected}, not {actual}; {remedy}") from error
    return connection


@contextlib.contextmanager
def explained(path: str) -> Iterator[None]:
    """SQLite's errors name no file and no remedy."""
    try:
        yield
    except apsw.BusyError as error:
        raise Refused(f"{path}: another program is writing to it and did not end in {WAIT_MS // 1000} s; try again") from error
    except apsw.ReadOnlyError as error:
        raise Refused(f"{path}: expected a file that can be written ({error})") from error
    except apsw.NotADBError as error:
        raise Refused(f"{path}: expected an SQLite database, not another kind of file") from error
    except apsw.CorruptError as error:
        raise Refused(f"{path}: the file is damaged ({error}); `fafcas health {path}` tells more") from error
    except apsw.FullError as error:
        raise Refused(f"{path}: expected room on the disk ({error}); nothing of this step was written") from error
