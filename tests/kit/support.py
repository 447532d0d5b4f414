"""What the tests of the kit share: a database to write to, and all that is in one."""

import os
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "python"))

import apsw  # noqa: E402
from fafcas.kit import database  # noqa: E402

LIBRARY = os.environ["LIBRARY"]
MODEL = "tiny"

# Everything that two databases with the same notes have in common: not when, and not the index's random tokens.
CONTENT = {
    "kit": "SELECT key, value FROM kit ORDER BY 1",
    "models": "SELECT * FROM models ORDER BY 1",
    "nodes": "SELECT * FROM nodes ORDER BY seq",
    "edges": "SELECT * FROM edges ORDER BY 1, 2, 3",
    "history": "SELECT seq, event, id, target, type, was FROM history ORDER BY seq",
    "documents": "SELECT * FROM documents ORDER BY 1",
    "links": "SELECT * FROM links ORDER BY 1, 2",
    "words": "SELECT rowid FROM nodes_text WHERE nodes_text MATCH 'sea OR moon OR tide' ORDER BY 1",
    "index": "SELECT property, value FROM nodes_vec WHERE property IN ('rows', 'pending', 'state') ORDER BY 1",
    "schema": "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'nodes_vec%' AND name NOT LIKE 'sqlite_stat%' ORDER BY 1, 2",
}


class Case(unittest.TestCase):
    """A folder for files that goes with the test."""

    maxDiff = 2000

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.notes = self.folder / "notes"
        self.path = self.folder / "knowledge.db"

    def write(self, path, text):
        file = self.notes / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())

    def opened(self, path=None):
        connection = apsw.Connection(str(path or self.path))
        database.load(connection, LIBRARY)
        self.addCleanup(connection.close)
        return connection

    def content(self, path=None):
        connection = self.opened(path)
        found = {name: connection.execute(sql).fetchall() for name, sql in CONTENT.items()}
        for table in ("nodes_text", "nodes_fuzzy"):
            connection.execute(f"INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 1)")
        connection.execute("INSERT INTO nodes_vec (nodes_vec) VALUES ('check')")
        self.assertEqual([], connection.execute("PRAGMA foreign_key_check").fetchall())
        return found

    def rows(self, sql, *values):
        return self.opened().execute(sql, values).fetchall()
