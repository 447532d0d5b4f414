"""The installed Python package in each host, one host a process. tests/hosts/packages.rs calls it.

    python_package.py sqlite3|apsw|pysqlite3|sqlalchemy|datasette|sqlite_utils|collection|refusals|command|types

Arrays are bound in all the ways a program may hold them, and must come out as the 4-byte floats that numpy itself makes.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from array import array
from pathlib import Path

import numpy as np

import fafcas

TEXTS = [["sails and masts"], ["bread and butter"]]
SEARCH = "SELECT rowid FROM vec_topk('notes', 'embedding', embed(?), 1)"

# (an array, the bytes it must be bound as)
FLOATS = np.array([0.5, -2, 3], "f4")
ARRAYS = [
    (FLOATS, FLOATS.tobytes()),
    (FLOATS.astype("f8"), FLOATS.tobytes()),
    (FLOATS.astype("f2"), FLOATS.tobytes()),
    (FLOATS.astype(">f4"), FLOATS.tobytes()),
    (np.array([1, 2, 3]), np.array([1, 2, 3], "f4").tobytes()),
    (np.arange(6, dtype="f8")[::2], np.array([0, 2, 4], "f4").tobytes()),
    (np.array([], "f8"), b""),
    (np.array([1, 255], "u1"), b"\x01\xff"),
    (np.array([1, -1], "i1"), b"\x01\xff"),
    (array("d", FLOATS), FLOATS.tobytes()),
    (array("f", FLOATS), FLOATS.tobytes()),
    (array("q", [1, 2]), np.array([1, 2], "f4").tobytes()),
    (array("B", [1, 255]), b"\x01\xff"),
]
# None of these is a vector, and SQLite would store the bytes of each.
NO_VECTORS = [np.ones((2, 2)), np.ones((1, 4), "f4"), np.ones((2, 2), "u1"), np.array(1.0), np.ones(2, "c8"), np.ones(2, bool), np.array(["a"])]


def check(execute, executemany):
    """Whatever the host: `execute` returns the first row, `executemany` returns nothing."""
    execute("CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, embedding BLOB)", ())
    executemany("INSERT INTO notes(body, embedding) VALUES (?1, embed(?1))", TEXTS)
    assert tuple(execute(SEARCH, ["breakfast"])) == (2,)
    for values, expected in ARRAYS:
        assert tuple(execute("SELECT ?", [values])) == (expected,), (values, expected)
    for wrong in NO_VECTORS:
        refused(ValueError, f"not of {wrong.dtype} and shape {wrong.shape}", "tobytes")(lambda: execute("SELECT ?", [wrong]))
    # Found again by the same vector, written and searched as doubles.
    double = np.random.default_rng(1).random(384)
    executemany("INSERT INTO notes(embedding) VALUES (fafcas_normalize(?))", [[double]])
    found = execute("SELECT rowid, round(score, 4) FROM vec_topk('notes', 'embedding', fafcas_normalize(?), 1)", [double])
    assert tuple(found) == (3, 1.0), found


SCHEMA = [
    "CREATE TABLE places(v)",
    "INSERT INTO places VALUES ('[1,0]'), ('[0,1]')",
    "CREATE VIEW northmost AS SELECT rowid FROM vec_topk('places', 'v', '[0,1]', 1)",
]


def check_schema_search(connection, execute, error):
    """A view that the file stores may search only if that was asked for, and what was asked for last holds."""
    fafcas.load(connection)
    for statement in SCHEMA:
        execute(statement)
    refused(error, "unsafe use of virtual table")(lambda: execute("SELECT * FROM northmost"))
    for _ in range(2):
        fafcas.load(connection, schema_search=True)
        assert tuple(execute("SELECT * FROM northmost")) == (2,)
    fafcas.load(connection)
    refused(error, "unsafe use of virtual table")(lambda: execute("SELECT * FROM northmost"))


def check_dbapi(module):
    connection = module.connect(":memory:")
    check_schema_search(connection, lambda sql: connection.execute(sql).fetchone(), module.OperationalError)
    connection = module.connect(":memory:")
    fafcas.load(connection)
    fafcas.load(connection)
    check(lambda *args: connection.execute(*args).fetchone(), connection.executemany)
    # Afterwards SQL may load nothing more.
    try:
        connection.execute("SELECT load_extension(?)", [fafcas.loadable_path()])
    except module.OperationalError as error:
        assert "not authorized" in str(error), error
    else:
        raise AssertionError("extension loading was left on")


def sqlite3():
    import sqlite3

    check_dbapi(sqlite3)
    # A subclass of the program's own.
    connection = sqlite3.connect(":memory:", factory=type("Mine", (sqlite3.Connection,), {}))
    fafcas.load(connection)
    assert connection.execute("SELECT length(?)", [np.ones(2)]).fetchone() == (8,)
    # Once in a process: an adapter that is replaced stays so.
    sqlite3.register_adapter(np.ndarray, lambda array: "mine")
    fafcas.load(connection)
    assert connection.execute("SELECT ?", [np.ones(2)]).fetchone() == ("mine",)


def pysqlite3():
    import pysqlite3

    check_dbapi(pysqlite3)


def apsw():
    import apsw

    connection = apsw.Connection(":memory:")
    fafcas.load(connection)
    fafcas.load(connection)
    check(lambda *args: connection.execute(*args).fetchone(), connection.executemany)
    assert connection.execute("SELECT :v", {"v": np.ones(1)}).get == np.ones(1, "f4").tobytes()
    assert connection.cursor().execute("SELECT length(?)", (np.ones(2),)).get == 8
    assert connection.execute("SELECT 1").get == 1
    other = apsw.Connection(":memory:")
    check_schema_search(other, lambda sql: other.execute(sql).fetchone(), apsw.SQLError)
    # Another connection, and one with a cursor of its own, are as they were.
    assert len(apsw.Connection(":memory:").execute("SELECT ?", (np.ones(1),)).get) == 8


def sqlalchemy():
    from sqlalchemy import create_engine, create_mock_engine, text
    from sqlalchemy.pool import QueuePool

    folder = tempfile.mkdtemp()
    engine = create_engine(f"sqlite:///{folder}/notes.db", poolclass=QueuePool)
    with engine.connect() as early:
        early.execute(text("SELECT 1"))
    # That connection is in the pool now, and needs the library as much as new ones.
    fafcas.load(engine)
    with engine.begin() as one, engine.connect() as two:
        assert one.execute(text("SELECT vec_version()")).scalar() == two.execute(text("SELECT vec_version()")).scalar()
        one.execute(text("CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, embedding BLOB)"))
        for (body,) in TEXTS:
            one.execute(text("INSERT INTO notes(body, embedding) VALUES (:body, embed(:body))"), {"body": body})
    with engine.connect() as connection:
        assert connection.execute(text(SEARCH.replace("?", ":text")), {"text": "breakfast"}).scalar() == 2
        assert len(connection.execute(text("SELECT :v"), {"v": np.ones(2)}).scalar()) == 8

    searching = create_engine("sqlite://")
    fafcas.load(searching)
    fafcas.load(searching, schema_search=True)
    with searching.connect() as connection:
        for statement in [*SCHEMA, "SELECT rowid FROM northmost"]:
            found = connection.execute(text(statement))
        assert found.scalar() == 2

    with create_engine("sqlite://").connect() as connection:
        fafcas.load(connection)
        assert connection.execute(text("SELECT vec_dot('[1,2]', '[3,4]')")).scalar() == 11
    refused(TypeError, "expected a database of dialect sqlite")(lambda: fafcas.load(create_mock_engine("postgresql://", print)))


def command_output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def beside(name):
    """A command that pip installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


