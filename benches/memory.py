"""What mapping rows and building, searching, merging and checking an index hold in memory, by the number of rows.

    python benches/memory.py target/release/libfafcas [DIMENSIONS [ROWS...]]

Each step is a process of its own; the figures are the megabytes by which its peak lies above what it had before the step, with
SQLite's page cache of 2 MB among them. Searches run with the default cache and with one of 1 MB. Needs numpy and apsw.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import apsw
import numpy

BATCH = 10_000
STEPS = {
    "map": ["SELECT count(*) FROM vec_map('t', 'v')"],
    "build": ["CREATE VIRTUAL TABLE i USING vec_index(t, v)"],
    "search": "search",
    "search, cache of 1 MB": ["SELECT fafcas_config('cache_bytes', 1048576)", "search"],
    "change a tenth": ["UPDATE t SET v = (SELECT v FROM t AS o WHERE o.id = t.id + 1) WHERE id % 10 = 0"],
    "search with changes, cache of 1 MB": ["SELECT fafcas_config('cache_bytes', 1048576)", "search"],
    "merge": ["INSERT INTO i(i) VALUES ('merge')"],
    "check": ["INSERT INTO i(i) VALUES ('check')"],
    "rebuild": ["INSERT INTO i(i) VALUES ('rebuild')"],
}


def peak():
    """In megabytes. Linux's own figure: that of `resource` starts with what the parent had."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def search(connection, dimensions):
    for seed in range(20):
        query = numpy.random.default_rng(seed).standard_normal(dimensions).astype("<f4").tobytes()
        assert len(connection.execute("SELECT rowid FROM vec_topk('t', 'v', ?, 10)", (query,)).fetchall()) == 10


def step(library, path, name, dimensions):
    connection = apsw.Connection(path)
    connection.enable_load_extension(True)
    connection.load_extension(library)
    before = peak()
    for statement in [STEPS[name]] if isinstance(STEPS[name], str) else STEPS[name]:
        if statement == "search":
            search(connection, dimensions)
        else:
            connection.execute(statement)
    print(f"{peak() - before:.0f}")


def fill(path, rows, dimensions):
    connection = apsw.Connection(path)
    connection.execute("PRAGMA page_size = 16384; PRAGMA synchronous = off; CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB)")
    random = numpy.random.default_rng(1)
    for _ in range(0, rows, BATCH):
        vectors = random.standard_normal((BATCH, dimensions), dtype="f4")
        with connection:
            connection.executemany("INSERT INTO t(v) VALUES (?)", ((vector.tobytes(),) for vector in vectors))
    connection.close()


def main():
    library, dimensions = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 384
    sizes = [int(rows) for rows in sys.argv[3:]] or [100_000, 1_000_000]
    print(f"MB above the start, {dimensions} dimensions, SQLite {apsw.sqlite_lib_version()}")
    print(f"{'rows':<10}" + "".join(f"{name:>{len(name) + 3}}" for name in STEPS))
    for rows in sizes:
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
            path = str(Path(folder) / "memory.db")
            fill(path, rows, dimensions)
            print(f"{rows:<10}", end="", flush=True)
            for name in STEPS:
                command = [sys.executable, __file__, "--step", library, path, name, str(dimensions)]
                said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
                print(f"{said:>{len(name) + 3}}", end="", flush=True)
            print()


if __name__ == "__main__":
    if sys.argv[1] == "--step":
        step(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
    else:
        main()
