"""`fafcas embed` and `fafcas index`: a table of the user's gets vectors, and a search over them gets fast."""

from __future__ import annotations

import time

import apsw
import click

from ..kit import source as sources
from ..kit.database import Refused, transaction
from ..kit.show import bar, batches, clean, count
from ..kit.source import Source, literal, path_of, quoted
from ..kit.statement import packed
from ..models.fetch import DEFAULT_MODEL
from .completion import columns, tables
from .database import reading, writing
from .embedding import prepare_embedding

# How many texts are embedded in one transaction; other writers wait for so long.
BATCH = 128


@click.command()
@click.argument("database", metavar="DB")
@click.argument("table", shell_complete=tables)
@click.argument("column", shell_complete=columns)
@click.option("--into", default="embedding", show_default=True, metavar="NAME", help="The column of vectors; made if it is not there.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, metavar="NAME", help="The model that embeds them.")
@click.option("--all", "again", is_flag=True, help="Also texts that have a vector: after a change of text or model.")
@click.option("--sql", "as_sql", is_flag=True, help="Print the statements instead of running them.")
def embed(database: str, table: str, column: str, into: str, model: str, again: bool, as_sql: bool) -> None:
    """Give the texts of COLUMN vectors.

    Texts that have one are left out, so that it can be stopped, and run again for new rows.
    """
    with reading(database) if as_sql else writing(database) as connection:
        source = table_of_texts(connection, table, column)
        work = Embedding(connection, source, into, model, again)
        if as_sql:
            click.echo(work.written())
            return
        started = time.monotonic()
        work.run()
        seconds = time.monotonic() - started
        click.echo(clean(f"{source.table}.{work.into}: {count(work.done, 'text')} of {source.text} embedded, in {seconds:.1f} s"))


def table_of_texts(connection: apsw.Connection, table: str, column: str) -> Source:
    """The table, whose text is that column."""
    found = sources.find(connection, table)
    kind = connection.execute("SELECT type FROM sqlite_schema WHERE name = ?", (found.table,)).get
    if kind != "table" or found.words == found.table:
        raise Refused(f"{found.table}: expected an ordinary table, in which vectors can be kept, not a view or a virtual table")
    exact = next((name for name in found.columns if name.lower() == column.lower()), None)
    if exact is None:
        raise Refused(f"{found.table}: expected a column out of {', '.join(found.columns)}, not {column}")
    return Source(found.table, found.key, found.columns, text=exact)


class Embedding:
    """The vectors of one column of texts."""

    def __init__(self, connection: apsw.Connection, source: Source, into: str, model: str, again: bool) -> None:
        self.connection, self.source, self.model = connection, source, model
        there = next((name for name in source.columns if name.lower() == into.lower()), None)
        self.into, self.is_new = there or into, there is None
        if source.text == self.into:
            raise Refused(f"{source.table}: expected a column for vectors other than {into}, which has the texts; say --into NAME")
        wanted = f"trim({quoted(source.text or '')}) <> ''"
        self.wanted = wanted if again else f"{wanted} AND {quoted(self.into)} IS NULL"
        self.done = 0

    def written(self) -> str:
        new = f"{self.new_column()};\n" if self.is_new else ""
        return new + self.statement(f"SELECT rowid FROM {quoted(self.source.table)} WHERE {self.wanted}") + ";"

    def new_column(self) -> str:
        return f"ALTER TABLE {quoted(self.source.table)} ADD COLUMN {quoted(self.into)} BLOB"

    def statement(self, rows: str) -> str:
        """What embeds the rows of a SELECT."""
        table = quoted(self.source.table)
        of_model = "" if self.model == DEFAULT_MODEL else f", {literal(self.model)}"
        # With a LIMIT, though it takes nothing away, SQLite does not look up row by row, which would embed them one by one.
        return f"""WITH fresh (seq, vector) AS (
    SELECT rowid, embedding FROM embed_rows({literal(path_of(self.source.table))}, {literal(self.source.text)}{of_model})
    WHERE  rowid IN ({rows})
    LIMIT  -1
)
UPDATE {table} SET {quoted(self.into)} = fresh.vector FROM fresh WHERE {table}.rowid = fresh.seq"""

    def run(self) -> None:
        prepare_embedding(self.model)
        # Nothing is written unless there is a model, and a runtime for it.
        self.connection.execute("SELECT embed('', ?)", (self.model,)).fetchall()
        table = quoted(self.source.table)
        if self.is_new:
            self.connection.execute(self.new_column())
        total = self.connection.execute(f"SELECT count(*) FROM {table} WHERE {self.wanted}").get
        after: int | None = None
        with bar(total, "embedding") as step:
            for size in batches(BATCH):
                rows = self.next_rows(after, size)
                if not rows:
                    break
                with transaction(self.connection):
                    self.connection.execute(self.statement("SELECT value FROM json_each(?)"), (packed(rows),))
                step(len(rows))
                self.done, after = self.done + len(rows), rows[-1]

    def next_rows(self, after: int | None, size: int) -> list[int]:
        sql = f"SELECT rowid FROM {quoted(self.source.table)} WHERE (:after IS NULL OR rowid > :after) AND {self.wanted} ORDER BY rowid LIMIT :batch"
        return [row for (row,) in self.connection.execute(sql, {"after": after, "batch": size})]


@click.command()
@click.argument("database", metavar="DB")
@click.argument("table", required=False, shell_complete=tables)
@click.argument("column", required=False, shell_complete=columns)
@click.option("--name", help="The index's name; else the table's with _vec behind it.")
@click.option("--sql", "as_sql", is_flag=True, help="Print the statement instead of running it.")
def index(database: str, table: str | None, column: str | None, name: str | None, as_sql: bool) -> None:
    """Make an index over the vectors of COLUMN, or bring one up to date.

    TABLE and COLUMN may be left out where there is only one to mean.
    """
    with reading(database) if as_sql else writing(database) as connection:
        source = sources.find(connection, table, column)
        if source.vectors is None:
            raise Refused(f"{source.table}: expected a column of vectors, not none; `fafcas embed DB {source.table} COLUMN` makes one")
        there, sql = index_statement(connection, source, name)
        if as_sql:
            click.echo(sql + ";")
            return
        started = time.monotonic()
        connection.execute(sql).fetchall()
        rows = connection.execute(f"SELECT value FROM {quoted(there)} WHERE property = 'rows'").get
        click.echo(clean(f"{there}: {count(rows, 'vector')} of {source.table}.{source.vectors}, in {time.monotonic() - started:.1f} s"))


def index_statement(connection: apsw.Connection, source: Source, name: str | None) -> tuple[str, str]:
    """The index's name, and what makes it or brings it up to date."""
    assert source.vectors is not None
    meant = (source.table.lower(), source.vectors.lower())
    for there, table, column in sources.vector_indexes(connection):
        if (table.lower(), column.lower()) == meant:
            state = connection.execute(f"SELECT value FROM {quoted(there)} WHERE property = 'state'").get
            return there, f"INSERT INTO {quoted(there)} ({quoted(there)}) VALUES ('{'rebuild' if state == 'rebuild' else 'merge'}')"
    free = name or free_name(connection, source)
    return free, f"CREATE VIRTUAL TABLE {quoted(free)} USING vec_index({quoted(source.table)}, {quoted(source.vectors)})"


def free_name(connection: apsw.Connection, source: Source) -> str:
    taken = "SELECT 1 FROM sqlite_schema WHERE lower(name) = lower(?)"
    name = f"{source.table}_vec"
    return f"{source.table}_{source.vectors}_vec" if connection.execute(taken, (name,)).get else name