def datasette():
    url = "/_memory.json?_shape=array&sql=select+vec_version()+as+v,+length(embed('a'))+as+n"
    rows = json.loads(command_output(beside("datasette"), "--get", url))
    assert rows[0]["v"].startswith("fafcas ") and rows[0]["n"] == 1536, rows
    # A visitor changes nothing.
    url = "/_memory.json?_shape=array&sql=select+fafcas_config('threads',+1)"
    told = subprocess.run([beside("datasette"), "--get", url], capture_output=True, text=True)
    assert "FAFCAS_LOCK_CONFIG" in told.stdout + told.stderr, told
    # The pages and their files came with the wheel.
    path = Path(tempfile.mkdtemp(), "notes.db")
    fafcas.open(path).add([text for (text,) in TEXTS])
    page = command_output(beside("datasette"), str(path), "--get", "/notes/documents/-/search?q=breakfast&k=1")
    assert "<mark>bread and butter</mark>" in page and "/-/static-plugins/fafcas/page.css" in page, page
    for file in ("page.css", "map.js", "uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE"):
        assert command_output(beside("datasette"), "--get", f"/-/static-plugins/fafcas/{file}"), file
    with subprocess.Popen([beside("fafcas"), "serve", str(path), "--port", "0"], stdout=subprocess.PIPE, text=True) as serving:
        address = serving.stdout.readline().split(" ")[0]
        with urllib.request.urlopen(f"{address}?q=breakfast&k=1") as answer:
            assert "<mark>bread and butter</mark>" in answer.read().decode()
        serving.terminate()


