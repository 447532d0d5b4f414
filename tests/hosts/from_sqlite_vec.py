"""docs/from-sqlite-vec.md with both libraries loaded, and tables of vec0 that sql/from_sqlite_vec.sql moves.

    from_sqlite_vec.py LIBRARY
"""

import random
import re
import struct
import sys
from pathlib import Path

import apsw
import sqlite_vec

LIBRARY = sys.argv[1]
ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = (ROOT / "sql/from_sqlite_vec.sql").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/from-sqlite-vec.md").read_text(encoding="utf-8")


def connected() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.enable_load_extension(True)
    for library in (sqlite_vec.loadable_path(), LIBRARY):
        connection.load_extension(library)
    return connection


def shown(value: object) -> str:
    return "" if value is None else str(value)


def page() -> None:
    """Runs the blocks in order. A block of text is what the SQL before it prints."""
    connection, printed, compared = connected(), "", 0
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        if language == "sql":
            printed = "\n".join("|".join(map(shown, row)) for row in connection.execute(text))
        elif language == "python":
            exec(text, {"connection": connection})
        else:
            assert printed == text.strip(), f"expected\n{text}not\n{printed}"
            compared += 1
    assert compared >= 12, compared


def move(connection: apsw.Connection, source: str, target: str) -> None:
    for (line,) in connection.execute(SCRIPT, {"source": source, "target": target}).fetchall():
        connection.execute(line)


def columns(connection: apsw.Connection, table: str) -> list[str]:
    sql = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid"
    return [name for (name,) in connection.execute(sql, (table,))]


def rows(connection: apsw.Connection, table: str, names: list[str]) -> list[tuple[object, ...]]:
    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    return sorted(connection.execute(f'SELECT {quoted} FROM "{table}"').fetchall())


def floats(chance: random.Random, length: int) -> bytes:
    return struct.pack(f"<{length}f", *(chance.gauss(0, 1) for _ in range(length)))


def with_everything(connection: apsw.Connection, chance: random.Random) -> None:
    """An integer key with gaps, all types of vectors, metadata of all types, two partition keys, and auxiliary columns."""
    connection.execute(
        'CREATE VIRTUAL TABLE "odd name" USING vec0(item_id INTEGER PRIMARY KEY, part TEXT PARTITION KEY, year INTEGER PARTITION KEY,'
        " a float[8], b int8[8], c bit[8], genre TEXT, n INTEGER, r FLOAT, ok BOOLEAN, +note TEXT, +raw BLOB)"
    )
    for key in range(2000):
        connection.execute(
            'INSERT INTO "odd name" VALUES (?, ?, ?, ?, vec_int8(?), vec_bit(?), ?, ?, ?, ?, ?, ?)',
            (
                key * 7 + 3, f"p{key % 3}", 2000 + key % 2, floats(chance, 8), chance.randbytes(8), chance.randbytes(1),
                f"a genre of more than twelve letters {key % 5}", key % 100, key / 8, key % 2, f"note {key}", chance.randbytes(5),
            ),
        )  # fmt: skip
    connection.execute('DELETE FROM "odd name" WHERE item_id % 5 = 0')


def check_moved(connection: apsw.Connection, source: str, key: str) -> None:
    move(connection, source, "moved")
    names = columns(connection, source)
    assert columns(connection, "moved") == names, source
    before, after = rows(connection, source, names), rows(connection, "moved", names)
    assert before == after and len(after) > 1, source
    keys = connection.execute("SELECT name FROM pragma_table_xinfo('moved') WHERE pk").fetchall()
    assert keys == [(key,)], (source, keys)


def nearest(connection: apsw.Connection, source: str, key: str, column: str, query: bytes) -> None:
    """vec0 and vec_topk name the same rows."""
    by_vec0 = f'SELECT "{key}" FROM "{source}" WHERE {column} MATCH ? AND k = 20 ORDER BY distance'
    by_topk = f"""SELECT id FROM vec_topk('moved', '{column}', ?, 20, '{{"metric": "l2"}}')"""
    theirs, ours = (connection.execute(sql, (query,)).fetchall() for sql in (by_vec0, by_topk))
    assert theirs == ours, (source, theirs, ours)


def tables() -> None:
    chance = random.Random(17)
    connection = connected()
    with_everything(connection, chance)
    check_moved(connection, "odd name", "item_id")
    nearest(connection, "odd name", "item_id", "a", floats(chance, 8))
    connection.execute("CREATE VIRTUAL TABLE moved_vec USING vec_index(moved, a)")
    nearest(connection, "odd name", "item_id", "a", floats(chance, 8))
    connection.execute("DROP TABLE moved_vec; DROP TABLE moved")

    connection.execute("CREATE VIRTUAL TABLE named USING vec0(word TEXT\n PRIMARY   KEY, a float[4], +note TEXT)")
    for at in range(50):
        connection.execute("INSERT INTO named VALUES (?, ?, ?)", (f"word {at}", floats(chance, 4), None))
    check_moved(connection, "named", "word")
    nearest(connection, "named", "word", "a", floats(chance, 4))
    connection.execute("DROP TABLE moved")

    connection.execute("CREATE VIRTUAL TABLE plain USING vec0(a float[4])")
    for at in range(50):
        connection.execute("INSERT INTO plain(rowid, a) VALUES (?, ?)", (at * 3 + 1, floats(chance, 4)))
    check_moved(connection, "plain", "rowid")
    nearest(connection, "plain", "rowid", "a", floats(chance, 4))

    assert not connection.execute(SCRIPT, {"source": "absent", "target": "x"}).fetchall()


if __name__ == "__main__":
    page()
    tables()
