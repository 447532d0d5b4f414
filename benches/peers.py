"""vec_topk beside other vector searches, on the same vectors and queries in one run.

    python benches/peers.py target/release/libfafcas VECTORS.f32 DIMENSIONS [K [NAME...]]

VECTORS.f32 holds unit vectors as raw little-endian f32, one after the other; the last 500 are the queries and the rest is
searched. Needs numpy and apsw; sqlite-vec, sqliteai-vector, vectorlite-py and faiss-cpu take part as far as they are
installed, and vec1 as it comes with apsw. NAME picks some of them.

Each peer has a file of its own and two processes, one after the other. The first stores the vectors and builds what
there is to build, which is timed without the storing where that is apart. The second opens the file (which the
system still has in memory), asks the first query, timed from the opening on as `cold`, and then all of them. `MB` is how much
more memory it had at its peak than before it opened the file; the queries are all it holds besides. Recall is by the k-th
exact score: the share of rows found whose exact score is at least that of the k-th nearest, less a rounding of 1e-6.
`times` is the median beside that of the first row.
"""

import importlib.resources
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import apsw
import numpy

QUERIES = 500
WARM_UP = 50  # of them, which are not timed: some keep answers


def read(file, dimensions):
    vectors = numpy.memmap(file, "<f4", "r").reshape(-1, dimensions)
    return vectors[:-QUERIES], numpy.array(vectors[-QUERIES:])


def numbered(base):
    return ((row, vector.tobytes()) for row, vector in enumerate(base, 1))


class Peer:
    """A search in SQL. `prepare` stores the vectors where that is not part of building; `open` is for every connection."""

    search = None

    def __init__(self, dimensions, library):
        self.dimensions, self.library = dimensions, library

    def prepare(self, connection, base):
        connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", numbered(base))

    def build(self, connection, base):
        pass

    def open(self, connection):
        pass

    def ask(self, connection, k):
        return lambda query: [row for (row,) in connection.execute(self.search, (query.tobytes(), k))]


class Fafcas(Peer):
    name, threads = "fafcas, index, 2 threads", 2
    search = "SELECT rowid FROM vec_topk('t', 'v', ?, ?)"

    def open(self, connection):
        connection.load_extension(self.library)
        connection.execute("SELECT fafcas_config('threads', ?)", (self.threads,))

    def build(self, connection, base):
        connection.execute("CREATE VIRTUAL TABLE t_vec USING vec_index(t, v)")


class FafcasAlone(Fafcas):
    name, threads = "fafcas, index, 1 thread", 1


class FafcasScan(Fafcas):
    name = "fafcas, scan"

    def build(self, connection, base):
        pass


class SqliteVec(Peer):
    name = "sqlite-vec, vec0"
    search = "SELECT rowid FROM t WHERE v MATCH ? AND k = ?"

    def open(self, connection):
        import sqlite_vec

        connection.load_extension(sqlite_vec.loadable_path())

    def prepare(self, connection, base):
        connection.execute(f"CREATE VIRTUAL TABLE t USING vec0(v float[{self.dimensions}])")

    def build(self, connection, base):
        connection.executemany("INSERT INTO t(rowid, v) VALUES (?, ?)", numbered(base))


class SqliteVector(Peer):
    name = "sqlite-vector, quantised, preloaded"
    search = "SELECT rowid FROM vector_quantize_scan('t', 'v', ?, ?)"

    def open(self, connection):
        folder = importlib.resources.files("sqlite_vector") / "binaries"
        connection.load_extension(str(folder / "vector"))
        self.init(connection)

    def init(self, connection):
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 't'").fetchone():
            options = f"type=FLOAT32,dimension={self.dimensions},distance=DOT"
            connection.execute("SELECT vector_init('t', 'v', ?)", (options,))
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'built'").fetchone():
                connection.execute("SELECT vector_quantize_preload('t', 'v')")

    def build(self, connection, base):
        self.init(connection)
        connection.execute("SELECT vector_quantize('t', 'v')")
        connection.execute("CREATE TABLE built(x)")


class Vec1Flat(Peer):
    name = "vec1, flat"
    search = "SELECT rowid FROM t(?, ?)"

    def open(self, connection):
        import apsw.sqlite_extra

        apsw.sqlite_extra.load(connection, "vec1")

    def prepare(self, connection, base):
        connection.execute("CREATE VIRTUAL TABLE t USING vec1(v)")

    def build(self, connection, base):
        connection.executemany("INSERT INTO t(rowid, v) VALUES (?, ?)", numbered(base))


class Vec1Trained(Vec1Flat):
    """With the parameters that training takes by itself."""

    name = "vec1, trained"

    def build(self, connection, base):
        super().build(connection, base)
        connection.execute("""INSERT INTO t(cmd, arg) SELECT 'rebuild', vec1_train(v, '{"index": "trained"}') FROM t""")


