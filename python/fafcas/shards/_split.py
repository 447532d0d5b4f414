"""Splitting one database into shards."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from ._files import Layout, Set, ShardError, connect, quoted, shard_of, transaction

# What vec_topk walks fastest; see Limits in the README.
_PAGE_SIZE = 16384
_ROWS_AT_ONCE = 1000


def split(
    database: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    table: str,
    column: str,
    shards: int,
    model: str | None = None,
) -> None:
    """Copies a table with vectors into `shards` files in a new folder; the database itself is only read.

    The table comes with all its columns and its indexes, but without triggers and without a vec_index, which
    `Shards.build_indexes` makes. It needs a primary key of one column, by which rows are told apart. `model` names the model
    that made the vectors, if `embed` did: the set can then be searched with texts, and refuses those of another model.

    The folder appears under its name once all is written. What a crash leaves behind is called `FOLDER.partial-...` and may
    be deleted.
    """
    target = Path(folder).absolute()
    if shards < 1:
        raise ShardError(f"split: expected a number of shards, not {shards}")
    if target.exists():
        raise ShardError(f"split: expected a folder that is not there yet, not {target}")
    # Made with the rights that the user gives to new folders, as workers may be other users.
    partial = target.with_name(f"{target.name}.partial-{secrets.token_hex(4)}")
    try:
        partial.mkdir()
        with transaction(Path(database)) as source:
            layout = _layout(source, table, column, shards, model)
            _copy(source, layout, Set(partial))
        _to_disk(partial)
        partial.rename(target)
        _to_disk(target.parent, deep=False)
    except Exception as error:
        raise ShardError(f"split: {database}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _layout(source: Any, table: str, column: str, shards: int, model: str | None) -> Layout:
    key, key_type = _key(source, table)
    if column not in _columns(source, table):
        raise ShardError(f"expected a column of {table}, not {column}")
    sql = "SELECT sql FROM sqlite_schema WHERE tbl_name = ? AND type = ? AND sql IS NOT NULL"
    schema = [row[0] for kind in ("table", "index") for row in source.execute(sql, (table, kind)).fetchall()]
    name = quoted(column)
    sample = f"SELECT length({name}) FROM {quoted(table)} WHERE typeof({name}) = 'blob' LIMIT 1"
    length = source.execute(sample).fetchone()
    return Layout(
        set_id=secrets.token_hex(16),
        shards=shards,
        table=table,
        column=column,
        key=key,
        key_type=key_type,
        vector_bytes=length and length[0],
        model=model,
        fingerprint=model and fingerprint(model),
        schema=tuple(schema),
    )


def _key(source: Any, table: str) -> tuple[str, str]:
    """The primary key of an ordinary table and its declared type."""
    kind = source.execute("SELECT type, sql FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    if kind is None:
        raise ShardError(f"expected a table of the database, not {table}")
    if kind[0] != "table" or kind[1].upper().startswith("CREATE VIRTUAL"):
        raise ShardError(f"expected an ordinary table, not {table}")
    keys = source.execute("SELECT name, type FROM pragma_table_info(?) WHERE pk > 0", (table,)).fetchall()
    if len(keys) != 1:
        raise ShardError(f"expected a primary key of one column in {table}, not of {len(keys)}")
    collations = source.execute(
        "SELECT x.coll FROM pragma_index_list(?) AS l, pragma_index_xinfo(l.name) AS x WHERE l.origin = 'pk' AND x.key",
        (table,),
    ).fetchall()
    for (collation,) in collations:
        if collation != "BINARY":
            raise ShardError(f"expected a primary key with the collation BINARY in {table}, not {collation}")
    name, declared = keys[0]
    return name, declared


def _columns(source: Any, table: str) -> list[str]:
    """The columns that hold values of their own, and so not those that are computed."""
    return [row[0] for row in source.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0", (table,)).fetchall()]


def fingerprint(model: str) -> str:
    """The fingerprint of a model on this machine."""
    with closing(connect("", "memory")) as connection:
        found = connection.execute("SELECT fingerprint FROM fafcas_models WHERE name = ?", (model,)).fetchone()
    if found is None:
        raise ShardError(f"expected a model that fafcas_models lists, not {model}")
    return str(found[0])


def _copy(source: Any, layout: Layout, target: Set) -> None:
    target.create(layout)
    names = _columns(source, layout.table)
    listed, marks = ", ".join(map(quoted, names)), ", ".join("?" * len(names))
    insert = f"INSERT INTO {quoted(layout.table)}({listed}) VALUES ({marks})"
    at = names.index(layout.key)
    with ExitStack() as files:
        connections = [files.enter_context(closing(_new(target, layout, number))) for number in range(layout.shards)]
        waiting: list[list[Any]] = [[] for _ in connections]
        for row in source.execute(f"SELECT {listed} FROM {quoted(layout.table)}"):
            number = shard_of(row[at], layout.shards)
            waiting[number].append(row)
            if len(waiting[number]) == _ROWS_AT_ONCE:
                connections[number].executemany(insert, waiting[number])
                waiting[number].clear()
        for connection, rows in zip(connections, waiting):
            connection.executemany(insert, rows)
            # Last, as it is faster to sort all entries than to put each in its place.
            for statement in layout.schema[1:]:
                connection.execute(statement)
            connection.execute("COMMIT")


def _new(target: Set, layout: Layout, number: int) -> Any:
    """A shard's file, empty, in a transaction. There is no journal, because a crash leaves nothing that counts."""
    connection = connect(target.shard(number), "rwc")
    for pragma in (f"page_size = {_PAGE_SIZE}", "journal_mode = OFF", "synchronous = OFF"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute("BEGIN")
    connection.execute(layout.schema[0])
    connection.execute("CREATE TABLE fafcas_shard(set_id TEXT, number INTEGER, writes INTEGER)")
    connection.execute("INSERT INTO fafcas_shard VALUES (?, ?, 0)", (layout.set_id, number))
    return connection


def _to_disk(folder: Path, deep: bool = True) -> None:
    """Has the system write out the files and the folder's own list of them, where it can be told to."""
    paths: Iterable[Path] = [*folder.iterdir(), folder] if deep else [folder]
    for path in paths:
        if os.name == "posix":
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
