"""Brings a folder of notes into a knowledge base: `make ingest DIR=... DB=...`.

usage: ingest.py LIBRARY DIR DB [NAME [MODEL]]

NAME is the first part of the notes' ids, and else the folder's own name. Run it again whenever notes have changed.
"""

import sys
import time

from kit.database import main, open_or_make
from kit.ingest import ingest
from kit.show import count, report


def run(arguments):
    library, folder, database, name, model, *_ = [*arguments, None, None]
    started = time.monotonic()
    connection, advice = open_or_make(database, library)
    found = ingest(connection, folder, model or "all-MiniLM-L6-v2", name or None)
    report(found, sys.stdout)
    if advice:
        print(f"note: {advice}")
    nodes, edges = connection.execute("SELECT (SELECT count(*) FROM nodes), (SELECT count(*) FROM edges)").get
    print(f"{database}: {count(nodes, 'node')}, {count(edges, 'edge')}, in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main(run)
