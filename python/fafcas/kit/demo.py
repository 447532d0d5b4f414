"""A tour of a knowledge base: of the sample, or of your own notes. Both are kept."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import apsw

from .database import open_or_make, script
from .health import health
from .ingest import Report, bring_index_up, embed, ingest
from .show import clean, count, report, show_health, table
from .statement import reason

MODEL = "all-MiniLM-L6-v2"
SAMPLE_QUESTIONS = (
    "How do readers and writers of one database coexist?",
    "What gives the sky its colour?",
    "Something nibbles my salad at night",
)
# For models that know these languages: the entries are in English.
QUESTIONS_IN = {
    "de": "Warum ist der Himmel blau?",
    "fr": "Qu'est-ce qui provoque les marées ?",
    "ja": "長いフライトの後の時差ぼけを治すには？",
}


def sample(library: str, database: str, model: str = MODEL) -> None:
    """The second time it is shown as it is."""
    Path(database).parent.mkdir(parents=True, exist_ok=True)
    connection = opened(database, library)
    head("A knowledge base", "sql/schema.sql, sql/examples/knowledge.sql, sql/queries/reembed.sql")
    if connection.execute("SELECT count(*) FROM nodes").get == 0:
        connection.execute(script("examples/knowledge.sql"))
    embed(connection, model, Report("sample"))
    bring_index_up(connection)
    nodes, edges = connection.execute("SELECT (SELECT count(*) FROM nodes), (SELECT count(*) FROM edges)").get
    print(f"  {count(nodes, 'node')}, {count(edges, 'edge')}, all embedded with {model}")
    tour(connection, database, library, sample_questions(connection, model), model)


def sample_questions(connection: apsw.Connection, model: str) -> list[str]:
    """Those in English, and one in each other language that the model's card names."""
    known = (connection.execute("SELECT languages FROM fafcas_models WHERE name = ?", (model,)).get or "").split()
    return [*SAMPLE_QUESTIONS, *(question for language, question in QUESTIONS_IN.items() if language in known)]


def own_notes(library: str, folder: str, database: str, question: str | None = None, model: str = MODEL) -> None:
    Path(database).parent.mkdir(parents=True, exist_ok=True)
    connection = opened(database, library)
    head("Your notes", f"make ingest DIR={folder} DB={database}")
    report(ingest(connection, folder, model), sys.stdout)
    questions = [question] if question else titles(connection)
    tour(connection, database, library, questions, model)


def titles(connection: apsw.Connection) -> list[str]:
    """Something to ask when nobody has: what the notes that hold the rest together are about."""
    rows = run_query(connection, "central", k=2)
    return [row[-1] for row in rows] or ["What is this about?"]


def opened(database: str, library: str) -> apsw.Connection:
    connection, advice = open_or_make(database, library)
    print(f"{connection.execute('SELECT vec_version()').get} in SQLite {apsw.sqlite_lib_version()}")
    if advice:
        print(f"note: {advice}")
    return connection


def tour(connection: apsw.Connection, database: str, library: str, questions: list[str], model: str) -> None:
    head("Its health", "sql/queries/health.sql")
    show_health(health(database, library), sys.stdout)
    for question in questions:
        answer(connection, question, model)
    walk(connection, questions[0], model)
    statistics(connection)


def answer(connection: apsw.Connection, question: str, model: str) -> None:
    """One question, asked by meaning and by words at once: a list, with a word on why each row is there."""
    query = connection.execute("SELECT embed_query(?, ?)", (question, model)).get
    head(question, "hybrid.sql")
    rows = run_query(connection, "hybrid", query=query, words=question, k=5)
    found = [(row[1], reason(row[6], row[7]), row[4], sentence(connection, row[5], query, model)) for row in rows]
    table(found or [("", "", "nothing", "")], ("score", "why", "title", "text"), sys.stdout, right=(0,))


def sentence(connection: apsw.Connection, text: str | None, query: bytes, model: str) -> str:
    """The sentence of a text that is nearest to the question."""
    parts = re.split(r"(?<=[.!?])\s+|\n+", text or "")
    sentences = [part for part in parts if part.strip() and not part.startswith("#")][:20]
    nearness = "SELECT vec_dot(embed(?, ?), ?)"
    return max(sentences, key=lambda part: connection.execute(nearness, (part, model, query)).get, default="")


def walk(connection: apsw.Connection, question: str, model: str) -> None:
    """What is around the best answer."""
    query = connection.execute("SELECT embed_query(?, ?)", (question, model)).get
    found = run_query(connection, "search", query=query, k=1)
    if not found:
        return
    (_, _, id, _, title, _) = found[0]
    head(f"Around {title}", "related.sql")
    rows = run_query(connection, "related", id=id, steps=2, query=query, k=5)
    table([(row[0], row[1], row[4], row[5]) for row in rows], ("steps", "score", "title", "text"), sys.stdout, right=(0, 1))


def statistics(connection: apsw.Connection) -> None:
    head("In numbers", "central.sql, statistics.sql, bytes.sql")
    rows = run_query(connection, "central", k=3)
    table([(row[0], row[1], row[6]) for row in rows], ("linked", "in two steps", "most central"), sys.stdout, right=(0, 1))
    print()
    rows = [(part, f"{value:,}", name) for part, name, value in run_query(connection, "statistics")]
    rows += [("bytes", f"{size:,}", name) for name, size, _ in run_query(connection, "bytes")[:5]]
    table(rows, ("part", "value", "of"), sys.stdout, right=(1,))


def run_query(connection: apsw.Connection, name: str, **values: Any) -> list[tuple[Any, ...]]:
    return connection.execute(script(f"queries/{name}.sql"), values).fetchall()


def head(title: str, source: str) -> None:
    print(f"\n== {clean(title)}  ({clean(source)})")
