"""The root of the command: its subcommands, and how whatever goes wrong ends: in one line, and a status as shells expect."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any, NoReturn

import apsw
import click

from .. import __version__
from ..kit.database import Refused
from .output import said

# Each is imported when it is called: a search should not wait for what ingesting needs.
WHERE = {
    "ask": "search",
    "completion": "completion",
    "demo": "kit",
    "embed": "table",
    "health": "kit",
    "index": "table",
    "ingest": "kit",
    "map": "picture",
    "migrate": "kit",
    "model": "library",
    "path": "library",
    "search": "search",
    "selftest": "library",
    "serve": "serve",
    "similar": "search",
}

# Where that is not the subcommand's own name.
ATTRIBUTES = {"map": "draw"}

# Those that commit as they go.
GO_ON = ("demo", "embed", "ingest")

# What shells say of a process that was ended by ctrl-C.
INTERRUPTED = 128 + signal.SIGINT


class Stopped(Exception):
    """By ctrl-C."""


class Subcommands(click.Group):
    called = ""

    def invoke(self, context: click.Context) -> Any:
        # click itself would print an empty line first.
        try:
            return super().invoke(context)
        except (KeyboardInterrupt, apsw.InterruptError) as error:
            raise Stopped from error

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted(WHERE)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in WHERE:
            return None
        self.called = name
        module = importlib.import_module(f"fafcas.command.{WHERE[name]}")
        command: click.Command = getattr(module, ATTRIBUTES.get(name, name))
        return command


@click.group(cls=Subcommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def root(context: click.Context) -> None:
    """Semantic search for any SQLite database, in plain SQL."""
    if os.environ.get("NO_COLOR"):
        context.color = False


def main(arguments: list[str] | None = None) -> NoReturn:
    if hasattr(signal, "SIGPIPE"):
        # `fafcas search ... | head` ends when head does, as other programs do.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(run(arguments))


def run(arguments: list[str] | None) -> Any:
    """The exit status."""
    try:
        return root.main(arguments, prog_name="fafcas", standalone_mode=False)
    except click.UsageError as error:
        asked = error.ctx.command_path if error.ctx else "fafcas"
        said(f"{lower(error.format_message()).rstrip('.')}; {asked} --help tells more")
        return error.exit_code
    except click.ClickException as error:
        said(lower(error.format_message()))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort, Stopped):
        said("stopped; the same command goes on where it was" if root.called in GO_ON else "stopped")
        return INTERRUPTED
    except (Refused, apsw.Error, RuntimeError, OSError) as error:
        said(str(error))
        return 1


def lower(text: str) -> str:
    return text[:1].lower() + text[1:]
