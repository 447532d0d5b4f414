"""What there is to search in a database: the nodes of a knowledge base, or a table of the user's with vectors or full text."""

from __future__ import annotations

import math
import re
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Optional

from .scripts import VERSION, Refused

IDENTIFIER = r'(?:"((?:[^"]|"")+)"|`([^`]+)`|\[([^\]]+)\]|\'((?:[^\']|\'\')+)\'|([^\s,()"\'`\[\]]+))'
INDEX = re.compile(rf"USING\s+vec_index\s*\(\s*{IDENTIFIER}\s*,\s*{IDENTIFIER}", re.IGNORECASE)
FULL_TEXT = re.compile(r"USING\s+fts5\s*\((.*)\)", re.IGNORECASE | re.DOTALL)
CONTENT = re.compile(rf"\bcontent\s*=\s*{IDENTIFIER}", re.IGNORECASE)
TRIGRAM = re.compile(r"\btokenize\s*=\s*['\"]?\s*trigram", re.IGNORECASE)

# What people call such columns, the likeliest first.
TITLES = ("title", "name", "subject", "heading", "headline", "label")
TEXTS = ("text", "body", "content", "document", "description", "abstract", "summary", "message")


@dataclass(frozen=True)
class Source:
    """A table, and which of its columns are what."""

    table: str
    key: str  # by which people know its rows
    columns: tuple[str, ...]
    title: Optional[str] = None
    text: Optional[str] = None
    vectors: Optional[str] = None
    words: Optional[str] = None  # the FTS5 table of it
    trigrams: Optional[str] = None  # that of its pieces of three characters, for misspelt words
    is_kit: bool = False


# A view may have no end. No answer by then is none.
SECONDS = 1.0

COLUMNS = ("id", "type", "title", "domain", "layer", "date", "hash", "model", "embedding", "summary", "meta", "source", "content")
KIT = Source("nodes", "id", COLUMNS, "title", "content", "embedding", "nodes_text", "nodes_fuzzy", is_kit=True)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """A number or a text as SQL writes it."""
    if isinstance(value, (int, float)):
        return str(value)
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


def path_of(name: str) -> str:
    """A table's name as the functions that take one read it."""
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else quoted(name)


def is_kit(connection: Any) -> bool:
    ours = "SELECT 1 FROM sqlite_schema WHERE name = 'kit' AND sql LIKE '%fafcas knowledge base%'"
    return bool(connection.execute(ours).fetchall())


def find(connection: Any, table: str | None = None, column: str | None = None) -> Source:
    """The source that is meant: the kit's, else the one there is, else the one that is named."""
    refuse_other_versions(connection)
    if table is None:
        found = KIT if is_kit(connection) else the_only(connection)
        return found if column is None else with_vectors(found, column)
    named = by_name(connection, table)
    if named == KIT.table and is_kit(connection) and column in (None, KIT.vectors):
        return KIT
    try:
        found, is_searchable = described(connection, named), has_rowids(connection, named)
    except Exception as error:
        if not is_of_table(connection, error):
            raise
        raise Refused(f"{named}: expected a table that can be read ({error})") from error
    if not is_searchable:
        raise Refused(f"{named}: expected a table with rowids, not a WITHOUT ROWID table or a view without a column rowid")
    return found if column is None else with_vectors(found, column)


def refuse_other_versions(connection: Any) -> None:
    if not is_kit(connection):
        return
    rows = connection.execute("SELECT value FROM kit WHERE key = 'version'").fetchall()
    version = rows[0][0] if rows else None
    if version != VERSION:
        older = isinstance(version, int) and version < VERSION
        remedy = "`fafcas migrate DB` brings it up" if older else "use the kit that made it"
        raise Refused(f"expected a knowledge base of schema version {VERSION}, not {version}; {remedy}")


def with_vectors(source: Source, column: str) -> Source:
    exact = next((name for name in source.columns if name.lower() == column.lower()), None)
    if exact is None:
        raise Refused(f"{source.table}: expected a column out of {', '.join(source.columns)}, not {column}")
    return replace(source, vectors=exact)


