"""What the triggers of an index cost a writer that does not have the library.

    /usr/bin/python3 benches/inserts.py target/release/libfafcas [DIMENSIONS]

Rows go into two tables of one file, batch by batch in turn, so that whatever else the machine does meets both: a bare one, and
one with an index. The library makes the index and is not there when rows are inserted. Any Python whose sqlite3 module loads
extensions will do.
"""

import random
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

BATCH, ROUNDS = 1000, 25
TABLES = {
    "narrow (id, embedding)": ("id INTEGER PRIMARY KEY, embedding BLOB", lambda number: (number,)),
    "wide (text key, title, 2 KB of text, embedding)": (
        "id TEXT PRIMARY KEY, title TEXT, body TEXT, embedding BLOB",
        lambda number: (f"{number * 2654435761 % 2**32:08x}-{number}", f"Title of {number}", "word " * 400),
    ),
}


def vectors(dimensions):
    numbers = random.Random(1)
    return [numbers.randbytes(2 * dimensions) * 2 for _ in range(BATCH)]


def made(path, library, columns):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.enable_load_extension(True)
    connection.load_extension(library)
    connection.execute("PRAGMA page_size = 4096")
    for name in ("bare", "indexed"):
        connection.execute(f"CREATE TABLE {name}({columns})")
    connection.execute("CREATE VIRTUAL TABLE i USING vec_index(indexed, embedding)")
    connection.close()


def inserted(connection, table, rows):
    """Seconds for a batch in one transaction."""
    marks = ", ".join("?" * len(rows[0]))
    start = time.perf_counter()
    connection.execute("BEGIN")
    connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
    connection.execute("COMMIT")
    return time.perf_counter() - start


def main():
    library, dimensions = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 384
    blobs = vectors(dimensions)
    print(f"SQLite {sqlite3.sqlite_version}, {dimensions} dimensions, {BATCH} rows to a transaction, {ROUNDS} of them")
    for name, (columns, row) in TABLES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "inserts.db"
            made(path, library, columns)
            connection = sqlite3.connect(path, isolation_level=None)
            connection.execute("PRAGMA synchronous = off")
            times = {"bare": [], "indexed": []}
            for number in range(ROUNDS):
                rows = [(*row(number * BATCH + at), blob) for at, blob in enumerate(blobs)]
                for table in sorted(times, reverse=number % 2):
                    times[table].append(inserted(connection, table, rows))
            assert connection.execute("SELECT count(*) FROM i_pending").fetchone() == (ROUNDS * BATCH,)
            bare, indexed = (statistics.median(times[table]) / BATCH * 1e6 for table in ("bare", "indexed"))
            print(f"{name}: {bare:.2f} us a row bare, {indexed:.2f} with an index: {bare / indexed:.2f} of the rate")


if __name__ == "__main__":
    main()
