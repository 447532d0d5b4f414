"""What smaller element types cost and save, and distances beside sqlite-vec's, in one run.

    python benches/element_types.py LIBRARY VECTORS DIMENSIONS

LIBRARY is the built library. VECTORS is a file of little-endian f16 numbers, one embedding of DIMENSIONS numbers after the other; the
last 200 are the queries. (The file cannot be called types.py: Python has a module of that name.) Needs numpy, apsw and sqlite-vec. Prints tables: the time of `ORDER BY vec_distance_...` in both
libraries over 100,000 rows, that of scans by type with wide pages, and the recall of each type against f32. A fourth has the indexes over
each type. Beside the scans stands what SQLite takes to walk the same rows without a function of ours, once for each kind of cache.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import numpy as np
import sqlite_vec

QUERIES = 200
ROUNDS = 5
# Rows for the distances. If the file has fewer, they are taken again with a little noise.
MANY = 100_000
# Where SQLite has the pages: all in its own cache; in that of the system, from which its own 2 MB are filled in each scan; mapped.
CACHES = {
    "SQLite's cache": "PRAGMA mmap_size = 0; PRAGMA cache_size = -1000000",
    "2 MB of cache": "PRAGMA mmap_size = 0; PRAGMA cache_size = -2000",
    "mapped": "PRAGMA cache_size = -2000; PRAGMA mmap_size = 1000000000",
}
TYPES = {
    "f32": "vec_f32(?)", "f16": "vec_f16(?)", "bf16": "vec_bf16(?)",
    "int8": "vec_quantize_int8(?, 'unit')", "bit": "vec_quantize_binary(?)",
}  # fmt: skip


def connected(path: Path, library: str) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.enable_load_extension(True)
    connection.load_extension(library)
    connection.execute("PRAGMA cache_size = -1000000")
    return connection


def best(work: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of each in its best round. The rounds take turns, so that a busy machine is busy for all."""
    seconds = dict.fromkeys(work, float("inf"))
    for _ in range(ROUNDS):
        for name, run in work.items():
            start = time.perf_counter()
            run()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def fill(connection: apsw.Connection, rows: np.ndarray) -> None:
    connection.execute("PRAGMA page_size = 65536; VACUUM")
    for name, made in TYPES.items():
        connection.execute(f"CREATE TABLE of_{name}(id INTEGER PRIMARY KEY, v BLOB)")
        with connection:
            insert = f"INSERT INTO of_{name}(id, v) VALUES (?, {made})"
            connection.executemany(insert, ((at, row.tobytes()) for at, row in enumerate(rows)))


def many(rows: np.ndarray) -> np.ndarray:
    again = np.resize(rows, (max(MANY, len(rows)), rows.shape[1]))
    noise = np.random.default_rng(17).standard_normal((len(again) - len(rows), rows.shape[1]), dtype=np.float32)
    again[len(rows) :] += np.float32(1e-3) * noise
    return again[:MANY]


def fill_many(connection: apsw.Connection, rows: np.ndarray) -> None:
    connection.execute("CREATE TABLE many(id INTEGER PRIMARY KEY, v BLOB)")
    with connection:
        connection.executemany("INSERT INTO many(id, v) VALUES (?, ?)", ((at, row.tobytes()) for at, row in enumerate(rows)))


def distances(ours: apsw.Connection, theirs: apsw.Connection, query: bytes) -> None:
    print(f"\nms for ORDER BY vec_distance over {MANY} rows\nmetric query fafcas sqlite-vec times")
    text = "[" + ",".join(map(str, np.frombuffer(query, "<f4"))) + "]"
    for metric in ("cosine", "l2", "l1"):
        for kind, value in (("BLOB", query), ("JSON", text)):
            # sqlite-vec parses JSON for each row, so that all of them would take minutes.
            some = "many WHERE id < 10000" if kind == "JSON" else "many"
            sql = f"SELECT id FROM {some} ORDER BY vec_distance_{metric}(v, ?) LIMIT 10"
            found = [connection.execute(sql, (value,)).fetchall() for connection in (ours, theirs)]
            assert found[0] == found[1], metric
            taken = best(
                {
                    "ours": lambda sql=sql, value=value: ours.execute(sql, (value,)).fetchall(),
                    "theirs": lambda sql=sql, value=value: theirs.execute(sql, (value,)).fetchall(),
                }
            )
            print(
                f"{metric:6} {kind} {taken['ours'] * 1e3:8.1f} {taken['theirs'] * 1e3:8.1f} {taken['theirs'] / taken['ours']:6.2f}"
            )
    floors = {"length(v)": "SELECT id FROM many ORDER BY length(v) LIMIT 10", "no v": "SELECT id FROM many ORDER BY abs(id) LIMIT 10"}
    taken = best({name: lambda sql=sql: ours.execute(sql).fetchall() for name, sql in floors.items()})
    print("the same by what reads no vector:", ", ".join(f"{name} {seconds * 1e3:.1f}" for name, seconds in taken.items()))