def has_rowids(connection: Any, table: str) -> bool:
    rows = connection.execute("SELECT type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", (table,)).fetchall()
    ((kind, without),) = rows
    columns = connection.execute("SELECT lower(name) FROM pragma_table_info(?)", (table,)).fetchall()
    # The rows of Datasette's connections are no tuples.
    return "rowid" in [name for (name,) in columns] if kind == "view" else not without


def the_only(connection: Any) -> Source:
    found = list(sources(connection))
    if len(found) > 1:
        raise Refused(f"expected --table, as there are {len(found)} to search: {', '.join(source.table for source in found)}")
    if not found:
        raise Refused(
            "expected a table with vectors or full text, not a database without; `fafcas embed DB TABLE COLUMN` makes "
            "vectors of a column's texts, and `fafcas ingest DIR DB` a knowledge base of notes"
        )
    return found[0]


def by_name(connection: Any, table: str) -> str:
    """The table's name as it is written in the schema, where case does not count."""
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')").fetchall()]
    named = next((name for name in names if name.lower() == table.lower()), None)
    if named is None:
        hidden = hidden_tables(connection)
        shown = [name for name in names if not name.startswith("sqlite_") and name not in hidden][:20]
        raise Refused(f"expected a table out of {', '.join(shown) or 'none'}, not {table}")
    return named


def hidden_tables(connection: Any) -> set[str]:
    """Tables that belong to others: those behind FTS5, behind an index and behind what is not loaded here."""
    tables = connection.execute("SELECT name, type FROM pragma_table_list WHERE schema = 'main'").fetchall()
    shadows = {name for name, kind in tables if kind == "shadow"}
    foreign = [name for name, kind in tables if kind == "virtual" and not is_loaded(connection, name)]
    # SQLite tells whose these are only where it is loaded.
    behind = {name for name, _ in tables for owner in foreign if name.startswith(f"{owner}_")}
    indexes = list(vector_indexes(connection))
    return shadows | behind | {f"{name}_pending" for name, *_ in indexes} | {name for name, *_ in indexes}


def is_loaded(connection: Any, table: str) -> bool:
    """Whether a virtual table can be read, as the library that it is of is loaded."""
    try:
        connection.execute("SELECT 1 FROM pragma_table_info(?)", (table,)).fetchall()
    except Exception as error:
        if not is_of_table(connection, error):
            raise
        return False
    return True


def sources(connection: Any) -> Iterator[Source]:
    """All tables that have vectors or full text, and views that have full text. A table that cannot be read is passed over."""
    hidden, texts = hidden_tables(connection), full_texts(connection)
    tables = "SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    for table, kind in connection.execute(tables).fetchall():
        if table in hidden or any(table == words and content != table for content, words in texts):
            continue
        # What a view does only shows when it is read.
        if kind == "view" and table.lower() not in (content.lower() for content, _ in texts):
            continue
        try:
            source = described(connection, table)
            is_one = (source.vectors or source.words) and has_rowids(connection, table)
        except Exception as error:
            if not is_of_table(connection, error):
                raise
            continue
        if is_one:
            yield source


def is_of_table(connection: Any, error: Exception) -> bool:
    """Whether an error comes from what is read, such as a view of a table that is gone, and neither from the file nor from who asks."""
    of_sql = getattr(connection, "OperationalError", None)
    if of_sql is not None:
        return isinstance(error, of_sql) and str(error) not in ("interrupted", "database is locked")
    import apsw

    return isinstance(error, apsw.SQLError)


def seen(connection: Any, sql: str) -> list[tuple[Any, ...]] | None:
    """The rows of a statement, or None where they take too long."""
    until, late = time.monotonic() + SECONDS, False

    def is_late() -> bool:
        nonlocal late
        late = time.monotonic() > until
        return late

    connection.set_progress_handler(is_late, 1000)
    try:
        rows: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
    except Exception:
        if late:
            return None
        raise
    finally:
        connection.set_progress_handler(None, 1000)
    return rows


