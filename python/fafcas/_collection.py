"""Texts with vectors in an ordinary table: added, searched and read back without writing SQL, and open to any SQL."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

from ._load import _load_into, load
from ._matrix import Rows, as_array, as_blobs
from ._vector import vector
from .kit import source as sources
from .kit import statement
from .kit.source import Source, literal, path_of, quoted

if TYPE_CHECKING:
    import pandas

Id = Union[int, str]
Metadata = Mapping[str, Any]
Embed = Callable[[list[str]], Any]

# How many texts are embedded before the next are looked at.
BATCH = 1000
# How many rows of a matrix one INSERT has.
TOGETHER = 250
ROUNDED = re.compile(r"\bround\((\w+\.\w+), 4\)")
OURS = ("query", "words", "k", "limit")


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are called. Without metadata the table has no such column."""

    id: str = "id"
    text: str = "text"
    metadata: Optional[str] = "metadata"
    embedding: str = "embedding"


class Hit(NamedTuple):
    """A row that a search found, best first. `by` says why: "meaning", "words" or "both"."""

    id: Id
    score: float
    text: Optional[str]
    metadata: Optional[dict[str, Any]]
    by: str


class Item(NamedTuple):
    """A row as it is. The vector is a numpy array where numpy is, else the BLOB."""

    id: Id
    text: Optional[str]
    metadata: Optional[dict[str, Any]]
    vector: Any


def open(
    path: str | os.PathLike[str],
    table: str = "documents",
    *,
    embed: Embed | None = None,
    model: str | None = None,
    columns: Columns | None = None,
) -> Collection:
    """The collection in a table of a database file; both are made where they are not there.

    `embed` is a function of your own from a list of texts to as many vectors; without it the library's `embed` is called,
    with `model`. `columns` adopts a table that is there already: its vectors, full text and index are added to it.
    """
    return Collection(_connect(path), table, embed=embed, model=model, columns=columns)


def _connect(path: str | os.PathLike[str], *, across_threads: bool = False) -> Any:
    """A connection of sqlite3, or of apsw where this Python's sqlite3 loads no extensions or is too old.

    One that several threads have is theirs to take in turn: an adapter has a lock for it.
    """
    if hasattr(sqlite3.Connection, "enable_load_extension") and sqlite3.sqlite_version_info >= (3, 38):
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=not across_threads)
        connection.execute("PRAGMA busy_timeout = 5000")
        return connection
    import apsw

    other = apsw.Connection(os.fspath(path))
    other.set_busy_timeout(5000)
    return other


