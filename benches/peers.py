"""vec_topk beside other vector searches, on the same vectors and queries in one run.

    python benches/peers.py target/release/libfafcas VECTORS.f32 DIMENSIONS [K]

VECTORS.f32 holds unit vectors as raw little-endian f32, one after the other; the last 500 are the queries and the rest is
searched. Needs numpy and apsw; sqlite-vec, sqliteai-vector and faiss-cpu take part as far as they are installed.
Every search is warm and runs in this process. Recall is by the k-th exact score: the share of rows found whose exact score is
at least that of the k-th nearest, less a rounding of 1e-6.
"""

import sys
import tempfile
import time
from pathlib import Path

import apsw
import numpy

QUERIES = 500


def timed(search, queries):
    """The hits of every query, and the median and the 99th percentile of the times in milliseconds."""
    for query in queries[:50]:
        search(query)
    hits, times = [], []
    for query in queries:
        start = time.perf_counter()
        hits.append(search(query))
        times.append((time.perf_counter() - start) * 1e3)
    return hits, numpy.median(times), numpy.percentile(times, 99)


def recall(hits, queries, base, k):
    found = 0
    for rows, query in zip(hits, queries):
        scores = base @ query
        bar = numpy.partition(scores, -k)[-k] - 1e-6
        found += sum(scores[row - 1] >= bar for row in rows)
    return found / (k * len(queries))


def sql(connection, statement, k):
    return lambda query: [row for (row,) in connection.execute(statement, (query.tobytes(), k))]


def fafcas(connection, library, base, k):
    connection.load_extension(library)
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB)")
    with connection:
        connection.executemany("INSERT INTO t(v) VALUES (?)", ((vector.tobytes(),) for vector in base))
    start = time.perf_counter()
    connection.execute("CREATE VIRTUAL TABLE t_vec USING vec_index(t, v)")
    built = time.perf_counter() - start
    for threads in (1, 2):
        connection.execute("SELECT fafcas_config('threads', ?)", (threads,))
        yield f"fafcas, index, {threads} threads", sql(connection, "SELECT rowid FROM vec_topk('t', 'v', ?, ?)", k), built
    scan = "SELECT rowid FROM vec_topk('t', 'v', ?, ?, '{\"index\":false}')"
    yield "fafcas, scan", sql(connection, scan, k), 0


def sqlite_vec(connection, base, k):
    import sqlite_vec as peer

    connection.load_extension(peer.loadable_path())
    connection.execute(f"CREATE VIRTUAL TABLE v0 USING vec0(v float[{base.shape[1]}])")
    start = time.perf_counter()
    rows = ((row, vector.tobytes()) for row, vector in enumerate(base, 1))
    with connection:
        connection.executemany("INSERT INTO v0(rowid, v) VALUES (?, ?)", rows)
    built = time.perf_counter() - start
    yield "sqlite-vec, vec0", sql(connection, "SELECT rowid FROM v0 WHERE v MATCH ? AND k = ?", k), built


def sqlite_vector(connection, base, k):
    import importlib.resources

    folder = importlib.resources.files("sqlite_vector") / "binaries"
    connection.load_extension(str(folder / "vector"))
    connection.execute("CREATE TABLE s(id INTEGER PRIMARY KEY, v BLOB)")
    with connection:
        connection.executemany("INSERT INTO s(v) VALUES (?)", ((vector.tobytes(),) for vector in base))
    start = time.perf_counter()
    connection.execute("SELECT vector_init('s', 'v', ?)", (f"type=FLOAT32,dimension={base.shape[1]},distance=DOT",))
    connection.execute("SELECT vector_quantize('s', 'v')")
    connection.execute("SELECT vector_quantize_preload('s', 'v')")
    built = time.perf_counter() - start
    statement = "SELECT rowid FROM vector_quantize_scan('s', 'v', ?, ?)"
    yield "sqlite-vector, quantised", sql(connection, statement, k), built


def faiss(_connection, base, k):
    import faiss as peer

    peer.omp_set_num_threads(1)
    index = peer.IndexFlatIP(base.shape[1])
    start = time.perf_counter()
    index.add(base)
    built = time.perf_counter() - start
    yield "FAISS flat, 1 thread", lambda query: (index.search(query[None, :], k)[1][0] + 1).tolist(), built


def main():
    library, file, dimensions = sys.argv[1], sys.argv[2], int(sys.argv[3])
    k = int(sys.argv[4]) if len(sys.argv) > 4 else 10
    vectors = numpy.fromfile(file, "<f4").reshape(-1, dimensions)
    base, queries = vectors[:-QUERIES], vectors[-QUERIES:]
    print(f"{len(base)} x {dimensions} f32, {len(queries)} queries, k = {k}, SQLite {apsw.sqlite_lib_version()}")
    print(f"{'':<26} {'p50 ms':>9} {'p99 ms':>9} {'to first':>9} {'recall':>7} {'build s':>8}")
    with tempfile.TemporaryDirectory() as folder:
        connection = apsw.Connection(str(Path(folder) / "peers.db"))
        connection.enable_load_extension(True)
        connection.execute("PRAGMA page_size = 16384")
        first = None
        peers = [lambda *rest: fafcas(rest[0], library, *rest[1:]), sqlite_vec, sqlite_vector, faiss]
        for peer in peers:
            try:
                for name, search, built in peer(connection, base, k):
                    hits, p50, p99 = timed(search, queries)
                    first = first or p50
                    share = recall(hits, queries, base, k)
                    print(f"{name:<26} {p50:>9.3f} {p99:>9.3f} {p50 / first:>9.1f} {share:>7.4f} {built:>8.2f}")
            except (ImportError, apsw.Error) as error:
                print(f"{getattr(peer, '__name__', 'peer')}: left out ({error})")


if __name__ == "__main__":
    main()
