"""Adding a matrix to a collection, against SQLite alone with vectors that are ready to be bound.

    benches/collection.py LIBRARY [ROUNDS]

Both write 100,000 vectors of 384 numbers to a new file, in turn. `bare` is one `executemany` into a table of a key and a BLOB;
`add` keeps an index fresh besides. The best of all rounds counts, as what else the machine does only makes it slower.
"""

import os
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "python"))
os.environ["FAFCAS_LIBRARY"] = sys.argv[1]
import fafcas  # noqa: E402

ROWS, DIMENSIONS = 100_000, 384


def bare(path, blobs):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE documents (id INTEGER PRIMARY KEY, embedding BLOB)")

    def write():
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO documents (embedding) VALUES (?)", zip(blobs))
        connection.execute("COMMIT")

    return write, connection


def add(path, matrix):
    notes = fafcas.open(path, embed=len)
    return lambda: notes.add(vectors=matrix), notes.connection


def timed(make, folder, vectors):
    path = Path(folder, "a.db")
    write, connection = make(path, vectors)
    wall, cpu = time.perf_counter(), time.process_time()
    write()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert connection.execute("SELECT count(*), min(length(embedding)) FROM documents").fetchone() == (ROWS, 4 * DIMENSIONS)
    connection.close()
    path.unlink()
    return wall, cpu


def main():
    floats = np.random.default_rng(1).standard_normal((ROWS, DIMENSIONS)).astype("f4")
    unit = floats / np.linalg.norm(floats, axis=1, keepdims=True)
    ways = {
        "bare executemany of BLOBs": (bare, [row.tobytes() for row in unit]),
        "add, unit vectors": (add, unit),
        "add, vectors of any length": (add, floats),
        "add, float64 of any length": (add, floats.astype("f8")),
    }
    best = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 5):
            for name, (make, vectors) in ways.items():
                best[name] = tuple(map(min, best.get(name, (1e9, 1e9)), timed(make, folder, vectors)))
    wall, cpu = best["bare executemany of BLOBs"]
    for name, mine in best.items():
        print(f"{name:28} {mine[0]:.2f} s, {mine[0] / wall:.2f} of it; processor {mine[1]:.2f} s, {mine[1] / cpu:.2f} of it")


main()
