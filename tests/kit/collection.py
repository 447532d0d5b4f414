"""A collection is a table: what is added is found, what others write is found too, and what is no row is refused whole."""

import json
import os
import sys
import unittest

import apsw
import numpy as np
from support import LIBRARY, Case

os.environ["FAFCAS_LIBRARY"] = LIBRARY
import fafcas  # noqa: E402

SEA, FOOD = "The moon pulls the sea.", "The dough rises."


def letters(texts):
    """An embedding that tests can foretell: how often a few letters occur."""
    return [[1.0] + [float(text.lower().count(letter)) for letter in "moseadgh"] for text in texts]


class Collections(Case):
    def collection(self, table="documents", **options):
        found = fafcas.open(self.path, table, **{"embed": letters, **options})
        self.addCleanup(found.close)
        return found

    def filled(self):
        found = self.collection()
        self.assertEqual([1, 2], found.add([SEA, FOOD], [{"kind": "sea", "depth": 3}, {"kind": "food"}]))
        return found

    def refused(self, wanted, call, *arguments, **named):
        with self.assertRaisesRegex(ValueError, wanted):
            call(*arguments, **named)

    def test_what_is_added_is_found_by_meaning_and_by_words(self):
        found = self.filled()
        best = found.search("the moon and the sea")[0]
        self.assertEqual((1, SEA, {"kind": "sea", "depth": 3}, "both"), (best.id, best.text, best.metadata, best.by))
        self.assertEqual([2], [hit.id for hit in found.search("dough", by="words")])
        self.assertEqual(["meaning"] * 2, [hit.by for hit in found.search("moon", by="meaning")])
        self.assertEqual(1, len(found.search("moon", 1)))
        self.assertAlmostEqual(1.0, found.search(vector=letters([SEA])[0])[0].score, 4)

    def test_conditions_on_columns_and_on_metadata(self):
        found = self.filled()
        for by in ("both", "meaning", "words"):
            hits = found.search("the moon the dough", 1, where="metadata ->> 'kind' = :kind -- that", params={"kind": "food"}, by=by)
            self.assertEqual([2], [hit.id for hit in hits], by)
        self.assertEqual([1], [item.id for item in found.get(where="metadata ->> 'depth' > :least", params={"least": 2})])
        self.refused("other names than k", found.search, "x", where=":k", params={"k": 1})

    def test_rows_are_replaced_and_deleted_and_read(self):
        found = self.filled()
        self.assertEqual([1, "new"], found.upsert(["Tea.", "Bread."], ids=[1, "new"]))
        self.assertEqual([("Tea.", None), (FOOD, {"kind": "food"}), ("Bread.", None)], [(item.text, item.metadata) for item in found.get()])
        self.assertEqual(["new"], [hit.id for hit in found.search("bread", by="words")])
        self.assertEqual([], found.search("moon", by="words"))
        self.assertEqual(2, found.delete([1, "new", "none"]))
        self.assertEqual((1, False, True), (len(found), 1 in found, 2 in found))
        self.assertEqual(1, found.delete(where="metadata ->> 'kind' = :kind", params={"kind": "food"}))
        self.sound(found)

    def test_numbers_come_by_themselves_beside_names_of_ones_own(self):
        found = self.collection()
        found.add(["a", "b"], ids=[7, "name"])
        self.assertEqual([8, 9], found.add(["c", "d"]))

    def test_it_is_a_table_that_any_sql_may_write(self):
        found = self.filled()
        found.optimize()
        other = apsw.Connection(str(self.path))
        other.execute("UPDATE documents SET text = 'Salt.' WHERE id = 1; DELETE FROM documents WHERE id = 2")
        self.assertEqual([1], [hit.id for hit in found.search("salt", by="words")])
        self.assertEqual([1], [hit.id for hit in found.search("salt")])
        self.assertEqual([hit.id for hit in found.search("salt")], [hit.id for hit in self.collection().search("salt")])
        self.sound(found)

    def sound(self, found):
        found.optimize()
        connection = found.connection
        connection.execute(f"INSERT INTO {found.table}_text ({found.table}_text, rank) VALUES ('integrity-check', 1)")
        connection.execute(f"INSERT INTO {found.table}_vec ({found.table}_vec) VALUES ('check')")
        connection.execute("VACUUM")
        connection.execute(f"INSERT INTO {found.table}_vec ({found.table}_vec) VALUES ('check')")

    def test_matrices_of_every_kind_are_stored_as_unit_vectors(self):
        floats = np.random.default_rng(1).standard_normal((500, 8))
        unit = (floats / np.linalg.norm(floats, axis=1, keepdims=True)).astype("f4")
        for at, matrix in enumerate((floats, floats.astype("f4"), unit, np.asfortranarray(floats), floats.astype(">f4"), floats.tolist())):
            found = self.collection(f"t{at}")
            self.assertEqual(list(range(1, 501)), found.add(vectors=matrix))
            stored = np.stack([item.vector for item in found.get(vectors=True)])
            np.testing.assert_allclose(stored, unit, atol=1e-6)
            self.assertEqual([7], [hit.id for hit in found.search(vector=unit[6], k=1)])
            self.assertEqual([], found.search("words", by="words"))
        self.assertTrue((np.stack([item.vector for item in self.collection("t2").get(vectors=True)]) == unit).all(), "bit by bit")

    def test_a_matrix_of_more_rows_than_one_statement_takes_is_written_in_order(self):
        found = self.collection()
        found.add(vectors=np.eye(3), ids=["a", "b", 7])
        rows = np.random.default_rng(2).standard_normal((601, 3)).astype("f4")
        self.assertEqual(list(range(8, 609)), found.add(vectors=rows))
        stored = found.get(where="id >= 8 AND id < ''", vectors=True)
        self.assertEqual(list(range(8, 609)), [item.id for item in stored])
        ((one,),) = found.connection.execute("SELECT fafcas_normalize(?)", (fafcas.vector(rows[600]),))
        self.assertEqual(one, stored[600].vector.tobytes())
        np.testing.assert_allclose(np.stack([item.vector for item in stored]), rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-6)

    def test_any_text_is_a_safe_question(self):
        found = self.filled()
        for by in ("both", "words"):
            text = "\0\"dough* ( \t-NEAR(" + "a \"b ☃ " * 12_000
            self.assertEqual([2], [hit.id for hit in found.search(text, by=by, where="text LIKE '%dough%'")], by)

    def test_misspelt_words_are_found_where_the_table_has_trigrams(self):
        found = self.collection()
        found.add([FOOD, *(f"Other things, {at}." for at in range(6))])

        def both():
            return [hit.id for hit in found.search("doughz", vector=letters(["x"])[0]) if hit.by == "both"]

        self.assertEqual([], both())
        found.connection.execute("CREATE VIRTUAL TABLE pieces USING fts5 (text, content = 'documents', content_rowid = 'seq', tokenize = 'trigram')")
        found.connection.execute("INSERT INTO pieces (pieces) VALUES ('rebuild')")
        self.assertEqual([1], both())

    def test_vectors_and_texts_together_and_texts_after_vectors(self):
        found = self.collection()
        found.add(vectors=np.eye(9))
        found.add([SEA], vectors=[letters([SEA])[0]])
        self.assertEqual([10], [hit.id for hit in found.search("moon", by="words")])
        self.sound(found)

    def test_what_is_no_row_is_refused_and_nothing_is_written(self):
        found = self.filled()
        before = found.get(vectors=True)
        self.refused("expected 1 ids, not 2", found.add, ["x"], ids=[1, 2])
        self.refused("expected 1 metadata, not 0", found.add, ["x"], [])
        self.refused("there already .*see upsert", found.add, ["x", "y"], ids=[3, 1])
        self.refused("expected texts or vectors", found.add, ids=[1])
        self.refused("expected ids, not none", found.upsert, ["x"])
        self.refused("vectors of 9 numbers, as documents has, not 3", found.add, vectors=np.ones((2, 3)))
        self.refused("one length, not of 1, 2", found.add, vectors=[[1.0], [1.0, 2.0]])
        self.refused(r"not one of float64 and shape \(3,\)", found.add, vectors=np.ones(3))
        self.refused("not one of <U1", found.add, vectors=np.array([["a"]]))
        self.refused("not numbers alone", found.add, vectors=[1.0, 2.0])
        self.refused("ids or where", found.delete)
        self.refused("question or a vector", found.search)
        self.refused("both, meaning or words, not nearest", found.search, "x", by="nearest")
        self.refused("expected 2 vectors from embed, not 1", self.collection(embed=lambda texts: [[1.0] * 9]).add, ["a", "b"])
        with self.assertRaisesRegex(apsw.Error, "NaN"):
            found.add(vectors=np.full((1, 9), np.nan))
        with self.assertRaises(TypeError):
            found.add(["x"], [{"set": {1}}])
        self.assertEqual([item[:3] for item in before], [item[:3] for item in found.get()])
        self.assertEqual([], found.add([]))

    def test_calls_are_a_part_of_the_callers_transaction(self):
        found = self.filled()
        found.connection.execute("BEGIN")
        found.add(["x"])
        found.delete([1])
        found.connection.execute("ROLLBACK")
        self.assertEqual([1, 2], [item.id for item in found.get()])

    def test_a_table_that_is_there_is_adopted_and_keeps_what_it_has(self):
        connection = apsw.Connection(str(self.path))
        connection.execute("""
            CREATE TABLE "my articles" (nr INTEGER PRIMARY KEY, body TEXT, kind TEXT DEFAULT 'none');
            INSERT INTO "my articles" VALUES (5, 'The moon.', 'sea'), (7, NULL, 'food')""")
        self.refused("expected columns id, text, metadata in my articles, which has nr", self.collection, "my articles")
        columns = fafcas.Columns(id="nr", text="body", metadata=None)
        self.refused("expected columns texts", self.collection, "my articles", columns=fafcas.Columns(id="nr", text="texts", metadata=None))
        found = self.collection("my articles", columns=columns)
        self.assertEqual([5], [hit.id for hit in found.search("moon", by="words")])
        self.assertEqual([8], found.add([SEA]))
        found.upsert([FOOD], ids=[7])
        self.assertEqual([(5, "sea"), (7, "food"), (8, "none")], connection.execute("SELECT nr, kind FROM \"my articles\"").fetchall())
        self.assertEqual([8], [hit.id for hit in found.search(SEA, 1, by="meaning", where="kind = 'none'")])
        self.refused("no column for it", found.add, ["x"], [{}])
        # Opened again, it is as it was.
        before = connection.execute("SELECT sql FROM sqlite_schema").fetchall()
        self.collection("my articles", columns=columns)
        self.assertEqual(before, connection.execute("SELECT sql FROM sqlite_schema").fetchall())

    def test_the_librarys_own_embedding(self):
        found = self.collection(embed=None, model="tiny")
        found.add([SEA, "", None, FOOD])
        self.assertEqual([True, False, False, True], [item.vector is not None for item in found.get(vectors=True)])
        ((one,),) = found.connection.execute("SELECT embed(?, 'tiny')", (FOOD,))
        self.assertEqual(one, found.get([4], vectors=True)[0].vector.tobytes())
        self.assertEqual([], found.connection.execute("SELECT name FROM sqlite_temp_schema").fetchall())
        self.assertTrue(found.search("moon"))

    def test_a_connection_of_ones_own(self):
        connection = apsw.Connection(":memory:")
        found = fafcas.Collection(connection, embed=letters)
        found.add([SEA])
        self.assertEqual("<fafcas.Collection documents: 1 rows>", repr(found))

    def test_import_takes_in_no_module_of_the_command(self):
        import subprocess

        program = "import fafcas, sys; print([name for name in ('apsw', 'click', 'yaml', 'numpy', 'pandas') if name in sys.modules])"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.assertEqual("[]\n", subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True).stdout)

    def test_metadata_stays_json(self):
        found = self.filled()
        rows = found.connection.execute("SELECT metadata FROM documents ORDER BY seq").fetchall()
        self.assertEqual([{"kind": "sea", "depth": 3}, {"kind": "food"}], [json.loads(row) for (row,) in rows])


if __name__ == "__main__":
    unittest.main()
