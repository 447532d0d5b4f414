"""Backups that people make of a database with an index, while it is written to: Litestream, and copies of a moment.

    backups.py LIBRARY LITESTREAM ROUNDS SEED

LITESTREAM is the program, with the Python package litestream_vfs beside it. A writer, with the library or without, commits
transactions that follow from their numbers alone, and merges. Writer and replicator are killed with SIGKILL at random moments and
started again. What is restored, to the end or to a point in time, or read through the VFS replica, or copied by `.backup`, VACUUM
INTO or sqlite3_rsync, must be the state after one of these transactions: the same rows, `integrity_check` and `check` silent, and
searches that equal a loop over the rows.
"""

import contextlib
import datetime
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import apsw
import numpy

sys.path.insert(0, str(Path(__file__).parents[1] / "distributed"))
from nodes import PAGE, commands  # noqa: E402

ROWS, DIMENSIONS = 1500, 16
# Ends what hangs. Nothing that goes well comes near it.
LIMIT_S = 300
COUNTS = {}
TORN = "torn"
PROGRAM = str(Path(__file__).resolve())


def block(word):
    """The block of docs/beyond-one-machine.md that has this word."""
    blocks = PAGE.read_text(encoding="utf-8").split("```")[1::2]
    return next(block.partition("\n")[2] for block in blocks if word in block)


def changes(number):
    """What transaction `number` does: rows and their vectors, None for a row that goes."""
    numbers = random.Random(number)
    many = ROWS if number == 1 else 6
    rows = range(1, ROWS + 1) if number == 1 else [numbers.randrange(1, 2 * ROWS) for _ in range(many)]
    return [(row, vector(numbers) if number == 1 or numbers.random() < 0.8 else None) for row in rows]


def vector(numbers):
    return numpy.array([numbers.gauss(0, 1) for _ in range(DIMENSIONS)], dtype=numpy.float32).tobytes()


def state(last):
    """All rows after transaction `last`."""
    rows = {}
    for number in range(1, last + 1):
        for row, value in changes(number):
            rows[row] = value
    return {row: value for row, value in sorted(rows.items()) if value}


def opened(path, library, **more):
    connection = apsw.Connection(str(path), **more)
    connection.set_busy_timeout(LIMIT_S * 1000)
    if library:
        connection.enable_load_extension(True)
        connection.load_extension(library)
    return connection


def commit(connection, number):
    with connection:
        for row, value in changes(number):
            if value:
                connection.execute("INSERT OR REPLACE INTO t(id, v) VALUES (?, ?)", (row, value))
            else:
                connection.execute("DELETE FROM t WHERE id = ?", (row,))
        connection.execute("INSERT INTO log VALUES (?, NULL)", (number,))
        seal(connection)


def checksum(connection):
    """Of all that an index keeps, and nothing that only the library could tell."""
    sums = hashlib.sha256()
    for sql in ("SELECT id, data FROM ix_blocks ORDER BY id", "SELECT rowid, rid, token FROM ix_pending ORDER BY rowid"):
        sums.update(repr(connection.execute(sql).fetchall()).encode())
    return sums.hexdigest()


def seal(connection):
    """The checksum of the index goes with the newest transaction."""
    if connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'ix_blocks'").get:
        connection.execute("UPDATE log SET index_checksum = ? WHERE n = (SELECT max(n) FROM log)", (checksum(connection),))


def write_for_ever(path, library):
    """The writer: a transaction for each byte of standard input, until it is killed."""
    connection = opened(path, library)
    connection.execute("PRAGMA synchronous = NORMAL")
    number = connection.execute("SELECT max(n) FROM log").get
    while sys.stdin.buffer.read(1):
        number += 1
        commit(connection, number)
        if library and number % 20 == 0:
            with connection:
                connection.execute("INSERT INTO ix(ix) VALUES ('merge')")
                seal(connection)