def sqlite_utils():
    rows = json.loads(command_output(beside("sqlite-utils"), "memory", "select vec_version() as v, length(embed('a')) as n"))
    assert rows[0]["v"].startswith("fafcas ") and rows[0]["n"] == 1536, rows
    from sqlite_utils import Database

    assert next(Database(memory=True).query("select vec_dot('[1,2]', '[3,4]') as v"))["v"] == 11


def collection():
    """In sqlite3, whose transactions and rows a program may have set in its own way."""
    import sqlite3

    path = Path(tempfile.mkdtemp(), "notes.db")
    notes = fafcas.open(path)
    assert notes.add([text for (text,) in TEXTS], [{"kind": "sea"}, {"kind": "food"}]) == [1, 2]
    assert [hit.id for hit in notes.search("breakfast", 1)] == [2]
    frame = notes.to_pandas(vectors=True)
    assert list(frame.columns) == ["id", "text", "kind", "vector"] and frame.vector[0].shape == (384,), frame
    notes.upsert(["x"], [{"id": 7, "kind": "other"}], [3])
    frame = notes.to_pandas(where="id = 3")
    assert frame.to_dict("records") == [{"id": 3, "text": "x", "metadata.id": 7, "kind": "other"}], frame
    assert list(notes.to_pandas(where="false", vectors=True).columns) == ["id", "text", "vector"]
    notes.delete([3])
    for level in ("", "IMMEDIATE", None):
        connection = sqlite3.connect(path, isolation_level=level)
        connection.row_factory = sqlite3.Row
        mine = fafcas.Collection(connection)
        mine.upsert(["ropes"], ids=["ropes"])
        mine.delete(["ropes"])
        assert not connection.in_transaction and [hit.id for hit in mine.search("breakfast", 1)] == [2], level
        connection.execute("INSERT INTO documents (id, text) VALUES ('mine', 'x')")
        mine.add(vectors=np.ones((2, 384)))
        connection.rollback()
        assert len(mine) == (5 if level is None else 2), level
    refused(ValueError, "see upsert")(lambda: notes.add(["x"], ids=[1]))


def refused(kind, *words):
    def check_refusal(call):
        try:
            call()
        except kind as error:
            assert all(word in str(error) for word in words), error
        else:
            raise AssertionError(f"not refused: {words}")

    return check_refusal


