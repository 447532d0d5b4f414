"""A question answered for a page: the kit's queries, with the sentence that answers and why each row is there."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from datasette.utils.sqlite import sqlite3

from ..kit import source as sources
from ..kit import statement
from ..kit.scripts import Refused
from ..kit.show import passage
from ..kit.source import Source, literal, quoted
from ..models.fetch import DEFAULT_MODEL
from .asked import WAYS, Asked, condition, typed

# How much of a row is shown, and how much before its sentence.
SHOWN, BEFORE = 420, 140

# Columns of a knowledge base by which nobody chooses.
OF_THE_KIT = ("hash", "meta", "model", "seq", "summary")

# The sentences of all rows are found by then, or their words choose them. Each piece takes a few milliseconds to embed.
SENTENCE_SECONDS = 1.0

# As answer.sql does it, of the text of one row.
SENTENCE = """SELECT s.start, s.stop
FROM   chunk(substr(:text, 1, 4000), 40, 0, :model) AS s
ORDER  BY vec_dot(embed(s.text, :model), :query) DESC, s.seq
LIMIT  1"""

REASONS = {
    "both": "near in meaning, and it has words of the question",
    "meaning": "near in meaning; it has no word of the question",
    "words": "it has words of the question",
}


@dataclass(frozen=True)
class Hit:
    id: Any
    title: str
    score: float
    why: str
    reason: str
    before: str
    marked: str
    after: str


@dataclass
class Answer:
    hits: list[Hit] = field(default_factory=list)
    sql: str = ""
    note: str = ""


def kinds_of(connection: Any, source: Source) -> dict[str, str]:
    """The columns that can be filtered by, and how they are declared."""
    info = connection.execute("SELECT name, type FROM pragma_table_info(?)", (source.table,)).fetchall()
    return {name: kind for name, kind in info if name != source.vectors}


@contextlib.contextmanager
def limited(connection: Any, seconds: float) -> Iterator[None]:
    """Inside, a statement that takes longer is interrupted."""
    until = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > until, 1000)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


class Asking:
    """One question to one source."""

    def __init__(self, connection: Any, source: Source, asked: Asked, seconds: float) -> None:
        self.connection, self.source, self.asked, self.seconds = connection, source, asked, seconds
        self.kinds = kinds_of(connection, source)
        self.filter = condition(source, self.kinds, asked.filters)
        self.answer = Answer()
        self.model = ""
        self.query: Any = None

    def run(self) -> Answer:
        if self.asked.like:
            self.like()
        elif self.asked.question:
            self.search()
        return self.answer

    def search(self) -> None:
        way, question = self.way(), self.asked.question
        if way == "search" or self.asked.by != "words":
            self.embed(question, needed=way == "search")
        named = "" if self.model == DEFAULT_MODEL else f", {literal(self.model)}"
        written = {"words": literal(question), "k": str(self.asked.count)}
        if self.query is not None:
            written["query"] = f"embed_query({literal(question)}{named})"
        sql = statement.answering(self.source, way, self.filter.runs)
        self.show(sql, {"words": question, "query": self.query, "k": self.asked.count}, written)

    def way(self) -> str:
        if self.asked.by == "words":
            statement.words(self.source)
        return "search" if self.source.words is None else WAYS[self.asked.by]

    def embed(self, question: str, needed: bool) -> None:
        """Sets `model` and `query`. Where that cannot be, words alone answer if they can."""
        try:
            self.model, self.query = embedded(self.connection, self.source, question, self.asked.model)
        except (Refused, sqlite3.Error) as error:
            if needed:
                raise Refused(str(error)) from error
            self.answer.note = f"By words alone, as there is no vector of the question: {error}"

    def like(self) -> None:
        source = self.source
        key, table, vectors = statement.column(source.key), quoted(source.table), quoted(str(source.vectors))
        row = typed(self.asked.like, self.kinds.get(source.key, ""))
        found = self.connection.execute(f"SELECT {vectors} FROM {table} WHERE {key} = ?", (row,)).fetchone()
        if found is None or found[0] is None:
            raise Refused(f"{source.table}: expected a row with a vector whose {source.key} is {self.asked.like}, not none")
        self.query = found[0]
        sql = statement.nearest(source, statement.others(source, literal(row), self.filter.runs))
        self.show(sql, {"query": self.query}, {"query": f"(SELECT {vectors} FROM {table} WHERE {key} = {literal(row)})"})

    def show(self, sql: str, values: dict[str, Any], written: dict[str, str]) -> None:
        values = values | self.filter.values | {"limit": self.asked.count}
        written = written | self.filter.written | {"limit": str(self.asked.count)}
        if self.filter.runs is not None:
            written["k"] = statement.everything(self.source)
            values["k"] = self.connection.execute(f"SELECT {written['k']}").fetchone()[0]
        self.answer.sql = statement.with_values(sql, written)
        try:
            with limited(self.connection, self.seconds):
                cursor = self.connection.execute(sql, values)
                names = [name for name, *_ in cursor.description]
                rows = [dict(zip(names, row)) for row in cursor.fetchall()]
        except sqlite3.Error as error:
            raise Refused(self.explained(error)) from error
        until = time.monotonic() + min(SENTENCE_SECONDS, self.seconds)
        self.answer.hits = [self.hit(row, until) for row in rows]

    def explained(self, error: sqlite3.Error) -> str:
        if str(error) == "interrupted":
            return f"expected an answer within {self.seconds:g} s, which the setting sql_time_limit_ms allows; an index makes searches fast"
        return str(error)

    def hit(self, row: dict[str, Any], until: float) -> Hit:
        text = str(row["text"] or "")
        start, stop = self.sentence(text, until)
        begin = start - BEFORE if start > BEFORE else 0
        end = max(stop, begin + SHOWN)
        why = "meaning"
        if "by_vector" in row:
            why = statement.reason(row["by_vector"], row["by_words"])
        title = row["title"] if row["title"] not in (None, "") else row["id"]
        return Hit(
            row["id"], str(title), row["score"], why, REASONS.get(why, ""),
            ("..." if begin else "") + text[begin:start], text[start:stop], text[stop:end] + ("..." if end < len(text) else ""),
        )

    def sentence(self, text: str, until: float) -> tuple[int, int]:
        """Where the sentence is: the nearest in meaning, or the one with most of the words where there is no time or no model."""
        left = until - time.monotonic()
        if self.query is not None and self.model and left > 0:
            with contextlib.suppress(sqlite3.Error), limited(self.connection, left):
                found = self.connection.execute(SENTENCE, {"text": text, "model": self.model, "query": self.query}).fetchone()
                if found:
                    # SQL counts from 1, and a piece ends with the white space behind it.
                    start, stop = found
                    return start - 1, start - 1 + len(text[start - 1 : stop - 1].rstrip())
        if not self.asked.question or self.asked.like:
            return 0, 0
        best = passage(text, self.asked.question)
        start = text.find(best)
        return start, start + len(best)


def embedded(connection: Any, source: Source, question: str, named: str) -> tuple[str, bytes]:
    """The question's vector, and by which model: the one that is named, that of a knowledge base, or one of as many dimensions."""
    model = named or (of_kit(connection) if source.is_kit else DEFAULT_MODEL)
    vector = connection.execute("SELECT embed_query(?, ?)", (question, model)).fetchone()[0]
    if named or source.is_kit or vector is None:
        return model, vector
    column, table = quoted(str(source.vectors)), quoted(source.table)
    dimensions = f"SELECT CASE typeof({column}) WHEN 'text' THEN json_array_length({column}) ELSE length({column}) / 4 END FROM {table}"
    (wanted,) = connection.execute(f"{dimensions} WHERE {column} IS NOT NULL LIMIT 1").fetchone() or (None,)
    if wanted is None or wanted * 4 == len(vector):
        return model, vector
    rows = connection.execute("SELECT name FROM fafcas_models WHERE dimensions = ?", (wanted,)).fetchall()
    if len(rows) != 1:
        raise Refused(f"{source.table}: expected the model that made its vectors of {wanted} dimensions, as model=NAME in the address")
    return embedded(connection, source, question, rows[0][0])


