"""What smaller element types cost and save, and distances beside sqlite-vec's, in one run.

    python benches/element_types.py LIBRARY VECTORS DIMENSIONS

LIBRARY is the built library. VECTORS is a file of little-endian f16 numbers, one embedding of DIMENSIONS numbers after the other; the
last 200 are the queries. (The file cannot be called types.py: Python has a module of that name.) Needs numpy, apsw and sqlite-vec. Prints three tables: the time of `ORDER BY vec_distance_...` in both
libraries, that of scans by type with wide pages, and the recall of each type against f32.
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


def distances(ours: apsw.Connection, theirs: apsw.Connection, query: bytes) -> None:
    print("\nmetric query fafcas sqlite-vec times")
    text = "[" + ",".join(map(str, np.frombuffer(query, "<f4"))) + "]"
    for metric in ("cosine", "l2", "l1"):
        for kind, value in (("BLOB", query), ("JSON", text)):
            sql = f"SELECT id FROM of_f32 ORDER BY vec_distance_{metric}(v, ?) LIMIT 10"
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


def topk(connection: apsw.Connection, element: str, query: bytes, metric: str = "dot") -> set[int]:
    if metric == "hamming":
        ((query,),) = connection.execute("SELECT vec_quantize_binary(?)", (query,))
    options = f'{{"type": "{element}", "metric": "{metric}"}}'
    sql = f"SELECT rowid FROM vec_topk('of_{element}', 'v', ?, 10, ?)"
    return {rowid for (rowid,) in connection.execute(sql, (query, options))}


def scans(connection: apsw.Connection, rows: int, query: bytes) -> None:
    print("\ntype metric ns/vector of f32")
    kinds = [(element, "dot") for element in TYPES] + [("bit", "hamming")]
    taken = best(
        {f"{element} {metric}": lambda e=element, m=metric: topk(connection, e, query, m) for element, metric in kinds}
    )
    for kind, seconds in taken.items():
        print(f"{kind:12} {seconds / rows * 1e9:7.0f} {seconds / taken['f32 dot']:6.2f}")


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


def main(library: str, file: str, dimensions: int) -> None:
    vectors = np.fromfile(file, "<f2").reshape(-1, dimensions).astype("<f4")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows, queries = vectors[:-QUERIES], vectors[-QUERIES:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "types.db"
        connection = connected(path, library)
        fill(connection, rows)
        print(f"{len(rows)} vectors of {dimensions} dimensions, best of {ROUNDS} rounds")
        distances(connection, connected(path, sqlite_vec.loadable_path()), queries[0].tobytes())
        scans(connection, len(rows), queries[0].tobytes())
        recall(connection, rows, queries)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
