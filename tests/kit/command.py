"""The command `fafcas` as people call it: on a knowledge base and on tables of their own, and with everything that can be wrong."""

import contextlib
import fcntl
import io
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
import unicodedata
import unittest
import xml.etree.ElementTree
from pathlib import Path
from unittest import mock

import apsw
from support import LIBRARY, MODEL, ROOT, Case
from fafcas.command import program
from fafcas.kit import database

NOBODY = 65534
DEFAULT = "all-MiniLM-L6-v2"


class Command(Case):
    def setUp(self):
        super().setUp()
        # The tiny model under the name that is the default too.
        models = self.folder / "models"
        tiny = Path(os.environ["FAFCAS_MODEL_DIR"], MODEL).resolve()
        for name in (MODEL, DEFAULT):
            shutil.copytree(tiny, models / name)
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "FAFCAS_LIBRARY": LIBRARY, "FAFCAS_MODEL_DIR": str(models)}
        for name in ("NO_COLOR", "COLUMNS"):
            self.environment.pop(name, None)
        here = mock.patch.dict(os.environ, self.environment)
        here.start()
        self.addCleanup(here.stop)

    def started(self, *arguments, **options):
        command = [sys.executable, "-m", "fafcas", *map(str, arguments)]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen(command, env=self.environment, text=True, **streams)

    def run_(self, *arguments, stdin=""):
        """In this process, which is faster than one for each."""
        said, told = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told), mock.patch("sys.stdin", io.StringIO(stdin)):
            status = program.run(list(map(str, arguments)))
        return status or 0, said.getvalue(), told.getvalue()

    def run_anew(self, *arguments):
        process = self.started(*arguments)
        said, told = process.communicate()
        return process.returncode, said, told

    def says(self, *arguments, stdin=""):
        status, said, told = self.run_(*arguments, stdin=stdin)
        self.assertEqual((0, ""), (status, told), arguments)
        return said

    def fails(self, wanted, *arguments, status=1, anew=False):
        """In one line on standard error, and nothing else."""
        found, said, told = (self.run_anew if anew else self.run_)(*arguments)
        self.assertEqual((status, ""), (found, said), told)
        self.assertRegex(told, rf"\Afafcas: [^\n]*{wanted}[^\n]*\n\Z")

    def ingested(self):
        self.write("tides.md", "# Tides\n\nThe moon pulls the sea. So it rises twice a day.\n")
        self.write("bread.md", "---\ntype: recipe\n---\n# Bread\n\nThe dough rises.\n")
        self.write("long.md", "# Long\n\n" + "".join(f"## Part {at}\n\n{'The sea and the moon. ' * 12}\n\n" for at in range(4)))
        self.says("ingest", self.notes, self.path)
        return self.path

    def articles(self, name="own.db", words=True):
        path = self.folder / name
        connection = self.opened(path)
        connection.execute("""
            CREATE TABLE "my articles" ("the key" INTEGER PRIMARY KEY, headline TEXT, body TEXT, kind TEXT);
            INSERT INTO "my articles" VALUES (5, 'Tides', 'The moon pulls the sea.', 'sea'), (7, 'It''s bread', 'The dough rises.', 'food'),
                                             (9, NULL, '', 'none')""")
        if words:
            connection.execute("""
                CREATE VIRTUAL TABLE "my words" USING fts5 (headline, body, content='my articles', content_rowid='the key');
                INSERT INTO "my words" ("my words") VALUES ('rebuild')""")
        return path

    # What it does

    def test_the_library_tries_itself(self):
        rows = json.loads(self.says("selftest", "--json"))
        self.assertEqual([], [row for row in rows if not row["ok"]])
        self.assertLessEqual({"library", "kernels scalar", "normalize", "index merge", "embed"}, {row["name"] for row in rows})
        self.assertTrue(all(row["milliseconds"] >= 0 for row in rows))
        self.assertRegex(self.says("selftest"), r"(?m)^ok  +index merge +[0-9.]+ ms  8 exact searches")

    def test_a_check_that_fails_is_the_exit_status(self):
        # The one thing of a sound library that can be broken from outside.
        (self.folder / "models" / DEFAULT / "model.onnx").write_bytes(b"no model")
        status, said, told = self.run_anew("selftest", "--json")
        self.assertEqual((1, ""), (status, told))
        (failed,) = [row for row in json.loads(said) if not row["ok"]]
        self.assertEqual("embed", failed["name"])
        self.assertIn(f"{DEFAULT}", failed["detail"])

    def test_a_knowledge_base_is_searched_in_three_ways(self):
        path = self.ingested()
        hits = json.loads(self.says("search", path, "does the moon pull", "--json"))
        self.assertEqual(["rank", "score", "id", "type", "title", "text", "by"], list(hits[0]))
        self.assertIn("both", [hit["by"] for hit in hits])
        self.assertEqual(3, len(json.loads(self.says("search", path, "moon", "--vector", "-k", 3, "--json"))))
        words = json.loads(self.says("search", path, "dough", "--words", "--json"))
        self.assertEqual(["notes/bread.md"], [hit["id"] for hit in words])
        self.assertIn("[dough]", words[0]["text"])
        self.assertEqual([], json.loads(self.says("search", path, "unheard", "--words", "--json")))

    def test_a_condition_leaves_as_many_as_are_asked_for(self):
        path = self.ingested()
        for way in ((), ("--vector",)):
            hits = json.loads(self.says("search", path, "moon", *way, "--where", "type = 'recipe' -- of all", "-k", 1, "--json"))
            self.assertEqual(["notes/bread.md"], [hit["id"] for hit in hits], way)
        self.assertEqual("[]\n", self.says("search", path, "moon", "--words", "--where", "type = 'recipe'", "--json"))

    def test_a_pipe_gets_a_line_of_fields_for_each_row(self):
        lines = self.says("search", self.ingested(), "moon", "--words", "-k", 2).splitlines()
        self.assertEqual(2, len(lines))
        self.assertTrue(all(line.count("\t") == 4 for line in lines), lines)

    def test_questions_on_standard_input_until_an_empty_line(self):
        said = self.says("ask", self.ingested(), "--words", "-k", 1, stdin="dough\nTides\n\ndough\n")
        self.assertEqual(["notes/bread.md", "notes/tides.md"], [line.split("\t")[2] for line in said.splitlines()])

    def test_like_a_note_are_others_and_not_its_own_parts(self):
        path = self.ingested()
        ids = [hit["id"] for hit in json.loads(self.says("similar", path, "notes/long.md", "--json"))]
        self.assertEqual({"notes/tides.md", "notes/bread.md"}, set(ids))
        self.assertEqual(["notes/bread.md"], [line.split("\t")[2] for line in
                         self.says("similar", path, "notes/long.md", "--where", "type = 'recipe'").splitlines()])

    def test_a_table_of_ones_own_from_texts_to_answers(self):
        path = self.articles()
        self.assertIn("2 texts of body embedded", self.says("embed", path, "MY articles", "body"))
        self.assertIn("0 texts", self.says("embed", path, "my articles", "body"))
        self.assertIn("2 texts", self.says("embed", path, "my articles", "body", "--all"))
        self.assertIn("my articles_vec: 2 vectors", self.says("index", path))
        self.opened(path).execute("INSERT INTO \"my articles\" (body, headline) VALUES ('The moon again.', 'Moon')")
        self.assertIn("1 text of body", self.says("embed", path, "my articles", "body"))
        self.assertIn("3 vectors", self.says("index", path, "my articles", "embedding"))
        hits = json.loads(self.says("search", path, "it's the dough", "--json"))
        self.assertEqual((7, "It's bread", "both"), next((hit["id"], hit["title"], hit["by"]) for hit in hits if hit["id"] == 7))
        self.assertEqual([7], [hit["id"] for hit in json.loads(self.says("search", path, "x", "--where", "kind = 'food'", "--json"))])
        self.assertEqual({7, 10}, {hit["id"] for hit in json.loads(self.says("similar", path, 5, "--json"))})
        self.assertNotIn("  NO  ", self.says("health", path))
        self.assertNotIn("  NO  ", self.says("health", path, "my articles", "embedding"))
        self.assertEqual(("delete", 4), self.opened(path).execute("SELECT journal_mode, (SELECT count(*) FROM \"my articles\") FROM pragma_journal_mode").fetchone())

    def test_without_full_text_it_searches_vectors_and_without_vectors_words(self):
        path = self.articles(words=False)
        self.says("embed", path, "my articles", "body")
        self.assertEqual(2, len(json.loads(self.says("search", path, "moon", "--json"))))
        path = self.articles("words.db")
        self.assertEqual([5], [hit["id"] for hit in json.loads(self.says("search", path, "moon", "--json"))])

    def test_a_map_is_written_whole(self):
        path = self.articles()
        self.says("embed", path, "my articles", "body")
        picture = self.folder / "map.svg"
        self.assertEqual("", self.says("map", path, "-o", picture, "--by", "kind"))
        text = picture.read_text()
        self.assertIn("<title>It's bread</title>", text)
        self.assertIn(">food, 1</text>", text)
        self.assertEqual(text, self.says("map", path, "--by", "kind").rstrip("\n"))
        self.assertIn("<path", self.says("map", self.ingested(), "--by", "layer"))

    def test_what_sql_prints_says_the_same_when_it_is_run(self):
        own, kit = self.articles(), self.ingested()
        self.says("embed", own, "my articles", "body")
        for path, arguments in (
            (kit, ("search", kit, "who's 'moon' :k")),
            (kit, ("search", kit, "moon", "--where", "title <> ':query'")),
            (kit, ("search", kit, "moon", "--vector", "--where", "type = 'recipe'")),
            (kit, ("similar", kit, "notes/long.md")),
            (own, ("search", own, "moon")),
            (own, ("search", own, "moon", "--words", "--where", "kind = 'sea'")),
            (own, ("similar", own, "5")),
        ):
            wanted = json.loads(self.says(*arguments, "--json"))
            self.assertTrue(wanted, arguments)
            connection = self.opened(path)
            rows = connection.execute(self.says(*arguments, "--sql")).fetchall()
            self.assertEqual([(hit["rank"], hit["score"], hit["id"]) for hit in wanted], [row[:3] for row in rows], arguments)

    def test_statements_that_write_are_printed_and_nothing_is_written(self):
        path = self.articles()
        before = path.read_bytes()
        statements = self.says("embed", path, "my articles", "body", "--sql")
        self.assertEqual(before, path.read_bytes())
        connection = self.opened(path)
        connection.execute(statements)
        connection.execute(self.says("index", path, "--sql")).fetchall()
        self.assertEqual(2, connection.execute("SELECT value FROM \"my articles_vec\" WHERE property = 'rows'").get)
        self.assertIn("fafcas_health('\"my articles\"', 'embedding')", self.says("health", path, "--sql"))
        self.assertIn("pragma_quick_check", self.says("health", self.ingested(), "--sql"))

    def test_health_tells_what_wants_a_person(self):
        path = self.folder / "other.db"
        db = apsw.Connection(str(path))
        db.execute("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t(id INTEGER PRIMARY KEY, v)").fetchall()
        db.enable_load_extension(True)
        db.load_extension(LIBRARY)
        db.execute("INSERT INTO t VALUES (1, '[1,0]'); CREATE VIRTUAL TABLE i USING vec_index(t, v)")
        self.assertNotIn("long log", self.says("health", path))
        db.execute("CREATE TABLE nodes(embedding, content); INSERT INTO nodes VALUES (NULL, zeroblob(17000000))")
        status, said, _ = self.run_("health", path)
        self.assertEqual(1, status)
        self.assertIn("missing vectors: sql/queries/reembed.sql", said)
        self.assertIn("long log: end readers", said)
        self.assertRegex(said, r"16 MB in other\.db-wal")
        db.close()

    def test_the_health_of_a_column_as_json_and_as_a_status(self):
        path = self.articles()
        self.says("embed", path, "my articles", "body")
        self.opened(path).execute("UPDATE \"my articles\" SET embedding = x'0000803f0000803f0000803f00000040' WHERE headline = 'Tides'")
        status, said, told = self.run_("health", path, "my articles", "embedding", "--json")
        self.assertEqual((1, ""), (status, told))
        self.assertIn("unit_length", [row["rule"] for row in json.loads(said) if not row["ok"]])

    def test_shells_complete_commands_and_the_names_in_the_database(self):
        path = self.articles()
        self.environment |= {"_FAFCAS_COMPLETE": "bash_complete", "COMP_WORDS": f"fafcas embed {path} my", "COMP_CWORD": "3"}
        _, said, _ = self.run_anew()
        self.assertEqual(["plain,my articles", "plain,my words"], said.splitlines())
        self.environment |= {"COMP_WORDS": "fafcas se", "COMP_CWORD": "1"}
        self.assertEqual("plain,search\nplain,selftest\nplain,serve\n", self.run_anew()[1])
        del self.environment["_FAFCAS_COMPLETE"]
        self.assertIn("_FAFCAS_COMPLETE=bash_complete", self.says("completion", "bash"))

    def test_the_sample_is_shown_and_kept_for_more_questions(self):
        path = self.folder / "new" / "sample.db"
        first = self.says("demo", "--sample", path)
        self.assertTrue(first.endswith(f"kept in {path}\n"), first)
        answers = re.findall(r"^  -?\d\.\d{3}  (\S+) ", first.split("hybrid.sql")[1], re.MULTILINE)
        self.assertEqual(5, len(answers), first)
        self.assertLessEqual(set(answers), {"both", "meaning", "words"})
        self.assertEqual(first, self.says("demo", "--sample", path))
        self.assertEqual(["busy-timeout"], [line.split("\t")[2] for line in self.says("search", path, "busy timeout", "--words", "-k", 1).splitlines()])
        self.fails("expected a file DB", "demo", self.notes, status=2)

    # What can be wrong

    def test_paths_that_are_wrong(self):
        self.write("a.md", "Text")
        for command in (("search", "x"), ("ask",), ("similar", "x"), ("index",), ("embed", "t", "c"), ("map",)):
            name, *rest = command
            self.fails("expected a database, not nothing", name, self.path, *rest)
            self.fails("not a folder", name, self.folder, *rest)
        self.fails("expected a folder of notes", "ingest", self.folder / "none", self.path)
        self.fails("expected a folder .* to put it in", "ingest", self.notes, self.folder / "none" / "x.db")
        self.fails("not a folder", "ingest", self.notes, self.folder)
        self.fails("not nothing", "migrate", self.path)
        self.assertEqual(1, self.run_("health", self.path)[0])
        self.assertFalse(self.path.exists())
        kit = self.ingested()
        self.fails("in a folder that is there", "map", kit, "-o", self.folder / "none" / "map.svg")
        self.fails("in a folder that is there", "map", kit, "-o", self.folder)

    def test_a_folder_without_notes_makes_no_database(self):
        self.notes.mkdir()
        (self.notes / "picture.png").write_bytes(b"\x89PNG")
        self.fails("expected notes that end in .md", "ingest", self.notes, self.path)
        self.assertFalse(self.path.exists())

    def test_a_model_or_a_runtime_that_is_not_there_leaves_all_as_it_was(self):
        self.write("a.md", "Text")
        own = self.articles()
        before = own.read_bytes()
        self.fails("not gpt; `fafcas model`", "ingest", self.notes, self.path, "--model", "gpt")
        self.fails("expected a model gpt", "embed", own, "my articles", "body", "--model", "gpt")
        self.says("embed", self.articles("other.db"), "my articles", "body")
        self.fails("expected a model gpt", "search", self.folder / "other.db", "moon", "--model", "gpt")
        self.environment["FAFCAS_ONNXRUNTIME"] = str(self.folder / "no-runtime.so")
        self.fails("expected ONNX Runtime's library", "ingest", self.notes, self.path, anew=True)
        self.fails("expected ONNX Runtime's library", "embed", own, "my articles", "body", anew=True)
        self.fails("expected ONNX Runtime's library", "search", self.folder / "other.db", "moon", anew=True)
        self.assertFalse(self.path.exists())
        self.assertEqual(before, own.read_bytes())
        self.assertEqual(1, len(self.says("search", own, "moon", "--words").splitlines()))

    def test_a_model_that_no_network_can_fetch(self):
        empty = self.folder / "empty"
        for name in [name for name in self.environment if name.startswith("PIP_")]:
            del self.environment[name]
        nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
        self.environment |= {"FAFCAS_MODEL_DIR": str(empty), **nowhere}
        status, said, told = self.run_anew("model")
        self.assertEqual((1, ""), (status, said), told)
        self.assertRegex(told, r"\Afafcas: downloading [^\n]*\nfafcas: pip could not get [^\n]*Check the network[^\n]*\n\Z")
        self.assertEqual([], [path for path in empty.rglob("*") if path.is_file()])
        self.write("a.md", "Text")
        self.fails("makes one", "ingest", self.notes, self.path, anew=True)
        self.assertFalse(self.path.exists())

    def test_what_is_no_database_or_a_damaged_one(self):
        self.write("a.md", "Text")
        self.path.write_bytes(b"Just some text, long enough to be read as a header of a database file." * 20)
        self.fails("expected an SQLite database", "search", self.path, "x")
        self.fails("expected an SQLite database", "index", self.path)
        self.fails("expected an SQLite database", "ingest", self.notes, self.path)
        self.path.unlink()
        path = self.ingested()
        whole = path.read_bytes()
        for page in range(1, len(whole) // 4096, 5):
            path.write_bytes(whole[: page * 4096] + b"\xff" * 4096 + whole[(page + 1) * 4096 :])
            status, _, told = self.run_("search", path, "moon", "--words")
            self.assertIn(status, (0, 1))
            self.assertLessEqual(told.count("\n"), 1, told)
            self.assertNotIn("Traceback", told)

    def test_a_database_without_anything_to_search(self):
        self.opened().execute("CREATE TABLE t (x TEXT, y BLOB); INSERT INTO t VALUES ('text', x'0102')")
        self.fails("expected a table with vectors or full text", "search", self.path, "x")
        status, said, told = self.run_("health", self.path)
        self.assertEqual((1, ""), (status, told))
        self.assertIn("none found", said)
        self.fails("expected a column of vectors", "index", self.path, "t")
        self.fails("expected a column of vectors", "search", self.path, "x", "--table", "t", "--vector")
        self.fails("expected full text", "search", self.path, "x", "--table", "t")
        self.fails("expected a table out of t, not u", "search", self.path, "x", "--table", "u")
        self.fails("expected a column out of x, y, not z", "embed", self.path, "t", "z")
        self.fails("column y", "search", self.path, "x", "--table", "t", "--column", "y", "--vector")
        self.fails("other than x", "embed", self.path, "t", "x", "--into", "x")
        self.opened().execute("CREATE VIEW v AS SELECT * FROM t; CREATE TABLE w (x TEXT PRIMARY KEY) WITHOUT ROWID")
        self.fails("with rowids", "embed", self.path, "w", "x")
        self.fails("with rowids", "search", self.path, "x", "--table", "v")

    def test_several_tables_want_one_to_be_named(self):
        path = self.articles()
        self.opened(path).execute("CREATE VIRTUAL TABLE more USING fts5 (body)")
        self.fails("expected --table, as there are 2 to search: more, my articles", "search", path, "moon")
        self.assertEqual("", self.says("search", path, "moon", "--table", "more"))

    def foreign(self):
        """A good table beside a view of a table that is gone, a view without an end, and what sqlite-vec keeps, without sqlite-vec."""
        connection = self.opened()
        connection.execute("""
            CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB, body TEXT);
            INSERT INTO t VALUES (1, fafcas_normalize('[1,0]'), 'one'), (2, fafcas_normalize('[1,1]'), 'two');
            CREATE TABLE gone (v BLOB); CREATE VIEW broken AS SELECT v FROM gone; DROP TABLE gone;
            CREATE VIEW endless AS WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)
                SELECT x AS rowid, CASE WHEN x < 0 THEN x END AS emb, CASE WHEN x < 0 THEN 'text' END AS body FROM n;
            CREATE TABLE vecs_chunks (rowid PRIMARY KEY, vectors BLOB);
            INSERT INTO vecs_chunks SELECT id, v FROM t;
            CREATE VIEW words_of AS SELECT id AS rowid, body FROM t;
            PRAGMA writable_schema = ON;
            INSERT INTO sqlite_schema VALUES ('table', 'vecs', 'vecs', 0, 'CREATE VIRTUAL TABLE vecs USING vec0(v float[2])')""")
        connection.close()
        return self.path

    def test_tables_that_cannot_be_read_are_passed_over(self):
        path = self.foreign()
        self.assertEqual([2], [hit["id"] for hit in json.loads(self.says("similar", path, 1, "--json"))])
        self.assertEqual([2], [hit["id"] for hit in json.loads(self.says("similar", path, 1, "--table", "t", "--json"))])
        self.assertIn("t_vec: 2 vectors", self.says("index", path))
        self.assertIn("<circle", self.says("map", path))
        self.assertNotIn("none found", self.says("health", path))
        self.fails(r"broken: expected a table that can be read \(no such table: main\.gone\)", "similar", path, 1, "--table", "broken")
        self.fails(r"vecs: expected a table that can be read \(no such module: vec0\)", "similar", path, 1, "--table", "vecs")
        self.fails("endless: expected a column of vectors", "similar", path, 1, "--table", "endless")

    def test_a_view_with_full_text_is_found(self):
        self.opened(self.foreign()).execute("""
            DROP TABLE t; CREATE TABLE u (id INTEGER PRIMARY KEY, body TEXT); INSERT INTO u VALUES (3, 'the moon');
            DROP VIEW words_of; CREATE VIEW words_of AS SELECT id AS rowid, body FROM u;
            CREATE VIRTUAL TABLE the_words USING fts5 (body, content = 'words_of');
            INSERT INTO the_words (the_words) VALUES ('rebuild')""")
        self.assertEqual(["the [moon]"], [hit["text"] for hit in json.loads(self.says("search", self.path, "moon", "--json"))])

    def test_a_knowledge_base_of_another_version(self):
        for version, remedy in ((2, "fafcas migrate"), (9, "use the kit that made it")):
            path = self.folder / f"{version}.db"
            database.open_or_make(path, LIBRARY)[0].execute("UPDATE kit SET value = ? WHERE key = 'version'", (version,))
            self.fails(remedy, "search", path, "moon")

    def test_arguments_that_are_wrong(self):
        path = self.ingested()
        self.fails("missing argument 'DB'; fafcas search --help", "search", status=2)
        self.fails("no such option", "search", path, "moon", "--wrods", status=2)
        self.fails("no such command", "serach", path, status=2)
        self.fails("'-k'", "search", path, "moon", "-k", 0, status=2)
        self.fails("not both", "search", path, "moon", "--words", "--vector", status=2)
        self.fails("--where: expected a condition on the columns of nodes.*no such column: typo", "search", path, "moon", "--where", "typo = 1")
        self.fails("--where", "search", path, "moon", "--where", "1) ; DELETE FROM nodes; (1")
        self.fails("expected a row whose id is there, not nowhere", "similar", path, "nowhere")

    def test_a_database_that_another_program_is_writing_to(self):
        path = self.articles()
        writer = self.opened(path)
        writer.execute("BEGIN EXCLUSIVE")
        waiting = [self.started("search", path, "moon", "--words"), self.started("embed", path, "my articles", "body")]
        for process in waiting:
            said, told = process.communicate()
            self.assertEqual((1, ""), (process.returncode, said))
            self.assertRegex(told, r"\Afafcas: .*another program is writing to it[^\n]*\n\Z")

    def test_a_file_that_can_only_be_read_is_searched_and_not_written(self):
        path = self.articles()
        path.chmod(0o444)
        self.folder.chmod(0o755)
        self.assertIn("Tides", self.as_nobody("search", path, "moon", "--words"))
        for command in (("embed", path, "my articles", "body"), ("index", path)):
            self.assertRegex(self.as_nobody(*command), r"\Afafcas: .*expected a file that can be written[^\n]*\n\Z")

    def as_nobody(self, *arguments):
        """What the command says where it may only read. The library is out of reach then, and left out."""
        code = f"""if 1:
            import os, sys
            import fafcas.command.search, fafcas.command.table, fafcas.command.database as place
            from fafcas.command import program
            place.load = lambda *_: None
            os.getuid() or os.setuid({NOBODY})
            program.main({list(map(str, arguments))!r})"""
        done = subprocess.run([sys.executable, "-c", code], env=self.environment, capture_output=True, text=True)
        return done.stdout + done.stderr

    def test_stopped_in_the_middle_it_goes_on_where_it_was(self):
        path = self.folder / "many.db"
        connection = self.opened(path)
        connection.execute("PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)").fetchall()
        rows = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i, 'the sea ' || i FROM n"
        connection.execute(f"INSERT INTO t {rows}")
        process = self.started("embed", path, "t", "x")
        while not self.embedded(connection):
            self.assertIsNone(process.poll(), "it is to be stopped before it ends")
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        said, told = process.communicate()
        self.assertEqual((128 + signal.SIGINT, "", "fafcas: stopped; the same command goes on where it was\n"), (process.returncode, said, told))
        done = self.embedded(connection)
        self.assertIn(f"{20000 - done:,} texts", self.says("embed", path, "t", "x"))

    def embedded(self, connection):
        with contextlib.suppress(apsw.SQLError):
            return connection.execute("SELECT count(*) FROM t WHERE embedding IS NOT NULL").get
        return 0

    def test_a_pipe_that_nobody_reads_any_more(self):
        process = self.started("map", self.ingested())
        process.stdout.close()
        self.assertEqual("", process.stderr.read())
        process.stderr.close()
        self.assertEqual(-signal.SIGPIPE, process.wait())

    def test_nothing_that_is_read_does_anything_to_the_terminal(self):
        evil = "evil \x1b[31m\x1b]0;owned\a \x9b2J \u202e \x07"
        self.write("c\x1b[2Jclear.md", "Text")
        self.write("d\x1b[2J.md", b"\0")
        self.write("e\x1b[2J.png", "")
        self.write("f.p\x1b[2J", "")
        said = self.says("ingest", self.notes, self.path)
        connection = self.opened()
        connection.execute("UPDATE nodes SET title = ?1, summary = ?1, content = ?1 || ' moon', type = ?1", (evil,))
        table = '"t\x1b[2J"'
        other = self.folder / "other.db"
        self.opened(other).execute(f"CREATE TABLE {table} (body TEXT); INSERT INTO {table} VALUES ('moon')")
        said += self.says("search", self.path, "moon") + self.says("search", self.path, "moon", "--json") + self.says("map", self.path).replace("\u202e", "")
        said += self.says("embed", other, "t\x1b[2J", "body") + self.says("index", other)
        said += "".join(self.run_("search", other, "moon", "--table", "\x1b[2J")[1:])
        said += self.on_terminal(80, "search", self.path, "moon").replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[0m", "")
        self.assertEqual([], [letter for letter in said if letter != "\t" and letter != "\n" and not letter.isprintable()], said)
        self.assertIn("evil \ufffd[31m\ufffd]0;owned", said)
        self.assertIn("passed over: d\ufffd[2J.md: ", said)
        self.assertIn("passed over: f.p\ufffd[2J: of another kind", said)
        self.assertEqual(f"{evil} moon", json.loads(self.says("search", self.path, "moon", "--json", "--vector"))[0]["text"])

    def test_a_map_is_xml_whatever_the_titles_are(self):
        self.opened().execute("""
            CREATE TABLE t (id INTEGER PRIMARY KEY, title, kind, v BLOB);
            INSERT INTO t VALUES (1, 'a' || char(27, 0) || 'b', char(7, 65535), fafcas_normalize('[1,0]')), (2, x'00ff', 'k', fafcas_normalize('[1,1]')),
                                 (3, 'c' || char(9, 1) || '<&>', NULL, fafcas_normalize('[0,1]')), (4, 5.5, 7, fafcas_normalize('[0,1]'))""")
        for by in ((), ("--by", "kind")):
            picture = xml.etree.ElementTree.fromstring(self.says("map", self.path, *by))
            titles = [title.text for title in picture.iter("{http://www.w3.org/2000/svg}title")]
            self.assertEqual({"a\ufffd", "00FF", "c\t\ufffd<&>", "5.5"}, set(titles))
        texts = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
        self.assertIn("\ufffd\ufffd, 1", texts)

    def test_a_narrow_terminal_with_and_without_colours(self):
        path = self.ingested()
        shown = self.on_terminal(40, "search", path, "does the moon pull the sea")
        self.assertIn("\x1b[1mTides", shown)
        self.environment["NO_COLOR"] = "1"
        plain = self.on_terminal(40, "search", path, "does the moon pull the sea")
        self.assertNotIn("\x1b", plain)
        self.assertEqual(re.sub(r"\x1b\[\d*m", "", shown), plain)
        for said in (plain, self.on_terminal(40, "health", path)):
            for line in said.splitlines():
                self.assertLessEqual(sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in line), 40, line)

    def test_a_prompt_that_an_empty_line_ends(self):
        path = self.ingested()
        said = self.on_terminal(80, "ask", path, "--words", typed="dough\n\n")
        self.assertIn("Bread", said)

    def test_the_sample_ends_with_a_prompt_at_a_terminal(self):
        said = self.on_terminal(100, "demo", "--sample", self.folder / "sample.db", typed="busy timeout\n\n")
        after = said.split("your questions; an empty line ends")[1]
        self.assertRegex(after, r"\? (busy timeout)?")
        self.assertRegex(after, r"\n 1  \d\.\d{3}  ")

    def test_a_bar_from_the_beginning(self):
        self.write("tides.md", "# Tides\n\nThe moon pulls the sea.\n")
        said = self.on_terminal(80, "ingest", self.notes, self.path)
        places = [said.index(what) for what in ("loading the model", "reading notes", "embedding", "1 new")]
        self.assertEqual(sorted(places), places)

    def test_each_file_that_is_passed_over_has_a_line(self):
        self.write("tides.md", "# Tides\n\nThe moon pulls the sea.\n")
        self.write("pictures/moon.JPG", b"\xff\xd8")
        self.write("scan.pdf", b"%PDF-1.4 and no more")
        for at in range(23):
            self.write(f"many/{at:02}.png", b"\x89PNG")
        lines = [line.strip() for line in self.says("ingest", self.notes, self.path).splitlines() if "passed over" in line]
        self.assertIn("passed over: pictures/moon.JPG: of another kind (.jpg)", lines)
        self.assertEqual(1, len([line for line in lines if line.startswith("passed over: scan.pdf: a PDF that pypdf cannot read")]))
        self.assertEqual([f"passed over: many/{at:02}.png: of another kind (.png)" for at in range(20)],
                         [line for line in lines if "many/" in line])
        self.assertIn("passed over: 3 more of another kind (.png)", lines)

    def on_terminal(self, columns, *arguments, typed=""):
        main, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = self.started(*arguments, stdin=other, stdout=other, stderr=other)
        os.close(other)
        os.write(main, typed.encode())
        said = b""
        with contextlib.suppress(OSError):
            while part := os.read(main, 4096):
                said += part
        os.close(main)
        self.assertEqual(0, process.wait(), said)
        return said.decode().replace("\r\n", "\n")


if __name__ == "__main__":
    unittest.main()
