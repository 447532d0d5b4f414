"""The embeddings of `llm`, searched as they are stored, against llm's own search; and its command with the plugin."""

import json
import subprocess

import fafcas.llm
import llm
import numpy as np
import pytest
import sqlite_utils

TEXTS = ["The moon pulls the sea.", "The dough rises.", "Sails and masts.", "Bread and butter.", "100% of _it"]


class Numbers(llm.EmbeddingModel):
    """Vectors of no unit length, as servers give them."""

    model_id = "numbers"

    def __init__(self, length):
        self.length, self.model_id = length, f"numbers-{length}"

    def embed_batch(self, items):
        for item in items:
            yield (np.random.default_rng(len(item)).standard_normal(self.length) * 3).tolist()


@pytest.fixture()
def path(tmp_path):
    """Two collections whose vectors have other lengths."""
    path = tmp_path / "embeddings.db"
    database = sqlite_utils.Database(path)
    for length, name in ((5, "five"), (10, "ten")):
        collection = llm.Collection(name, database, model=Numbers(length))
        collection.embed_multi_with_metadata(
            [(f"{name[0]}{'_%'[at % 2]}{at}", text, {"at": at} if at % 2 else None) for at, text in enumerate(TEXTS)], store=True
        )
    database.close()
    return path


@pytest.mark.parametrize(("name", "length"), [("five", 5), ("ten", 10)])
def test_the_rows_of_llm_similar(path, name, length):
    before = path.read_bytes()
    collection = llm.Collection(name, sqlite_utils.Database(path), model=Numbers(length))
    vector = collection.model().embed("a question")
    first = f"{name[0]}_0"
    for ours, own in (
        (fafcas.llm.similar(path, name, vector=vector), collection.similar_by_vector(vector)),
        (fafcas.llm.similar(path, name, vector=vector, number=2), collection.similar_by_vector(vector, 2)),
        (fafcas.llm.similar(path, name, vector=vector, prefix=first), collection.similar_by_vector(vector, prefix=first)),
        (fafcas.llm.similar(path, name, id=first), collection.similar_by_id(first)),
    ):
        assert [(item["id"], item["content"], item["metadata"]) for item in ours] == [(item.id, item.content, item.metadata) for item in own]
        np.testing.assert_allclose([item["score"] for item in ours], [item.score for item in own], atol=1e-6)
    assert path.read_bytes() == before, "the file was written to"


def test_any_sql_reads_them_too(path):
    """Its table needs no conversion: here an index on it, where all collections have one model."""
    database = sqlite_utils.Database(path)
    database.execute("DELETE FROM embeddings WHERE collection_id = 2")
    database.conn.commit()
    fafcas.load(database.conn)
    database.execute("CREATE VIRTUAL TABLE embeddings_vec USING vec_index(embeddings, embedding)")
    sql = "SELECT e.id FROM vec_topk('embeddings', 'embedding', ?, 2, '{\"metric\": \"cosine\"}') AS t JOIN embeddings AS e ON e.rowid = t.rowid"
    own = llm.Collection("five", database, model=Numbers(5)).similar_by_vector([1, 2, 3, 4, 5], 2)
    assert [id for (id,) in database.execute(sql, [fafcas.vector([1, 2, 3, 4, 5])])] == [item.id for item in own]


def test_what_is_not_there(path):
    for wanted, call in (
        ("a collection out of five, ten, not six", {"collection": "six", "vector": [1.0]}),
        ("the id of an item of five, not x", {"collection": "five", "id": "x"}),
        ("query: expected (5|10) dimensions", {"collection": "five", "vector": [1.0]}),
    ):
        with pytest.raises(Exception, match=wanted):
            fafcas.llm.similar(path, **call)
    with pytest.raises(ValueError, match="which is not there"):
        fafcas.llm.similar(path.with_name("none.db"), "five", vector=[1.0])


def test_the_plugin(tmp_path, installed):
    def command(*arguments):
        return subprocess.run(["llm", *map(str, arguments)], env=installed, capture_output=True, text=True)

    notes = tmp_path / "notes"
    notes.mkdir()
    for at, text in enumerate(TEXTS):
        (notes / f"{at}.txt").write_text(text)
    assert "fafcas/all-MiniLM-L6-v2 (aliases: fafcas)" in command("embed-models").stdout
    made = command("embed-multi", "notes", "--files", notes, "*.txt", "-m", "fafcas", "--store")
    assert made.returncode == 0, made.stderr
    asked = "-c", "why are there tides", "-n", "2"
    ours, own = command("fafcas", "notes", *asked), command("similar", "notes", *asked)
    assert ours.returncode == 0, ours.stderr
    ours, own = ([json.loads(line) for line in told.stdout.splitlines()] for told in (ours, own))
    assert [item["content"] for item in ours] == [item["content"] for item in own] and ours[0]["content"] == TEXTS[0]
    failed = command("fafcas", "others", "-c", "x")
    assert failed.returncode == 1 and "expected a collection out of notes, not others" in failed.stderr, failed
