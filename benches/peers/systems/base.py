"""What all systems have in common: the one interface that the harness knows, and what those inside of SQLite share."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import apsw
import numpy

Point = Any


class System:
    """A vector search. Rows are numbered from 0; vectors have length 1, so that cosine, product and L2 put them in the same order.

    `store` is for systems whose vectors lie in a table of the user's; it is not part of the time of `build`. The harness calls
    both in one process, and `open`, `point` and `ask` in another.
    """

    name: ClassVar[str]
    # Of the registry: the record names its version.
    package: ClassVar[str]
    # What a curve is drawn over, and the places on it.
    knob: ClassVar[str] = ""
    points: ClassVar[list[Point]] = [None]
    threads: ClassVar[int] = 1
    # Why it takes part only where a part names it, if that is so.
    slow: ClassVar[str] = ""
    # What is not in its times, if anything.
    left_out: ClassVar[str] = ""

    def __init__(self, folder: Path, rows: int, dimensions: int, parts: numpy.ndarray | None = None) -> None:
        self.folder, self.rows, self.dimensions = folder, rows, dimensions
        # A number from 0 to 999 for each row, where searches are filtered by it.
        self.parts = parts

    def settings(self) -> str:
        """As the record prints them."""
        raise NotImplementedError

    def store(self, base: numpy.ndarray) -> None:
        """Stores the vectors, if that is apart from the index."""

    def build(self, base: numpy.ndarray) -> None:
        """Makes the index, on all cores if it knows how, and leaves it on the disk."""
        raise NotImplementedError

    def open(self) -> None:
        """In the process that searches."""
        raise NotImplementedError

    def point(self, value: Point) -> None:
        """Turns the knob."""

    def ask(self, query: numpy.ndarray, k: int) -> Iterable[int]:
        """The rows found."""
        raise NotImplementedError

    def ask_filtered(self, query: numpy.ndarray, k: int, below: int) -> Iterable[int]:
        """The rows found among those whose part is below a number. Only some systems have it."""
        raise NotImplementedError

    def ask_many(self, queries: numpy.ndarray, k: int) -> Any:
        """The rows of each query, in one call. Only some systems have it."""
        raise NotImplementedError

    def close(self) -> None:
        """After building."""

    def can(self, what: str) -> bool:
        """Whether an optional call is there."""
        return getattr(type(self), what) is not getattr(System, what)

    def lists(self) -> int:
        """The square root of the rows, which most documentations name for the number of clusters."""
        return round(math.sqrt(self.rows))


class InSqlite(System):
    """Inside of SQLite, by apsw, which brings SQLite itself."""

    search: ClassVar[str]
    connection: Any

    def connect(self) -> None:
        """The file, with pages of 16 KB, which scans of vectors want, and SQLite's own cache of 2 MB."""
        self.connection = apsw.Connection(str(self.folder / "peer.db"))
        self.connection.set_busy_timeout(30_000)
        self.connection.enable_load_extension(True)
        self.connection.execute("PRAGMA page_size = 16384; PRAGMA synchronous = off")
        self.extend()

    def extend(self) -> None:
        """Loads the extension."""
        raise NotImplementedError

    def open(self) -> None:
        self.connect()

    def ask(self, query: numpy.ndarray, k: int) -> list[int]:
        return [row - 1 for (row,) in self.connection.execute(self.search, (query.tobytes(), k))]

    def insert(self, sql: str, base: numpy.ndarray) -> None:
        """All rows in one transaction, with their parts, if there are any."""
        with self.connection:
            if self.parts is None:
                self.connection.executemany(sql, ((row, vector.tobytes()) for row, vector in enumerate(base, 1)))
            else:
                numbered = enumerate(zip(base, self.parts.tolist(), strict=True), 1)
                self.connection.executemany(sql, ((row, vector.tobytes(), part) for row, (vector, part) in numbered))

    def close(self) -> None:
        self.connection.close()


class UserTable(InSqlite):
    """Inside of SQLite, over a table of the user's."""

    def store(self, base: numpy.ndarray) -> None:
        self.connect()
        if self.parts is None:
            self.connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)")
            self.insert("INSERT INTO t VALUES (?, ?)", base)
            return
        self.connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB, part INTEGER)")
        self.insert("INSERT INTO t VALUES (?, ?, ?)", base)
        self.connection.execute("CREATE INDEX t_part ON t (part)")
