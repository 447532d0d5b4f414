"""sqld: one primary and two replicas that search.

    sqld.py SQLD LIBRARY

SQLD is the server's program. `embed` needs FAFCAS_MODEL_DIR.
"""

import base64
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from nodes import LIMIT_S, PAGE, Process, Refused, asked, commands, waited

SQLD, LIBRARY = (str(Path(path).resolve()) for path in sys.argv[1:3])
TEXTS = ["the tide comes in", "bread rises in the oven", "a train leaves the station", "rain falls on the roof"]
SEARCH = """SELECT n.id, n.body, t.score FROM vec_topk('notes', 'embedding', embed(?), 3) AS t
            JOIN notes AS n ON n.id = t.rowid ORDER BY t.score DESC"""
# All that a node stores, so that nodes can be compared byte by byte.
ROWS = "SELECT id, body, embedding FROM notes ORDER BY id"


class Node(Process):
    def __init__(self, folder, command):
        super().__init__(folder, command[command.index("-d") + 1], [SQLD, *command[1:]])
        self.url = "http://" + self.argument("--http-listen-addr")

    def sql(self, statement, *values, limit=LIMIT_S):
        """The rows of a statement; the server's error is raised as `Refused`."""
        arguments = [{"type": "text", "value": value} for value in values]
        requests = [{"type": "execute", "stmt": {"sql": statement, "args": arguments}}, {"type": "close"}]
        result = asked(f"{self.url}/v2/pipeline", {"requests": requests}, limit)["results"][0]
        if result["type"] != "ok":
            raise Refused(result["error"]["message"])
        return [[_value(cell) for cell in row] for row in result["response"]["result"]["rows"]]

    def ready(self):
        if self.ended():
            raise AssertionError(self.said())
        return self.sql("SELECT vec_version()")

    def lost_its_copy(self):
        return "error resetting namespace" in self.said()


def _value(cell):
    if cell["type"] == "blob":
        return base64.b64decode(cell["base64"] + "=" * (-len(cell["base64"]) % 4))
    return int(cell["value"]) if cell["type"] == "integer" else cell.get("value")


