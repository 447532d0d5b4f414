"""The files of a set of shards: how they are opened, which row lives in which, and what `set.db` says of them."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Union

from .._library import LoadError
from .._load import load

Value = Union[None, int, float, str, bytes]

# Time for another's write to end, before a shard counts as out of reach.
_BUSY_MS = 60_000
_FORMAT = 1


class ShardError(RuntimeError):
    """The work could not be done on all shards, or not at all; the text says which and why."""


@dataclass(frozen=True)
class Layout:
    """What is true of all shards of a set."""

    # A random name, which every shard has too: a shard of another set is told from it.
    set_id: str
    shards: int
    table: str
    column: str
    # The primary key, and the type it is declared with.
    key: str
    key_type: str
    # Bytes of a stored vector; None while no vector is known.
    vector_bytes: int | None
    # The model that made the vectors, and its fingerprint; None where they are of the user's own making.
    model: str | None
    fingerprint: str | None
    # The statements that make the table and its indexes.
    schema: tuple[str, ...]


@dataclass(frozen=True)
class Shard:
    """One file, and the number of writes that it must have seen at least."""

    number: int
    path: str
    writes: int


def shard_of(id: Value, shards: int) -> int:
    """The shard of a row, by its id as SQLite stores it. This never changes, or rows would be looked for where they are not.

    It is BLAKE2b with a digest of 8 bytes, read as a little-endian number, modulo the number of shards. What is hashed: of an
    integer `i` and its decimal digits, of a text `t` and its UTF-8, of a blob `b` and its bytes.
    """
    if isinstance(id, int):
        hashed = b"i%d" % id
    elif isinstance(id, str):
        hashed = b"t" + id.encode()
    elif isinstance(id, bytes):
        hashed = b"b" + id
    else:
        raise ShardError(f"shard_of: expected an id that is an integer, a text or a blob, not {id!r}")
    return int.from_bytes(hashlib.blake2b(hashed, digest_size=8).digest(), "little") % shards


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def connect(path: str | Path, mode: str) -> Any:
    """A connection with fafcas's functions, and without transactions of its own. Mode `memory` takes no path."""
    uri = "file::memory:" if mode == "memory" else f"{Path(path).absolute().as_uri()}?mode={mode}"
    connection = _opened(_sqlite(), uri)
    try:
        load(connection)
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    except BaseException:
        connection.close()
        raise
    return connection


@cache
def _sqlite() -> str:
    """The first SQLite module of this Python that fafcas can be loaded into. Where it is loaded in one of them already, it
    refuses the others."""
    refusal = None
    for name in ("sqlite3", "pysqlite3", "apsw"):
        try:
            with closing(_opened(name, ":memory:")) as connection:
                load(connection)
            return name
        except ImportError:
            continue
        except LoadError as error:
            refusal = error
    raise refusal or ShardError("expected one of the modules sqlite3, pysqlite3 and apsw")


def _opened(name: str, uri: str) -> Any:
    module = importlib.import_module(name)
    if name == "apsw":
        return module.Connection(uri, flags=module.SQLITE_OPEN_READWRITE | module.SQLITE_OPEN_CREATE | module.SQLITE_OPEN_URI)
    return module.connect(uri, uri=True, isolation_level=None)


@contextmanager
def transaction(path: str | Path, mode: str = "ro") -> Iterator[Any]:
    """One transaction on a file, of mode `ro` or `rw`; an error in it changes nothing."""
    with closing(connect(path, mode)) as connection:
        connection.execute("BEGIN" if mode == "ro" else "BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")


class Set:
    """`set.db` in the folder: the layout, and how many writes each shard has seen.

    The count is raised after a shard has committed. So a shard may be ahead of it, when someone is writing or has died
    over it, but one that is behind is an old copy.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "set.db"

    def create(self, layout: Layout) -> None:
        with closing(connect(self._path, "rwc")) as connection:
            connection.execute("CREATE TABLE fafcas_set(format INTEGER, layout TEXT)")
            connection.execute("CREATE TABLE fafcas_shards(number INTEGER PRIMARY KEY, writes INTEGER)")
            connection.execute("INSERT INTO fafcas_set VALUES (?, ?)", (_FORMAT, json.dumps(asdict(layout))))
            numbers = ((number,) for number in range(layout.shards))
            connection.executemany("INSERT INTO fafcas_shards VALUES (?, 0)", numbers)

    def read(self) -> tuple[Layout, list[Shard]]:
        try:
            with transaction(self._path) as connection:
                format, layout = connection.execute("SELECT format, layout FROM fafcas_set").fetchone()
                if format > _FORMAT:
                    raise ShardError(f"expected format {_FORMAT} or older, not {format}: install a newer fafcas")
                writes = connection.execute("SELECT number, writes FROM fafcas_shards ORDER BY number").fetchall()
        except Exception as error:
            raise ShardError(f"expected the shards of a database in {self._folder}: {self._path.name}: {error}") from error
        fields = json.loads(layout)
        shards = [Shard(number, str(self.shard(number)), seen) for number, seen in writes]
        return Layout(**{**fields, "schema": tuple(fields["schema"])}), shards

    def record(self, writes: Mapping[int, int], vector_bytes: int | None) -> None:
        """Notes what a write has left behind in each shard, and the length of vectors if it was not known."""
        with transaction(self._path, "rw") as connection:
            connection.executemany(
                "UPDATE fafcas_shards SET writes = max(writes, ?) WHERE number = ?",
                [(seen, number) for number, seen in writes.items()],
            )
            length = "coalesce(json_extract(layout, '$.vector_bytes'), ?)"
            connection.execute(f"UPDATE fafcas_set SET layout = json_set(layout, '$.vector_bytes', {length})", (vector_bytes,))

    def shard(self, number: int) -> Path:
        """The path of a shard's file."""
        return self._folder / f"shard-{number:04}.db"