class Torture:
    def __init__(self, folder, library, litestream, seed):
        self.folder, self.library = Path(folder), library
        self.numbers = random.Random(seed)
        self.database, self.replica = self.folder / "notes.db", self.folder / "replica"
        self.config = self.folder / "litestream.yml"
        # Everything happens more often than by default, so that files are compacted while they are written.
        often = "levels:\n  - interval: 2s\n  - interval: 10s\nsnapshot:\n  interval: 5s\n"
        self.config.write_text(often + block("path: replica") + "      sync-interval: 50ms\n")
        self.replicate, self.restore, self.restore_earlier = ([litestream, *words[1:]] for words in commands("litestream"))
        connection = opened(self.database, library)
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); CREATE TABLE log(n INTEGER PRIMARY KEY, index_checksum)")
        commit(connection, 1)
        connection.execute("CREATE VIRTUAL TABLE ix USING vec_index(t, v)")
        seal(connection)
        self.reader = connection
        self.running, self.moments, self.checked = {}, [], 0

    def start(self, name, command):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.running[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=self.folder, bufsize=0)

    def start_writer(self):
        library = self.numbers.choice((self.library, ""))
        self.start("writer", [sys.executable, PROGRAM, "write", self.database, library])

    def start_replicator(self):
        self.start("replicator", self.replicate)

    def kill(self, name):
        self.running[name].kill()
        self.running.pop(name).wait()
        COUNTS[f"{name} killed"] = COUNTS.get(f"{name} killed", 0) + 1

    def stop_all(self):
        for process in self.running.values():
            process.kill()
            process.wait()

    def last(self):
        return self.reader.execute("SELECT max(n) FROM log").get

    def waited(self, condition, what):
        end = time.monotonic() + LIMIT_S
        while not condition():
            for name, process in self.running.items():
                if process.poll() is not None:
                    raise AssertionError(f"{name} ended by itself:\n{(self.folder / f'{name}.log').read_text()[-3000:]}")
            assert time.monotonic() < end, f"{what}: not within {LIMIT_S} s"
            time.sleep(0.01)

    def feed(self, transactions):
        """So many are to come, and more, so that what happens next happens beside them."""
        self.running["writer"].stdin.write(b"." * (transactions + 60))

    def let_write(self):
        """Some transactions, as many as chance will have it."""
        wanted = self.last() + self.numbers.randrange(5, 120)
        self.feed(wanted - self.last())
        self.waited(lambda: self.last() >= wanted, "transactions")

    def round(self):
        self.let_write()
        self.moments.append(datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"))
        victim = self.numbers.choice(("writer", "replicator", "both") if self.may_kill_both else ("writer", "replicator"))
        if victim != "writer":
            self.kill("replicator")
            self.let_write()
        if victim != "replicator":
            self.kill("writer")
            self.start_writer()
        if victim != "writer":
            self.start_replicator()
        self.copy_now()

    # What comes of it

    def is_torn(self, connection):
        """Whether rows and index are not those of one transaction, as SQLite without the library tells."""
        try:
            last, expected = connection.execute("SELECT n, index_checksum FROM log ORDER BY n DESC LIMIT 1").get
            rows = connection.execute("SELECT id, v FROM t ORDER BY id").fetchall()
            complaints = [said for (said,) in connection.execute("PRAGMA integrity_check") if said != "ok"]
            return (
                any("vec_index" not in said for said in complaints)
                or rows != list(state(last).items())
                or checksum(connection) != expected
            )
        except (apsw.CorruptError, apsw.IOError, apsw.SQLError, TypeError) as error:
            return "vec_index" not in str(error)

    def assert_right(self, connection, what, can_write=True):
        """The state after one transaction; gives its number."""
        assert not self.is_torn(connection), f"{what}: torn"
        last = connection.execute("SELECT max(n) FROM log").get
        rows = state(last)
        said = connection.execute("PRAGMA integrity_check").get
        assert said == "ok", f"{what}: {said}"
        if can_write:
            connection.execute("INSERT INTO ix(ix) VALUES ('check')")
        for _ in range(5):
            query = vector(self.numbers)
            for options in ('{"index": "ix", "exact": true}', "{}"):
                sql = "SELECT rowid, score FROM vec_topk('t', 'v', ?, 10, ?)"
                self.assert_same(connection.execute(sql, (query, options)).fetchall(), rows, query, f"{what}, {options}")
        by_index = connection.execute("SELECT path FROM vec_stats WHERE source = 'main.t'").get
        assert by_index in ("index", "scan"), by_index
        COUNTS[what] = COUNTS.get(what, 0) + 1
        return last

    def assert_same(self, found, rows, query, what):
        ids = list(rows)
        matrix = numpy.frombuffer(b"".join(rows.values()), dtype=numpy.float32).reshape(len(ids), DIMENSIONS)
        scores = matrix.astype(numpy.float64) @ numpy.frombuffer(query, dtype=numpy.float32).astype(numpy.float64)
        right = sorted(zip((-scores).tolist(), ids))[:10]
        assert [row for row, _ in found] == [row for _, row in right], f"{what}: {found}, not {right}"

    def restored(self, moment):
        """Restored by the commands of the page, to the end or to a moment."""
        command = self.restore_earlier if moment else self.restore
        path = self.folder / command[command.index("-o") + 1]
        if moment:
            command = [moment if before == "-timestamp" else word for before, word in zip(["", *command], command)]
        for ending in ("", "-wal", "-shm"):
            Path(f"{path}{ending}").unlink(missing_ok=True)
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=LIMIT_S)
        # What is torn may be noticed by Litestream itself.
        return path if done.returncode == 0 else print(done.stderr[-500:])

    def assert_restored(self, what, moment=None):
        """The transaction whose state was restored, or None where Litestream's file is torn."""
        path = self.restored(moment)
        connection = opened(path, "") if path else None
        if not path or self.is_torn(connection):
            COUNTS["torn by Litestream"] = COUNTS.get("torn by Litestream", 0) + 1
            return None
        connection.close()
        connection = opened(path, self.library)
        last = self.assert_right(connection, what)
        connection.close()
        return last

    def copy_now(self):
        """Copies of the moment, beside the writer."""
        path = self.folder / "copy.db"
        self.feed(0)
        copies = {".backup": self.by_shell, "VACUUM INTO": self.by_vacuum, "sqlite3_rsync": self.by_rsync}
        what = self.numbers.choice(list(copies))
        for ending in ("", "-wal", "-shm"):
            if what != "sqlite3_rsync":
                Path(f"{path}{ending}").unlink(missing_ok=True)
        if not copies[what](path):
            return
        connection = opened(path, self.library)
        self.assert_right(connection, what)
        connection.close()

    def by_shell(self, path):
        """The shell's own `.backup`."""
        import apsw.shell

        source = apsw.Connection(str(self.database), flags=apsw.SQLITE_OPEN_READONLY)
        source.set_busy_timeout(LIMIT_S * 1000)
        apsw.shell.Shell(db=source, args=[]).process_command(f".backup {path}")
        source.close()
        return True

    def by_vacuum(self, path):
        self.reader.execute("VACUUM INTO ?", (str(path),))
        return True

    def by_rsync(self, path):
        """From one state of the copy to the next; the program comes with apsw."""
        program = next(Path(apsw.__file__).parent.rglob("sqlite3_rsync*"), None)
        if not program:
            return False
        done = subprocess.run([program, "--exe", program, self.database, path], capture_output=True, text=True, timeout=LIMIT_S)
        assert done.returncode == 0, done.stderr + done.stdout
        return True

    def run(self, rounds):
        self.may_kill_both = rounds > 10
        self.start_replicator()
        self.waited(lambda: any(self.replica.rglob("*.ltx")), "the first file of the replica")
        self.start_writer()
        for number in range(rounds):
            self.round()
            if number % 3 == 2:
                self.feed(60)
                self.assert_restored("restored while it is written")
                self.through_the_vfs()
        self.kill("writer")
        self.kill("replicator")
        subprocess.run([*self.replicate, "-once"], cwd=self.folder, check=True, capture_output=True, timeout=LIMIT_S)
        last = self.last()
        assert self.assert_restored("restored to the end") in (last, None), "not all that was committed is there"
        assert self.through_the_vfs() in (last, None), "the VFS replica is behind"
        self.to_points_in_time(last)
        self.assert_right(self.reader, "the original")
        whole = sum(count for what, count in COUNTS.items() if what.startswith("restored") or "VFS" in what)
        assert COUNTS.get("torn by Litestream", 0) <= whole, f"hardly anything was restored whole: {COUNTS}"
        print(f"torture backups: {last} transactions, " + ", ".join(f"{count} {what}" for what, count in sorted(COUNTS.items())))

    def to_points_in_time(self, last):
        """Later moments give later states, each that of one transaction."""
        before = 0
        for moment in self.moments[:: max(1, len(self.moments) // 10)]:
            now = self.assert_restored("restored to a point in time", moment)
            assert now is None or before <= now <= last, f"{moment}: transaction {now} after {before}"
            before = now or before

    def through_the_vfs(self):
        """Another process, as the VFS is one of Go and stays loaded."""
        command = [sys.executable, PROGRAM, "read", str(self.numbers.randrange(1 << 30))]
        package = str(Path(__file__).resolve().parents[2] / "python")
        url = f"file://{self.replica}"
        environment = {**os.environ, "PYTHONPATH": package, "FAFCAS_LIBRARY": self.library, "LITESTREAM_REPLICA_URL": url}
        done = subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=LIMIT_S)
        assert done.returncode == 0, done.stderr[-3000:]
        what = "torn by Litestream" if done.stdout.strip() == TORN else "read through the VFS"
        COUNTS[what] = COUNTS.get(what, 0) + 1
        return None if what == "torn by Litestream" else int(done.stdout)


def read_through_the_vfs(seed):
    """Opens the replica by the program of the page, and prints the transaction whose state it has."""
    names = {}
    exec(block("import litestream_vfs"), names)
    reader = object.__new__(Torture)
    reader.numbers = random.Random(int(seed))
    # One snapshot, as the replica moves on.
    with names["connection"] as connection:
        print(TORN if reader.is_torn(connection) else reader.assert_right(connection, "read through the VFS", can_write=False))


def main(library, litestream, rounds, seed):
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        torture = Torture(folder, str(Path(library).resolve()), str(Path(litestream).absolute()), int(seed))
        stack.callback(torture.stop_all)
        torture.run(int(rounds))
    print(f"FAFCAS_SEED={seed}")


if __name__ == "__main__":
    ways = {"write": write_for_ever, "read": read_through_the_vfs}
    if sys.argv[1] in ways:
        ways[sys.argv[1]](*sys.argv[2:])
    else:
        main(*sys.argv[1:])
