"""Two SQLite libraries in one process: the first to load fafcas keeps it, the second is told why it cannot.

    two_libraries.py LIBRARY
"""

import sys

import apsw
import pysqlite3.dbapi2 as pysqlite3


def opened(connect):
    connection = connect(":memory:")
    connection.enable_load_extension(True)
    return connection


def search(connection):
    sql = "SELECT rowid FROM vec_topk('t', 'v', '[1,0]', 1)"
    return connection.execute(sql).fetchall()


def refusal(connection):
    try:
        connection.load_extension(library)
    except (apsw.Error, pysqlite3.Error) as error:
        return str(error)
    raise SystemExit("the second SQLite library was not refused")


library = sys.argv[1]
first = opened(pysqlite3.connect)
first.load_extension(library)
first.execute("CREATE TABLE t(v)")
first.execute("INSERT INTO t VALUES ('[0,1]'), ('[1,0]')")
assert search(first) == [(2,)]

message = refusal(opened(apsw.Connection))
print(message)
assert "SQLite" in message and len(message) > 20, message

# The first, and another connection of the same library, are none the worse.
assert search(first) == [(2,)]
another = opened(pysqlite3.connect)
another.load_extension(library)
assert another.execute("SELECT vec_dot('[1,2]', '[3,4]')").fetchone() == (11.0,)
