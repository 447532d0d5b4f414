"""The pages that a table with vectors has in Datasette, and `fafcas serve`. tests/hosts/page.rs calls it.

    page.py answers
    page.py browser CHROMIUM FOLDER

The first asks over HTTP what people and other sites may ask; the second has tests/hosts/node/page.cjs look at it in a browser, and
leaves its screenshots in the folder.
"""

import contextlib
import html
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOLD = re.compile(r"http://127\.0\.0\.1:(\d+)(/\S*) \(only on this machine; ctrl-C ends it\)\n")

PRODUCTS = [
    ("Wool blanket", "A warm blanket for cold days. Made of sheep's wool.", "home", 45),
    ("Umbrella", "Keeps you dry when the rain comes down.", "outdoor", 20),
    ("<script>document.title='run'</script>", "A cup <img src=x onerror=alert(2)> of hot soup warms you up. \"Quotes\" & so on.", "food", 5),
    ("Sandals", "For the beach in summer.", "outdoor", 30),
    ("Ice cream", "Cold and sweet, for hot afternoons.", "food", 3),
    ("Rain boots", "Rubber boots for puddles and mud.", "outdoor", 35),
    ("Heater", "It warms a room in minutes.", "home", 80),
    ("Fan", "It cools a room in summer.", "home", 40),
    ("Tea", "Black tea, good for a stormy evening.", "food", 6),
    (None, "A thing that nobody named.", "home", None),
]


def fafcas(*arguments):
    return subprocess.run([sys.executable, "-m", "fafcas", *map(str, arguments)], check=True, capture_output=True, text=True)


def shop(folder, words=True):
    """A table of a user's, with full text and an index."""
    from pysqlite3 import dbapi2 as sqlite3

    path = Path(folder, "the shop.db")
    connection = sqlite3.connect(path)
    connection.executescript("""
        PRAGMA journal_mode = WAL;
        CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, description TEXT, kind TEXT, price REAL, code);
        CREATE TABLE notes_vectors (a)""")
    connection.executemany("INSERT INTO products (name, description, kind, price, code) VALUES (?, ?, ?, ?, 7)", PRODUCTS)
    if words:
        connection.executescript("""
            CREATE VIRTUAL TABLE products_text USING fts5 (name, description, content = 'products', content_rowid = 'id');
            INSERT INTO products_text (products_text) VALUES ('rebuild')""")
    connection.commit()
    connection.close()
    fafcas("embed", path, "products", "description")
    fafcas("index", path)
    return path


