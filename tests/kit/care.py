"""A knowledge base is made, brought up to date and looked after; what cannot be done is said, and nothing is half done."""

import os
import subprocess
import sys
import unittest
from pathlib import Path

import apsw
from support import LIBRARY, ROOT, Case
from fafcas.kit import database
from fafcas.kit.health import health
from fafcas.kit.migrate import migrate

SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2"
NOBODY = 65534


class Care(Case):
    def at_version(self, version, path=None):
        """A knowledge base of an older version, with something in it."""
        connection = apsw.Connection(str(path or self.path))
        connection.execute("PRAGMA foreign_keys = ON")
        for at in range(1, version + 1):
            connection.execute(database.script(f"migrations/{at}.sql")).fetchall()
        connection.execute("""
            INSERT INTO models (seq, name, fingerprint, dimensions) VALUES (3, 'drawn', 'none', 1);
            INSERT INTO nodes (id, title, content, embedding) VALUES ('a', 'Études', 'For [the piano](../strings.md).', x'0000803f'), ('b', 'Bread', NULL, NULL);
            INSERT INTO edges (source, target) VALUES ('a', 'b');
            UPDATE nodes SET title = 'Rye bread' WHERE id = 'b';
            UPDATE nodes SET model = 3 WHERE id = 'b'""")
        connection.close()

    def refused(self, wanted, path=None):
        with self.assertRaisesRegex(database.Refused, wanted):
            database.open_or_make(path or self.path, LIBRARY)

    def test_every_older_version_becomes_the_newest(self):
        fresh, _ = database.open_or_make(self.folder / "fresh.db", LIBRARY)
        for version in range(1, database.VERSION + 1):
            path = self.folder / f"{version}.db"
            self.at_version(version, path)
            nodes = self.opened(path).execute("SELECT * FROM nodes").fetchall()
            before, copy = migrate(path)
            self.assertEqual(version, before)
            self.assertEqual(version == database.VERSION, copy is None)
            connection, _ = database.open_or_make(path, LIBRARY)
            self.assertEqual(fresh.execute(SCHEMA).fetchall(), connection.execute(SCHEMA).fetchall())
            self.assertEqual(nodes, connection.execute("SELECT * FROM nodes").fetchall())
            self.assertEqual([(3, "drawn", "none", 1, None)], connection.execute("SELECT * FROM models").fetchall())
            self.assertEqual([], connection.execute("PRAGMA foreign_key_check").fetchall())
            self.assertEqual([(2,)], connection.execute("SELECT rowid FROM nodes_fuzzy WHERE nodes_fuzzy MATCH 'bre'").fetchall())
            self.assertEqual([(1,)], connection.execute("SELECT rowid FROM nodes_text WHERE nodes_text MATCH 'etude'").fetchall())
            self.assertEqual([], connection.execute("SELECT rowid FROM nodes_text WHERE nodes_text MATCH 'strings'").fetchall())
            connection.execute("DELETE FROM nodes WHERE id = 'a'")
            self.assertEqual([(0,)], connection.execute("SELECT count(*) FROM edges").fetchall())
            events = connection.execute("SELECT event, id, was ->> 'content' FROM history WHERE event = 'delete' AND target IS NULL")
            self.assertEqual([("delete", "a", "For [the piano](../strings.md).")], events.fetchall())
            for table in ("nodes_text", "nodes_fuzzy"):
                connection.execute(f"INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 1)")
            if copy:
                self.assertEqual([(version,)], self.opened(copy).execute("SELECT value FROM kit WHERE key = 'version'").fetchall())
                self.assertEqual(nodes, self.opened(copy).execute("SELECT * FROM nodes").fetchall())

    def test_a_migration_that_fails_changes_nothing(self):
        self.at_version(1)
        self.opened().execute("CREATE TABLE links (mine)")
        with self.assertRaisesRegex(database.Refused, "links.*is a copy"):
            migrate(self.path)
        self.assertEqual([(2,)], self.rows("SELECT value FROM kit WHERE key = 'version'"), "the step before it is whole")
        self.assertEqual([], self.rows("SELECT name FROM sqlite_schema WHERE name IN ('folders', 'documents')"))
        self.opened().execute("DROP TABLE links")
        self.assertEqual(2, migrate(self.path)[0])

    def test_a_migration_in_the_shell_without_bail_changes_nothing_where_it_does_not_belong(self):
        self.at_version(1)
        before = self.rows(SCHEMA)
        done = self.shell(".read sql/migrations/3.sql")
        self.assertIn("expected a knowledge base of schema version 2", done.stderr)
        self.assertEqual(before, self.rows(SCHEMA))

    def test_what_cannot_be_migrated_is_said(self):
        for sql, wanted in (
            ("CREATE TABLE kit (key, value)", "that sql/schema.sql made"),
            (database.script("schema.sql") + "UPDATE kit SET value = 9 WHERE key = 'version'", "not 9"),
        ):
            path = self.folder / f"{len(sql)}.db"
            self.opened(path).execute(sql).fetchall()
            with self.assertRaisesRegex(database.Refused, wanted):
                migrate(path)
        with self.assertRaisesRegex(database.Refused, "not nothing"):
            migrate(self.path)
        self.assertFalse(self.path.exists())

    def test_a_schema_is_not_made_where_it_does_not_belong(self):
        cases = {
            "CREATE TABLE nodes (a); CREATE TABLE kit (b)": "give the knowledge base another file",
            "CREATE VIEW stale AS SELECT 1": "give the knowledge base another file",
            database.script("migrations/1.sql"): "make migrate",
            database.script("schema.sql") + "UPDATE kit SET value = 9 WHERE key = 'version'": "not a newer one",
        }
        for at, (sql, wanted) in enumerate(cases.items()):
            path = self.folder / f"{at}.db"
            connection = self.opened(path)
            connection.execute(sql).fetchall()
            before = connection.execute(SCHEMA).fetchall()
            self.refused(wanted, path)
            self.assertEqual(before, connection.execute(SCHEMA).fetchall())
            # Without -bail the shell goes on after an error.
            done = self.shell(".read sql/schema.sql", path)
            self.assertIn("nothing was changed", done.stderr)
            self.assertEqual(before, connection.execute(SCHEMA).fetchall())

    def shell(self, command, path=None):
        return subprocess.run(["sqlite3", str(path or self.path), command], cwd=ROOT, capture_output=True, text=True)

    def test_tables_of_others_beside_it_are_welcome(self):
        self.opened().execute("CREATE TABLE mine (a); PRAGMA user_version = 7; PRAGMA application_id = 9")
        database.open_or_make(self.path, LIBRARY)
        self.assertEqual([(7,)], self.rows("PRAGMA user_version"))

    def test_what_is_no_database_or_cannot_be_written(self):
        self.path.write_bytes(b"Just some text, long enough to be read as a header of a database file." * 20)
        with self.assertRaises((database.Refused, apsw.NotADBError)):
            database.open_or_make(self.path, LIBRARY)
        self.refused("not a folder", self.folder)
        self.refused("expected a folder", self.folder / "no" / "such.db")
        with self.assertRaisesRegex(database.Refused, "make build"):
            database.open_or_make(self.folder / "x.db", "no/such/library.so")

    def test_a_read_only_file(self):
        database.open_or_make(self.path, LIBRARY)[0].close()
        self.path.chmod(0o444)
        self.folder.chmod(0o755)
        said = self.as_nobody("database.open_or_make(PATH, LIBRARY)")
        self.assertRegex(said, "expected a file that can be written|readonly database|unable to open")

    def as_nobody(self, code):
        """What a Python says that may only read."""
        setup = f"import sys; sys.path.insert(0, {str(ROOT / 'python')!r}); PATH, LIBRARY = {str(self.path)!r}, {LIBRARY!r}\n"
        # Modules first: who may only read might not reach them. The library too is out of reach, so it is left out.
        setup += "import apsw, os; from fafcas.kit import database, health; database.load = lambda *_: None\n"
        setup += f"os.getuid() or os.setuid({NOBODY})\n"
        done = subprocess.run([sys.executable, "-c", setup + code], capture_output=True, text=True)
        return done.stdout + done.stderr

    def test_network_drives_keep_their_journal(self):
        connection = self.opened()
        mounts = f"disk / ext4 rw 0 0\nhost:/x {self.folder} nfs4 rw 0 0\n"
        self.assertIn("network drive (nfs4)", database.harden(connection, mounts))
        self.assertEqual("delete", connection.execute("PRAGMA journal_mode").get)
        self.assertIsNone(database.harden(connection, "disk / ext4 rw 0 0\n"))
        self.assertEqual("wal", connection.execute("PRAGMA journal_mode").get)

    def test_a_file_system_without_shared_memory(self):
        connection = apsw.Connection(str(self.path), vfs="unix-dotfile")
        self.assertIn("no shared memory", database.harden(connection))
        database.make(connection, self.path)

    # Health

    def broken(self):
        return {rule for rule, _, _, ok, _ in health(self.path, LIBRARY) if not ok}

    def sound(self):
        connection, _ = database.open_or_make(self.path, LIBRARY)
        connection.execute("""
            INSERT INTO models (name, fingerprint, dimensions) VALUES ('drawn', 'none', 2);
            INSERT INTO kit VALUES ('model', 1);
            INSERT INTO nodes (id, title, content, embedding, model) VALUES ('a', 'A', 'x', fafcas_normalize('[1,2]'), 1), ('b', 'B', 'y', fafcas_normalize('[2,1]'), 1);
            INSERT INTO edges (source, target) VALUES ('a', 'b')""")
        return connection

    def test_a_sound_knowledge_base_has_no_broken_rule(self):
        self.sound()
        self.assertEqual(set(), self.broken())

    def test_a_file_that_was_taken_out_of_wal_mode_stays_as_it_is(self):
        connection = self.sound()
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        connection.close()
        before = self.path.read_bytes()
        self.assertEqual(set(), self.broken())
        self.assertEqual(before, self.path.read_bytes())
        self.assertEqual(["knowledge.db"], [file.name for file in self.folder.iterdir()])

    def test_each_fault_is_found_and_nothing_else(self):
        faults = {
            "PRAGMA foreign_keys = OFF; DELETE FROM nodes WHERE id = 'b'": {"edges"},
            "DROP TRIGGER nodes_text_insert; INSERT INTO nodes (id, title, content) VALUES ('c', 'C', 'z')": {"full text", "nodes without vectors"},
            "INSERT INTO nodes (id, title, content) VALUES ('c', 'C', 'z')": {"nodes without vectors"},
            "DROP TRIGGER nodes_fuzzy_delete; DELETE FROM nodes WHERE id = 'b'": {"fuzzy titles"},
            "INSERT INTO nodes (id, title) VALUES ('c', 'C')": {"hollow nodes", "nodes without vectors"},
            "UPDATE nodes SET content = 'changed' WHERE id = 'a'": {"one model"},
            "UPDATE kit SET value = 2 WHERE key = 'model'": {"one model"},
            "UPDATE models SET dimensions = 3": {"vector length"},
            "PRAGMA foreign_keys = OFF; INSERT INTO folders VALUES ('f', 'f'); INSERT INTO documents VALUES ('c', 'f', 'h')": {"documents"},
            "DROP TABLE history": {"tables"},
            "DROP TABLE kit": {"tables", "schema version", "one model", "write and read"},
            "UPDATE kit SET value = 2 WHERE key = 'version'": {"schema version"},
            "UPDATE nodes SET embedding = x'0000803f0000803f', model = 1": {"unit_length"},
            "UPDATE nodes SET embedding = x'0000c07f0000803f', model = 1 WHERE id = 'a'": {"finite"},
        }
        for sql, wanted in faults.items():
            for file in self.folder.glob("knowledge.db*"):
                file.unlink()
            connection = self.sound()
            connection.execute(sql).fetchall()
            connection.close()
            found = self.broken()
            self.assertTrue(wanted <= found, f"{sql}: {found}")
            self.assertEqual(wanted, found - {"unit_length", "dimensions", "finite", "missing vectors"} | wanted, sql)

    def test_damage_anywhere_is_rows_and_never_an_error(self):
        self.sound().close()
        self.opened().execute("PRAGMA wal_checkpoint (TRUNCATE)").fetchall()
        whole = self.path.read_bytes()
        for page in range(len(whole) // 4096):
            for broken in (whole[: page * 4096], whole[: page * 4096] + bytes(4096) + whole[(page + 1) * 4096 :]):
                for file in self.folder.glob("knowledge.db-*"):
                    file.unlink()
                self.path.write_bytes(broken)
                rows = health(self.path, LIBRARY)
                self.assertTrue(all(len(row) == 5 for row in rows))
                if broken:
                    named = [str(self.path) in actual for rule, _, actual, ok, _ in rows if rule in ("file", "integrity") and not ok]
                    self.assertTrue(all(named), rows)
                    self.assertTrue(any(not ok for _, _, _, ok, _ in rows), f"page {page}")

    def test_without_the_library_the_rest_is_answered(self):
        self.sound().close()
        broken = {rule for rule, _, _, ok, _ in health(self.path, "no/such/library.so") if not ok}
        self.assertEqual({"library", "vectors and settings"}, broken)

    def test_a_file_that_can_only_be_read_is_answered_but_for_writing(self):
        connection = self.sound()
        connection.execute("PRAGMA journal_mode = DELETE; DROP TABLE edges").fetchall()
        connection.close()
        self.path.chmod(0o444)
        self.folder.chmod(0o555)
        said = self.as_nobody("print([row[0] for row in health.health(PATH, LIBRARY) if not row[3]])")
        self.folder.chmod(0o755)
        self.assertIn("'tables'", said)
        self.assertIn("'write and read'", said)
        self.assertNotIn("'integrity'", said)
        self.assertNotIn("'edges'", said)

    def test_a_reader_that_cannot_write_the_shared_memory_is_told_what_to_do(self):
        self.sound().close()
        self.opened().execute("PRAGMA wal_checkpoint (TRUNCATE)").fetchall()
        for file in self.folder.glob("knowledge.db-*"):
            file.unlink()
        self.path.chmod(0o444)
        self.folder.chmod(0o555)
        said = self.as_nobody("print(health.health(PATH, LIBRARY))")
        self.folder.chmod(0o755)
        self.assertIn("write-ahead log", said)
        self.assertIn("immutable=1", said)

    def test_what_is_no_file_or_no_database(self):
        self.assertEqual({"file"}, self.broken())
        self.path.write_bytes(b"x" * 5000)
        self.assertEqual({"file"}, self.broken())


if __name__ == "__main__":
    unittest.main()