# The first bytes of a library, as far as the formats name the platform there.
ELF, PE, MACHO = b"\x7fELF\x02\x01" + bytes(12), b"MZ" + bytes(58) + (64).to_bytes(4, "little") + b"PE\0\0", b"\xcf\xfa\xed\xfe"
HEADS = {
    "Linux x86_64 (glibc)": ELF + b"\x3e\0" + bytes(100) + b"\0libm.so.6\0libc.so.6\0",
    "Linux aarch64 (glibc)": ELF + b"\xb7\0" + bytes(100) + b"\0libc.so.6\0",
    "Linux x86_64 (musl)": ELF + b"\x3e\0" + bytes(100) + b"\0libc.musl-x86_64.so.1\0",
    "Linux aarch64 (musl)": ELF + b"\xb7\0" + bytes(200_000) + b"\0libc.musl-aarch64.so.1\0" + bytes(100),
    "Android aarch64": ELF + b"\xb7\0" + bytes(100) + b"\0libc.so\0libdl.so\0",
    "Windows x86_64": PE + b"\x64\x86",
    "macOS x86_64": MACHO + b"\x07\0\0\x01",
    "macOS aarch64": MACHO + b"\x0c\0\0\x01",
}


def wrong_platforms():
    """A library for another platform, named or in the package, is refused by a sentence that names both; and one that says nothing is not."""
    from fafcas._platform import other_platform, platform_of, this_platform

    with tempfile.TemporaryDirectory() as folder:
        ours = this_platform()
        assert ours.startswith("Linux") and ours in HEADS, ours
        for theirs, head in HEADS.items():
            file = Path(folder, "fafcas.so")
            file.write_bytes(head)
            assert platform_of(file) == theirs, (theirs, platform_of(file))
            told = other_platform(file)
            assert (told is None) == (theirs == ours), (theirs, told)
            if told:
                assert f"expected a library for {ours}, not {file}, which is for {theirs}: install the wheel whose name has manylinux" in told, told
        for head in (b"", b"MZ", b"MZ" + bytes(62), b"\x7fELF", ELF, b"\xca\xfe\xba\xbe", MACHO, b"text"):
            file.write_bytes(head)
            assert platform_of(file) is None, head
        file.write_bytes(HEADS["macOS aarch64"])
        os.environ["FAFCAS_LIBRARY"] = str(file)
        try:
            refused(fafcas.LoadError, ours, "which is for macOS aarch64")(fafcas.loadable_path)
        finally:
            del os.environ["FAFCAS_LIBRARY"]
        # The package as it is after somebody has copied it from a Mac.
        copied = Path(folder, "fafcas")
        copied.mkdir()
        for source in Path(fafcas.__file__).parent.glob("_*.py"):
            (copied / source.name).write_bytes(source.read_bytes())
        (copied / "fafcas.dylib").write_bytes(HEADS["macOS aarch64"])
        (copied / "__init__.py").write_text("from ._library import loadable_path\n")
        program = "import fafcas\ntry: fafcas.loadable_path()\nexcept RuntimeError as error: print(error)"
        told = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": folder})
        assert "fafcas.dylib, which is for macOS aarch64" in told.stdout, told


