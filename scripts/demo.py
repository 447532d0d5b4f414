"""Loads the library into SQLite and runs the first example.

usage: demo.py LIBRARY          the path of the built library, with or without its ending
"""

import sys
from pathlib import Path

import apsw

EXAMPLE = Path(__file__).parent.parent / "sql" / "examples" / "first.sql"


def connect(library):
    connection = apsw.Connection(":memory:")
    connection.enable_load_extension(True)
    connection.load_extension(library)
    connection.enable_load_extension(False)
    return connection


def show(header, rows):
    """Prints rows under their names, in columns wide enough for all of them."""
    cells = [header] + [["" if value is None else str(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for line in [cells[0], ["-" * width for width in widths], *cells[1:]]:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def main():
    library = str(Path(sys.argv[1]).resolve())
    connection = connect(library)
    print(f"== {connection.execute('SELECT vec_version()').get} in SQLite {apsw.sqlite_lib_version()}")
    text = EXAMPLE.read_text(encoding="utf-8")
    print(f"== {EXAMPLE.name}\n{text}")
    *setup, search = [part for part in text.split(";\n") if part.strip()]
    for statement in setup:
        connection.execute(statement)
    cursor = connection.execute(search)
    show([name for name, _ in cursor.get_description()], list(cursor))


if __name__ == "__main__":
    main()