def topk(connection: apsw.Connection, element: str, query: bytes, metric: str = "dot") -> set[int]:
    if metric == "hamming":
        ((query,),) = connection.execute("SELECT vec_quantize_binary(?)", (query,))
    options = f'{{"type": "{element}", "metric": "{metric}"}}'
    sql = f"SELECT rowid FROM vec_topk('of_{element}', 'v', ?, 10, ?)"
    return {rowid for (rowid,) in connection.execute(sql, (query, options))}


def scans(connection: apsw.Connection, rows: int, query: bytes) -> None:
    """What each cache has for f32 is its 1.00."""
    kinds = [(element, "dot") for element in TYPES] + [("bit", "hamming")]
    for cache, pragmas in CACHES.items():
        connection.execute(pragmas)
        print(f"\nscans, {cache}\ntype metric ns/vector of f32, ns of the walk alone")
        taken = best(
            {f"{element} {metric}": lambda e=element, m=metric: topk(connection, e, query, m) for element, metric in kinds}
        )
        walks = best(
            {
                element: lambda e=element: connection.execute(f"SELECT count(v) FROM of_{e}").fetchall()
                for element in TYPES
            }
        )
        for (element, metric), seconds in zip(kinds, taken.values(), strict=True):
            share, walk = seconds / taken["f32 dot"], walks[element]
            print(f"{element + ' ' + metric:12} {seconds / rows * 1e9:7.0f} {share:6.2f} {walk / rows * 1e9:7.0f}")
    connection.execute(CACHES["SQLite's cache"])


def recall(connection: apsw.Connection, rows: np.ndarray, queries: np.ndarray) -> None:
    """How many of the rows found are as near as the tenth, or nearer: rows with the same text have the same score."""
    print("\ntype recall@10")
    found = {element: 0 for element in ("f16", "bf16", "int8", "bit")}
    for query in queries:
        scores = rows @ query
        tenth = np.sort(scores)[-10] - 1e-6
        for element in found:
            metric = "hamming" if element == "bit" else "dot"
            found[element] += sum(scores[row] >= tenth for row in topk(connection, element, query.tobytes(), metric))
    for element, count in found.items():
        print(f"{element:5} {count / (10 * len(queries)):.4f}")


def indexes(connection: apsw.Connection, queries: np.ndarray) -> None:
    """Searches by the index of each type: recall against the type's own scan, median time of a search, and bytes."""
    print("\ntype recall@10 ms of f32 table index bytes")
    kinds = ("f32", "f16", "bf16", "int8")
    for element in kinds:
        connection.execute(f"CREATE VIRTUAL TABLE by_{element} USING vec_index(of_{element}, v, '{{\"type\": \"{element}\"}}')")
    found, seconds = dict.fromkeys(kinds, 0), {element: np.full(len(queries), np.inf) for element in kinds}
    searches = {
        element: f"SELECT rowid, score FROM vec_topk('of_{element}', 'v', ?, 10, '{{\"index\": \"by_{element}\"}}')"
        for element in kinds
    }
    for at, query in enumerate(queries):
        for element, sql in searches.items():
            scan = f"SELECT min(score) FROM vec_topk('of_{element}', 'v', ?, 10, '{{\"index\": false}}')"
            ((tenth,),) = connection.execute(scan, (query.tobytes(),))
            found[element] += sum(score >= tenth for _, score in connection.execute(sql, (query.tobytes(),)))
    for _ in range(ROUNDS):
        for at, query in enumerate(queries):
            # Another number in the query each time, as a search that was asked before is answered from memory.
            query = query + np.float32(1e-7) * np.random.default_rng().standard_normal(len(query)).astype("<f4")
            for element, sql in searches.items():
                start = time.perf_counter()
                connection.execute(sql, (query.tobytes(),)).fetchall()
                seconds[element][at] = min(seconds[element][at], time.perf_counter() - start)
    for element in kinds:
        median = np.median(seconds[element])
        ((size,),) = connection.execute(f"SELECT value FROM by_{element} WHERE property = 'bytes'")
        ((rows,),) = connection.execute(f"SELECT sum(length(v)) FROM of_{element}")
        recall = found[element] / (10 * len(queries))
        print(f"{element:5} {recall:.4f} {median * 1e3:6.3f} {median / np.median(seconds['f32']):5.2f} {rows} {size}")


def main(library: str, file: str, dimensions: int) -> None:
    vectors = np.fromfile(file, "<f2").reshape(-1, dimensions).astype("<f4")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows, queries = vectors[:-QUERIES], vectors[-QUERIES:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "types.db"
        connection = connected(path, library)
        fill(connection, rows)
        fill_many(connection, many(rows))
        print(f"{len(rows)} vectors of {dimensions} dimensions, best of {ROUNDS} rounds")
        distances(connection, connected(path, sqlite_vec.loadable_path()), queries[0].tobytes())
        scans(connection, len(rows), queries[0].tobytes())
        recall(connection, rows, queries)
        indexes(connection, queries)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
