"""A set of shards as its users see it."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from operator import index
from pathlib import Path
from typing import Any, Union

from .._vector import vector
from ._files import Layout, Set, ShardError, Value, connect, quoted, shard_of
from ._split import fingerprint
from ._work import BuildIndex, Hit, Search, Task, Write, best, perform

Query = Union[str, bytes, Iterable[float]]


class Shards:
    """The shards in a folder that `split` has made, worked on in this process, one after the other."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._set = Set(Path(folder).resolve())
        self._set.read()
        self._model: str | None = None

    def run(self, tasks: Sequence[Task]) -> list[Any]:
        """What `perform` gives for each task, in their order: all that an engine does in its own way."""
        return [perform(task) for task in tasks]

    def build_indexes(self) -> None:
        """Makes an index in every shard, or brings it up to date, which pays after many rows were added."""
        layout, shards = self._set.read()
        self.run([Task(layout, shard, BuildIndex()) for shard in shards])

    def search(
        self,
        query: Query,
        k: int,
        *,
        columns: Sequence[str] = (),
        where: str | None = None,
        parameters: Mapping[str, Value] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> list[Hit]:
        """The k rows nearest to a vector, or to a text where the set has a model, best first; ties by shard, then id.

        `columns` names columns of the row to bring along. `where` is an SQL condition on the row `n` and the hit `t`, such as
        `n.type = :type`, with its `parameters` by name; k rows are found whenever so many satisfy it. `options` are those of
        vec_topk.
        """
        found = self.search_many([query], k, columns=columns, where=where, parameters=parameters, options=options)
        return found[0]

    def search_many(
        self,
        queries: Iterable[Query],
        k: int,
        *,
        columns: Sequence[str] = (),
        where: str | None = None,
        parameters: Mapping[str, Value] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> list[list[Hit]]:
        """As `search`, for several queries: each shard is asked once for all of them."""
        k = index(k)
        if k < 0:
            raise ShardError(f"search: expected a number of rows, not {k}")
        options = dict(options or {})
        if "key" in options:
            raise ShardError("search: expected no option key: hits go by the table's primary key")
        layout, shards = self._set.read()
        vectors = self._vectors(queries, layout)
        if not vectors or k == 0:
            return [[] for _ in vectors]
        search = Search(vectors, k, tuple(columns), where, dict(parameters or {}), json.dumps(options))
        answers = self.run([Task(layout, shard, search) for shard in shards])
        versions = sorted({answer.version for answer in answers})
        if len(versions) > 1:
            raise ShardError(f"search: expected the same fafcas on all workers, not {' and '.join(versions)}")
        return [best(list(chain.from_iterable(hits)), k) for hits in zip(*(answer.hits for answer in answers))]

    def add(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Adds rows, or changes those whose id is there already, and tells how many. A row is a mapping of column to value,
        and its vector is what `search` takes, but no text.

        All rows are first tried out in this process, so that one that cannot be stored is an error before any is written.
        Each shard then takes its own in one transaction. If that fails for some of the shards, call it again.
        """
        rows = list(rows)
        if not rows:
            return 0
        layout, _ = self._set.read()
        names = list(rows[0])
        values = _values(rows, names, layout)
        if layout.column in names:
            layout = _knowing(layout, [row[names.index(layout.column)] for row in values])
        sql = _upsert(layout, names)
        _try_out(layout, sql, values)
        self._write(layout, sql, [row[names.index(layout.key)] for row in values], values)
        return len(rows)

    def delete(self, ids: Iterable[Value]) -> None:
        """Deletes the rows with these ids. An id that is not there is passed over."""
        layout, _ = self._set.read()
        ids = list(ids)
        sql = f"DELETE FROM {quoted(layout.table)} WHERE {quoted(layout.key)} = ?"
        self._write(layout, sql, ids, [(id,) for id in ids])

    def _write(self, layout: Layout, sql: str, ids: Sequence[Value], rows: Sequence[tuple[Value, ...]]) -> None:
        """Sends each row to the shard of its id."""
        routed: dict[int, list[tuple[Value, ...]]] = {}
        for id, row in zip(_as_stored(ids, layout), rows):
            routed.setdefault(shard_of(id, layout.shards), []).append(row)
        if not routed:
            return
        _, shards = self._set.read()
        tasks = [Task(layout, shards[number], Write(sql, tuple(own))) for number, own in routed.items()]
        self._set.record(dict(zip(routed, self.run(tasks))), layout.vector_bytes)

    def _vectors(self, queries: Iterable[Query], layout: Layout) -> tuple[bytes, ...]:
        """The queries as vectors. Texts are embedded here, once, so that workers need no model."""
        queries = list(queries)
        texts = [query for query in queries if isinstance(query, str)]
        embedded = self._embedded(texts, layout) if texts else {}
        return tuple(embedded[query] if isinstance(query, str) else _vector(query) for query in queries)

    def _embedded(self, texts: Sequence[str], layout: Layout) -> dict[str, bytes]:
        if layout.model is None:
            raise ShardError("search: expected a vector, not a text, because the set was split without naming a model")
        if self._model != layout.fingerprint:
            self._model = fingerprint(layout.model)
        if self._model != layout.fingerprint:
            raise ShardError(
                f"search: expected the model {layout.model} with the fingerprint {layout.fingerprint}, which made the vectors, "
                f"not {self._model}"
            )
        with closing(connect("", "memory")) as connection:
            return {text: connection.execute("SELECT embed_query(?, ?)", (text, layout.model)).fetchone()[0] for text in texts}


def _vector(value: Any) -> bytes:
    """A vector as SQLite holds it."""
    if isinstance(value, bytes):
        return value
    try:
        blob = vector(value)
    except (TypeError, ValueError) as error:
        raise ShardError(f"expected a vector as bytes, array or numbers, not {type(value).__name__}: {error}") from error
    if not all(map(math.isfinite, struct.unpack(f"<{len(blob) // 4}f", blob))):
        raise ShardError("expected a vector of finite numbers")
    return blob


def _values(rows: Sequence[Mapping[str, Any]], names: Sequence[str], layout: Layout) -> list[tuple[Value, ...]]:
    """The rows as SQLite holds them, each in the order of the names."""
    for row in rows:
        if set(row) != set(names) or layout.key not in row:
            expected = ", ".join(dict.fromkeys([layout.key, *names]))
            raise ShardError(f"add: expected the columns {expected}, not {', '.join(row)}")

    def value(name: str, given: Any) -> Value:
        return _vector(given) if name == layout.column and given is not None else given

    return [tuple(value(name, row[name]) for name in names) for row in rows]


def _knowing(layout: Layout, vectors: Iterable[Value]) -> Layout:
    """The layout with the length of its vectors, which these must have."""
    for blob in vectors:
        if isinstance(blob, bytes) and layout.vector_bytes is None:
            layout = replace(layout, vector_bytes=len(blob))
        if isinstance(blob, bytes) and len(blob) != layout.vector_bytes:
            raise ShardError(f"add: expected vectors of {layout.vector_bytes} bytes, not {len(blob)}")
    return layout


def _upsert(layout: Layout, names: Sequence[str]) -> str:
    others = [quoted(name) for name in names if name != layout.key]
    change = ", ".join(f"{name} = excluded.{name}" for name in others)
    return (
        f"INSERT INTO {quoted(layout.table)}({', '.join(map(quoted, names))}) VALUES ({', '.join('?' * len(names))}) "
        f"ON CONFLICT({quoted(layout.key)}) DO {'UPDATE SET ' + change if others else 'NOTHING'}"
    )


def _try_out(layout: Layout, sql: str, rows: Sequence[tuple[Value, ...]]) -> None:
    """Does to an empty copy of the table in memory what will be done to the shards."""
    with closing(connect("", "memory")) as copy:
        try:
            for statement in layout.schema:
                copy.execute(statement)
            copy.executemany(sql, rows)
        except Exception as error:
            raise ShardError(f"add: expected rows that {layout.table} can hold: {error}") from error


def _as_stored(ids: Iterable[Value], layout: Layout) -> list[Value]:
    """The ids as the key's column holds them: `'7'` is 7 where it is declared INTEGER, and goes to the shard of that."""
    with closing(connect("", "memory")) as scratch:
        scratch.execute(f"CREATE TABLE ids(at INTEGER PRIMARY KEY, id {layout.key_type})")
        scratch.executemany("INSERT INTO ids(id) VALUES (?)", ((id,) for id in ids))
        return [row[0] for row in scratch.execute("SELECT id FROM ids ORDER BY at").fetchall()]
