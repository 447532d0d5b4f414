"""Loads the library into SQLite, embeds the sample knowledge base and asks it questions.

usage: demo.py LIBRARY          the path of the built library, with or without its ending

The database is in memory; nothing is left behind.
"""

import re
import shutil
import sys
import time
from pathlib import Path

import apsw

EXAMPLES = Path(__file__).parent.parent / "sql" / "examples"

EMBED = """
CREATE TEMP VIEW texts AS SELECT seq AS rowid, title || '. ' || body AS text FROM nodes;
UPDATE nodes SET embedding = e.embedding FROM embed_rows('texts', 'text') AS e WHERE e.rowid = nodes.seq;
"""

SEARCH = """
SELECT t.rank, printf('%.3f', t.score) AS score, n.type, n.title, n.body
FROM   vec_topk('nodes', 'embedding', embed(:question), 3) AS t
JOIN   nodes AS n ON n.seq = t.rowid
ORDER  BY t.score DESC
"""

# Without k, any condition filters and LIMIT counts.
FILTERED = """
SELECT t.rank, printf('%.3f', t.score) AS score, n.type, n.title, n.body
FROM   vec_topk('nodes', 'embedding', embed(:question)) AS t
JOIN   nodes AS n ON n.seq = t.rowid
WHERE  n.type = :type
ORDER  BY t.score DESC
LIMIT  3
"""


def connect(library):
    connection = apsw.Connection(":memory:")
    connection.enable_load_extension(True)
    connection.load_extension(library)
    connection.enable_load_extension(False)
    return connection


# Widths of the columns type and title, the same for all questions.
TYPE, TITLE = 8, 38


def show(rows, width):
    """Prints rank, score, type, title and the first sentence of the text in aligned columns."""
    for rank, score, kind, title, body in rows:
        sentence = re.split(r"(?<=[.!?]) ", body, maxsplit=1)[0]
        print(shortened(f"  {rank:>3}  {score}  {kind:<{TYPE}}  {shortened(title, TITLE):<{TITLE}}  {sentence}", width))


def shortened(text, width):
    return text if len(text) <= width else text[: width - 3].rstrip() + "..."


def main():
    connection = connect(str(Path(sys.argv[1]).resolve()))
    width = max(100, shutil.get_terminal_size((140, 24)).columns)
    print(f"== {connection.execute('SELECT vec_version()').get} in SQLite {apsw.sqlite_lib_version()}")

    connection.execute((EXAMPLES / "knowledge.sql").read_text(encoding="utf-8"))
    connection.execute((EXAMPLES / "questions.sql").read_text(encoding="utf-8"))
    nodes, edges = connection.execute("SELECT (SELECT count(*) FROM nodes), (SELECT count(*) FROM edges)").get
    print(f"== a sample knowledge base of {nodes} nodes and {edges} edges; embedding it ...")
    start = time.monotonic()
    connection.execute(EMBED)
    print(f"== embedded in {time.monotonic() - start:.1f} s: SELECT rowid, embedding FROM embed_rows('texts', 'text')")

    print(f"== the three nearest nodes to a question:\n{SEARCH}")
    for (question,) in connection.execute("SELECT question FROM questions").fetchall():
        print(question)
        show(connection.execute(SEARCH, {"question": question}), width)
        print()
    print(f"== with a filter, by leaving k out:\n{FILTERED}")
    question, kind = "something warm to eat on a cold evening", "recipe"
    print(f"{question} (only where type is {kind}; the rank is that among all)")
    show(connection.execute(FILTERED, {"question": question, "type": kind}), width)


if __name__ == "__main__":
    main()
