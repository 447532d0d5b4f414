"""What shards cost: one file against 1, 2, 4, 8 and 16 shards, in this process, on Dask's workers and on Spark's executors.

    PYTHONPATH=python FAFCAS_LIBRARY=target/release/libfafcas.so python benches/shards.py [ROWS [DIMENSIONS [spark]]]

Vectors are random centres with noise about them, from a fixed seed, at unit length. Needs numpy, apsw and distributed, and pyspark
for Spark. Every search is warm, and every answer is first held against the one file's. Ratios are to the one file's search of the
same kind.
"""

import sys
import tempfile
import time
from pathlib import Path

import apsw
import numpy
from distributed import LocalCluster

import fafcas
from fafcas import dask, shards

SHARDS = (1, 2, 4, 8, 16)
K = 10
WORKERS = 2
# Rounds go over all searches in turn, so that what else happens on the machine falls on all of them.
ROUNDS = 5
SQL = "SELECT t.id, t.score FROM vec_topk('notes', 'v', ?, ?, ?) AS t ORDER BY t.score DESC"
EXACT = {"exact": True}


def vectors(rows, dimensions):
    random = numpy.random.default_rng(1)
    centres = random.normal(size=(256, dimensions))
    found = centres[random.integers(0, 256, rows)] + random.normal(size=(rows, dimensions))
    return (found / numpy.linalg.norm(found, axis=1, keepdims=True)).astype("<f4")


def one_file(path, base):
    """All rows in one file, laid out as a shard is."""
    connection = apsw.Connection(str(path))
    fafcas.load(connection)
    connection.execute("PRAGMA page_size = 16384; CREATE TABLE notes(id INTEGER PRIMARY KEY, v BLOB)")
    with connection:
        connection.executemany("INSERT INTO notes VALUES (?, ?)", ((id, v.tobytes()) for id, v in enumerate(base)))
    start = time.perf_counter()
    connection.execute("CREATE VIRTUAL TABLE notes_vec USING vec_index(notes, v)")
    return connection, time.perf_counter() - start


def measured(searches, queries):
    """Median milliseconds of each search, warm."""
    times = {name: [] for name in searches}
    for round in range(ROUNDS + 1):
        for name, search in searches.items():
            for query in queries:
                start = time.perf_counter()
                search(query)
                if round:
                    times[name].append((time.perf_counter() - start) * 1e3)
    return {name: numpy.median(taken) for name, taken in times.items()}


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    dimensions = int(sys.argv[2]) if len(sys.argv) > 2 else 384
    data = vectors(rows + 10, dimensions)
    base, queries = data[:rows], data[rows:]
    with tempfile.TemporaryDirectory() as folder, LocalCluster(
        n_workers=WORKERS, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        folder = Path(folder)
        file, built = one_file(folder / "notes.db", base)
        client = cluster.get_client()
        session = None
        if "spark" in sys.argv:
            from fafcas import spark

            session, queries = spark_session(), queries[:3]
        searches = {
            ("one file", 0, "scan"): lambda query: file.execute(SQL, (query.tobytes(), K, '{"exact": true}')).fetchall(),
            ("one file", 0, "index"): lambda query: file.execute(SQL, (query.tobytes(), K, "{}")).fetchall(),
        }
        made = {}
        for count in SHARDS:
            place = folder / f"{count}.shards"
            start = time.perf_counter()
            shards.split(folder / "notes.db", place, table="notes", column="v", shards=count)
            copied = time.perf_counter() - start
            here, there = shards.Shards(place), dask.Shards(place, client)
            start = time.perf_counter()
            there.build_indexes()
            made[count] = copied, time.perf_counter() - start
            engines = {"here": here, "Dask": there, **({"Spark": spark.Shards(place, session)} if session else {})}
            for name, engine in engines.items():
                for kind, options in (("scan", EXACT), ("index", {})):
                    searches[name, count, kind] = lambda q, e=engine, o=options: e.search(q, K, options=o)
        for key, search in searches.items():
            for query in queries:
                exact = searches["one file", 0, "scan"](query)
                found = [(row[0], row[1]) for row in search(query)]
                assert key[2] == "index" or found == exact, key
                assert sum(row in exact for row in found) >= K - 1, key
        none = lambda number: number
        searches["nothing", 0, "four tasks on Dask"] = lambda _: client.gather(client.map(none, range(4), pure=False))
        medians = measured(searches, queries)
        many = {count: shards_many(dask.Shards(folder / f"{count}.shards", client), queries) for count in SHARDS}

    print(f"{rows} x {dimensions} f32, {len(queries)} queries x {ROUNDS} rounds, k = {K}, {WORKERS} workers of one thread,")
    print(f"SQLite {apsw.sqlite_lib_version()}; one file: index built in {built:.2f} s;")
    print(f"four empty tasks on Dask: {medians['nothing', 0, 'four tasks on Dask']:.1f} ms")
    print("| searched | shards | scan, ms | to one file | index, ms | to one file | batch, ms a query |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    order = ["one file", "here", "Dask", "Spark"]
    for name, count in sorted({key[:2] for key in searches if key[0] in order}, key=lambda key: (order.index(key[0]), key[1])):
        cells = []
        for kind in ("scan", "index"):
            taken = medians[name, count, kind]
            cells += [f"{taken:.2f}", f"{taken / medians['one file', 0, kind]:.2f}"]
        batch = f"{many[count]:.2f}" if name == "Dask" else ""
        print(f"| {name} | {count or ''} | {' | '.join(cells)} | {batch} |")
    print("| shards | split, s | indexes on Dask, s | to one file |\n| --- | --- | --- | --- |")
    for count, (copied, indexed) in made.items():
        print(f"| {count} | {copied:.2f} | {indexed:.2f} | {indexed / built:.2f} |")


def spark_session():
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(f"local-cluster[{WORKERS},1,600]").config("spark.executor.memory", "600m")
    session = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    return session


def shards_many(engine, queries):
    """Median milliseconds a query, where all are asked at once."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        engine.search_many(list(queries), K)
        times.append((time.perf_counter() - start) * 1e3 / len(queries))
    return numpy.median(times)


if __name__ == "__main__":
    main()
