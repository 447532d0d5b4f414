"""The life of a large index: built, opened, searched, filtered, changed, merged, checked and rebuilt once.

    python benches/ten_million.py target/release/libfafcas FOLDER [ROWS [DIMENSIONS]]

10,000,000 rows of 384 dimensions if nothing else is said: 20 GB in FOLDER, which must have 24 GB free, and ten minutes on two quiet cores. The
database stays there, and is used again by the next run with as many rows. Each step is a process of its own. Its line has the seconds it took,
on the clock and of the processor, the megabytes by which its peak lies above what the process had before, and the megabytes that
it read and wrote through the system. Searches have the median of 50 different queries. A search is compared with a scan once.
Run it with 100,000, 1,000,000 and 10,000,000 rows for searches a second and core. Needs Linux, numpy and apsw.
"""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import apsw
import numpy
from vectors import pieces

SEARCHES = 50


def opened(library, path):
    connection = apsw.Connection(path)
    connection.enable_load_extension(True)
    connection.load_extension(library)
    return connection


def run(connection, sql, values=()):
    return connection.execute(sql, values).fetchall()


def fill(path, rows, dimensions):
    part = Path(f"{path}.part")
    part.unlink(missing_ok=True)
    connection = apsw.Connection(str(part))
    for sql in [
        "PRAGMA page_size = 16384",
        "PRAGMA journal_mode = off",
        "PRAGMA synchronous = off",
        "CREATE TABLE t(id INTEGER PRIMARY KEY, kind INTEGER, v BLOB)",
        "CREATE TABLE q(id INTEGER PRIMARY KEY, v BLOB)",
    ]:
        run(connection, sql)
    row = 0
    for piece in pieces(rows + 1000, dimensions):
        with connection:
            for vector in piece:
                row += 1
                if row <= rows:
                    run(connection, "INSERT INTO t VALUES (?, ?, ?)", (row, row * 7919 % 1000, vector.tobytes()))
                else:
                    run(connection, "INSERT INTO q(v) VALUES (?)", (vector.tobytes(),))
    connection.close()
    part.rename(path)


def queries(connection, first):
    rows = run(connection, "SELECT v FROM q WHERE id > ? ORDER BY id LIMIT ?", (first, SEARCHES))
    return [vector for (vector,) in rows]


def searches(connection, first, sql="SELECT rowid FROM vec_topk('t', 'v', ?, 10)", values=()):
    """Median milliseconds on the clock and of the processor."""
    times = []
    for query in queries(connection, first):
        clock, processor = time.perf_counter(), time.process_time()
        assert len(run(connection, sql, (query, *values))) == 10
        times.append((time.perf_counter() - clock, time.process_time() - processor))
    wall, cpu = numpy.median(numpy.array(times), axis=0) * 1000
    return f"{wall:.2f} ms, {cpu:.2f} of the processor, {1000 / cpu:.0f} searches a second and core"


def build(connection, _):
    run(connection, "DROP TABLE IF EXISTS i")
    run(connection, "CREATE VIRTUAL TABLE i USING vec_index(t, v)")
    run(connection, "PRAGMA journal_mode = wal")
    return "index of {:.0f} MB".format(run(connection, "SELECT value FROM i WHERE property = 'bytes'")[0][0] / 1e6)


def first(connection, _):
    """The system's own cache is emptied as far as this user may, so that the file is read."""
    path = run(connection, "PRAGMA database_list")[0][2]
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return first_warm(connection, _)


def first_warm(connection, _):
    query = queries(connection, 0)[0]
    clock = time.perf_counter()
    run(connection, "SELECT rowid FROM vec_topk('t', 'v', ?, 10)", (query,))
    return f"{1000 * (time.perf_counter() - clock):.0f} ms"


def warm(connection, _):
    clock = time.perf_counter()
    run(connection, "INSERT INTO i(i) VALUES ('warm')")
    took = time.perf_counter() - clock
    return f"warm {took:.2f} s, then {searches(connection, 100)}"


def right(connection, _):
    query = queries(connection, 200)[0]
    ask = "SELECT rowid FROM vec_topk('t', 'v', ?, 10, ?)"
    assert run(connection, ask, (query, "{}")) == run(connection, ask, (query, '{"index": false}'))
    return "the rows of a scan"


def budget(megabytes):
    def step(connection, _):
        run(connection, "SELECT fafcas_config('cache_bytes', ?)", (megabytes << 20,))
        run(connection, "INSERT INTO i(i) VALUES ('warm')")
        return searches(connection, 100)

    return step


