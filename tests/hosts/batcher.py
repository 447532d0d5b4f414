"""`examples/batcher.py`: answers are those of single searches, few statements give them, and what is wrong fails alone. Called with
the library, and `measure` to print searches a second.
"""

import asyncio
import os
import random
import struct
import sys
import tempfile
import time
from pathlib import Path

import apsw

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
from batcher import Batcher  # noqa: E402

LIBRARY = sys.argv[1]
RANDOM = random.Random(19)


def vector(dimensions: int) -> bytes:
    """A random vector, as it is stored."""
    return struct.pack(f"<{dimensions}f", *(RANDOM.uniform(-1, 1) for _ in range(dimensions)))


def connect(path: Path) -> apsw.Connection:
    """A connection with fafcas, which may be used by the batcher's thread."""
    db = apsw.Connection(str(path))
    db.enable_load_extension(True)
    db.load_extension(LIBRARY)
    return db


def fill(path: Path, rows: int, dimensions: int) -> apsw.Connection:
    """A table of random rows, with an index."""
    db = connect(path)
    db.execute("PRAGMA journal_mode = WAL").fetchall()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); BEGIN")
    db.executemany("INSERT INTO t VALUES (?, ?)", ((row, vector(dimensions)) for row in range(1, rows + 1)))
    db.execute("COMMIT; CREATE VIRTUAL TABLE i USING vec_index(t, v)")
    return db


async def check(path: Path) -> None:
    """Many at once, one that is wrong, one that is given up, and a wait that close() ends."""
    db = fill(path, 2000, 16)
    alone = "SELECT rowid, score FROM vec_topk('t', 'v', ?, 3)"
    db.execute("SELECT fafcas_config('trace', 1000)").fetchall()
    batcher = Batcher(lambda: connect(path), "t", "v", k=3)
    queries = [vector(16) for _ in range(100)]
    found = await asyncio.gather(*(batcher.search(query) for query in queries))
    calls = db.execute("SELECT count(*) FROM vec_trace WHERE function = 'vec_topk_many'").fetchall()[0][0]
    assert 1 <= calls <= 10, calls
    assert found == [db.execute(alone, (query,)).fetchall() for query in queries]

    good, bad, worse = await asyncio.gather(
        batcher.search(queries[0]), batcher.search(vector(3)), batcher.search("no vector"), return_exceptions=True
    )
    assert good == found[0] and isinstance(bad, apsw.SQLError) and isinstance(worse, apsw.SQLError), (good, bad, worse)

    given_up = asyncio.ensure_future(batcher.search(queries[1]))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await batcher.search(queries[2]) == found[2]

    slow = Batcher(lambda: connect(path), "t", "v", k=3, wait=3600)
    last = asyncio.ensure_future(slow.search(queries[3]))
    await asyncio.sleep(0)
    await slow.close()
    assert await last == found[3]
    full = Batcher(lambda: connect(path), "t", "v", k=3, wait=3600, most=2)
    assert await asyncio.gather(full.search(queries[4]), full.search(queries[5])) == found[4:6]
    lost = Batcher(lambda: connect(path.parent / "nowhere" / "x.db"), "t", "v", k=3)
    assert isinstance((await asyncio.gather(lost.search(queries[0]), return_exceptions=True))[0], apsw.CantOpenError)
    for used in (batcher, full, lost):
        await used.close()


async def measure(path: Path) -> None:
    """Searches a second on one core, alone and gathered by 64."""
    rows, dimensions = 100_000, 384
    fill(path, rows, dimensions).close()
    db = connect(path)
    db.execute("SELECT fafcas_config('threads', 1)").fetchall()
    queries = [vector(dimensions) for _ in range(640)]
    search = "SELECT rowid, score FROM vec_topk('t', 'v', ?, 10)"
    db.execute(search, (vector(dimensions),)).fetchall()
    start = time.process_time()
    for query in queries:
        db.execute(search, (query,)).fetchall()
    alone = len(queries) / (time.process_time() - start)
    batcher = Batcher(lambda: connect(path), "t", "v", k=10, most=64)
    await batcher.search(vector(dimensions))
    start = time.process_time()
    await asyncio.gather(*(batcher.search(query) for query in queries))
    gathered = len(queries) / (time.process_time() - start)
    await batcher.close()
    print(f"{rows} rows, {dimensions} dimensions, k = 10, one thread, seconds of CPU: alone {alone:.0f}/s, gathered by 64 {gathered:.0f}/s")


with tempfile.TemporaryDirectory(dir=os.environ.get("SCRATCH")) as folder:
    asyncio.run((measure if "measure" in sys.argv else check)(Path(folder) / "t.db"))
