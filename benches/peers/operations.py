"""What only fafcas is measured in: inserts, deletes and their space, the kit, edges, and memory over the life of a process."""

import contextlib
import io
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import data
import measures
import numpy
import texts

HERE = Path(__file__).resolve().parent
K = 10
# Megabytes that thousands of searches may take, when a thousand went before.
GROWTH = 4
Lines = Iterator[dict[str, Any]]


def connect(path: Path, wal: bool = False) -> Any:
    """A connection with the library."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(60_000)
    connection.enable_load_extension(True)
    connection.load_extension(os.environ["FAFCAS_LIBRARY"])
    connection.execute("PRAGMA page_size = 16384")
    connection.execute("PRAGMA journal_mode = wal; PRAGMA synchronous = normal" if wal else "PRAGMA synchronous = off")
    return connection


def fill(connection: Any, vectors: numpy.ndarray) -> None:
    """A table of a key and a vector."""
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)")
    with connection:
        connection.executemany("INSERT INTO t (v) VALUES (?)", ((vector.tobytes(),) for vector in vectors))


def size(path: Path) -> int:
    """Of the file, after its log was written back."""
    return path.stat().st_size


def ask(connection: Any, queries: numpy.ndarray) -> float:
    """The median of one search for each query, in milliseconds."""
    times = []
    for query in queries:
        start = time.perf_counter()
        connection.execute("SELECT rowid FROM vec_topk('t', 'v', ?, ?)", (query.tobytes(), K)).fetchall()
        times.append((time.perf_counter() - start) * 1e3)
    return measures.median(times)


def inserts(folder: Path, vectors: data.Set) -> Lines:
    """Rows a second into a table with an index and into one without, in WAL mode: alone, in batches, and by several writers."""
    blobs = [vector.tobytes() for vector in numpy.array(vectors.base()[:8000])]
    for indexed in (False, True):
        path = folder / f"inserts-{indexed}.db"
        first = connect(path, wal=True)
        fill(first, vectors.base()[:2000])
        if indexed:
            first.execute("CREATE VIRTUAL TABLE t_vec USING vec_index(t, v)")
        for ways, writers, batch, rows in (
            ("one by one", 1, 1, 2000),
            ("1,000 at a time", 1, 1000, 8000),
            ("one by one", 2, 1, 2000),
            ("one by one", 8, 1, 2000),
        ):
            opened = [connect(path, wal=True) for _ in range(writers)]
            start = time.perf_counter()
            threads = [threading.Thread(target=write, args=(own, blobs[: rows // writers], batch)) for own in opened]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            yield {
                "way": ways,
                "writers": writers,
                "indexed": indexed,
                "rate": rows // writers * writers / (time.perf_counter() - start),
            }


def write(connection: Any, blobs: list[bytes], batch: int) -> None:
    """Some rows in a transaction, and again."""
    for at in range(0, len(blobs), batch):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO t (v) VALUES (?)", ((blob,) for blob in blobs[at : at + batch]))
        connection.execute("COMMIT")


def deletes(folder: Path, vectors: data.Set) -> Lines:
    """The file and the searches, while half of the rows go."""
    path = folder / "deletes.db"
    connection = connect(path)
    fill(connection, vectors.base())
    bare = size(path)
    queries = vectors.queries()[:200]
    steps: list[tuple[str, str]] = [
        ("built", "CREATE VIRTUAL TABLE t_vec USING vec_index(t, v)"),
        ("half of the rows deleted", "DELETE FROM t WHERE id % 2"),
        ("merged", "INSERT INTO t_vec(t_vec) VALUES ('merge')"),
        ("vacuumed", "VACUUM"),
    ]
    yield {"step": "without an index", "seconds": 0.0, "bytes": bare, "p50": None}
    for number, (name, sql) in enumerate(steps):
        start = time.perf_counter()
        connection.execute(sql).fetchall()
        seconds = time.perf_counter() - start
        # A little other queries each time: answers to questions that come again are kept.
        yield {
            "step": name,
            "seconds": seconds,
            "bytes": size(path),
            "p50": ask(connection, queries + numpy.float32(number * 1e-6)),
        }


def edges(folder: Path, vectors: data.Set) -> Lines:
    """The ten nearest of every row, in one statement."""
    connection = connect(folder / "edges.db")
    rows = vectors.base()[:20_000]
    fill(connection, rows)
    connection.execute("CREATE VIRTUAL TABLE t_vec USING vec_index(t, v)")
    start = time.perf_counter()
    sql = "SELECT count(*) FROM vec_topk_many('t', 'v', 't', 'v', 10, '{\"exclude_self\": true}')"
    found = connection.execute(sql).get
    seconds = time.perf_counter() - start
    if found != 10 * len(rows):
        raise RuntimeError(f"expected {10 * len(rows)} edges, not {found}")
    yield {"count": len(rows), "seconds": seconds, "rate": len(rows) / seconds}


def kit(folder: Path, vectors: data.Set) -> Lines:
    """Ingest of the knowledge base, by the bench that measures more of it."""
    sys.path.insert(0, str(HERE.parent))
    import kit as bench

    notes = texts.wordnet(vectors.path.parent)[:20_000]
    for length in (100, 1000):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            bench.ingest(folder, os.environ["FAFCAS_LIBRARY"], notes, length, None)
        found = re.search(r"([\d,]+) a second", said.getvalue())
        if not found:
            raise RuntimeError(f"expected a rate, not {said.getvalue()}")
        yield {"length": length, "rate": int(found[1].replace(",", ""))}


def memory(folder: Path, vectors: data.Set) -> Lines:
    """What is resident after each stage, in a process that has nothing else to do. The same searches come a second time."""
    path = folder / "memory.db"
    writer = connect(path)
    fill(writer, vectors.base())
    writer.close()
    queries = [query.tobytes() for query in vectors.queries()]
    connection = apsw.Connection(str(path))
    search = "SELECT rowid FROM vec_topk('t', 'v', ?, ?)"

    def many(count: int) -> None:
        for number in range(count):
            noise = numpy.frombuffer(queries[number % len(queries)], "<f4") + numpy.float32(number * 1e-6)
            connection.execute(search, (noise.astype("<f4").tobytes(), K)).fetchall()

    def load() -> None:
        connection.enable_load_extension(True)
        connection.load_extension(os.environ["FAFCAS_LIBRARY"])

    stages: list[tuple[str, Callable[[], Any]]] = [
        ("started, file open", lambda: connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()),
        ("library loaded", load),
        ("first embedding, static-MiniLM", lambda: connection.execute("SELECT embed('the tide', 'static-MiniLM')").fetchall()),
        ("first embedding, all-MiniLM-L6-v2", lambda: connection.execute("SELECT embed('the tide')").fetchall()),
        ("first search, without an index", lambda: many(1)),
        ("index built", lambda: connection.execute("CREATE VIRTUAL TABLE t_vec USING vec_index(t, v)")),
        ("first search with the index", lambda: many(1)),
        ("thousandth search", lambda: many(1000)),
        ("four thousandth search", lambda: many(3000)),
    ]
    kept: list[float] = []
    for name, work in stages:
        start = time.perf_counter()
        try:
            work()
        except apsw.Error as error:
            yield {"stage": name, "why": str(error)}
            continue
        text = Path("/proc/self/status").read_text(encoding="ascii")
        resident = int(text.partition("VmRSS:")[2].split()[0]) / 1024
        kept.append(resident)
        yield {"stage": name, "seconds": time.perf_counter() - start, "resident": resident}
    if kept[-1] - kept[-2] > GROWTH:
        raise RuntimeError(f"expected no more than {GROWTH} MB for 3,000 more searches, not {kept[-1] - kept[-2]:.1f}")


ALL: dict[str, Callable[[Path, data.Set], Lines]] = {
    "inserts": inserts,
    "deletes": deletes,
    "edges": edges,
    "kit": kit,
    "profile": memory,
}