def filtered(connection, rows):
    sql = "SELECT rowid FROM vec_topk('t', 'v', ?) WHERE rowid IN (SELECT id FROM t WHERE id % 100 = 7) ORDER BY score DESC LIMIT 10"
    few = "SELECT rowid FROM vec_topk('t', 'v', ?) WHERE rowid BETWEEN ? AND ? ORDER BY score DESC LIMIT 10"
    range_of = searches(connection, 300, few, (rows // 2, rows // 2 + rows // 100))
    query = queries(connection, 300)[0]
    clock = time.perf_counter()
    assert len(run(connection, sql, (query,))) == 10
    return f"one in a hundred by a subquery {1000 * (time.perf_counter() - clock):.0f} ms, by a range {range_of}"


def change(connection, rows):
    count = min(100_000, rows // 10)
    chosen = numpy.random.default_rng(11).choice(rows, count, replace=False) + 1
    with connection:
        connection.executemany("UPDATE t SET v = (SELECT v FROM q WHERE q.id = t.id % 1000 + 1) WHERE id = ?", ((int(row),) for row in chosen))
    run(connection, "SELECT rowid FROM vec_topk('t', 'v', ?, 10)", (queries(connection, 0)[0],))
    return f"{count} rows at random; while pending {searches(connection, 400)}"


def merge_one(connection, rows):
    times = []
    run(connection, "INSERT INTO i(i) VALUES ('merge')")
    for at in range(20):
        run(connection, "UPDATE t SET v = (SELECT v FROM q WHERE q.id = ?) WHERE id = ?", (at + 1, (at * 104729 + 1) % rows + 1))
        clock = time.perf_counter()
        run(connection, "INSERT INTO i(i) VALUES ('merge')")
        times.append(1000 * (time.perf_counter() - clock))
    return f"{numpy.median(times):.1f} ms, at most {max(times):.1f}"


def merge_steps(connection, rows):
    times, most = [], 10_000
    while run(connection, "SELECT value FROM i WHERE property = 'pending'")[0][0] > 0:
        clock = time.perf_counter()
        run(connection, f"INSERT INTO i(i) VALUES ('merge {most}')")
        times.append(time.perf_counter() - clock)
    return f"{len(times)} steps of {most} rows, the longest {max(times):.2f} s"


def command(name):
    def step(connection, _):
        run(connection, f"INSERT INTO i(i) VALUES ('{name}')")
        return ""

    return step


STEPS = {
    "build": build,
    "first search, from the disk": first,
    "first search, file in memory": first_warm,
    "warm, search": warm,
    "search and scan agree": right,
    **{f"search, cache of {megabytes} MB": budget(megabytes) for megabytes in [64, 256, 512, 1024, 2048]},
    "filter": filtered,
    "change rows at random": change,
    "merge in steps": merge_steps,
    "merge of one row": merge_one,
    "check": command("check"),
    "rebuild": command("rebuild"),
}


def peak():
    return int(Path("/proc/self/status").read_text(encoding="ascii").partition("VmHWM:")[2].split()[0]) / 1024


def traffic():
    numbers = dict(line.split(": ") for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines())
    return int(numbers["rchar"]) / 1e6, int(numbers["wchar"]) / 1e6


def step(library, path, name, rows):
    connection = opened(library, path)
    before, (read, wrote) = peak(), traffic()
    clock, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    said = STEPS[name](connection, int(rows))
    took, now = time.perf_counter() - clock, resource.getrusage(resource.RUSAGE_SELF)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    read, wrote = traffic()[0] - read, traffic()[1] - wrote
    print(f"| {name} | {took:.2f} | {cpu:.2f} | {peak() - before:.0f} | {read:.0f} | {wrote:.0f} | {said} |", flush=True)


def main(library, folder, rows="10000000", dimensions="384"):
    path = str(Path(folder) / f"scale-{rows}-{dimensions}.db")
    if not Path(path).exists():
        fill(path, int(rows), int(dimensions))
    print(f"{rows} x {dimensions}, file of {Path(path).stat().st_size / 1e9:.1f} GB, SQLite {apsw.sqlite_lib_version()}\n")
    print("| step | s | s of the processor | MB above the start | MB read | MB written | |\n| --- | --- | --- | --- | --- | --- | --- |")
    for name in STEPS:
        print(end="", flush=True)
        subprocess.run([sys.executable, __file__, "--step", library, path, name, rows], check=True)


if __name__ == "__main__":
    if sys.argv[1] == "--step":
        step(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
