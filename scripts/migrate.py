"""Brings a knowledge base to the newest schema version, after a backup: `make migrate DB=...`.

usage: migrate.py DB
"""

from kit.database import VERSION, main
from kit.migrate import migrate


def run(arguments):
    (database,) = arguments
    before, copy = migrate(database)
    if copy is None:
        print(f"{database}: schema version {before}, nothing to do")
    else:
        print(f"{database}: from schema version {before} to {VERSION}; {copy} is a copy of what it was")


if __name__ == "__main__":
    main(run)
