"""An authorizer that answers SQLITE_IGNORE reshapes the statements of an index, and there is no error.

    authorizers.py LIBRARY

SQLite cannot say which authorizer a connection has. So commands look at what their statements see and do: whatever is
ignored, a command does its work or is refused, and the index is right for everybody. Nor may a search under such an
authorizer leave anything in the memory that all connections of the process share.
"""

import array
import random
import sys

import apsw

LIBRARY = sys.argv[1]
ROWS, DIMENSIONS = 1200, 8
numbers = random.Random(3)
READ, INSERT, UPDATE = apsw.SQLITE_READ, apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE
ACTIONS = apsw.mapping_authorizer_function


def vector(scale=1.0):
    return array.array("f", (scale * numbers.gauss(0, 1) for _ in range(DIMENSIONS))).tobytes()


def opened(path):
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI)
    connection.enable_load_extension(True)
    connection.load_extension(LIBRARY)
    return connection


def nearest(connection, query, options):
    sql = "SELECT rowid, score FROM vec_topk('t', 'v', ?, 3, ?)"
    return connection.execute(sql, (query, options)).fetchall()


def assert_right(connection, queries, what):
    for query in queries:
        scan = nearest(connection, query, '{"index": false}')
        for options in ('{"exact": true, "index": "ix"}', '{"index": "ix"}'):
            assert nearest(connection, query, options) == scan, what


def world(path, kind):
    connection = opened(path)
    connection.execute(f"CREATE TABLE t(id INTEGER PRIMARY KEY, v {kind})")
    with connection:
        connection.executemany("INSERT INTO t(v) VALUES (?)", ((vector(),) for _ in range(ROWS)))
    connection.execute("CREATE VIRTUAL TABLE ix USING vec_index(t, v)")
    return connection


def ignoring(wanted):
    return lambda *about: apsw.SQLITE_IGNORE if about[:3] == wanted else apsw.SQLITE_OK


IGNORED = [
    (READ, "t", "v"),
    (READ, "t", "id"),
    (READ, "ix_pending", "rid"),
    (READ, "ix_pending", "token"),
    (READ, "ix_pending", "ROWID"),
    (READ, "ix_blocks", "id"),
    (READ, "ix_blocks", "data"),
    (READ, "sqlite_master", "sql"),
    (READ, "sqlite_master", "ROWID"),
    (INSERT, "ix_pending", None),
    (INSERT, "ix_blocks", None),
    (UPDATE, "ix_blocks", "data"),
    (apsw.SQLITE_DELETE, "ix_pending", None),
    (apsw.SQLITE_DELETE, "ix_blocks", None),
    (apsw.SQLITE_PRAGMA, "schema_version", None),
    (apsw.SQLITE_SELECT, None, None),
    (apsw.SQLITE_FUNCTION, None, "count"),
    (apsw.SQLITE_FUNCTION, None, "max"),
    (apsw.SQLITE_FUNCTION, None, "typeof"),
    (apsw.SQLITE_DROP_TRIGGER, "ix_insert", "t"),
    (apsw.SQLITE_CREATE_TRIGGER, "ix_insert", "t"),
    (apsw.SQLITE_CREATE_TRIGGER, "ix_seal", "ix_pending"),
]

outcomes = {}
for kind in ("BLOB", ""):
    for command in ("merge", "rebuild"):
        for signed in (False, True):
            for number, ignored in enumerate(IGNORED):
                path = f"file:w{number}{kind}{command}{signed}?mode=memory&cache=private"
                a = world(path, kind)
                changed = [vector(9), vector(9)]
                assert_right(a, changed, "before")
                a.execute("UPDATE t SET v = ? WHERE id = 7", (changed[0],))
                a.execute("INSERT INTO t(v) VALUES (?)", (changed[1],))
                a.execute("DELETE FROM t WHERE id = 9")
                if signed:
                    a.execute("CREATE TRIGGER u AFTER UPDATE ON t BEGIN SELECT 1; END")
                what = f"{kind or 'no type'}, {command}, signed {signed}: {ACTIONS[ignored[0]]} {ignored[1:]}"
                a.authorizer = ignoring(ignored)
                try:
                    a.execute("INSERT INTO ix(ix) VALUES (?)", (command,))
                    outcome = "done"
                except apsw.Error as error:
                    outcome = "refused"
                    assert "authorizer" in str(error) or ignored[1] != "t", f"{what}: {error}"
                a.authorizer = None
                outcomes.setdefault(outcome, []).append(what)
                assert_right(a, changed + [vector()], what)
                if outcome == "done":
                    a.execute("INSERT INTO ix(ix) VALUES ('check')")
                a.close()
assert any("SQLITE_READ ('t', 'v')" in what for what in outcomes["refused"])
assert not any("SQLITE_READ ('t'," in what for what in outcomes["done"]), outcomes["done"]

# A build on a connection that sees nothing.
for kind in ("BLOB", ""):
    a = world(f"file:build{kind}?mode=memory", kind)
    a.execute("DROP TABLE ix")
    a.authorizer = ignoring((READ, "t", "v"))
    try:
        a.execute("CREATE VIRTUAL TABLE ix USING vec_index(t, v)")
        raise AssertionError("built of nothing")
    except apsw.Error as error:
        assert "authorizer" in str(error), error
    a.authorizer = None
    a.execute("CREATE VIRTUAL TABLE ix USING vec_index(t, v)")
    a.execute("INSERT INTO ix(ix) VALUES ('check')")

# Rows that are NULL in truth are nothing to refuse.
for kind in ("BLOB", ""):
    a = opened(":memory:")
    a.execute(f"CREATE TABLE t(id INTEGER PRIMARY KEY, v {kind}); INSERT INTO t(v) VALUES (NULL), (NULL)")
    a.execute("CREATE VIRTUAL TABLE ix USING vec_index(t, v); INSERT INTO t(v) VALUES (NULL); DELETE FROM t WHERE id = 1")
    a.execute("INSERT INTO ix(ix) VALUES ('merge'), ('rebuild'), ('check')")

# What one connection may not see, another finds.
import os
import tempfile

with tempfile.TemporaryDirectory() as folder:
    for kind in ("BLOB", ""):
        for hidden in ("v", "id"):
            for signed in (False, True):
                path = os.path.join(folder, f"{kind}{hidden}{signed}.db")
                a, query = world(path, kind), vector(9)
                a.execute("UPDATE t SET v = ? WHERE id = 7", (query,))
                if signed:
                    a.execute("DELETE FROM ix_pending WHERE rowid < 4")
                b = opened(path)
                b.authorizer = ignoring((READ, "t", hidden))
                for options in ('{"index": "ix"}', '{"exact": true, "index": "ix"}'):
                    try:
                        nearest(b, query, options)
                    except apsw.Error:
                        pass
                assert_right(a, [query, vector()], f"{kind}, {hidden}, {signed}")
                b.close()
                a.close()
print(len(outcomes["done"]), "done,", len(outcomes["refused"]), "refused")