class Collection:
    """Texts, vectors and metadata in a table, which stays an ordinary table.

    It keeps nothing of its own: whatever other programs write to the table is found, and two collections of one table are the
    same. `connection` is one of sqlite3, pysqlite3 or apsw. Each call that writes is one transaction, or a part of yours.
    """

    def __init__(
        self,
        connection: Any,
        table: str = "documents",
        *,
        embed: Embed | None = None,
        model: str | None = None,
        columns: Columns | None = None,
    ) -> None:
        self.connection, self.table, self.columns = connection, table, columns or Columns()
        self._embed, self._model = embed, model
        self._plain = _Plain(connection)
        (load if embed is None else _load_into)(connection)
        self._make(adopt=columns is not None)

    # The table

    def _make(self, adopt: bool) -> None:
        there = self._columns_there()
        if not there:
            with self._writing():
                self._run(self._schema())
        missing = [name for name in (self.columns.id, self.columns.text, self.columns.metadata) if name and name not in there]
        if there and missing:
            raise ValueError(f"fafcas.Collection: expected columns {', '.join(missing)} in {self.table}, which has {', '.join(there)}: say columns=")
        if there and self.columns.embedding not in there:
            if not adopt:
                raise ValueError(f"fafcas.Collection: expected a column {self.columns.embedding} in {self.table}: say columns= to have it added")
            with self._writing():
                self._run(f"ALTER TABLE {quoted(self.table)} ADD COLUMN {quoted(self.columns.embedding)} BLOB")
        if adopt:
            self._make_full_text()
        self._make_index()

    def _columns_there(self) -> list[str]:
        return [name for (name,) in self._run("SELECT name FROM pragma_table_info(?)", (self.table,))]

    def _schema(self) -> str:
        # With a key of its own, rows keep their place in the index when the file is vacuumed.
        c = self.columns
        metadata = f"\n    {quoted(c.metadata)} TEXT CHECK ({quoted(c.metadata)} IS NULL OR json_valid({quoted(c.metadata)}))," if c.metadata else ""
        return f"""CREATE TABLE {quoted(self.table)} (
    seq INTEGER PRIMARY KEY,
    {quoted(c.id)} NOT NULL UNIQUE,
    {quoted(c.text)} TEXT,{metadata}
    {quoted(c.embedding)} BLOB
)"""

    def _make_full_text(self) -> None:
        """Once there is text: a table of vectors alone is written faster without."""
        if self._words() is not None:
            return
        table, name, text = quoted(self.table), quoted(f"{self.table}_text"), quoted(self.columns.text)
        key = self._run("SELECT name FROM pragma_table_info(?) WHERE pk = 1 AND upper(type) = 'INTEGER'", (self.table,))
        rowid = key[0][0] if key else "rowid"
        row = quoted(rowid) if key else "rowid"
        old = f"INSERT INTO {name} ({name}, rowid, {text}) VALUES ('delete', old.{row}, old.{text})"
        new = f"INSERT INTO {name} (rowid, {text}) VALUES (new.{row}, new.{text})"

        def trigger(event: str, when: str, body: str) -> str:
            called = quoted(f"{self.table}_text_{event.split()[0].lower()}")
            return f"CREATE TRIGGER {called} AFTER {event} ON {table} {when} BEGIN {body}; END"

        options = f"content = {literal(self.table)}, content_rowid = {literal(rowid)}"
        with self._writing():
            self._run(f"CREATE VIRTUAL TABLE {name} USING fts5 ({text}, {options}, tokenize = 'porter unicode61 remove_diacritics 2')")
            self._run(f"INSERT INTO {name} ({name}) VALUES ('rebuild')")
            self._run(trigger("INSERT", "", new))
            self._run(trigger("DELETE", "", old))
            changed = f"WHEN (old.{row}, old.{text}) IS NOT (new.{row}, new.{text})"
            self._run(trigger(f"UPDATE OF {text}" + (f", {row}" if key else ""), changed, f"{old}; {new}"))

    def _make_index(self) -> None:
        if self._index() is None:
            with self._writing():
                name = quoted(f"{self.table}_vec")
                self._run(f"CREATE VIRTUAL TABLE {name} USING vec_index({quoted(self.table)}, {quoted(self.columns.embedding)})")

    def _words(self) -> str | None:
        return next((words for of, words in sources.full_texts(self._plain) if of == self.table and words != of), None)

    def _index(self) -> str | None:
        wanted = (self.table, self.columns.embedding)
        return next((name for name, *of in sources.vector_indexes(self._plain) if tuple(of) == wanted), None)

    @property
    def source(self) -> Source:
        c = self.columns
        pieces = sources.trigrams(self._plain, self.table)
        return Source(self.table, c.id, tuple(self._columns_there()), None, c.text, c.embedding, self._words(), pieces)

    # Writing

    def add(
        self,
        texts: Iterable[str | None] | None = None,
        metadata: Iterable[Metadata | None] | None = None,
        ids: Iterable[Id] | None = None,
        *,
        vectors: Any = None,
    ) -> list[Id]:
        """Adds rows and gives their ids, which are numbers where none are named. All of them or none.

        `vectors` are a matrix of numpy, or rows of numbers, in place of those that the texts are embedded to.
        """
        return self._write(texts, metadata, ids, vectors, "")

    def upsert(
        self,
        texts: Iterable[str | None] | None = None,
        metadata: Iterable[Metadata | None] | None = None,
        ids: Iterable[Id] | None = None,
        *,
        vectors: Any = None,
    ) -> list[Id]:
        """Adds rows, or replaces the text, metadata and vector of those whose ids are there."""
        if ids is None:
            raise ValueError("fafcas.Collection.upsert: expected ids, not none")
        c = self.columns
        names = [quoted(name) for name in (c.text, c.metadata, c.embedding) if name]
        update = ", ".join(f"{name} = excluded.{name}" for name in names)
        return self._write(texts, metadata, ids, vectors, f" ON CONFLICT ({quoted(c.id)}) DO UPDATE SET {update}")

    def _write(self, texts: Any, metadata: Any, ids: Any, vectors: Any, conflict: str) -> list[Id]:
        texts, metadata, ids = (None if values is None else list(values) for values in (texts, metadata, ids))
        blobs: Iterable[Any]
        number, blobs, unit = 0, [], True
        if vectors is not None:
            number, blobs, unit = as_blobs(vectors)
        elif texts is not None:
            number = len(texts)
        else:
            raise ValueError("fafcas.Collection: expected texts or vectors, not neither")
        for what, values in (("texts", texts), ("metadata", metadata), ("ids", ids)):
            if values is not None and len(values) != number:
                raise ValueError(f"fafcas.Collection: expected {number} {what}, not {len(values)}")
        if metadata is not None and self.columns.metadata is None:
            raise ValueError(f"fafcas.Collection: expected no metadata, as {self.table} has no column for it")
        if number == 0:
            return []
        if vectors is None:
            blobs, unit = self._embedded(texts), self._embed is None
        if texts is not None:
            self._make_full_text()
        with self._writing():
            self._check_length(blobs if isinstance(blobs, Rows) else next((blob for blob in blobs if blob), b""))
            ids = ids or self._new_ids(number)
            if isinstance(ids, range) and isinstance(blobs, Rows) and texts is None and metadata is None:
                self._insert_matrix(ids, blobs, unit)
            else:
                self._insert(ids, texts, metadata, blobs, unit, conflict)
        return list(ids)

    def _insert_matrix(self, ids: range, matrix: Rows, unit: bool) -> None:
        """Many rows a statement: SQLite takes them out of one value faster than Python hands them over one by one."""
        row = "substr(:rows, 1 + at * :size, :size)"
        self._plain.executemany(
            f"""INSERT INTO {quoted(self.table)} ({quoted(self.columns.id)}, {quoted(self.columns.embedding)})
                WITH RECURSIVE place (at) AS (SELECT 0 UNION ALL SELECT at + 1 FROM place WHERE at + 1 < :number)
                SELECT :first + at, {row if unit else f"fafcas_normalize({row})"} FROM place""",
            (
                {"first": ids[at], "rows": rows, "size": matrix.size, "number": len(rows) // matrix.size}
                for at, rows in zip(range(0, matrix.number, TOGETHER), matrix.together(TOGETHER))
            ),
        )

    def _insert(self, ids: Sequence[Id], texts: Any, metadata: Any, blobs: Iterable[Any], unit: bool, conflict: str) -> None:
        c = self.columns
        columns: dict[str, Iterable[Any]] = {c.id: ids}
        if texts is not None or conflict:
            columns[c.text] = texts or [None] * len(ids)
        if c.metadata and (metadata is not None or conflict):
            columns[c.metadata] = map(_as_json, metadata or [None] * len(ids))
        columns[c.embedding] = blobs
        values = ["?"] * (len(columns) - 1) + ["?" if unit else "fafcas_normalize(?)"]
        names = ", ".join(map(quoted, columns))
        sql = f"INSERT INTO {quoted(self.table)} ({names}) VALUES ({', '.join(values)}){conflict}"
        try:
            self._plain.executemany(sql, zip(*columns.values()))
        except Exception as error:
            if "UNIQUE constraint failed" in str(error):
                raise ValueError(f"fafcas.Collection.add: expected new ids, not one that is there already ({error}): see upsert") from error
            raise

    def _new_ids(self, number: int) -> range:
        # Numbers come before all texts.
        key = quoted(self.columns.id)
        ((last,),) = self._run(f"SELECT coalesce(max({key}), 0) FROM {quoted(self.table)} WHERE {key} < ''")
        return range(int(last) + 1, int(last) + 1 + number)

    def _check_length(self, blob: Any) -> None:
        """A vector of another length than those there would be an error of every search."""
        column = quoted(self.columns.embedding)
        rows = self._run(f"SELECT length({column}) FROM {quoted(self.table)} WHERE {column} IS NOT NULL LIMIT 1")
        size = blob.size if isinstance(blob, Rows) else len(blob)
        if rows and size and rows[0][0] != size:
            raise ValueError(f"fafcas.Collection: expected vectors of {rows[0][0] // 4} numbers, as {self.table} has, not {size // 4}")

    def _embedded(self, texts: list[str | None]) -> list[bytes | None]:
        """A vector for each text, and none for those that say nothing."""
        wanted = [at for at, text in enumerate(texts) if text and text.strip()]
        vectors: list[bytes | None] = [None] * len(texts)
        for begin in range(0, len(wanted), BATCH):
            places = wanted[begin : begin + BATCH]
            for at, blob in zip(places, self._vectors_of([str(texts[at]) for at in places])):
                vectors[at] = blob
        return vectors

    def _vectors_of(self, texts: list[str]) -> list[bytes]:
        if self._embed is not None:
            number, rows, _ = as_blobs(self._embed(texts))
            if number != len(texts):
                raise ValueError(f"fafcas.Collection: expected {len(texts)} vectors from embed, not {number}")
            return [bytes(row) for row in rows]
        # Through a table of its own, so that texts of one length go together, and no other program waits meanwhile.
        model = (self._model,) if self._model else ()
        rows_of = f"embed_rows('temp.fafcas_texts', 'text'{', ?' if model else ''})"
        with self._writing():
            self._run("CREATE TEMP TABLE fafcas_texts (seq INTEGER PRIMARY KEY, text TEXT)")
            self._plain.executemany("INSERT INTO temp.fafcas_texts VALUES (?, ?)", enumerate(texts))
            found = dict(self._run(f"SELECT rowid, embedding FROM {rows_of}", model))
            self._run("DROP TABLE temp.fafcas_texts")
        return [found[at] for at in range(len(texts))]

    def delete(self, ids: Iterable[Id] | None = None, *, where: str | None = None, params: Metadata | None = None) -> int:
        """Deletes the rows with these ids, or those that meet a condition, and gives how many that were."""
        if (ids is None) == (where is None):
            raise ValueError("fafcas.Collection.delete: expected ids or where, and not both")
        condition, values = self._condition(ids, where, params)
        with self._writing():
            self._run(f"DELETE FROM {quoted(self.table)} WHERE {condition}", values)
            ((gone,),) = self._run("SELECT changes()")
        return int(gone)

    def optimize(self) -> None:
        """Brings what was added since into the index and the full text as a whole: after much has changed."""
        with self._writing():
            for name, what in ((self._index(), "merge"), (self._words(), "optimize")):
                if name is not None:
                    self._run(f"INSERT INTO {quoted(name)} ({quoted(name)}) VALUES ('{what}')")

    # Reading

    def search(
        self,
        question: str | None = None,
        k: int = 10,
        *,
        where: str | None = None,
        params: Metadata | None = None,
        vector: Any = None,
        by: str = "both",
    ) -> list[Hit]:
        """The k best rows: by meaning and words at once, or by one of them (`by="meaning"`, `by="words"`).

        `where` is a condition on the table's columns, with `params` for its parameters:
        `where="metadata ->> 'year' > :year", params={"year": 2020}`. There are k rows whenever enough meet it. `vector` is
        searched in place of the question's own.
        """
        if by not in ("both", "meaning", "words"):
            raise ValueError(f"fafcas.Collection.search: expected by to be both, meaning or words, not {by}")
        if question is None and (vector is None or by == "words"):
            raise ValueError("fafcas.Collection.search: expected a question or a vector, not neither")
        values = {**self._values(params), "words": question or "", "k": k, "limit": k}
        if by != "words":
            values["query"] = self._query(question, vector)
        if self._words() is None and by == "words":
            return []
        either = "search" if question is None or self._words() is None else "hybrid"
        way = {"words": "words", "meaning": "search"}.get(by, either)
        rows = self._run(self._statement(way, where), {**values, "k": len(self)} if where is not None else values)
        return [self._hit(way, *row) for row in rows]

    def _values(self, params: Metadata | None) -> dict[str, Any]:
        taken = [name for name in OURS if name in (params or {})]
        if taken:
            raise ValueError(f"fafcas.Collection: expected params of other names than {', '.join(taken)}")
        return dict(params or {})

    def _query(self, question: str | None, given: Any) -> Any:
        blob = vector(given) if given is not None and not isinstance(given, bytes) else given
        if blob is None and self._embed is None:
            # With the model's prompt for questions, where rows have that for documents.
            ((blob,),) = self._run(f"SELECT embed_query(?{', ?' if self._model else ''})", (question or "", *filter(None, [self._model])))
        elif blob is None:
            (blob,) = self._vectors_of([question or ""])
        ((normal,),) = self._run("SELECT fafcas_normalize(?)", (blob,))
        return normal

    def _statement(self, way: str, where: str | None) -> str:
        """One of the kit's queries on this table, its rows with their metadata."""
        source, c = self.source, self.columns
        found = statement.on(source, statement.query(way))
        if way == "search" and where is not None:
            found = statement.on(source, statement.FILTERED.strip()).replace("{condition}", statement.keys_where(source, where))
        # The kit's are for people to read.
        found = ROUNDED.sub(r"\1", found)
        places = "h.by_vector, h.by_words" if way == "hybrid" else "NULL, NULL"
        metadata = f"t.{quoted(c.metadata)}" if c.metadata else "NULL"
        condition = f"\nWHERE  h.id IN ({statement.keys_where(source, where)})" if where is not None else ""
        return f"""WITH hits AS MATERIALIZED (
{found}
)
SELECT h.id, h.score, t.{quoted(c.text)}, {metadata}, {places}
FROM   hits AS h JOIN {quoted(self.table)} AS t ON t.{quoted(c.id)} = h.id{condition}
ORDER  BY h.rank
LIMIT  :limit"""

    def _hit(self, way: str, id: Id, score: float, text: str | None, metadata: str | None, by_vector: Any, by_words: Any) -> Hit:
        by = statement.reason(by_vector, by_words) or ("words" if way == "words" else "meaning")
        return Hit(id, score, text, _from_json(metadata), by)

    def get(
        self,
        ids: Iterable[Id] | None = None,
        *,
        where: str | None = None,
        params: Metadata | None = None,
        limit: int | None = None,
        vectors: bool = False,
    ) -> list[Item]:
        """The rows with these ids, or those that meet a condition, or all; with their vectors if that is asked for."""
        c = self.columns
        condition, values = self._condition(ids, where, params)
        metadata, blob = quoted(c.metadata) if c.metadata else "NULL", quoted(c.embedding) if vectors else "NULL"
        sql = f"SELECT {quoted(c.id)}, {quoted(c.text)}, {metadata}, {blob} FROM {quoted(self.table)} WHERE {condition} ORDER BY rowid LIMIT :limit"
        rows = self._run(sql, {**values, "limit": -1 if limit is None else limit})
        return [Item(id, text, _from_json(meta), as_array(vector)) for id, text, meta, vector in rows]

    def _condition(self, ids: Iterable[Id] | None, where: str | None, params: Metadata | None) -> tuple[str, dict[str, Any]]:
        values, conditions = self._values(params), ["true"]
        if ids is not None:
            conditions.append(f"{quoted(self.columns.id)} IN (SELECT value FROM json_each(:query))")
            values["query"] = json.dumps(list(ids))
        if where is not None:
            conditions.append(f"({where}\n)")
        return " AND ".join(conditions), values

    def to_pandas(self, *, where: str | None = None, params: Metadata | None = None, vectors: bool = False) -> pandas.DataFrame:
        """The rows as a data frame, the metadata's keys as columns of it; `metadata.id` where a key has the name of a column."""
        import pandas

        own = ["id", "text", *(["vector"] if vectors else [])]
        rows = []
        for item in self.get(where=where, params=params, vectors=vectors):
            metadata = {f"metadata.{key}" if key in own else key: value for key, value in (item.metadata or {}).items()}
            rows.append({"id": item.id, "text": item.text, **metadata, **({"vector": item.vector} if vectors else {})})
        return pandas.DataFrame(rows, columns=None if rows else own)

    def __len__(self) -> int:
        ((number,),) = self._run(f"SELECT count(*) FROM {quoted(self.table)}")
        return int(number)

    def __contains__(self, id: object) -> bool:
        return bool(self._run(f"SELECT 1 FROM {quoted(self.table)} WHERE {quoted(self.columns.id)} = ?", (id,)))

    def __repr__(self) -> str:
        return f"<fafcas.Collection {path_of(self.table)}: {len(self):,} rows>"

    def close(self) -> None:
        self.connection.close()

    # The connection, whichever module made it

    def _run(self, sql: str, values: Any = ()) -> list[Any]:
        rows: list[Any] = self._plain.execute(sql, values).fetchall()
        return rows

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, or a part of the one that is open."""
        self._run("SAVEPOINT fafcas")
        try:
            yield
        except BaseException:
            self._run("ROLLBACK TO fafcas")
            self._run("RELEASE fafcas")
            raise
        self._run("RELEASE fafcas")


def embedded(texts: Iterable[str], model: str | None = None) -> list[bytes]:
    """A vector of the library's own for each text, for adapters that embed without a table."""
    with contextlib.closing(Collection(_connect(":memory:"), model=model)) as collection:
        return collection._vectors_of(list(texts))


def embedded_question(question: str, model: str | None = None) -> bytes:
    """The same of a question, with the prompt that the model wants for one."""
    with contextlib.closing(Collection(_connect(":memory:"), model=model)) as collection:
        return bytes(collection._query(question, None))


class _Plain:
    """The connection without what the program, or `load`, makes of its cursors: rows are tuples, and values are bound as they are."""

    def __init__(self, connection: Any) -> None:
        self.new_cursor = connection.cursor
        if hasattr(connection, "cursor_factory"):
            import apsw

            self.new_cursor = functools.partial(apsw.Cursor, connection)

    def execute(self, sql: str, values: Any = ()) -> Any:
        return self.cursor().execute(sql, values)

    def executemany(self, sql: str, rows: Iterable[Any]) -> None:
        self.cursor().executemany(sql, rows)

    def cursor(self) -> Any:
        cursor = self.new_cursor()
        if hasattr(cursor, "row_factory"):
            cursor.row_factory = None
        return cursor


def _as_json(metadata: Metadata | None) -> str | None:
    return None if metadata is None else json.dumps(metadata, ensure_ascii=False)


def _from_json(metadata: str | None) -> dict[str, Any] | None:
    found = None if metadata is None else json.loads(metadata)
    return found if isinstance(found, dict) else None