def refusals():
    class Connection:
        """As sqlite3's is in a Python without extension loading."""

        __module__ = "sqlite3"

        def cursor(self):
            raise NotImplementedError

    refused(fafcas.LoadError, "apsw", "pysqlite3", sys.executable)(lambda: fafcas.load(Connection()))
    refused(TypeError, "expected a connection of ", "not str")(lambda: fafcas.load("notes.db"))
    refused(ValueError, "one dimension, not of 2")(lambda: fafcas.vector(np.ones((1, 2))))
    refused(RuntimeError, "expected a model out of all-MiniLM-L6-v2", "not gpt")(lambda: fafcas.fetch_model(["gpt"]))

    import apsw
    import pysqlite3

    fafcas.load(apsw.Connection(":memory:"))
    second = pysqlite3.connect(":memory:")
    refused(fafcas.LoadError, "expected one SQLite library per process")(lambda: fafcas.load(second))

    wrong_platforms()

    # A program that has no network and no model still loads, searches, and is told once.
    program = """if 1:
        import fafcas, apsw, warnings
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for connection in (apsw.Connection(":memory:"), apsw.Connection(":memory:")):
                fafcas.load(connection)
                assert connection.execute("SELECT vec_dot('[1]', '[2]')").get == 2
        assert len(told) == 1 and "fafcas.fetch_model()" in str(told[0].message), told
        try:
            connection.execute("SELECT embed('a')")
        except apsw.SQLError as error:
            # The environment lies in a clone that has the models, or does not, and either is told.
            assert "fafcas model" in str(error) or "type `" in str(error), error
    """
    folder = tempfile.mkdtemp()
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": folder, "XDG_CACHE_HOME": folder}
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, **offline})

    notes = Path(folder, "notes")
    notes.mkdir()
    (notes / "a.md").write_text("text")
    ingest = [beside("fafcas"), "ingest", str(notes), str(notes / "a.db")]
    told = subprocess.run(ingest, capture_output=True, text=True, env={**os.environ, **offline})
    assert (told.returncode, told.stdout) == (1, "") and not (notes / "a.db").exists(), told
    downloading, failed = told.stderr.splitlines()
    assert downloading.startswith("fafcas: downloading") and "pip could not get" in failed, told

    # A Python that really is built so, if there is one.
    found = subprocess.run(["python3", "-c", "import sqlite3; sqlite3.Connection.enable_load_extension"], capture_output=True)
    if found.returncode:
        program = "import fafcas, sqlite3\ntry: fafcas.load(sqlite3.connect(':memory:'))\nexcept fafcas.LoadError as e: print(e)"
        packages = str(Path(fafcas.__file__).parent.parent)
        told = subprocess.run(["python3", "-S", "-c", program], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": packages})
        assert "pip install apsw" in told.stdout, told


def command():
    assert command_output(beside("fafcas"), "path").strip() == fafcas.loadable_path()
    folder = command_output(beside("fafcas"), "model").strip()
    assert folder == str(fafcas.fetch_model()) and Path(folder, "all-MiniLM-L6-v2", "model.onnx").is_file(), folder
    notes = Path(tempfile.mkdtemp())
    for at, (text,) in enumerate(TEXTS):
        (notes / f"{at}.md").write_text(text)
    told = command_output(beside("fafcas"), "ingest", str(notes), str(notes / "notes.db"), "--called", "notes")
    assert "notes in notes: 2 new" in told and "2 texts embedded" in told, told
    assert "  NO  " not in command_output(beside("fafcas"), "health", str(notes / "notes.db"))
    failed = subprocess.run([beside("fafcas"), "model", "gpt"], capture_output=True, text=True)
    assert failed.returncode == 1 and failed.stderr.startswith("fafcas: expected a model out of"), failed


def types():
    program = """
import sqlite3
import numpy
import fafcas
fafcas.load(sqlite3.connect(":memory:"))
fafcas.load(sqlite3.connect(":memory:"), schema_search=True)
path: str = fafcas.loadable_path()
blob: bytes = fafcas.vector([1.0, 2]) + fafcas.vector(numpy.ones(3))
folder: str = str(fafcas.fetch_model())
notes: fafcas.Collection = fafcas.open(":memory:", embed=lambda texts: numpy.ones((len(texts), 3)))
ids: list[int | str] = notes.add(["a"], [{"b": 1}], vectors=numpy.ones((1, 3)))
score: float = notes.search("a", where="true", params={"b": 1})[0].score
"""
    file = Path(tempfile.mkdtemp(), "program.py")
    file.write_text(program)
    for what in (["--strict", str(file)], ["--disallow-untyped-defs", "-p", "fafcas"]):
        mypy = [sys.executable, "-m", "mypy", "--ignore-missing-imports", "--cache-dir", str(file.parent), *what]
        print(command_output(*mypy).strip())


if __name__ == "__main__":
    host = sys.argv[1]
    globals()[host]()
    print("fine")
