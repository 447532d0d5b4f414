"""`fafcas search`, `ask` and `similar`: the kit's queries on any table, run or printed."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import apsw
import click

from ..kit import source as sources
from ..kit import statement
from ..kit.database import Refused
from ..kit.source import literal
from ..models.fetch import DEFAULT_MODEL
from .completion import columns, tables
from .database import reading
from .embedding import prepare_embedding
from .interrupt import at_once
from .output import print_hits, said


@dataclass(frozen=True)
class Asked:
    """What the options say."""

    table: str | None
    column: str | None
    where: str | None
    k: int
    by_vector: bool
    by_words: bool
    model: str | None
    as_json: bool
    as_sql: bool


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Those that all ways of asking share. The command gets them as one `Asked`."""

    @functools.wraps(command)
    def gathered(*arguments: Any, **named: Any) -> Any:
        asked = Asked(**{name: named.pop(name, None) for name in Asked.__dataclass_fields__})
        if asked.by_vector and asked.by_words:
            raise click.UsageError("expected --vector or --words, not both: both at once is what it does without them")
        return command(*arguments, asked=asked, **named)

    for option in reversed(
        (
            click.option("--table", metavar="NAME", help="The table to search, where there are several.", shell_complete=tables),
            click.option("--column", metavar="NAME", help="Its column of vectors.", shell_complete=columns),
            click.option("--where", metavar="SQL", help="A condition on its columns, such as \"type = 'note'\"."),
            click.option("-k", "k", default=10, show_default=True, type=click.IntRange(1), metavar="NUMBER", help="How many."),
            click.option("--model", metavar="NAME", help="The model that made the vectors."),
            click.option("--json", "as_json", is_flag=True, help="Print JSON."),
            click.option("--sql", "as_sql", is_flag=True, help="Print the statement instead of running it."),
        )
    ):
        gathered = option(gathered)
    return gathered


