"""Shards against one file with all rows: in this process, on Dask or on Spark.

    shards.py local|dask|spark [TEST...]

Needs this repository's `python` on PYTHONPATH, the library in FAFCAS_LIBRARY and the models in FAFCAS_MODEL_DIR.

Vectors have small whole numbers, so that scores are exact and many of them are equal.
"""

import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw

import fafcas
from fafcas import shards
from fafcas.shards import ShardError
from nodes import LIMIT_S, waited

DIMENSIONS = 12
# Where the many small transactions of these tests need not wait for a disk.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
MODEL = "all-MiniLM-L6-v2"
SEED = int(os.environ.get("FAFCAS_SEED", 0)) or random.SystemRandom().randrange(1, 1 << 32)

# How the ids look, and how their column is declared.
IDS = {
    "id INTEGER PRIMARY KEY": lambda n: n * 7 - 100,
    "id TEXT PRIMARY KEY NOT NULL": lambda n: f"{'zyx'[n % 3]} {n}é",
    "id BLOB PRIMARY KEY NOT NULL": lambda n: bytes([n % 251, 0, n // 251]),
}


def numbers(source):
    return [source.randint(-1, 1) for _ in range(DIMENSIONS)]


def holders(path):
    """The other processes that have a file open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = [os.readlink(handle) for handle in (process / "fd").iterdir()]
        except OSError:
            continue
        if str(path) in links and int(process.name) != os.getpid():
            found.append(int(process.name))
    return found


class Local:
    """The shards in this process."""

    def shards(self, folder):
        return shards.Shards(folder)

    def close(self):
        pass


class Dask:
    """Two worker processes."""

    def __init__(self):
        from distributed import LocalCluster

        self.cluster = LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
        self.client = self.cluster.get_client()

    def shards(self, folder):
        from fafcas.dask import Shards

        return Shards(folder, self.client)

    def kill(self, holder):
        """The worker that has a file open."""
        os.kill(holder, signal.SIGKILL)

    def close(self):
        self.client.close()
        self.cluster.close()


class Spark:
    """Two executors, each in a process of its own; the workers of Python are their children."""

    def __init__(self):
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local-cluster[2,1,600]").appName("fafcas")
        settings = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.executor.memory": "600m",
                    "spark.ui.showConsoleProgress": "false"}
        for name, value in settings.items():
            builder = builder.config(name, value)
        self.session = builder.getOrCreate()
        self.session.sparkContext.setLogLevel("OFF")

    def shards(self, folder):
        from fafcas.spark import Shards

        return Shards(folder, self.session)

    def kill(self, holder):
        """The executor whose worker has a file open, and not this driver, whose child it also is."""
        while b"CoarseGrainedExecutorBackend" not in Path(f"/proc/{holder}/cmdline").read_bytes():
            holder = int(Path(f"/proc/{holder}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(holder, signal.SIGKILL)

    def close(self):
        import pyspark

        self.session.stop()
        # What such a cluster copies for its executors, it leaves in its package.
        shutil.rmtree(Path(pyspark.__file__).with_name("work"), ignore_errors=True)


class Case(unittest.TestCase):
    """A folder for the files of each test, and the union that shards are compared with."""

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory(dir=MEMORY)))
        self.random = random.Random(SEED)
        self.rows = {}

    def enterContext(self, context):  # of Python 3.11
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def database(self, rows, declared="id INTEGER PRIMARY KEY", suffix=""):
        """A database of so many rows, of which some have no vector."""
        path = self.folder / "notes.db"
        connection = apsw.Connection(str(path))
        connection.execute(f"CREATE TABLE notes({declared}, title TEXT NOT NULL, kind TEXT, v BLOB){suffix}")
        connection.execute("CREATE INDEX notes_kind ON notes(kind)")
        for n in self.random.sample(range(rows), rows):
            vector = numbers(self.random) if n % 11 else None
            self.rows[IDS[declared](n)] = [f"title {n}", "ab"[n % 2], vector]
        connection.executemany("INSERT INTO notes VALUES (?, ?, ?, ?)", map(self.written, self.rows))
        connection.close()
        return path

    def written(self, id):
        title, kind, vector = self.rows[id]
        return (id, title, kind, vector and fafcas.vector(vector))

    def split(self, rows, count, declared="id INTEGER PRIMARY KEY", suffix="", **options):
        database = self.database(rows, declared, suffix)
        folder = self.folder / "notes.shards"
        shards.split(database, folder, table="notes", column="v", shards=count, **options)
        return ENGINE.shards(folder)

    def shard(self, number):
        return self.folder / "notes.shards" / f"shard-{number:04}.db"

    def nearest(self, count, query, k, keep=lambda id: True):
        """The naive answer: ids and scores."""
        scored = [
            (-sum(x * y for x, y in zip(vector, query)), shards.shard_of(id, count), id)
            for id, (_, _, vector) in self.rows.items()
            if vector and keep(id)
        ]
        return [(id, -score) for score, _, id in sorted(scored)[:k]]

    def agree(self, found, count, query, k, **options):
        self.assertEqual([(hit.id, hit.score) for hit in found], self.nearest(count, query, k, **options))

    def no_search(self, notes, *expected):
        with self.assertRaises(ShardError) as caught:
            notes.search(numbers(self.random), 3)
        for part in expected:
            self.assertIn(part, str(caught.exception))


class Searching(Case):
    def test_the_hits_are_those_of_one_file_whatever_the_ids_are(self):
        for declared in IDS:
            for suffix in ("", " WITHOUT ROWID"):
                with self.subTest(declared + suffix):
                    self.setUp()
                    notes = self.split(300, 4, declared, suffix)
                    query = numbers(self.random)
                    for k in (1, 2, 7, 50, 300, 10_000):
                        self.agree(notes.search(query, k), 4, query, k)

    def test_ties_are_settled_by_shard_and_id_even_where_rowids_go_another_way(self):
        notes = self.split(0, 3, "id TEXT PRIMARY KEY NOT NULL")
        same = numbers(self.random)
        for id in map(str, self.random.sample(range(100), 100)):
            self.rows[id] = ["t", None, same]
        notes.add({"id": id, "title": "t", "v": same} for id in self.rows)
        for k in (1, 5, 33, 40, 99, 100):
            self.agree(notes.search(same, k), 3, same, k)

    def test_an_index_changes_nothing(self):
        notes = self.split(2000, 2)
        notes.build_indexes()
        for _ in range(5):
            query = numbers(self.random)
            self.agree(notes.search(query, 20), 2, query, 20)
            self.agree(notes.search(query, 20, options={"exact": True}), 2, query, 20)
        with apsw.Connection(str(self.shard(0))) as shard:
            self.assertEqual(shard.execute("SELECT count(*) FROM notes_vec_blocks WHERE id = 0").get, 1)

    def test_conditions_keep_the_answer_full(self):
        notes = self.split(300, 4)
        query = numbers(self.random)
        found = notes.search(query, 40, where="n.kind = :kind", parameters={"kind": "b"})
        self.agree(found, 4, query, 40, keep=lambda id: self.rows[id][1] == "b")
        found = notes.search(query, 40, where="n.id < 0 OR n.id > 1000")
        self.agree(found, 4, query, 40, keep=lambda id: id < 0 or id > 1000)
        self.assertEqual(notes.search(query, 10, where="n.kind = 'none'"), [])

    def test_columns_come_along(self):
        notes = self.split(50, 4)
        for hit in notes.search(numbers(self.random), 10, columns=["kind", "title", "id"]):
            title, kind, _ = self.rows[hit.id]
            self.assertEqual(hit.columns, {"kind": kind, "title": title, "id": hit.id})
            self.assertEqual(hit.shard, shards.shard_of(hit.id, 4))

    def test_many_queries_at_once_give_what_each_gives(self):
        notes = self.split(200, 4)
        queries = [numbers(self.random) for _ in range(5)]
        found = notes.search_many(queries, 7, columns=["title"])
        self.assertEqual(found, [notes.search(query, 7, columns=["title"]) for query in queries])
        self.assertEqual(notes.search_many([], 7), [])

    def test_queries_are_bytes_or_numbers_and_metrics_are_those_of_vec_topk(self):
        notes = self.split(200, 4)
        query = numbers(self.random)
        self.assertEqual(notes.search(fafcas.vector(query), 9), notes.search(tuple(query), 9))
        nearest = notes.search(query, 1, options={"metric": "l2"})[0]
        squares = {
            id: sum((x - y) ** 2 for x, y in zip(vector, query)) for id, (_, _, vector) in self.rows.items() if vector
        }
        self.assertAlmostEqual(nearest.score, -(min(squares.values()) ** 0.5), places=5)

    def test_empty_shards_and_an_empty_table(self):
        notes = self.split(3, 8)
        query = numbers(self.random)
        self.agree(notes.search(query, 5), 8, query, 5)
        notes.build_indexes()
        self.agree(notes.search(query, 5), 8, query, 5)
        self.setUp()
        self.assertEqual(self.split(0, 2).search(query, 5), [])

    def test_a_text_is_embedded_here_once(self):
        texts = ["the tide comes in", "bread rises in the oven", "a train leaves the station"]
        notes = self.split(0, 2, model=MODEL)
        vectors = [FAFCAS.execute("SELECT embed(?)", (text,)).get for text in texts]
        notes.add({"id": n, "title": text, "v": vectors[n]} for n, text in enumerate(texts))
        found = notes.search_many([texts[1], vectors[1], "loaf"], 1, columns=["title"])
        self.assertEqual(found[0], found[1])
        self.assertEqual([hits[0].columns["title"] for hits in found], [texts[1]] * 3)

    def test_bad_questions_are_refused(self):
        notes = self.split(20, 2)
        query = numbers(self.random)
        for expected, question in {
            "not -1": lambda: notes.search(query, -1),
            "not a text": lambda: notes.search("tides", 3),
            "finite": lambda: notes.search([float("nan")] * DIMENSIONS, 3),
            "not object": lambda: notes.search(object(), 3),
            "no option key": lambda: notes.search(query, 3, options={"key": "title"}),
            "not 'metrik'": lambda: notes.search(query, 3, options={"metrik": "l2"}),
            "nothing": lambda: notes.search(query, 3, columns=["nothing"]),
            "syntax": lambda: notes.search(query, 3, where="n.kind = = 1"),
            "query: expected 12 dimensions": lambda: notes.search([1, 2], 3),
        }.items():
            with self.subTest(expected), self.assertRaises(ShardError) as caught:
                question()
            self.assertIn(expected, str(caught.exception))


class Changing(Case):
    def test_rows_added_changed_and_deleted_are_found_as_in_one_file(self):
        notes = self.split(100, 3)
        for step in range(8):
            if step == 3:
                notes.build_indexes()
            batch = {self.random.randint(-200, 800): self.random.choice("abc") for _ in range(30)}
            for id, kind in batch.items():
                self.rows[id] = [f"step {step}", kind, numbers(self.random)]
            new = [dict(zip(("id", "title", "kind", "v"), (id, *self.rows[id]))) for id in batch]
            self.assertEqual(notes.add(new), len(new))
            gone = self.random.sample(sorted(self.rows), 10)
            for id in gone:
                del self.rows[id]
            notes.delete([*gone, 99_999])
            query = numbers(self.random)
            self.agree(notes.search(query, 25), 3, query, 25)
        stored = [hit.columns for hit in notes.search(query, 1000, columns=["title", "kind"])]
        self.assertEqual(sorted(row["title"] + row["kind"] for row in stored),
                         sorted(title + kind for title, kind, vector in self.rows.values() if vector))

    def test_columns_not_named_stay(self):
        notes = self.split(20, 2)
        vector = numbers(self.random)
        notes.add([{"id": -93, "title": "other", "v": vector}])
        self.rows[-93] = ["other", self.rows[-93][1], vector]
        found = notes.search(vector, 20, columns=["title", "kind"])
        self.assertEqual({hit.id: tuple(hit.columns.values()) for hit in found if hit.id == -93}, {-93: ("other", "b")})

    def test_no_rows_and_no_ids_change_nothing(self):
        notes = self.split(20, 2)
        self.assertEqual(notes.add([]), 0)
        notes.delete([])
        query = numbers(self.random)
        self.agree(notes.search(query, 20), 2, query, 20)

    def test_an_id_goes_by_what_its_column_makes_of_it(self):
        notes = self.split(50, 4)
        vector = numbers(self.random)
        notes.add([{"id": "250", "title": "250", "v": vector}, {"id": 250.0, "title": "again", "v": vector}])
        self.rows[250] = ["again", "b", vector]
        self.agree(notes.search(vector, 100), 4, vector, 100)
        notes.delete(["250"])
        del self.rows[250]
        self.agree(notes.search(vector, 100), 4, vector, 100)

    def test_bad_rows_are_refused_and_nothing_is_written(self):
        notes = self.split(20, 2)
        # Of both shards, so that in one of the two orders a shard without the bad row comes first.
        good = [{"id": 1000 + n, "title": "good", "v": numbers(self.random)} for n in range(8)]
        good = sorted(good, key=lambda row: shards.shard_of(row["id"], 2))
        for expected, bad in {
            "NOT NULL": {"id": 1001, "title": None, "v": None},
            "datatype mismatch": {"id": "x", "title": "t", "v": None},
            "48 bytes, not 8": {"id": 1001, "title": "t", "v": [1, 2]},
            "finite": {"id": 1001, "title": "t", "v": [float("inf")] * DIMENSIONS},
            "a vector": {"id": 1001, "title": "t", "v": "tides"},
            "columns id, title, v, not id, title": {"id": 1001, "title": "t"},
            "not None": {"id": None, "title": "t", "v": None},
        }.items():
            for rows in ([*good, bad], [*good[::-1], bad]):
                with self.subTest(expected), self.assertRaises(ShardError) as caught:
                    notes.add(rows)
                self.assertIn(expected, str(caught.exception))
        with self.assertRaises(ShardError):
            notes.add([{"title": "no id"}])
        query = numbers(self.random)
        self.agree(notes.search(query, 100), 2, query, 100)

    def test_a_shard_that_cannot_take_its_rows_is_an_error_and_the_call_can_be_repeated(self):
        notes = self.split(20, 2)
        away = self.shard(1).rename(self.folder / "away")
        rows = [{"id": id, "title": "t", "v": numbers(self.random)} for id in range(2000, 2010)]
        with self.assertRaises(ShardError) as caught:
            notes.add(rows)
        self.assertIn("shard 1", str(caught.exception))
        away.rename(self.shard(1))
        notes.add(rows)
        self.rows.update({row["id"]: [row["title"], None, row["v"]] for row in rows})
        query = numbers(self.random)
        self.agree(notes.search(query, 100), 2, query, 100)


class Losing(Case):
    """What is not whole is an error, never a part of the answer."""

    def test_a_missing_shard(self):
        notes = self.split(50, 4)
        self.shard(2).unlink()
        self.no_search(notes, "shard 2", "unable to open")

    def test_a_damaged_shard(self):
        notes = self.split(50, 4)
        whole = self.shard(2).read_bytes()
        for damaged in (b"", whole[: len(whole) // 2], b"not a database" * 1000):
            self.shard(2).write_bytes(damaged)
            self.no_search(notes, "shard 2")

    def test_a_shard_of_another_set_or_number(self):
        notes = self.split(50, 4)
        other = self.folder / "other.shards"
        shards.split(self.folder / "notes.db", other, table="notes", column="v", shards=4)
        kept = self.shard(2).read_bytes()
        shutil.copy(other / "shard-0002.db", self.shard(2))
        self.no_search(notes, "shard 2", "expected a shard of set")
        self.shard(2).write_bytes(kept)
        shutil.copy(self.shard(1), self.shard(2))
        self.no_search(notes, "shard 2", "not 1")

    def test_a_shard_older_than_the_rest(self):
        notes = self.split(50, 2)
        old = self.shard(0).read_bytes()
        notes.add({"id": id, "title": "t", "v": numbers(self.random)} for id in range(3000, 3010))
        self.shard(0).write_bytes(old)
        self.no_search(notes, "shard 0", "older than the rest")

    def test_a_shard_whose_last_writer_died(self):
        """The writer left a journal; a reader must not take the half-written rows for the shard's."""
        notes = self.split(50, 2)
        query = numbers(self.random)
        before = notes.search(query, 50)
        die = """
            import apsw, os, signal, sys
            shard = apsw.Connection(sys.argv[1])
            shard.execute("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN IMMEDIATE")
            shard.execute("UPDATE notes SET v = zeroblob(48), title = hex(randomblob(20000))")
            os.kill(os.getpid(), signal.SIGKILL)
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(die), self.shard(0)], check=False)
        self.assertTrue(Path(f"{self.shard(0)}-journal").stat().st_size > 0)
        self.no_search(notes, "shard 0", "last writer")
        notes.add([{"id": -100, "title": "any write brings it back"}])
        self.assertEqual(notes.search(query, 50), before)

    def test_a_folder_that_holds_no_shards(self):
        with self.assertRaisesRegex(ShardError, "set.db"):
            ENGINE.shards(self.folder)

    def test_shards_of_a_format_to_come(self):
        self.split(5, 2)
        with apsw.Connection(str(self.folder / "notes.shards" / "set.db")) as connection:
            connection.execute("UPDATE fafcas_set SET format = 2")
        with self.assertRaisesRegex(ShardError, "format 1 or older, not 2"):
            ENGINE.shards(self.folder / "notes.shards")

    def test_vectors_of_another_model(self):
        notes = self.split(5, 2, model=MODEL)
        with apsw.Connection(str(self.folder / "notes.shards" / "set.db")) as connection:
            connection.execute("UPDATE fafcas_set SET layout = json_set(layout, '$.fingerprint', 'of another')")
        with self.assertRaisesRegex(ShardError, "fingerprint of another"):
            notes.search("tides", 3)

    def test_workers_without_the_library(self):
        if not isinstance(ENGINE, Dask):
            self.skipTest("only Dask's workers bring the library themselves")
        notes = self.split(50, 4)

        def put(path):
            os.environ["FAFCAS_LIBRARY"] = path

        ENGINE.client.run(put, "/nowhere/fafcas.so")
        try:
            self.no_search(notes, "shard ", "/nowhere/fafcas.so could not be loaded")
        finally:
            ENGINE.client.run(put, os.environ["FAFCAS_LIBRARY"])

    def test_workers_with_libraries_of_different_age(self):
        notes = self.split(50, 2)
        whole = notes.run
        notes.run = lambda tasks: [found._replace(version=f"fafcas {n}") for n, found in enumerate(whole(tasks))]
        self.no_search(notes, "fafcas 0 and fafcas 1")


class Killing(Case):
    """A worker dies over its shard. It is held there by a lock that this process has on the file."""

    def test_a_worker_killed_while_it_searches_is_not_missed(self):
        if isinstance(ENGINE, Local):
            self.skipTest("there is no worker")
        notes = self.split(300, 4)
        query = numbers(self.random)
        lock = apsw.Connection(str(self.shard(1)))
        lock.execute("BEGIN EXCLUSIVE")
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(notes.search, query, 20)
            try:
                first = waited(lambda: holders(self.shard(1)), "a worker with shard 1")[0]
                ENGINE.kill(first)
                second = waited(lambda: [pid for pid in holders(self.shard(1)) if pid != first], "another worker")[0]
                self.assertNotEqual(first, second)
                self.assertFalse(answer.done())
            finally:
                lock.execute("ROLLBACK")
            self.agree(answer.result(LIMIT_S), 4, query, 20)


    def test_spark_uses_what_was_sent(self):
        if not isinstance(ENGINE, Spark):
            self.skipTest("only Spark's executors have nothing of their own")
        self.split(1, 1)

        def places(_):
            import fafcas
            from pyspark import SparkFiles

            return fafcas.__file__, os.environ["FAFCAS_LIBRARY"], SparkFiles.getRootDirectory()

        ENGINE.shards(self.folder / "notes.shards").search(numbers(self.random), 1)
        package, library, sent = ENGINE.session.sparkContext.parallelize([0], 1).map(places).collect()[0]
        self.assertTrue(package.startswith(sent), package)
        self.assertNotEqual(library, os.environ["FAFCAS_LIBRARY"])


class Splitting(Case):
    def test_the_shard_of_an_id_is_the_same_for_ever(self):
        ids = [0, 1, -1, 1 << 62, "", "1", "é", b"", b"1"]
        self.assertEqual([shards.shard_of(id, 1000) for id in ids], GOLDEN)
        for id in (None, 1.0):
            with self.assertRaises(ShardError):
                shards.shard_of(id, 4)

    def test_every_row_is_in_its_shard_and_in_no_other(self):
        self.split(500, 7)
        found = {}
        for number in range(7):
            with apsw.Connection(str(self.shard(number))) as shard:
                for row in shard.execute("SELECT id, title, kind, v FROM notes"):
                    self.assertEqual(shards.shard_of(row[0], 7), number)
                    self.assertEqual(row, self.written(row[0]))
                    found[row[0]] = number
                self.assertEqual(shard.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'notes_kind'").get, 1)
        self.assertEqual(found.keys(), self.rows.keys())
        self.assertTrue(all(list(found.values()).count(number) > 30 for number in range(7)))

    def test_odd_names_and_computed_columns(self):
        database = self.folder / "odd.db"
        with apsw.Connection(str(database)) as connection:
            connection.execute(
                """CREATE TABLE "a ""b, c"("the id" TEXT PRIMARY KEY, "v'1" BLOB, n AS (length("v'1")), m AS (n + 1) STORED);
                   INSERT INTO "a ""b, c" VALUES ('x', x'0000803f'), ('y', x'000080bf')"""
            )
        shards.split(database, self.folder / "odd.shards", table='a "b, c', column="v'1", shards=2)
        odd = ENGINE.shards(self.folder / "odd.shards")
        odd.build_indexes()
        odd.add([{"the id": "z", "v'1": [0.5]}])
        found = odd.search([1], 3, columns=["the id", "m"])
        self.assertEqual([(hit.id, hit.score, hit.columns["m"]) for hit in found], [("x", 1, 5), ("z", 0.5, 5), ("y", -1, 5)])

    def test_what_cannot_be_split_is_refused_and_leaves_nothing(self):
        database = self.database(5)
        with apsw.Connection(str(database)) as connection:
            connection.execute(
                """CREATE TABLE pairs(a, b, v, PRIMARY KEY (a, b)); CREATE TABLE bare(v);
                   CREATE TABLE nocase(id TEXT PRIMARY KEY COLLATE NOCASE, v); CREATE VIEW some AS SELECT * FROM notes;
                   CREATE VIRTUAL TABLE words USING fts5(v); CREATE TABLE empty_ids(id TEXT PRIMARY KEY, v);
                   INSERT INTO empty_ids VALUES (NULL, NULL); CREATE TABLE real_ids(id REAL PRIMARY KEY, v);
                   INSERT INTO real_ids VALUES (1, NULL)"""
            )
        before = sorted(self.folder.iterdir())
        for table, options, expected in [
            ("pairs", {}, "not of 2"), ("bare", {}, "not of 0"), ("nocase", {}, "NOCASE"), ("some", {}, "ordinary table"),
            ("words", {}, "ordinary table"), ("nothing", {}, "not nothing"), ("notes", {"column": "w"}, "not w"),
            ("notes", {"shards": 0}, "not 0"), ("notes", {"model": "none-such"}, "none-such"),
            ("empty_ids", {}, "not None"), ("real_ids", {}, "not 1.0"),
        ]:
            with self.subTest(expected), self.assertRaises(ShardError) as caught:
                shards.split(database, self.folder / "new", table=table, **{"column": "v", "shards": 2, **options})
            self.assertIn(expected, str(caught.exception))
        with self.assertRaises(ShardError):
            shards.split(self.folder / "no.db", self.folder / "new", table="notes", column="v", shards=2)
        self.assertEqual(sorted(self.folder.iterdir()), before)

    def test_nothing_is_overwritten(self):
        notes = self.split(50, 2)
        with self.assertRaisesRegex(ShardError, "not there yet"):
            shards.split(self.folder / "notes.db", self.folder / "notes.shards", table="notes", column="v", shards=2)
        query = numbers(self.random)
        self.agree(notes.search(query, 10), 2, query, 10)

    def test_a_split_that_is_killed_leaves_no_shards_that_look_whole(self):
        database = self.database(500)
        folder = self.folder / "notes.shards"
        for place in ("copied", "written"):
            code = f"""
                import os, signal, sys
                from fafcas.shards import _split
                def die(*_): os.kill(os.getpid(), signal.SIGKILL)
                if {place!r} == "written":
                    _split.Path.rename = die
                else:
                    calls = iter(range(250))
                    of = _split.shard_of
                    _split.shard_of = lambda id, shards: of(id, shards) if next(calls, None) is not None else die()
                _split.split({str(database)!r}, {str(folder)!r}, table="notes", column="v", shards=3)
            """
            died = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
            self.assertEqual(died.returncode, -signal.SIGKILL)
            self.assertFalse(folder.exists())
            self.assertTrue(list(self.folder.glob("notes.shards.partial-*")))
        shards.split(database, folder, table="notes", column="v", shards=3)
        query = numbers(self.random)
        self.agree(ENGINE.shards(folder).search(query, 10), 3, query, 10)


GOLDEN = [802, 486, 838, 906, 626, 707, 488, 668, 129]


# The library stays with the first SQLite it is loaded into, so that shards must be opened with this one too.
FAFCAS = apsw.Connection(":memory:")

if __name__ == "__main__":
    fafcas.load(FAFCAS)
    ENGINE = {"local": Local, "dask": Dask, "spark": Spark}[sys.argv.pop(1)]()
    print(f"FAFCAS_SEED={SEED}", flush=True)
    try:
        tests = unittest.main(exit=False)
    finally:
        ENGINE.close()
    sys.exit(not tests.result.wasSuccessful())
