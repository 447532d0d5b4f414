"""The kit's queries for any source: the same SQL, with the names of a table of the user's put in for those of `nodes`."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping

from .scripts import Refused, script
from .source import Source, literal, path_of, quoted

TOKEN = re.compile(
    r"""(?P<skip>--[^\n]*|"(?:[^"]|"")*")
      | (?P<options>json_object\('fuzzy'(?:[^()]|\([^()]*\))*\))
      | (?P<text>'(?:[^']|'')*')
      | (?P<from>\b(?:FROM|JOIN)\s+)(?P<table>nodes|edges)\b(?!\s*\.)(?P<alias>(?:\s+AS\b)?)
      | (?P<words>\bnodes_text\b)
      | (?P<parameter>:[A-Za-z_]+)""",
    re.VERBOSE,
)

packed = functools.partial(json.dumps, ensure_ascii=False)

# The nearest of those that meet conditions: filtered.sql with conditions of one's own.
FILTERED = """
SELECT t.rank, round(t.score, 4) AS score, n.id, n.type, n.title, coalesce(n.content, n.summary) AS text
FROM   vec_topk('nodes', 'embedding', :query) AS t
JOIN   nodes AS n ON n.seq = t.rowid
WHERE  n.id IN (
    {condition}
)
ORDER  BY t.score DESC
LIMIT  :limit"""

# For queries that filter nothing themselves: all of what they find, filtered.
OF_ALL = """
WITH hits AS MATERIALIZED (
{query}
)
SELECT * FROM hits
WHERE  id IN (
    {condition}
)
ORDER  BY rank
LIMIT  :limit"""


def query(name: str) -> str:
    """A query of sql/queries without its head and the last semicolon."""
    lines = script(f"queries/{name}.sql").splitlines()
    while lines and lines[0].startswith("--"):
        lines.pop(0)
    return "\n".join(lines).strip().rstrip(";")


def reason(by_vector: float | None, by_words: float | None) -> str:
    """Why hybrid.sql has a row: both are scores, and None where it was not found so."""
    found = by_vector is not None, by_words is not None
    return {(True, True): "both", (True, False): "meaning", (False, True): "words"}.get(found, "")


def keys_where(source: Source, where: str) -> str:
    # On a line of its own, so that a comment at the end of the condition does no harm.
    return f"SELECT {column(source.key)} FROM {quoted(source.table)} WHERE ({where}\n    )"


def answering(source: Source, way: str, where: str | None = None) -> str:
    """What answers a question in a way (`hybrid`, `search` or `words`), among the rows that meet a condition."""
    if where is None:
        return on(source, query(way))
    if way == "search":
        return nearest(source, where)
    # The condition is put in last: names in it are the user's own.
    return OF_ALL.strip().replace("{query}", on(source, query(way))).replace("{condition}", keys_where(source, where))


def nearest(source: Source, where: str) -> str:
    return on(source, FILTERED.strip()).replace("{condition}", keys_where(source, where))


def others(source: Source, row: str, where: str | None = None) -> str:
    """The condition for what is compared with a row, given as SQL: all else, and of a knowledge base no parts of the same note."""
    conditions = [f"{column(source.key)} <> {row}"]
    if source.is_kit:
        conditions.append(f"source IS NOT (SELECT source FROM nodes WHERE id = {row} AND source IS NOT NULL)")
    if where is not None:
        conditions.append(f"({where}\n)")
    return " AND ".join(conditions)


def everything(source: Source) -> str:
    """The :k with which a condition leaves out no row that it should find."""
    return f"(SELECT count(*) FROM {quoted(source.table)})"


def column(name: str) -> str:
    return name if name == "rowid" else quoted(name)


def on(source: Source, sql: str, domain: str | None = None) -> str:
    """The kit's SQL with the names of this source, one of whose columns may stand for a node's domain."""
    if source.is_kit and domain is None:
        return sql

    def put(token: re.Match[str]) -> str:
        if token["options"]:
            return token[0] if source.is_kit else options(source)
        if token["text"]:
            return names.get(token["text"], token["text"])
        if token["table"]:
            return token["from"] + tables[token["table"]] + (token["alias"] or f" AS {token['table']}")
        if token["words"]:
            return quoted(words(source))
        return token[0]

    names = {"'nodes'": literal(path_of(source.table))}
    if source.vectors:
        names["'embedding'"] = literal(source.vectors)
    if source.words:
        names["'nodes_text'"] = literal(path_of(source.words))
    edges = "edges" if source.is_kit else "(SELECT NULL AS source, NULL AS target, NULL AS type WHERE false)"
    tables = {"nodes": rows(source, domain), "edges": edges}
    return TOKEN.sub(put, sql)


def options(source: Source) -> str:
    """Those of vec_hybrid for a user's table. Which model its vectors are of is not known, so their spread is estimated."""
    return literal(packed({"fuzzy": path_of(source.trigrams)})) if source.trigrams else "NULL"


def words(source: Source) -> str:
    if source.words is None:
        text = source.text or source.title or "..."
        raise Refused(
            f"{source.table}: expected full text to search words in, not none: CREATE VIRTUAL TABLE "
            f"{quoted(source.table + '_text')} USING fts5 ({quoted(text)}, content = {literal(source.table)}), and its triggers"
        )
    return source.words


def rows(source: Source, domain: str | None) -> str:
    """A user's table in the shape of `nodes`."""
    key = column(source.key)
    title = quoted(source.title) if source.title else source.text and f"substr({quoted(source.text)}, 1, 60)"
    columns = {
        "seq": "rowid",
        "id": key,
        "type": literal(source.table),
        "title": f"coalesce({title}, {key})" if title else key,
        "domain": quoted(domain) if domain else "NULL",
        "embedding": quoted(source.vectors) if source.vectors else "NULL",
        "summary": "NULL",
        "content": quoted(source.text) if source.text else "NULL",
    }
    listed = ", ".join(value if value.strip('"') == name else f"{value} AS {name}" for name, value in columns.items())
    return f"(SELECT {listed} FROM {quoted(source.table)})"


def with_values(sql: str, values: Mapping[str, str]) -> str:
    """The statement with SQL in place of its parameters, for reading and for the shell."""
    return TOKEN.sub(lambda token: values.get(token["parameter"][1:], "NULL") if token["parameter"] else token[0], sql)