class Sqld(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        shutil.copy(LIBRARY, self.folder / "libfafcas.so")
        trust = next(line for line in PAGE.read_text(encoding="utf-8").splitlines() if "trusted.lst" in line)
        subprocess.run(["sh", "-c", trust], cwd=self.folder, check=True)
        self.commands = commands("sqld")

    def node(self, number):
        node = Node(self.folder, self.commands[number])
        self.addCleanup(node.kill)
        return node

    def ready_node(self, number):
        node = self.node(number)
        waited(node.ready, node.name)
        return node

    def caught_up(self, replicas, primary):
        rows = primary.sql(ROWS)
        for replica in replicas:
            waited(lambda node=replica: node.sql(ROWS) == rows, "a replica's rows")
        return rows

    def back_with_the_primary(self, replicas, primary):
        """Waits until replicas have the rows of a primary that was killed and is back. Its log is a new one then, and each
        replica throws its copy away and takes all anew. If it is read at that moment, sqld may fail half-way; such a replica
        knows no database until it is started again, as the page says.
        """
        rows = primary.sql(ROWS)
        for replica in replicas:
            waited(lambda node=replica: node.lost_its_copy() or node.sql(ROWS) == rows, "the rows of the primary that is back")
            if replica.lost_its_copy():
                print(f"{replica.name} lost its copy, and is started again", file=sys.stderr)
                replica.kill()
                replica.start()
        return self.caught_up(replicas, primary)

    def test_replicas_search_and_go_on_without_the_primary(self):
        nodes = [self.ready_node(number) for number in range(3)]
        primary, *replicas = nodes

        # The same library and the same model everywhere.
        for same in ("SELECT fafcas_info()", "SELECT name, fingerprint FROM fafcas_models"):
            answers = [node.sql(same) for node in nodes]
            self.assertEqual(answers, [answers[0]] * 3)

        # What embed() writes on the primary is copied as it is, even where a replica takes the write and passes it on.
        primary.sql("CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, embedding BLOB)")
        waited(lambda: replicas[0].sql(ROWS) == [], "the table on a replica")
        for text in TEXTS[:3]:
            primary.sql("INSERT INTO notes(body, embedding) VALUES (?1, embed(?1))", text)
        replicas[0].sql("INSERT INTO notes(body, embedding) VALUES (?1, embed(?1))", TEXTS[3])
        rows = self.caught_up(replicas, primary)
        self.assertEqual([(body, len(blob)) for _, body, blob in rows], [(text, 1536) for text in TEXTS])

        question = "waves on the beach"
        found = primary.sql(SEARCH, question)
        self.assertEqual(found[0][1], TEXTS[0])
        for replica in replicas:
            self.assertEqual(replica.sql(SEARCH, question), found)

        # An index made on the primary serves on replicas.
        primary.sql("CREATE VIRTUAL TABLE notes_vec USING vec_index(notes, embedding)")
        for replica in replicas:
            waited(lambda node=replica: node.sql("SELECT count(*) FROM notes_vec_blocks") != [[0]], "the index on a replica")
            self.assertEqual(replica.sql(SEARCH, question), found)

        # A replica is lost, rows are written, and it comes back with them.
        replicas[1].kill()
        primary.sql("INSERT INTO notes(body, embedding) VALUES (?1, embed(?1))", "surf under the cliffs")
        replicas[1].start()
        self.caught_up(replicas, primary)
        found = primary.sql(SEARCH, question)
        self.assertIn("surf under the cliffs", [row[1] for row in found])
        # The one that was lost has to load the model again. Done now, all that the searches below wait for is the primary.
        for replica in replicas:
            self.assertEqual(replica.sql(SEARCH, question), found)

        # Without the primary the replicas answer, and take no writes.
        primary.kill()
        for replica in replicas:
            self.assertEqual(replica.sql(SEARCH, question), found)
        with self.assertRaises((Refused, OSError)):
            replicas[0].sql("INSERT INTO notes(body) VALUES ('lost')", limit=2)
        for replica in replicas:
            self.assertEqual(replica.sql(SEARCH, question), found)

        # It comes back with all it had.
        primary.start()
        waited(primary.ready, "the primary")
        self.assertEqual(primary.sql(SEARCH, question), found)
        primary.sql("INSERT INTO notes(body, embedding) VALUES (?1, embed(?1))", "gulls over the harbour")
        rows = self.back_with_the_primary(replicas, primary)
        self.assertEqual(len(rows), 6)

    def test_a_library_that_is_not_the_trusted_one_is_refused(self):
        (self.folder / "ext" / "trusted.lst").write_text(f"{'0' * 64}  fafcas.so\n")
        node = self.node(0)
        waited(node.ended, "the refusal")
        self.assertIn("sha256", node.said())

    def test_a_replica_without_the_library_says_so(self):
        primary = self.ready_node(0)
        primary.sql("CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, embedding BLOB)")
        shutil.rmtree(self.folder / "ext")
        (self.folder / "ext").mkdir()
        (self.folder / "ext" / "trusted.lst").write_text("")
        bare = self.node(1)
        waited(lambda: bare.sql(ROWS) == [], "the table on the replica")
        primary.sql("INSERT INTO notes(body, embedding) VALUES (?1, embed(?1))", TEXTS[0])
        self.caught_up([bare], primary)
        primary.kill()

        # Until it has noticed that, it may ask the primary to answer.
        def refused():
            try:
                return bare.sql("SELECT vec_version()") == []
            except Refused as error:
                return "no such function" in str(error)

        waited(refused, "the replica's refusal")
        self.assertEqual(len(bare.sql(ROWS)), 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
