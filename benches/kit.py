"""What the kit's knowledge base carries: rows written, rows read, hybrid search beside its two parts, bm25_share beside bm25.

    python benches/kit.py target/release/libfafcas VECTORS.f32 DIMENSIONS TEXTS.txt

VECTORS.f32 holds unit vectors as raw little-endian f32, TEXTS.txt the text of each on a line; the last 200 are the queries.
Where there are fewer than 100,000, they are taken again with noise. Needs numpy and apsw. All of it runs through SQL of sql/ in
this process, with the settings of sql/harden.sql, on a file.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy

sys.path.insert(0, str(Path(__file__).parents[1] / "python"))

from fafcas.kit.database import open_or_make, script  # noqa: E402

NOTES, BATCH = 10_000, 500
NODES, QUERIES, K = 100_000, 200, 10


def rate(name, count, seconds, wanted=None):
    goal = f"   wanted {wanted:>7,}: {'met' if count / seconds >= wanted else 'MISSED'}" if wanted else ""
    print(f"{name:<46} {count / seconds:>9,.0f} a second{goal}")


def fresh(folder, library, name):
    return open_or_make(Path(folder) / name, library)[0]


def notes(texts, length):
    """Notes of about this many characters, made of whole texts."""
    at = 0
    for number in range(NOTES):
        words = []
        while sum(map(len, words)) + len(words) < length:
            words.append(texts[at % len(texts)])
            at += 1
        content = " ".join(words)[:length]
        yield {
            "id": f"notes/{number:05}.md", "type": f"type {number % 7}", "title": content[:30], "domain": f"domain {number % 40}",
            "date": f"20{number % 25:02}-{number % 12 + 1:02}-{number % 28 + 1:02}", "hash": f"{number:032x}", "content": content,
        }


def ingest(folder, library, texts, length, wanted):
    connection = fresh(folder, library, f"ingest-{length}.db")
    batch_sql, rows = script("queries/ingest.sql"), list(notes(texts, length))
    batches = [rows[at : at + BATCH] for at in range(0, NOTES, BATCH)]
    start = time.perf_counter()
    for batch in batches:
        connection.execute(batch_sql, {"nodes": json.dumps(batch), "edges": "[]"})
    seconds = time.perf_counter() - start
    counts = "SELECT (SELECT count(*) FROM nodes), (SELECT count(*) FROM history), (SELECT count(*) FROM nodes_text_docsize)"
    assert connection.execute(counts).get == (NOTES, NOTES, NOTES)
    rate(f"ingest, notes of {length:,} characters", NOTES, seconds, wanted)
    return connection


def reads(connection):
    random = numpy.random.default_rng(1)
    ids = [f"notes/{number:05}.md" for number in random.integers(0, NOTES, 100_000)]
    one = "SELECT title, content FROM nodes WHERE id = ?"
    start = time.perf_counter()
    found = sum(connection.execute(one, (id,)).fetchone() is not None for id in ids)
    rate("single rows by id", len(ids), time.perf_counter() - start, 50_000)
    assert found == len(ids)

    filters = [(f"type {a}", f"domain {b}") for a, b in random.integers(0, (7, 40), (50_000, 2))]
    few = "SELECT id, title, date FROM nodes WHERE type = ? AND domain = ? ORDER BY date DESC LIMIT 1"
    for limit, wanted in ((1, 25_000), (10, None)):
        sql = few.replace("LIMIT 1", f"LIMIT {limit}")
        start = time.perf_counter()
        found = sum(len(connection.execute(sql, values).fetchall()) for values in filters)
        rate(f"filtered metadata queries, {limit} rows each", len(filters), time.perf_counter() - start, wanted)
        assert found == limit * len(filters)


def corpus(file, dimensions, texts):
    vectors = numpy.fromfile(file, "<f4").reshape(-1, dimensions)
    assert len(vectors) == len(texts), f"{len(vectors)} vectors, {len(texts)} texts"
    base, queries = vectors[:-QUERIES], vectors[-QUERIES:]
    random = numpy.random.default_rng(2)
    again = random.integers(0, len(base), max(0, NODES - len(base)))
    noisy = base[again] + random.normal(0, 0.3 / dimensions**0.5, (len(again), dimensions)).astype("f4")
    noisy /= numpy.linalg.norm(noisy, axis=1, keepdims=True)
    all_vectors = numpy.concatenate([base, noisy])[:NODES]
    return all_vectors, [texts[at] for at in [*range(len(base)), *again]][:NODES], queries, texts[-QUERIES:]


def hybrid(folder, library, file, dimensions, texts):
    vectors, bodies, queries, questions = corpus(file, dimensions, texts)
    connection = fresh(folder, library, "hybrid.db")
    with connection:
        connection.executemany(
            "INSERT INTO nodes (id, title, embedding, content) VALUES (?, ?, ?, ?)",
            ((str(at), body[:30], vector.tobytes(), body) for at, (vector, body) in enumerate(zip(vectors, bodies))),
        )
    connection.execute("INSERT INTO nodes_text (nodes_text) VALUES ('optimize')")
    connection.execute("CREATE VIRTUAL TABLE nodes_vec USING vec_index(nodes, embedding)")
    connection.execute(script("queries/warm.sql")).fetchall()
    # The two lists of vec_hybrid, each asked for alone.
    statements = {
        "vectors": "SELECT count(*) FROM vec_topk('nodes', 'embedding', :query, 10 * :k)",
        "full text": "SELECT rowid, rank FROM nodes_text WHERE nodes_text MATCH :match ORDER BY rank LIMIT 10 * :k",
        "vec_hybrid": "SELECT rowid, score FROM vec_hybrid('nodes', 'embedding', 'nodes_text', :query, :words, :k)",
        "hybrid.sql": script("queries/hybrid.sql"),
    }
    for kind, asked in (("whole sentences", questions), ("their first two words", [" ".join(text.split()[:2]) for text in questions])):
        print(f"hybrid search over {len(vectors):,} nodes, asked with {kind}")
        compare(connection, statements, queries, asked)
    shares(connection, questions)


def any_word(text):
    return " OR ".join(f'"{word}"' for word in dict.fromkeys(text.replace('"', " ").split()))


def compare(connection, statements, queries, questions):
    """All statements in turn for each question, so that what else the machine does falls on all alike."""
    times = {name: [] for name in statements}
    for query, question in zip(queries, questions):
        values = {"query": query.tobytes(), "words": question, "match": any_word(question), "k": K}
        for name, sql in statements.items():
            start = time.perf_counter()
            found = len(connection.execute(sql, values).fetchall())
            times[name].append(time.perf_counter() - start)
            assert found > 0 or name == "full text", name
    for name, values in times.items():
        print(f"  {name:<44} {numpy.median(values) * 1e3:>9.2f} ms median, {numpy.mean(values) * 1e3:.2f} mean")
    sums = numpy.array(times["full text"]) + numpy.array(times["vectors"])
    for name in ("vec_hybrid", "hybrid.sql"):
        verdict(f"{name} to the sum of its parts", numpy.array(times[name]), sums, 1.2)


def verdict(name, values, others, wanted):
    median, whole = numpy.median(values / others), values.sum() / others.sum()
    print(f"  {name}: {median:.3f} median, {whole:.3f} all together   wanted {wanted}: {'met' if whole <= wanted else 'MISSED'}")


def shares(connection, questions):
    """bm25_share of all rows that match, beside bm25."""
    print("bm25_share beside bm25, every row that has any word of a sentence")
    for weights in ("", ", 10, 1, 1"):
        # The LIMIT keeps SQLite from calling the function outside of the MATCH.
        inner = "SELECT {}(nodes_text" + weights + ") AS score FROM nodes_text WHERE nodes_text MATCH ? LIMIT -1 OFFSET 0"
        times = {"bm25": [], "bm25_share": []}
        for question in questions[:50]:
            for name, seconds in times.items():
                start = time.process_time()
                rows = connection.execute(f"SELECT count(score) FROM ({inner.format(name)})", (any_word(question),)).get
                seconds.append(time.process_time() - start)
                assert rows > 0
        verdict(f"with weights{weights[1:]}" if weights else "without weights", *map(numpy.array, list(times.values())[::-1]), 1.15)


def main():
    library, file, dimensions, text_file = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    texts = Path(text_file).read_text(encoding="utf-8").splitlines()
    with tempfile.TemporaryDirectory() as folder:
        connection = ingest(folder, library, texts, 100, 10_000)
        ingest(folder, library, texts, 1_000, None)
        reads(connection)
        hybrid(folder, library, file, dimensions, texts)


if __name__ == "__main__":
    main()