def ways(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--words", "by_words", is_flag=True, help="By words alone.")(command)
    return click.option("--vector", "by_vector", is_flag=True, help="By meaning alone.")(command)


@click.command()
@click.argument("database", metavar="DB")
@click.argument("question")
@ways
@options
def search(database: str, question: str, asked: Asked) -> None:
    """Find what answers a question: by meaning and by words at once.

    DB is a knowledge base or any database with a table of vectors or with full text. To a terminal it prints what people
    read, into a pipe a line of fields for each row, parted by tabs.
    """
    with reading(database) as connection:
        Search(connection, asked).answer(question)


@click.command()
@click.argument("database", metavar="DB")
@ways
@options
def ask(database: str, asked: Asked) -> None:
    """Search again and again: a prompt, or a question on each line of standard input.

    An empty line, or ctrl-D, ends it.
    """
    with reading(database) as connection:
        searching = Search(connection, asked)
        while question := next_question():
            searching.answer(question)


@click.command()
@click.argument("database", metavar="DB")
@click.argument("row", metavar="ID")
@options
def similar(database: str, row: str, asked: Asked) -> None:
    """Find what is most like the row with this key."""
    with reading(database) as connection:
        Search(connection, asked).like(row)


def next_question() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    try:
        import readline  # noqa: F401  (input() then knows the arrow keys)
    except ImportError:
        pass
    try:
        with at_once():
            return input("? ").strip()
    except (EOFError, KeyboardInterrupt):
        click.echo()
        return ""


class Search:
    """Questions to one source."""

    def __init__(self, connection: apsw.Connection, asked: Asked) -> None:
        self.connection, self.asked, self.prepared = connection, asked, False
        self.source = sources.find(connection, asked.table, asked.column)
        if asked.where is not None:
            self.check(asked.where)

    def check(self, where: str) -> None:
        try:
            self.connection.execute(f"{statement.keys_where(self.source, where)} LIMIT 0").fetchall()
        except (apsw.SQLError, apsw.ReadOnlyError) as error:
            raise Refused(f"--where: expected a condition on the columns of {self.source.table}, not {where!r} ({error})") from error

    def answer(self, question: str) -> None:
        way = self.way()
        values: dict[str, Any] = {"words": question, "k": self.asked.k}
        written = {"words": literal(question), "k": str(self.asked.k)}
        if way != "words":
            model = self.model
            named = "" if model == DEFAULT_MODEL else f", {literal(model)}"
            written["query"] = f"embed_query({literal(question)}{named})"
            if not self.asked.as_sql:
                values["query"] = self.embedded(question, model)
        self.show(statement.answering(self.source, way, self.asked.where), values, written, question)

    def way(self) -> str:
        """The query that answers: hybrid where the source has both, unless one is asked for."""
        source, asked = self.source, self.asked
        if asked.by_words or source.vectors is None and not asked.by_vector:
            statement.words(source)
            return "words"
        if source.vectors is None:
            raise Refused(f"{source.table}: expected a column of vectors, not none; `fafcas embed DB {source.table} COLUMN` makes one")
        return "search" if asked.by_vector or source.words is None else "hybrid"

    def like(self, row: str) -> None:
        """The rows nearest to one. Of a knowledge base, no parts of the same note."""
        source = self.source
        if source.vectors is None:
            raise Refused(f"{source.table}: expected a column of vectors, not none; `fafcas embed DB {source.table} COLUMN` makes one")
        key, table, vectors = statement.column(source.key), sources.quoted(source.table), sources.quoted(source.vectors)
        found = self.connection.execute(f"SELECT {vectors} FROM {table} WHERE {key} = ?", (row,)).fetchall()
        if not found:
            raise Refused(f"{source.table}: expected a row whose {source.key} is there, not {row}")
        ((vector,),) = found
        if vector is None:
            raise Refused(f"{source.table}: expected a row with a vector, not {row}, which has none")
        sql = statement.nearest(source, statement.others(source, literal(row), self.asked.where))
        written = {"query": f"(SELECT {vectors} FROM {table} WHERE {key} = {literal(row)})"}
        self.show(sql, {"query": vector}, written, "")

    def show(self, sql: str, values: dict[str, Any], written: dict[str, str], question: str) -> None:
        values["limit"], written["limit"] = self.asked.k, str(self.asked.k)
        if self.asked.where is not None and "WITH hits" in sql:
            everything = statement.everything(self.source)
            values["k"], written["k"] = self.connection.execute(f"SELECT {everything}").get, everything
        if self.asked.as_sql:
            click.echo(statement.with_values(sql, written) + ";")
        else:
            print_hits(self.rows(sql, values), question, self.asked.as_json)

    def rows(self, sql: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        try:
            cursor = self.connection.execute(sql, values)
            names = [name for name, *_ in cursor.get_description()]
        except apsw.ExecutionCompleteError:
            return []
        except apsw.SQLError as error:
            raise Refused(f"{error}{self.advice(str(error))}") from error
        return [dict(zip(names, row)) for row in cursor]

    def advice(self, error: str) -> str:
        if " dimensions as in the " in error and not self.source.is_kit:
            return "; --model names the model that made the vectors"
        return ""

    @functools.cached_property
    def model(self) -> str:
        """The one that is named, else that of all vectors of a knowledge base."""
        if self.asked.model is not None or not self.source.is_kit:
            return self.asked.model or DEFAULT_MODEL
        of_all = "SELECT m.name, m.fingerprint FROM kit AS k JOIN models AS m ON m.seq = k.value WHERE k.key = 'model'"
        name, fingerprint = next(iter(self.connection.execute(of_all)), (DEFAULT_MODEL, None))
        here = self.connection.execute("SELECT fingerprint FROM fafcas_models WHERE name = ?", (name,)).get
        if fingerprint is not None and here not in (None, fingerprint):
            said(f"note: the model {name} is not the one that made the vectors; ingest again, or answers are of little worth")
        return str(name)

    def embedded(self, question: str, model: str) -> bytes:
        if not self.prepared:
            prepare_embedding(model)
            self.prepared = True
        vector: bytes = self.connection.execute("SELECT embed_query(?, ?)", (question, model)).get
        return vector
