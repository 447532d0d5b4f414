"""What is done to one shard, wherever a worker does it.

A task may be done twice, when a worker is lost before it could tell: all of it can be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Union

from ._files import Layout, Shard, ShardError, Value, quoted, transaction


class Hit(NamedTuple):
    """A row that a search found, with the columns that were asked for."""

    id: Value
    score: float
    shard: int
    columns: dict[str, Value]


class Found(NamedTuple):
    """A shard's hits for each query, and the library that found them."""

    version: str
    hits: list[list[Hit]]


def best(hits: list[Hit], k: int) -> list[Hit]:
    """The first k of them: best score first, then by shard, then by id in SQLite's order."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.shard, _kind(hit.id), hit.id))[:k]


def _kind(id: Value) -> int:
    return 2 if isinstance(id, bytes) else 1 if isinstance(id, str) else 0


@dataclass(frozen=True)
class Search:
    """Finds the shard's best k for every query."""

    queries: tuple[bytes, ...]
    k: int
    columns: tuple[str, ...]
    where: str | None
    parameters: Mapping[str, Value]
    options: str

    mode = "ro"

    def run(self, connection: Any, layout: Layout, shard: Shard) -> Found:
        version = connection.execute("SELECT vec_version()").fetchone()[0]
        return Found(version, [self._nearest(connection, layout, shard, query) for query in self.queries])

    def _nearest(self, connection: Any, layout: Layout, shard: Shard, query: bytes) -> list[Hit]:
        """Asks for one row more than k. If that one scores as the k-th does, more may: all must be seen to take those of the
        lowest ids, because vec_topk goes by rowid."""
        sql, asked = self._sql(layout), self.k + 1
        table, column = quoted(layout.table), quoted(layout.column)
        bound = {**self.parameters, "_table": table, "_column": column, "_query": query, "_options": self.options}
        while True:
            rows = connection.execute(sql, {**bound, "_k": asked}).fetchall()
            if len(rows) < asked or rows[-1][1] < rows[self.k - 1][1]:
                break
            asked *= 2
        return best([Hit(row[0], row[1], shard.number, dict(zip(self.columns, row[2:]))) for row in rows], self.k)

    def _sql(self, layout: Layout) -> str:
        # Without k every row is there for the condition, and LIMIT counts.
        k, limit = ("NULL", "LIMIT :_k") if self.where else (":_k", "")
        columns = "".join(f", n.{quoted(name)}" for name in self.columns)
        row = f"JOIN {quoted(layout.table)} AS n ON n.{quoted(layout.key)} = t.id" if columns or self.where else ""
        condition = f"WHERE ({self.where})" if self.where else ""
        return (
            f"SELECT t.id, t.score{columns} FROM vec_topk(:_table, :_column, :_query, {k}, :_options) AS t"
            f" {row} {condition} ORDER BY t.score DESC {limit}"
        )


@dataclass(frozen=True)
class Write:
    """Runs a statement for each of the rows, and tells how many writes the shard has now seen."""

    sql: str
    rows: tuple[tuple[Value, ...], ...]

    mode = "rw"

    def run(self, connection: Any, _layout: Layout, _shard: Shard) -> int:
        connection.executemany(self.sql, self.rows)
        connection.execute("UPDATE fafcas_shard SET writes = writes + 1")
        return int(connection.execute("SELECT writes FROM fafcas_shard").fetchone()[0])


@dataclass(frozen=True)
class BuildIndex:
    """Makes the index, or brings it up to date."""

    mode = "rw"

    def run(self, connection: Any, layout: Layout, _shard: Shard) -> None:
        table, column, index = quoted(layout.table), quoted(layout.column), quoted(layout.table + "_vec")
        connection.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS {index} USING vec_index({table}, {column})")
        state = connection.execute(f"SELECT value FROM {index} WHERE property = 'state'").fetchone()[0]
        command = "rebuild" if state == "rebuild" else "merge"
        connection.execute(f"INSERT INTO {index}({index}) VALUES ('{command}')")


# A search cannot roll back what another has left half-written; any writer does.
_DEAD_WRITER = (
    "expected a file whose last writer lived, not one with its journal: repeat the write, or open it once with sqlite3"
)

Work = Union[Search, Write, BuildIndex]


@dataclass(frozen=True)
class Task:
    """Work on one shard."""

    layout: Layout
    shard: Shard
    work: Work


def perform(task: Task) -> Any:
    """Does a task, in a process that has both shard and library. Whatever fails is a `ShardError` that names the shard."""
    try:
        with transaction(task.shard.path, task.work.mode) as connection:
            _check(connection, task.layout, task.shard)
            return task.work.run(connection, task.layout, task.shard)
    except Exception as error:
        reason = _DEAD_WRITER if "readonly" in str(error) else error
        raise ShardError(f"shard {task.shard.number} ({task.shard.path}): {reason}") from error


def _check(connection: Any, layout: Layout, shard: Shard) -> None:
    """That the file is the shard it should be, in the same snapshot that the work sees."""
    set_id, number, writes = connection.execute("SELECT set_id, number, writes FROM fafcas_shard").fetchone()
    if set_id != layout.set_id:
        raise ShardError(f"expected a shard of set {layout.set_id}, not of {set_id}")
    if number != shard.number:
        raise ShardError(f"expected shard {shard.number}, not {number}")
    if writes < shard.writes:
        raise ShardError(f"older than the rest: expected {shard.writes} writes, not {writes}; put its newest copy back")
