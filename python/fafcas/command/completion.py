"""What the shells complete: the scripts they want, and the names of tables and columns in the database named before."""

from __future__ import annotations

import sqlite3
from typing import Any

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print what makes a shell complete this command.

    In ~/.bashrc: eval "$(fafcas completion bash)"; in ~/.zshrc the same with zsh. For fish: fafcas completion fish >
    ~/.config/fish/completions/fafcas.fish
    """
    from .program import root

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"expected a shell out of {', '.join(SHELLS)}, not {shell}")
    click.echo(kind(root, {}, "fafcas", "_FAFCAS_COMPLETE").source())


def tables(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type <> 'shadow' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    return named(context, sql, (), begun)


def columns(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    return named(context, "SELECT name FROM pragma_table_info(?)", (context.params.get("table"),), begun)


def named(context: click.Context, sql: str, values: tuple[Any, ...], begun: str) -> list[str]:
    """Nothing is completed where the database cannot be read: this is no place for a message."""
    try:
        connection = sqlite3.connect(f"file:{context.params.get('database')}?mode=ro", uri=True)
        names = [name for (name,) in connection.execute(sql, values)]
        connection.close()
    except sqlite3.Error:
        return []
    return sorted(name for name in names if name.startswith(begun))
