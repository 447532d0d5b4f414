"""`fafcas serve`: Datasette with the pages of fafcas, for the browser of this machine alone."""

from __future__ import annotations

import os
import signal
import socket
import warnings
from pathlib import Path
from typing import Any

import click

from ..kit.scripts import Refused

HOST = "127.0.0.1"

SETTINGS = {
    "sql_time_limit_ms": 10_000,
    "default_cache_ttl": 0,
    "allow_download": False,
    "allow_signed_tokens": False,
    "trace_debug": False,
}


@click.command()
@click.argument("database", metavar="DB")
@click.option("--port", default=8001, show_default=True, type=click.IntRange(0, 65535), metavar="NUMBER", help="0 for any that is free.")
@click.option("--open", "opened", is_flag=True, help="Open a browser, too.")
def serve(database: str, port: int, opened: bool) -> None:
    """Show a database in the browser: a search box, a map, and its tables.

    Only this machine can reach it, and nothing can be written. ctrl-C ends it.
    """
    os.environ["FAFCAS_LOCK_CONFIG"] = "1"
    if hasattr(signal, "SIGPIPE"):
        # Other subcommands end with who reads from them; a browser that does not wait for a page must not end this one.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        import datasette  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise Refused(f"expected the package datasette ({error}): pip install 'fafcas[serve]'") from error
    page = first_page(database)
    bound = listening(port)
    port = bound.getsockname()[1]
    config = uvicorn.Config(application(database, port), log_level="warning", access_log=False, server_header=False, ws="none")
    click.echo(f"http://{HOST}:{port}{page} (only on this machine; ctrl-C ends it)")
    if opened:
        click.launch(f"http://{HOST}:{port}{page}")
    uvicorn.Server(config).run(sockets=[bound])


def application(database: str, port: int) -> Any:
    from datasette import hookimpl
    from datasette.app import Datasette
    from datasette.plugins import pm

    from datasette import handle_exception

    # Where rich is installed, Datasette prints pages of it for each mistake in a visitor's SQL.
    handle_exception.rich = None
    from .. import datasette as plugin
    from ..datasette.guard import Guard

    # An installed package is registered already; one that is run from its sources is not.
    if not any(getattr(one, "__name__", "") == plugin.__name__ for one in pm.get_plugins()):
        pm.register(plugin, name="fafcas")

    class ReadOnly:
        """Python begins a transaction before a statement that writes. When that is refused, the transaction would stay, and the
        connection would show the file for ever as it was then."""

        __name__ = "fafcas.command.serve"

        @hookimpl
        def prepare_connection(self, conn: Any) -> None:
            conn.isolation_level = None

    pm.register(ReadOnly())
    return Guard(Datasette([database], settings=SETTINGS).app(), port)


def first_page(database: str) -> str:
    """The search of the table that is meant, where there is one; and whatever would keep Datasette from opening the file."""
    from datasette.utils import tilde_encode
    from datasette.utils.sqlite import sqlite3

    from .._load import load
    from ..datasette.known import address

    check_path(database)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            connection = sqlite3.connect(address(database), uri=True)
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            load(connection)
        except sqlite3.DatabaseError as error:
            raise Refused(f"{database}: expected an SQLite database that can be read ({error})") from error
    for one in told:
        click.echo(f"note: {one.message}", err=True)
    try:
        tables = with_vectors(connection)
    except sqlite3.Error as error:
        raise Refused(f"{database}: expected tables that can be read ({error})") from error
    finally:
        connection.close()
    if not tables:
        raise Refused(f"{database}: expected a table with vectors, not a database without; `fafcas embed DB TABLE COLUMN` makes them")
    if len(tables) > 1:
        return "/"
    return f"/{tilde_encode(Path(database).stem)}/{tilde_encode(tables[0])}/-/search"


def with_vectors(connection: Any) -> list[str]:
    """The tables that have vectors. Of a knowledge base, that is only one."""
    from ..kit import source as sources

    sources.refuse_other_versions(connection)
    if sources.is_kit(connection):
        return [sources.KIT.table]
    return [source.table for source in sources.sources(connection) if source.vectors]


def check_path(database: str) -> None:
    if not Path(database).exists():
        raise Refused(f"{database}: expected a database, not nothing")
    if not Path(database).is_file():
        raise Refused(f"{database}: expected a database file, not a folder")
    if any(letter in str(database) for letter in "?#%"):
        raise Refused(f"{database}: expected a path without ?, # and %, which Datasette cannot open")


def listening(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
        # So that who reads the address can ask at once, and waits until Datasette is up.
        bound.listen(100)
    except OSError as error:
        bound.close()
        raise Refused(f"port {port}: expected one that is free, not one in use ({error.strerror}); --port 0 takes any") from error
    return bound
