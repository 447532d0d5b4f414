"""`fafcas ingest`, `health`, `migrate` and `demo`: a knowledge base is made, looked after and shown round."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from .. import loadable_path
from ..models.fetch import DEFAULT_MODEL, user_folder
from .completion import columns, tables


@click.command()
@click.argument("folder", metavar="DIR")
@click.argument("database", metavar="DB")
@click.option("--called", metavar="NAME", help="The first part of the notes' ids; else the folder's own name.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="The model that embeds them.")
def ingest(folder: str, database: str, called: str | None, model: str) -> None:
    """Bring a folder of notes into a knowledge base.

    Run it again whenever notes have changed.
    """
    from ..kit.database import open_or_make
    from ..kit.ingest import check
    from ..kit.ingest import ingest as bring
    from ..kit.show import bar, count, report
    from .database import explained
    from .embedding import prepare_embedding
    from .interrupt import interruptible

    started = time.monotonic()
    with bar(1, "loading the model") as step:
        prepare_embedding(model)
        if not Path(database).exists():
            check(folder, model, loadable_path())
        step(1)
    with explained(database):
        connection, advice = open_or_make(database, loadable_path())
        with interruptible(connection):
            found = bring(connection, folder, model, called)
    report(found, sys.stdout)
    if advice:
        click.echo(f"note: {advice}")
    nodes, edges = connection.execute("SELECT (SELECT count(*) FROM nodes), (SELECT count(*) FROM edges)").get
    click.echo(f"{database}: {count(nodes, 'node')}, {count(edges, 'edge')}, in {time.monotonic() - started:.1f} s")


@click.command()
@click.argument("database", metavar="DB")
@click.argument("table", required=False, shell_complete=tables)
@click.argument("column", required=False, shell_complete=columns)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--sql", "as_sql", is_flag=True, help="Print the statements instead of running them.")
def health(database: str, table: str | None, column: str | None, as_json: bool, as_sql: bool) -> Any:
    """Say whether a knowledge base, or a column of vectors, is sound.

    The exit status is 1 where something is not.
    """
    from ..kit.health import health as examine
    from ..kit.health import written
    from ..kit.show import show_health
    from .database import explained, reading
    from .output import print_json

    if as_sql:
        with reading(database) as connection:
            click.echo(written(connection, table, column))
        return 0
    with explained(database):
        rows = examine(database, loadable_path(), table, column)
    if not as_json:
        return show_health(rows, sys.stdout)
    print_json([dict(zip(("rule", "expected", "actual", "ok", "remedy"), row)) for row in rows])
    return int(any(not row[3] for row in rows))


@click.command()
@click.argument("database", metavar="DB")
def migrate(database: str) -> None:
    """Bring a knowledge base to the newest schema version, after a backup."""
    from ..kit.database import VERSION
    from ..kit.migrate import migrate as bring

    before, copy = bring(database)
    if copy is None:
        click.echo(f"{database}: schema version {before}, nothing to do")
    else:
        click.echo(f"{database}: from schema version {before} to {VERSION}; {copy} is a copy of what it was")


@click.command()
@click.argument("folder", metavar="[DIR", required=False)
@click.argument("database", metavar="DB]", required=False)
@click.argument("question", required=False)
@click.option("--sample", metavar="FILE", help="Where the sample is kept; else in your cache folder.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="The model that embeds it. One of many languages is asked in some.")
def demo(folder: str | None, database: str | None, question: str | None, sample: str | None, model: str) -> None:
    """Show round a knowledge base: a sample, or that of the notes in DIR.

    It is kept, and at a terminal a prompt takes more questions.
    """
    from ..kit.demo import own_notes
    from ..kit.demo import sample as show_sample
    from .database import explained
    from .embedding import prepare_embedding
    from .search import ask

    if folder is not None and database is None:
        raise click.UsageError("expected a file DB to keep the notes in")
    prepare_embedding(model)
    place = database or sample or str(user_folder().with_name("sample.db"))
    with explained(place):
        if folder is None:
            show_sample(loadable_path(), place, model)
        else:
            own_notes(loadable_path(), folder, place, question, model)
    click.echo(f"\nkept in {place}")
    if sys.stdin.isatty() and question is None:
        click.echo("your questions; an empty line ends")
        click.get_current_context().invoke(ask, database=place, k=5)
