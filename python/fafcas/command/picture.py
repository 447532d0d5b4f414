"""`fafcas map`: a table of vectors as a picture."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ..kit import source as sources
from ..kit import statement
from ..kit.database import Refused
from .completion import columns, tables
from .database import reading


@click.command("map")
@click.argument("database", metavar="DB")
@click.option("-o", "--output", metavar="FILE.svg", help="Where to; else to standard output.")
@click.option("--table", metavar="NAME", help="The table to draw, where there are several.", shell_complete=tables)
@click.option("--column", metavar="NAME", help="Its column of vectors.", shell_complete=columns)
@click.option("--by", metavar="NAME", help="The column whose values have a colour each.", shell_complete=columns)
@click.option("--sql", "as_sql", is_flag=True, help="Print the statement instead of running it.")
def draw(database: str, output: str | None, table: str | None, column: str | None, by: str | None, as_sql: bool) -> None:
    """Draw each vector as a dot, near those that it is like.

    Names show where the pointer rests; in a knowledge base lines are its edges.
    """
    with reading(database) as connection:
        source = sources.find(connection, table, column)
        if source.vectors is None:
            raise Refused(f"{source.table}: expected a column of vectors, not none; `fafcas embed DB {source.table} COLUMN` makes one")
        sql = statement.on(source, statement.query("map"), by and sources.with_vectors(source, by).vectors)
        if as_sql:
            click.echo(sql + ";")
            return
        picture = connection.execute(sql).get
    if output is None:
        click.echo(picture)
    else:
        write(Path(output), picture)


def write(path: Path, text: str) -> None:
    """Whole or not at all."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise Refused(f"{path}: expected a file in a folder that is there")
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