def described(connection: Any, table: str) -> Source:
    info = connection.execute("SELECT name, type, pk FROM pragma_table_info(?)", (table,)).fetchall()
    columns = tuple(name for name, _, _ in info)
    keys = [name for name, _, place in info if place]
    indexed = [column for _, of, column in vector_indexes(connection) if of.lower() == table.lower()]
    vectors = [name for name in columns if name.lower() in map(str.lower, indexed)]
    vectors = vectors or [name for name, kind, _ in info if holds_vectors(connection, table, name, kind)]
    words = next((words for content, words in full_texts(connection) if content.lower() == table.lower()), None)
    texts = [name for name, kind, _ in info if name not in keys + vectors and ("TEXT" in kind or "CHAR" in kind or kind == "")]
    title = next((name for name in texts if name.lower() in TITLES), None)
    text = longest(connection, table, [name for name in texts if name != title])
    key = keys[0] if len(keys) == 1 else "rowid"
    return Source(table, key, columns, title, text, next(iter(vectors), None), words, trigrams(connection, table))


def longest(connection: Any, table: str, texts: list[str]) -> str | None:
    """The column to show: by its name, else the one whose first values are longest."""
    named = sorted((name for name in texts if name.lower() in TEXTS), key=lambda name: TEXTS.index(name.lower()))
    if named or not texts:
        return named[0] if named else None
    sums = ", ".join(f"coalesce(sum(length({quoted(name)})), 0)" for name in texts)
    lengths = seen(connection, f"SELECT {sums} FROM (SELECT * FROM {quoted(table)} LIMIT 20)")
    return max(zip(lengths[0], texts), key=lambda pair: pair[0])[1] if lengths else texts[0]


def vector_indexes(connection: Any) -> Iterator[tuple[str, str, str]]:
    """Name, table and column of each index."""
    for name, sql in connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql LIKE '%vec_index%'").fetchall():
        found = INDEX.search(sql)
        if found:
            yield name, unquoted(found.groups()[:5]), unquoted(found.groups()[5:])


def full_texts(connection: Any) -> list[tuple[str, str]]:
    """The table that each FTS5 table has the words of, which is itself where it keeps them, and its name."""
    return [(content, name) for content, name, in_pieces in all_full_texts(connection) if not in_pieces]


def trigrams(connection: Any, table: str) -> str | None:
    """The FTS5 table that has the pieces of this one."""
    found = all_full_texts(connection)
    return next((name for content, name, in_pieces in found if in_pieces and content.lower() == table.lower()), None)


def all_full_texts(connection: Any) -> list[tuple[str, str, bool]]:
    found = []
    for name, sql in connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql LIKE '%fts5%' ORDER BY rowid").fetchall():
        arguments = FULL_TEXT.search(sql)
        if arguments:
            content = CONTENT.search(arguments[1])
            found.append((unquoted(content.groups()) if content else name, name, bool(TRIGRAM.search(arguments[1]))))
    return found


def unquoted(groups: tuple[str | None, ...]) -> str:
    double, _, _, single, _ = groups
    if double is not None:
        return double.replace('""', '"')
    if single is not None:
        return single.replace("''", "'")
    return next((text for text in groups if text is not None), "")


def holds_vectors(connection: Any, table: str, column: str, kind: str) -> bool:
    """Whether the first values are BLOBs of as many finite floats each. One alone must be of unit length to count."""
    if kind.upper() not in ("BLOB", "") and "VEC" not in kind.upper() and "FLOAT" not in kind.upper():
        return False
    name = quoted(column)
    rows = seen(connection, f"SELECT {name} FROM {quoted(table)} WHERE {name} IS NOT NULL LIMIT 3")
    values = [value for (value,) in rows or ()]
    if not values or not all(isinstance(value, bytes) and 0 < len(value) == len(values[0]) for value in values) or len(values[0]) % 4:
        return False
    vectors = [struct.unpack(f"<{len(value) // 4}f", value) for value in values]
    lengths = [math.sqrt(sum(number * number for number in vector)) for vector in vectors]
    return all(map(math.isfinite, lengths)) and (len(values) > 1 and max(lengths) < 1e6 or abs(lengths[0] - 1) < 1e-3)