class Vectorlite(Peer):
    """Its index is in memory; what it keeps on disk is a file of its own."""

    name = "vectorlite, HNSW"
    search = "SELECT rowid FROM t WHERE knn_search(v, knn_param(?, ?))"

    def open(self, connection):
        import vectorlite_py

        connection.load_extension(vectorlite_py.vectorlite_path())

    def prepare(self, connection, base):
        index = str(Path(connection.filename).with_suffix(".hnsw"))
        arguments = f"v float32[{self.dimensions}] ip, hnsw(max_elements={len(base)}), '{index}'"
        connection.execute(f"CREATE VIRTUAL TABLE t USING vectorlite({arguments})")

    def build(self, connection, base):
        connection.executemany("INSERT INTO t(rowid, v) VALUES (?, ?)", numbered(base))


class Faiss(Peer):
    """Plain vectors in memory; nothing of it is SQLite's."""

    name = "FAISS flat, 1 thread"

    def prepare(self, connection, base):
        numpy.save(Path(connection.filename).with_suffix(".npy"), base)

    def ask(self, connection, k):
        import faiss

        faiss.omp_set_num_threads(1)
        index = faiss.IndexFlatIP(self.dimensions)
        index.add(numpy.load(Path(connection.filename).with_suffix(".npy")))
        return lambda query: (index.search(query[None, :], k)[1][0] + 1).tolist()


PEERS = [Fafcas, FafcasAlone, FafcasScan, SqliteVec, SqliteVector, Vec1Flat, Vec1Trained, Vectorlite, Faiss]


def connect(peer, path):
    connection = apsw.Connection(str(path))
    connection.enable_load_extension(True)
    connection.execute("PRAGMA page_size = 16384; PRAGMA synchronous = off")
    peer.open(connection)
    return connection


def build(peer, path, base):
    connection = connect(peer, path)
    with connection:
        peer.prepare(connection, base)
    start = time.perf_counter()
    with connection:
        peer.build(connection, base)
    seconds = time.perf_counter() - start
    connection.close()
    files = list(path.parent.iterdir())
    return {"build": seconds, "bytes": sum(file.stat().st_size for file in files)}


def peak():
    """In megabytes. Linux's own figure: that of `resource` starts with what the parent had."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def search(peer, path, queries, k):
    before, start = peak(), time.perf_counter()
    ask = peer.ask(connect(peer, path), k)
    ask(queries[-1])
    cold = (time.perf_counter() - start) * 1e3
    for query in queries[-WARM_UP:]:
        ask(query)
    hits, times = [], []
    for query in queries[:-WARM_UP]:
        start = time.perf_counter()
        hits.append(ask(query))
        times.append((time.perf_counter() - start) * 1e3)
    p50, p99 = numpy.percentile(times, [50, 99])
    return {"cold": cold, "p50": p50, "p99": p99, "memory": peak() - before, "hits": hits}


def one(step, name, folder, library, file, dimensions, k):
    """A process of its own. What a peer needs may be missing."""
    peer = next(peer for peer in PEERS if peer.name == name)(dimensions, library)
    base, queries = read(file, dimensions)
    path = Path(folder) / "peer.db"
    try:
        result = build(peer, path, base) if step == "build" else search(peer, path, queries, k)
    except (ImportError, apsw.Error) as error:
        result = {"error": str(error)}
    print(json.dumps(result))
    sys.stdout.flush()
    os._exit(0)  # Some libraries do not survive the end of the interpreter.


def both(name, arguments):
    with tempfile.TemporaryDirectory() as folder:
        result = {}
        for step in ("build", "search"):
            command = [sys.executable, __file__, "--one", step, name, folder, *map(str, arguments)]
            process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            result |= json.loads(process.stdout)
            if "error" in result:
                break
        return result


def bars(base, queries, k):
    """The k-th exact score of each query."""
    return [numpy.partition(base @ query, -k)[-k] - 1e-6 for query in queries]


def main():
    library, file, dimensions = sys.argv[1], sys.argv[2], int(sys.argv[3])
    k = int(sys.argv[4]) if len(sys.argv) > 4 else 10
    names = sys.argv[5:] or [peer.name for peer in PEERS]
    base, queries = read(file, dimensions)
    print(f"{len(base)} x {dimensions} f32, {QUERIES - WARM_UP} queries, k = {k}, SQLite {apsw.sqlite_lib_version()}")
    columns = ("p50 ms", "p99 ms", "times", "cold ms", "recall", "build s", "file MB", "MB")
    print(f"{'':<36}" + "".join(f"{column:>10}" for column in columns))
    queries = queries[:-WARM_UP]
    needed, first = bars(base, queries, k), None
    for name in names:
        result = both(name, (library, file, dimensions, k))
        if "error" in result:
            print(f"{name}: left out ({result['error']})")
            continue
        found = sum(
            float(base[row - 1] @ query) >= bar
            for rows, query, bar in zip(result["hits"], queries, needed)
            for row in rows
        )
        first = first or result["p50"]
        print(
            f"{name:<36}{result['p50']:>10.3f}{result['p99']:>10.3f}{result['p50'] / first:>10.1f}{result['cold']:>10.1f}"
            f"{found / (k * len(queries)):>10.4f}{result['build']:>10.2f}{result['bytes'] / 1e6:>10.1f}"
            f"{result['memory']:>10.0f}",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        step, name, folder, library, file, dimensions, k = sys.argv[2:]
        one(step, name, folder, library, file, int(dimensions), int(k))
    main()
