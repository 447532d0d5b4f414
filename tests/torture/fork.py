"""A process that has searched with several threads forks; parent and children go on with connections of their own.

    fork.py LIBRARY FORKS SEED

The library's threads are not in a child, and its memory is a copy. What each of them finds is compared with a scan.
Another process forks while a thread of it loads a model, and the children load it by themselves.
"""

import array
import os
import random
import signal
import sys
import tempfile
import threading
import traceback

import apsw

LIBRARY, FORKS, SEED = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
# Ends a child that hangs. Nothing that goes well comes near it.
LIMIT_S = 300
ROWS, DIMENSIONS = 3000, 32
# ONNX Runtime has a lock of its own that a child would wait for (docs/servers.md), so it is not for this test.
MODEL = "static-MiniLM"


def opened(path):
    connection = apsw.Connection(path)
    connection.set_busy_timeout(LIMIT_S * 1000)
    connection.enable_load_extension(True)
    connection.load_extension(LIBRARY)
    connection.execute("SELECT fafcas_config('threads', 2)")
    return connection


def vector(numbers):
    return array.array("f", (numbers.gauss(0, 1) for _ in range(DIMENSIONS))).tobytes()


def compare(connection, numbers):
    sql = "SELECT rowid, score FROM vec_topk('t', 'v', ?, 10, ?)"
    with connection:
        query = vector(numbers)
        found = [connection.execute(sql, (query, options)).fetchall() for options in ('{"index": "ix", "exact": true}', '{"index": false}')]
    assert found[0] == found[1] and len(found[0]) == 10, found


def work(path, numbers):
    """What each child does, with a connection that it opens itself."""
    connection = opened(path)
    for number in range(5):
        compare(connection, numbers)
        connection.execute("INSERT INTO t(v) VALUES (?)", (vector(numbers),))
        connection.execute("UPDATE t SET v = ? WHERE id = ?", (vector(numbers), numbers.randrange(ROWS)))
        if number == 3:
            connection.execute("INSERT INTO ix(ix) VALUES ('merge')")
    compare(connection, numbers)
    connection.close()


def in_a_child(work):
    """Runs `work` in a process of its own. Returns its number."""
    child = os.fork()
    if child:
        return child
    signal.alarm(LIMIT_S)
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def ended_well(child):
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        print(f"a child ended with {status}", file=sys.stderr)
    return status == 0


def forked(path, seed):
    def both():
        work(path, random.Random(seed))
        # A grandchild too.
        if seed % 4 == 0:
            assert ended_well(forked(path, seed + 1))

    return in_a_child(both)


def fork_while_loading():
    """Forks while another thread loads the model, in a process that has not loaded it."""
    # SQLite's own allocator then has no lock that the other thread could hold.
    apsw.shutdown()
    apsw.config(apsw.SQLITE_CONFIG_MEMSTATUS, False)
    connection, reached, vectors = opened(":memory:"), threading.Event(), []

    def text():
        reached.set()
        return "the river"

    def embedded(connection):
        return connection.execute("SELECT embed(text(), ?)", (MODEL,)).get

    connection.create_scalar_function("text", text)
    loader = threading.Thread(target=lambda: vectors.append(embedded(connection)))
    loader.start()
    reached.wait()

    def embeds():
        own = opened(":memory:")
        own.create_scalar_function("text", lambda: "the river")
        assert len(embedded(own)) > 0

    child = in_a_child(embeds)
    loader.join()
    assert ended_well(child), f"a child of a process that was loading {MODEL} cannot use it"
    assert len(vectors[0]) > 0
    print(f"torture fork: a fork while {MODEL} was loaded", flush=True)


def main():
    assert ended_well(in_a_child(fork_while_loading))
    numbers = random.Random(SEED)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/test.db"
        connection = opened(path)
        connection.execute("PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB)").fetchall()
        with connection:
            connection.executemany("INSERT INTO t(v) VALUES (?)", ((vector(numbers),) for _ in range(ROWS)))
        connection.execute("CREATE VIRTUAL TABLE ix USING vec_index(t, v)")
        compare(connection, numbers)
        # SQLite forbids a connection to cross a fork: it is closed before, and its memory in the library stays.
        connection.close()
        done = 0
        while done < FORKS:
            children = [forked(path, numbers.randrange(1 << 30)) for _ in range(4)]
            work(path, numbers)
            assert all([ended_well(child) for child in children])
            done += 4
        connection = opened(path)
        connection.execute("INSERT INTO ix(ix) VALUES ('check')")
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        compare(connection, numbers)
    print(f"torture fork: {done} forks beside their parent, all answers those of a scan (FAFCAS_SEED={SEED})")


if __name__ == "__main__":
    main()