@contextlib.contextmanager
def served(path):
    """Port and first page; afterwards ctrl-C ends it as it ends other commands."""
    # Buffered, the line with the port would wait for more of it.
    process = subprocess.Popen([sys.executable, "-m", "fafcas", "serve", str(path), "--port", "0"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        told = TOLD.fullmatch(line)
        assert told, (line, process.stderr.read() if process.poll() is not None else "")
        yield int(told[1]), told[2]
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate()
        # Datasette tells of faults in the SQL of visitors before.
        assert (process.returncode, said) == (130, "") and complained.endswith("fafcas: stopped\n"), (process.returncode, said, complained)
        assert "Traceback" not in complained, complained
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


class Answers(unittest.TestCase):
    """One served database for all of them."""

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.path = shop(cls.folder)
        cls.port, cls.first = cls.enterClassContext(served(cls.path))

    def ask(self, path, method="GET", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        self.addCleanup(connection.close)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read().decode(), dict(response.getheaders())

    def search(self, **asked):
        status, page, _ = self.ask(f"{self.first}?{urllib.parse.urlencode(asked, doseq=True)}")
        self.assertEqual(200, status, page)
        return page

    def found(self, **asked):
        return [html.unescape(title) for title in re.findall(r'<h3><a href="[^"]*">(.*?)</a></h3>', self.search(**asked))]

    def refused(self, wanted, **asked):
        status, page, _ = self.ask(f"{self.first}?{urllib.parse.urlencode(asked, doseq=True)}")
        self.assertEqual(400, status)
        self.assertRegex(html.unescape(page), f'role="alert">[^<]*{wanted}')

    def test_answers_have_a_sentence_and_a_reason(self):
        page = self.search(q="a warm blanket for the cold")
        first = re.search(r'<li>.*?</li>', page, re.S)[0]
        self.assertIn(">Wool blanket</a>", first)
        self.assertIn('<span class="why both" title="near in meaning, and it has words of the question">both</span>', first)
        self.assertIn("<mark>A warm blanket for cold days.", first)
        self.assertIn("<code>SELECT h.rank", page)
        self.assertIn(html.escape("embed_query('a warm blanket for the cold')", quote=True).replace("&#x27;", "&#39;"), page)
        self.assertEqual({"Umbrella", "Rain boots"}, set(self.found(q="rain", by="words")))
        self.assertNotIn('class="why both"', self.search(q="rain", by="meaning"))
        self.assertEqual(10, len(self.found(q="zzzz")))
        self.assertEqual([], self.found(q="zzzz", by="words"))

    def test_what_the_page_calls_its_sql_gives_the_same_rows(self):
        for asked in ({"q": "it's \"hot\" -- soup"}, {"q": "soup", "by": "meaning"}, {"like": "3"},
                      {"q": "warm", "has_kind": "home", "column": ["price"], "is": ["less than"], "value": ["60"]}):
            page = self.search(**asked)
            address = html.unescape(re.search(r'<a href="([^"]*)">Run it in Datasette', page)[1])
            path, query = address.split("?")
            status, rows, _ = self.ask(f"{path}.json?{query}&_shape=array")
            self.assertEqual(200, status, rows)
            titles = [html.unescape(title) for title in re.findall(r'<h3><a href="[^"]*">(.*?)</a></h3>', page)]
            self.assertEqual([str(row["title"]) for row in json.loads(rows)], titles)
            self.assertTrue(titles)

    def test_filters(self):
        self.assertEqual({"Umbrella", "Sandals", "Rain boots"}, set(self.found(q="rain", has_kind="outdoor")))
        self.assertEqual(["Rain boots"], self.found(q="rain", has_kind="outdoor", column="price", **{"is": "more than"}, value="30"))
        both = {"column": ["price", "name"], "is": ["at least", "contains"], "value": ["40", "AN"]}
        self.assertEqual({"Wool blanket", "Fan"}, set(self.found(q="warm", **both)))
        self.assertEqual(10, len(self.found(q="warm", column="code", **{"is": "is"}, value="7")))
        self.assertEqual([], self.found(q="warm", column="name", **{"is": "is"}, value="' OR 1 --"))
        self.assertEqual(1, len(self.found(q="warm", k=1)))
        self.refused("expected a column out of id, name", q="x", column='"; --', **{"is": "is"}, value="1")
        self.refused("expected a condition out of is, is not", q="x", column="id", **{"is": "OR"}, value="1")
        self.refused("k: expected a number from 1 to 100, not 1000", q="x", k="1000")
        self.refused("k: expected a number from 1 to 100, not ²", q="x", k="²")
        self.refused("k: expected a number from 1 to 100, not 00000000199", q="x", k="0000000019999999")
        self.refused("k: expected a number from 1 to 100, not 99999999999", q="x", k="9" * 5000)
        self.refused("by: expected one of both, meaning, words, not x", q="x", by="x")

    def test_odd_questions(self):
        for question in ("\0", "a\0b", "'", '"', "%", "\ud7ff", "x" * 20000, "🌧️", "{{ 7 * 7 }}", "</code><script>"):
            status, page, _ = self.ask(f"{self.first}?q={urllib.parse.quote(question)}")
            self.assertIn(status, (200, 400), question)
            self.assertNotIn("<script", page)
            self.assertNotIn("Traceback", page)
        self.refused("expected a row with a vector whose id is 999", like="999")
        self.refused("expected a row with a vector whose id is x'", like="x'")
        self.refused("expected a model", q="x", model="../../etc", by="meaning")
        self.assertIn("By words alone, as there is no vector of the question", self.search(q="rain", model="gpt"))

    def test_the_map(self):
        status, page, _ = self.ask(self.first.replace("search", "map"))
        self.assertEqual(200, status)
        self.assertIn('<option selected>kind</option>', page)
        self.assertIn("vec_map(&#39;products&#39;, &#39;embedding&#39;)", page)
        address = html.unescape(re.search(r'data-points="([^"]*)"', page)[1])
        points = json.loads(self.ask(address)[1])
        self.assertEqual([10] * 5, [len(points[name]) for name in ("id", "title", "x", "y", "group")])
        self.assertEqual(["home", "food", "outdoor"], points["labels"])
        self.assertEqual([kind for _, _, kind, _ in PRODUCTS], [points["labels"][group] for group in points["group"]])
        points = json.loads(self.ask(address.replace("by=kind", "by="))[1])
        self.assertEqual((["all rows"], {0}), (points["labels"], set(points["group"])))
        status, told, _ = self.ask(address.replace("by=kind", "by=nothing"))
        self.assertEqual(400, status)
        self.assertIn("expected a column out of id, name", json.loads(told)["error"])

    def test_tables_of_an_index_are_hidden_and_those_with_vectors_lead_to_their_page(self):
        tables = {table["name"]: table["hidden"] for table in json.loads(self.ask("/the~20shop.json")[1])["tables"]}
        self.assertEqual({"products", "notes_vectors"}, {name for name, hidden in tables.items() if not hidden})
        self.assertLessEqual({"products_vec", "products_vec_blocks", "products_vec_pending", "products_text_data"}, set(tables))
        self.assertIn(f'<a href="{self.first}">Search by meaning</a>', self.ask("/the~20shop/products")[1])
        self.assertNotIn("Search by meaning", self.ask("/the~20shop/notes_vectors")[1])
        self.assertEqual(400, self.ask("/the~20shop/notes_vectors/-/search")[0])
        self.assertEqual(404, self.ask("/other/products/-/search")[0])

    def test_nothing_is_written_and_settings_are_locked(self):
        before = self.path.read_bytes()
        for sql in ("DELETE FROM products", "SELECT fafcas_config('threads', 1)", "ATTACH 'x.db' AS x", "PRAGMA user_version = 2",
                    "SELECT load_extension('x')", "WITH a AS (SELECT 1) DELETE FROM products", "INSERT INTO products_vec (products_vec) VALUES ('merge')"):
            status, told, _ = self.ask(f"/the~20shop.json?{urllib.parse.urlencode({'sql': sql})}")
            self.assertEqual(400, status, (sql, told))
        self.assertIn("FAFCAS_LOCK_CONFIG", self.ask(f"/the~20shop.json?sql=SELECT+fafcas_config('threads',1)")[1])
        self.assertEqual(before, self.path.read_bytes())
        for path in ("/the~20shop.db", "/-/create-token"):
            self.assertIn(self.ask(path)[0], (403, 404), path)

    def test_what_others_may_ask(self):
        host = f"127.0.0.1:{self.port}"
        for name in (host, f"localhost:{self.port}", f"LOCALHOST:{self.port}"):
            self.assertEqual(200, self.ask("/", Host=name)[0], name)
        # A name of another site that was made to lead here; and the right one with another port.
        for name in ("evil.example", f"evil.example:{self.port}", f"127.0.0.1.evil.example:{self.port}", "127.0.0.1", ""):
            status, told, _ = self.ask("/", Host=name)
            self.assertEqual(403, status, name)
            self.assertIn("expected the host 127.0.0.1:", told)
        visit = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
        for site in ("cross-site", "same-site"):
            self.assertEqual(200, self.ask(self.first, Sec_Fetch_Site=site, **visit)[0])
            self.assertEqual(403, self.ask(f"{self.first}?q=x", Sec_Fetch_Site=site, **visit)[0])
            for mode, to in (("navigate", "iframe"), ("no-cors", "image"), ("no-cors", "script"), ("cors", "empty"), ("websocket", "websocket")):
                self.assertEqual(403, self.ask(self.first, Sec_Fetch_Site=site, Sec_Fetch_Mode=mode, Sec_Fetch_Dest=to)[0], to)
        self.assertEqual(403, self.ask("/", Origin="http://evil.example")[0])
        self.assertEqual(403, self.ask("/", Origin="null")[0])
        self.assertEqual(200, self.ask("/", Origin=f"http://{host}", Sec_Fetch_Site="same-origin")[0])
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            self.assertEqual(405, self.ask("/", method, Origin=f"http://{host}")[0], method)
        for path in ("/", self.first, "/-/static/app.css", "/the~20shop/products.json"):
            headers = {name.lower(): value for name, value in self.ask(path)[2].items()}
            self.assertIn("frame-ancestors 'none'", headers["content-security-policy"], path)
            self.assertEqual(("nosniff", "DENY", "same-origin"), tuple(headers[name] for name in (
                "x-content-type-options", "x-frame-options", "cross-origin-resource-policy")))
            self.assertNotIn("access-control-allow-origin", headers)
        self.assertIn("script-src 'self';", self.ask(self.first)[2]["Content-Security-Policy"])
        self.assertEqual([("127.0.0.1", self.port)], listening(self.port))

    def test_a_browser_that_goes_away_does_no_harm(self):
        """Before its answer is written: the first part is sent to nobody, and the second to a connection that is known to be gone."""
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", self.port)) as gone:
                gone.sendall(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        self.assertEqual(200, self.ask("/")[0])

    def test_rows_that_change_are_seen(self):
        from pysqlite3 import dbapi2 as sqlite3

        connection = sqlite3.connect(self.path)
        self.addCleanup(connection.close)
        with connection:
            connection.execute("UPDATE products SET price = 41 WHERE name = 'Fan'")
        asked = {"q": "room", "column": "price", "is": "is"}
        self.assertEqual(["Fan"], self.found(**asked, value="41"))
        with connection:
            connection.execute("UPDATE products SET price = 40 WHERE name = 'Fan'")
        self.assertEqual([], self.found(**asked, value="41"))


def listening(port):
    """The addresses on which this port is listened to, as Linux tells."""
    found = []
    for file in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(file).read_text().splitlines()[1:]:
                address, number = line.split()[1].split(":")
                if line.split()[3] == "0A" and int(number, 16) == port:
                    found.append((".".join(str(byte) for byte in reversed(bytes.fromhex(address))), port))
    return found


class Starts(unittest.TestCase):
    """What serve says where it cannot; and other kinds of tables."""

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def fails(self, wanted, *arguments):
        told = subprocess.run([sys.executable, "-m", "fafcas", "serve", *map(str, arguments)], capture_output=True, text=True)
        self.assertEqual((1, ""), (told.returncode, told.stdout), told.stderr)
        self.assertRegex(told.stderr, rf"\Afafcas: [^\n]*{wanted}[^\n]*\n\Z")

    def test_messages(self):
        from pysqlite3 import dbapi2 as sqlite3

        self.fails("expected a database, not nothing", self.folder / "x.db")
        self.fails("expected a database file, not a folder", self.folder)
        text = self.folder / "text.db"
        text.write_text("text, and more of it" * 100)
        self.fails("expected an SQLite database that can be read", text)
        empty = self.folder / "empty.db"
        sqlite3.connect(empty).execute("CREATE TABLE t (a)").connection.close()
        self.fails("expected a table with vectors", empty)
        odd = self.folder / "what?.db"
        shutil.copy(empty, odd)
        self.fails("a path without \\?", odd)
        path = shop(self.folder)
        with served(path) as (port, _):
            self.fails(f"port {port}: expected one that is free", path, "--port", port)

    def test_tables_that_cannot_be_read_are_passed_over(self):
        """A view without an end, one of a table that is gone, and a table of sqlite-vec, without sqlite-vec."""
        from pysqlite3 import dbapi2 as sqlite3

        path = shop(self.folder)
        connection = sqlite3.connect(path)
        connection.executescript("""
            CREATE VIEW endless AS WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)
                SELECT x AS rowid, CASE WHEN x < 0 THEN x END AS emb FROM n;
            CREATE TABLE gone (v BLOB); CREATE VIEW broken AS SELECT v FROM gone; DROP TABLE gone;
            CREATE TABLE vecs_chunks (rowid PRIMARY KEY, vectors BLOB);
            INSERT INTO vecs_chunks SELECT id, embedding FROM products""")
        connection.execute("CREATE VIEW shown AS SELECT id AS rowid, * FROM products WHERE kind = 'food'")
        for table, wanted in (("products", "<h3>"), ("shown", "<h3>"), ("endless", "endless: expected a table with a column of vectors"),
                              ("broken", "broken: expected a table that can be read")):
            self.assertIn(wanted, html.unescape(datasette(path, f"/the~20shop/{table}/-/search?q=soup")))
        # Datasette itself does not open such a file, unless sqlite-vec is loaded.
        connection.executescript("""
            PRAGMA writable_schema = ON;
            INSERT INTO sqlite_schema VALUES ('table', 'vecs', 'vecs', 0, 'CREATE VIRTUAL TABLE vecs USING vec0(v float[2])')""")
        connection.close()
        with served(path) as (_, first):
            self.assertRegex(first, "/products/-/search$")
        known = subprocess.run([sys.executable, "-c", KNOWN, path], check=True, capture_output=True, text=True).stdout
        tables, hidden = json.loads(known)
        self.assertEqual(["products"], tables)
        self.assertLessEqual({"products_vec", "vecs_chunks"}, set(hidden))

    def test_without_full_text_it_searches_by_meaning(self):
        path = shop(self.folder, words=False)
        get = lambda query: datasette(path, f"/the~20shop/products/-/search?{query}")  # noqa: E731
        page = get("q=soup")
        self.assertIn("This table has no full text", page)
        self.assertIn(html.escape(PRODUCTS[2][0]).replace("&#x27;", "&#39;"), re.search("<h3>.*</h3>", page)[0])
        self.assertEqual({"meaning"}, set(re.findall('class="why (.*?)"', page)))
        self.assertIn("CREATE VIRTUAL TABLE", html.unescape(get("q=soup&by=words")))

    def test_the_page_of_the_docs(self):
        blocks = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs/page.md").read_text(), re.S)
        commands = self.folder / "bin"
        commands.mkdir()
        for name in ("fafcas", "datasette"):
            (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{LOADED}" {name} "$@"\n')
            (commands / name).chmod(0o755)
        environment = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "python")}
        programs = [(program, printed) for (language, program), (_, printed) in zip(blocks, blocks[1:]) if language == "sh"]
        (_, _), (first, address), (second, titles) = programs
        *before, serve = first.splitlines()
        self.assertEqual("fafcas serve notes.db", serve)
        run = lambda program: subprocess.run(  # noqa: E731
            ["sh", "-ec", program], cwd=self.folder, env=environment, check=True, capture_output=True, text=True).stdout
        self.assertEqual("", run("\n".join(before)))
        with served(self.folder / "notes.db") as (_, page):
            self.assertEqual(f"http://127.0.0.1:8001{page} (only on this machine; ctrl-C ends it)\n", address)
        self.assertEqual(titles, run(second))


# The commands of the packages, of which fafcas is not installed here.
LOADED = """import sys; name = sys.argv.pop(1)
from datasette.plugins import pm; import fafcas.datasette; pm.register(fafcas.datasette, name='fafcas')
if name == 'fafcas':
    from fafcas.command.program import main; main()
from datasette.cli import cli; cli()"""


KNOWN = """import json, sys; from fafcas.datasette import known
found = known.look(sys.argv[1]); print(json.dumps([found.tables, found.hidden]))"""


def datasette(path, address):
    command = [sys.executable, "-c", LOADED, "datasette", str(path), "--get", address]
    return subprocess.run(command, capture_output=True, text=True).stdout


def browser(chromium, folder):
    with tempfile.TemporaryDirectory() as place:
        kit = Path(place, "sample.db")
        fafcas("demo", "--sample", kit)
        with served(kit) as (one, first), served(shop(place)) as (two, second):
            addresses = [f"http://127.0.0.1:{one}{first}", f"http://127.0.0.1:{two}{second}"]
            subprocess.run(["node", str(ROOT / "tests/hosts/node/page.cjs"), str(shutil.which(chromium)), folder, *addresses], check=True)


if __name__ == "__main__":
    if sys.argv[1] == "browser":
        browser(*sys.argv[2:])
    else:
        unittest.main(argv=sys.argv[:1] + sys.argv[2:])
