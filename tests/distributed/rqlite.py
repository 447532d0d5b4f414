"""rqlite: three nodes that search, and that go on when the leader is lost.

    rqlite.py RQLITED LIBRARY

RQLITED is the server's program, 8.36.4 or newer. `embed` needs FAFCAS_MODEL_DIR.
"""

import base64
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from nodes import Process, Refused, asked, commands, waited

RQLITED, LIBRARY = sys.argv[1:3]
# Older ones forget the library when they restore a snapshot.
OLDEST = (8, 36, 4)
TEXTS = ["the tide comes in", "bread rises in the oven", "a train leaves the station", "rain falls on the roof"]
SEARCH = """SELECT n.id, n.body, t.score FROM vec_topk('notes', 'embedding', ?, 3) AS t
            JOIN notes AS n ON n.id = t.rowid ORDER BY t.score DESC"""
ROWS = "SELECT id, body, hex(embedding) FROM notes ORDER BY id"


class Node(Process):
    def __init__(self, folder, command):
        super().__init__(folder, command[command.index("-node-id") + 1], [RQLITED, *command[1:]])
        self.url = "http://" + self.argument("-http-addr")

    def query(self, statement, *values, level="none"):
        """The rows of a statement: of this node as it is, or at another level of consistency."""
        return self._result(f"/db/query?level={level}", statement, values).get("values", [])

    def execute(self, statement, *values):
        return self._result("/db/execute", statement, values)

    def _result(self, path, statement, values):
        # A BLOB is written as an array of its bytes.
        given = [list(value) if isinstance(value, bytes) else value for value in values]
        result = asked(self.url + path, [[statement, *given]])["results"][0]
        if "error" in result:
            raise Refused(result["error"])
        return result

    def ready(self):
        if self.ended():
            raise AssertionError(self.said())
        return self.query("SELECT vec_version()", level="weak")

    def leader(self):
        """The name of the node that leads, as far as this one knows."""
        nodes = asked(f"{self.url}/nodes")
        return next((name for name, node in nodes.items() if node.get("leader")), None)


class Rqlite(unittest.TestCase):
    def test_nodes_search_and_go_on_without_the_leader(self):
        said = subprocess.run([RQLITED, "-version"], capture_output=True, text=True, check=True).stdout
        version = tuple(map(int, re.search(r"v?(\d+)\.(\d+)\.(\d+)", said).groups()))
        if version < OLDEST:
            self.skipTest(f"expected rqlited {'.'.join(map(str, OLDEST))} or newer, not {said.strip()}")
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        nodes = self.nodes(Path(scratch.name))

        for same in ("SELECT fafcas_info()", "SELECT name, fingerprint FROM fafcas_models"):
            answers = [node.query(same) for node in nodes]
            self.assertEqual(answers, [answers[0]] * 3)

        # Every node runs every write itself. So one node embeds, and the write has the vector.
        nodes[1].execute("CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, embedding BLOB)")
        nodes[0].execute("CREATE VIRTUAL TABLE notes_vec USING vec_index(notes, embedding)")
        for text in TEXTS:
            nodes[1].execute("INSERT INTO notes(body, embedding) VALUES (?, ?)", text, self.embedded(nodes[2], text))
        self.caught_up(nodes, len(TEXTS))

        question = self.embedded(nodes[0], "waves on the beach")
        found = nodes[0].query(SEARCH, question)
        self.assertEqual(found[0][1], TEXTS[0])
        for node in nodes:
            for level in ("none", "weak", "strong"):
                self.assertEqual(node.query(SEARCH, question, level=level), found)

        # The leader is lost: the others answer at once, and take writes when they have a new one.
        name = waited(nodes[0].leader, "a leader")
        lost = next(node for node in nodes if node.name == name)
        left = [node for node in nodes if node is not lost]
        lost.kill()
        for node in left:
            self.assertEqual(node.query(SEARCH, question), found)
        text = "surf under the cliffs"
        vector = self.embedded(left[0], text)
        insert = "INSERT INTO notes(id, body, embedding) VALUES (5, ?, ?) ON CONFLICT DO NOTHING"
        waited(lambda: left[0].execute(insert, text, vector), "a write under the new leader")
        self.caught_up(left, 5)

        lost.start()
        waited(lost.ready, "the node that was lost")
        self.caught_up(nodes, 5)
        answers = [node.query(SEARCH, question) for node in nodes]
        self.assertEqual(answers, [answers[0]] * 3)
        self.assertIn(text, [row[1] for row in answers[0]])

    def nodes(self, folder):
        shutil.copy(LIBRARY, folder / "libfafcas.so")
        nodes = []
        for command in commands("rqlited"):
            nodes.append(Node(folder, command))
            self.addCleanup(nodes[-1].kill)
            waited(nodes[-1].ready, f"node {nodes[-1].name}")
        return nodes

    def embedded(self, node, text):
        return base64.b64decode(node.query("SELECT embed(?)", text)[0][0])

    def caught_up(self, nodes, count):
        for node in nodes:
            waited(lambda node=node: len(node.query(ROWS)) == count, f"{count} rows on node {node.name}")
        rows = [node.query(ROWS) for node in nodes]
        self.assertEqual(rows, [rows[0]] * len(nodes))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
