"""Says whether a knowledge base is sound: `make health DB=...`. The exit status is 1 where something is not.

usage: health.py LIBRARY DB
"""

import sys

from kit.database import main
from kit.health import health
from kit.show import show_health


def run(arguments):
    library, database = arguments
    return show_health(health(database, library), sys.stdout)


if __name__ == "__main__":
    main(run)
