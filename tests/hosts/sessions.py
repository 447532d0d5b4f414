"""An indexed table under SQLite's session extension, and in databases made from bytes.

    sessions.py LIBRARY

Changesets carry the rows of the table and not the list of what changed since the index was written, which has no key; the
triggers write that where a changeset is applied. So the index of each database stays right by itself.
"""

import array
import random
import sys

import apsw

ROWS, DIMENSIONS = 1500, 12
library = sys.argv[1]
numbers = random.Random(1)


def vector():
    return array.array("f", (numbers.gauss(0, 1) for _ in range(DIMENSIONS))).tobytes()


def opened(has_library=True):
    connection = apsw.Connection(":memory:")
    if has_library:
        connection.enable_load_extension(True)
        connection.load_extension(library)
    return connection


def copy(connection, has_library=True):
    target = opened(has_library)
    target.deserialize("main", connection.serialize("main"))
    return target


def with_library(connection):
    return copy(connection)


def assert_right(connection, path="index"):
    for _ in range(5):
        query = vector()
        sql = "SELECT rowid, score FROM vec_topk('nodes', 'v', ?, 10, ?)"
        expected = connection.execute(sql, (query, '{"index": false}')).fetchall()
        assert connection.execute(sql, (query, '{"index": "nodes_vec"}')).fetchall() == expected
        used = connection.execute("SELECT path FROM vec_stats WHERE source = 'main.nodes'").fetchone()
        assert used == (path,), used
    connection.execute("INSERT INTO nodes_vec(nodes_vec) VALUES ('check')")


def rows(connection):
    return connection.execute("SELECT id, v FROM nodes ORDER BY id").fetchall()


def change(connection):
    with connection:
        connection.execute("DELETE FROM nodes WHERE id % 11 = 0")
        connection.execute("UPDATE nodes SET id = id + 5000 WHERE id % 13 = 0")
        for row in range(20, 200, 3):
            connection.execute("UPDATE nodes SET v = ? WHERE id = ?", (vector(), row))
        connection.executemany("INSERT INTO nodes(v) VALUES (?)", ((vector(),) for _ in range(50)))


first = opened()
first.execute("CREATE TABLE nodes(id INTEGER PRIMARY KEY, v BLOB)")
with first:
    first.executemany("INSERT INTO nodes(v) VALUES (?)", ((vector(),) for _ in range(ROWS)))
first.execute("CREATE VIRTUAL TABLE nodes_vec USING vec_index(nodes, v)")
assert_right(first)

# A database made from the bytes of another has its index, and goes its own way.
second = copy(first)
assert_right(second)
change(second)
assert_right(second)
assert_right(first)

for merges in (False, True):
    for has_library in (False, True):
        source = copy(first)
        replica, before = copy(source, has_library), rows(source)
        session = apsw.Session(source, "main")
        session.attach(None)
        change(source)
        if merges:
            # The blocks of the index have a key: they travel too.
            source.execute("INSERT INTO nodes_vec(nodes_vec) VALUES ('merge')")
        changes = session.changeset()
        apsw.Changeset.apply(changes, replica)
        assert rows(replica) == rows(source) != before
        assert_right(with_library(replica))
        apsw.Changeset.apply(apsw.Changeset.invert(changes), replica)
        assert rows(replica) == before
        assert_right(with_library(replica))

# Each merges for itself, and the changeset has the table alone.
source, replica = copy(first), copy(first)
session = apsw.Session(source, "main")
session.attach("nodes")
change(source)
source.execute("INSERT INTO nodes_vec(nodes_vec) VALUES ('merge')")
replica.execute("UPDATE nodes SET v = v WHERE id = 20")
replica.execute("INSERT INTO nodes_vec(nodes_vec) VALUES ('merge')")
apsw.Changeset.apply(session.changeset(), replica)
assert rows(replica) == rows(source)
assert_right(replica)
replica.execute("INSERT INTO nodes_vec(nodes_vec) VALUES ('merge')")
assert_right(replica)
print("sessions: right")