def of_kit(connection: Any) -> str:
    sql = "SELECT m.name FROM kit AS k JOIN models AS m ON m.seq = k.value WHERE k.key = 'model'"
    (name,) = connection.execute(sql).fetchone() or (DEFAULT_MODEL,)
    return str(name)


def choices(connection: Any, source: Source) -> dict[str, list[Any]]:
    """Columns of few values, to choose from: what people filter by most."""
    found = {}
    for name in source.columns:
        if name in (source.vectors, source.key, source.title, source.text) or source.is_kit and name in OF_THE_KIT:
            continue
        values = f"SELECT DISTINCT {quoted(name)} AS value FROM (SELECT {quoted(name)} FROM {quoted(source.table)} LIMIT 5000)"
        sql = f"SELECT value FROM ({values}) WHERE typeof(value) <> 'blob' AND length(value) BETWEEN 1 AND 60 AND instr(value, char(10)) = 0 ORDER BY value LIMIT 26"
        listed = [value for (value,) in connection.execute(sql).fetchall()]
        if 1 < len(listed) < 26:
            found[name] = listed
    return found


def named_source(connection: Any, table: str, column: str | None) -> Source:
    source = sources.find(connection, table, column or None)
    if source.vectors is None:
        raise Refused(f"{table}: expected a table with a column of vectors, not one without; `fafcas embed DB {table} COLUMN` makes one")
    return source
