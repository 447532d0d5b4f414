"""The four ways to search a task's texts, in a knowledge base of the kit: by vectors, by words, by both with ranks, by both as
sql/queries/hybrid.sql does it today."""

from pathlib import Path

import apsw
from apsw.ext import query_info

from metrics import DEPTH
from vectors import load

SQL = Path(__file__).parents[2] / "sql"

# How many of each list reciprocal ranks are made of, and their constant.
LIST, CONSTANT = 100, 60

NEAREST = "SELECT rowid, score FROM vec_topk('nodes', 'embedding', ?, ?)"

WORDS = "SELECT rowid, -rank FROM nodes_text WHERE nodes_text MATCH ? ORDER BY rank, rowid LIMIT ?"

INSERT = """
    INSERT INTO nodes (id, title, content, embedding, model)
    VALUES (?, ?, ?, ?, (SELECT value FROM kit WHERE key = 'model'))"""


class Searches:
    def __init__(self, library, model, documents, vectors):
        self.connection = apsw.Connection(":memory:")
        load(self.connection, library)
        self.connection.execute(script("schema.sql"))
        # No node is there to embed: this writes down which model the vectors are of.
        self.connection.execute(script("queries/reembed.sql"), {"model": model, "batch": 1}).fetchall()
        rows = [(one.id, one.title, one.text, vector) for one, vector in zip(documents, vectors, strict=True)]
        with self.connection:
            self.connection.executemany(INSERT, rows)
        assert self.connection.execute("SELECT count(*) FROM stale").get == 0
        self.ids = [one.id for one in documents]
        self.hybrid_sql = script("queries/hybrid.sql")
        names = [name for name, _ in query_info(self.connection, self.hybrid_sql).description]
        self.id, self.score = names.index("id"), names.index("score")

    def ask(self, text, vector):
        """Ids and scores that each way finds, best first."""
        nearest = self.connection.execute(NEAREST, (vector, LIST)).fetchall()
        found = self.connection.execute(WORDS, (expression(text), LIST)).fetchall()
        ways = {"vectors": nearest, "words": found, "RRF": fused(nearest, found)}
        answers = {way: [(self.ids[seq - 1], score) for seq, score in rows[:DEPTH]] for way, rows in ways.items()}
        return answers | {"hybrid": self.hybrid(text, vector)}

    def hybrid(self, text, vector):
        rows = self.connection.execute(self.hybrid_sql, {"query": vector, "words": text, "k": DEPTH})
        return [(row[self.id], row[self.score]) for row in rows]


def script(name):
    return (SQL / name).read_text(encoding="utf-8")


def expression(text):
    """Any of the words, each quoted."""
    return " OR ".join(f'"{word}"' for word in text.replace('"', " ").split()) or '""'


def fused(*lists):
    """By reciprocal ranks, all lists weighing the same; of two that are level, the one that was written first."""
    scores = {}
    for rows in lists:
        for rank, (row, _) in enumerate(rows, 1):
            scores[row] = scores.get(row, 0) + 1 / (CONSTANT + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
