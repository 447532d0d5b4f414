"""Random histories of indexed tables, against an exact oracle.

    histories.py LIBRARY STEPS SEED

Several connections write, with the library and without, in transactions and savepoints; tables, columns and indexes are
renamed, dropped and made again; databases are vacuumed, attached, detached, copied in four ways and changed by changesets;
statements are interrupted at random moments. The oracle is a model of the rows in this file: after each second step a search
must give its rows and scores. With "exact" none may be missed; else one in 30,000. A history of some hundred steps has a seed of
its own, derived from SEED, and the last line printed before an error tells it: `histories.py LIBRARY 0 that-seed` runs it alone.
"""

import copy
import os
import random
import sys
import tempfile
from collections import Counter

import apsw
import numpy

LIBRARY, STEPS, SEED = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
LENGTH = 500
COUNTS = Counter()
# Of 30,000 neighbours one may be missed.
MISSED_IN = 30_000


def opened(path, library=True, cache=None):
    connection = apsw.Connection(path)
    connection.set_busy_timeout(0)
    if library:
        connection.enable_load_extension(True)
        connection.load_extension(LIBRARY)
    if cache:
        connection.execute(f"PRAGMA cache_size = {cache}")
    connection.execute("PRAGMA synchronous = OFF")
    return connection


class Table:
    """What a table is called, and its rows: a vector, None, or "bad" for one of another length."""

    def __init__(self, schema, name, index, rows):
        self.schema, self.name, self.column, self.index, self.rows = schema, name, "v", index, rows
        self.extra, self.is_renumbered = 0, False

    def __copy__(self):
        other = Table(self.schema, self.name, self.index, dict(self.rows))
        other.column, other.extra, other.is_renumbered = self.column, self.extra, self.is_renumbered
        return other

    @property
    def path(self):
        return f'{self.schema}."{self.name}"'

    def scores(self, query, metric, keep=lambda row: True):
        """All rows with their scores, best first."""
        rows = [row for row, vector in self.rows.items() if isinstance(vector, numpy.ndarray) and keep(row)]
        if not rows:
            return []
        matrix = numpy.array([self.rows[row] for row in rows], dtype=numpy.float64)
        query = query.astype(numpy.float64)
        scores = matrix @ query
        if metric == "cosine":
            scores = scores / numpy.linalg.norm(matrix, axis=1) / numpy.linalg.norm(query)
        elif metric == "l2":
            scores = -numpy.linalg.norm(matrix - query, axis=1)
        return sorted(zip(scores.tolist(), rows), key=lambda hit: (-hit[0], hit[1]))

    def has_bad(self):
        return any(isinstance(vector, str) for vector in self.rows.values())


class History:
    def __init__(self, seed):
        self.numbers = random.Random(seed)
        self.seed, self.step_number, self.doing, self.made = seed, 0, "begin", 0
        self.folder = tempfile.TemporaryDirectory()
        self.dimensions = self.numbers.choice((3, 8, 16, 33))
        self.keyed = self.numbers.random() < 0.7
        self.is_wal = self.numbers.random() < 0.7
        self.key = "id" if self.keyed else "rowid"
        self.path, self.far_path = f"{self.folder.name}/main.db", f"{self.folder.name}/far.db"
        self.snapshot = None
        for path, name in ((self.path, "t"), (self.far_path, "u")):
            plain = opened(path, library=False)
            plain.execute(f"PRAGMA page_size = {self.numbers.choice((512, 1024, 4096))}")
            plain.execute(f"PRAGMA journal_mode = {'WAL' if self.is_wal else 'DELETE'}")
            plain.execute(f"CREATE TABLE {name}({'id INTEGER PRIMARY KEY, ' if self.keyed else ''}v BLOB, note)")
            plain.close()
        tables = {name: Table(schema, name, None, {}) for schema, name in (("main", "t"), ("far", "u"))}
        self.committed = tables
        self.stack, self.owner = [], None
        self.current = tables
        self.open()
        for name in ("t", "u"):
            for _ in range(self.numbers.randrange(20, 200)):
                self.insert(self.current[name], self.a)
            self.create(self.current[name], self.a)
        self.committed = copied(self.current)

    def open(self):
        self.a, self.b, self.plain = opened(self.path), opened(self.path, cache=5), opened(self.path, library=False)
        self.a.execute("ATTACH ? AS far", (self.far_path,))
        self.far_plain = opened(self.far_path, library=False)

    def close(self):
        self.forget_snapshot()
        for connection in (self.a, self.b, self.plain, self.far_plain):
            connection.close()

    def forget_snapshot(self):
        if self.snapshot:
            self.snapshot[0].close()
            self.snapshot = None

    # Choices

    def vector(self):
        centre = random.Random(self.numbers.randrange(12))
        spread = self.numbers.choice((0.0, 0.1, 1.0))
        values = [centre.gauss(0, 1) + spread * self.numbers.gauss(0, 1) for _ in range(self.dimensions)]
        return numpy.array(values, dtype=numpy.float32)

    def row(self, table):
        return self.numbers.choice(list(table.rows)) if table.rows else None

    def table(self):
        return self.current[self.numbers.choice("tttu")]

    def writer(self, table, library=False):
        """Who may write now; None where nobody who fits."""
        if self.owner:
            fits = table.schema == "main" or self.owner is self.a
            return self.owner if fits and not (library and self.owner is self.plain) else None
        if table.schema == "far":
            return self.numbers.choice([self.a] if library else [self.a, self.far_plain])
        return self.numbers.choice([self.a, self.b] if library else [self.a, self.b, self.plain, self.plain])

    def named(self, table, connection):
        """The table's path as this connection knows it."""
        return f'"{table.name}"' if connection is self.far_plain else table.path

    # Writes: the model changes once the statement has succeeded.

    def insert(self, table, connection):
        vector, row = self.vector(), max(table.rows, default=0) + self.numbers.choice((1, 1, 1, 7))
        sql = f"INSERT INTO {self.named(table, connection)}({self.key}, {table.column}) VALUES (?, ?)"
        connection.execute(sql, (row, vector.tobytes()))
        table.rows[row] = vector

    def replace(self, table, connection):
        row, vector = self.row(table), self.vector()
        if row is None:
            return
        sql = f"INSERT OR REPLACE INTO {self.named(table, connection)}({self.key}, {table.column}) VALUES (?, ?)"
        connection.execute(sql, (row, vector.tobytes()))
        table.rows[row] = vector

    def update(self, table, connection):
        row = self.row(table)
        value = self.numbers.choice([None] + ["bad"] * (self.numbers.random() < 0.05) + [self.vector()] * 8)
        stored = value.tobytes() if isinstance(value, numpy.ndarray) else b"\0\0\x80\x3f" * (self.dimensions + 1) if value else None
        sql = f"UPDATE {self.named(table, connection)} SET {table.column} = ? WHERE {self.key} = ?"
        connection.execute(sql, (stored, row))
        if row is not None:
            table.rows[row] = value

    def mend(self, table, connection):
        """Rows of another length get theirs back."""
        vector = self.vector()
        sql = f"UPDATE {self.named(table, connection)} SET {table.column} = ? WHERE length({table.column}) = ?"
        connection.execute(sql, (vector.tobytes(), 4 * (self.dimensions + 1)))
        for row, value in table.rows.items():
            table.rows[row] = vector if isinstance(value, str) else value

    def touch(self, table, connection):
        sql = f"UPDATE {self.named(table, connection)} SET note = note || 'x' WHERE {self.key} = ?"
        connection.execute(sql, (self.row(table),))

    def delete(self, table, connection):
        first = self.row(table) or 0
        last = first + self.numbers.choice((0, 0, 0, 10))
        connection.execute(f"DELETE FROM {self.named(table, connection)} WHERE {self.key} BETWEEN ? AND ?", (first, last))
        for row in [row for row in table.rows if first <= row <= last]:
            del table.rows[row]

    def many(self, table, connection):
        vectors, first = [self.vector() for _ in range(15)], max(table.rows, default=0) + 1
        values = ", ".join("(?, ?)" for _ in vectors)
        sql = f"INSERT INTO {self.named(table, connection)}({self.key}, {table.column}) VALUES {values}"
        rows = list(enumerate(vectors, first))
        connection.execute(sql, [value for row, vector in rows for value in (row, vector.tobytes())])
        table.rows.update(rows)

    def move(self, table, connection):
        row = self.row(table)
        target = self.numbers.choice([self.row(table), max(table.rows, default=0) + 5])
        if row is None or row == target:
            return
        sql = f"UPDATE OR REPLACE {self.named(table, connection)} SET {self.key} = ? WHERE {self.key} = ?"
        connection.execute(sql, (target, row))
        table.rows[target] = table.rows.pop(row)

    WRITES = ["insert"] * 4 + ["replace"] * 2 + ["update"] * 6 + ["touch", "delete", "delete", "many", "move", "move"]

    def write(self):
        table = self.table()
        connection = self.writer(table)
        name = "mend" if table.has_bad() and self.numbers.random() < 0.5 else self.numbers.choice(self.WRITES)
        if len(table.rows) > 400:
            name = "delete"
        self.doing = f"{name} {table.path} {self.called(connection)}"
        if connection:
            self.carried_out(connection, lambda: getattr(self, name)(table, connection))

    def called(self, connection):
        names = {id(self.a): "a", id(self.b): "b", id(self.plain): "plain", id(self.far_plain): "far plain"}
        return names.get(id(connection), "nobody")

    def carried_out(self, connection, work):
        """One statement, sometimes interrupted. Then its transaction is rolled back: SQLite may say that a statement was
        interrupted which it has just committed.
        """
        is_hurried = self.numbers.random() < 0.1
        try:
            if is_hurried and not self.owner:
                connection.execute("BEGIN IMMEDIATE")
            (self.hurried if is_hurried else self.at_leisure)(connection, work)
            if is_hurried and not self.owner:
                connection.execute("COMMIT")
        except apsw.InterruptError:
            COUNTS["interrupted statements"] += 1
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self.rolled_back()
        except apsw.BusyError:
            if self.is_wal and self.snapshot is None:
                raise
            COUNTS["busy"] += 1
            if connection.in_transaction and not self.owner:
                connection.execute("ROLLBACK")
            self.current = copied(self.current if self.owner else self.committed)
        else:
            if not self.owner:
                self.committed = copied(self.current)

    def at_leisure(self, connection, work):
        return work()

    def hurried(self, connection, work):
        left = [self.numbers.choice((0, 1, 3, 10, 40, 200))]

        def is_late():
            left[0] -= 1
            return left[0] < 0

        connection.set_progress_handler(is_late, self.numbers.choice((1, 10, 100)))
        try:
            return work()
        finally:
            connection.set_progress_handler(None)

    # Transactions

    def begin(self):
        if self.owner is None:
            self.owner = self.numbers.choice((self.a, self.b, self.plain))
            self.owner.execute("BEGIN IMMEDIATE")
            self.stack = [self.committed]
        elif len(self.stack) < 5:
            self.owner.execute(f"SAVEPOINT s{len(self.stack)}")
            self.stack.append(copied(self.current))

    def end(self):
        if self.owner is None:
            return
        keep = self.numbers.random() < 0.5
        before = self.stack.pop()
        if self.stack:
            name = f"s{len(self.stack)}"
            self.owner.execute(f"RELEASE {name}" if keep else f"ROLLBACK TO {name}; RELEASE {name}")
            self.current = self.current if keep else before
            return
        if keep:
            try:
                self.owner.execute("COMMIT")
            except apsw.BusyError:
                self.forget_snapshot()
                self.owner.execute("COMMIT")
            self.committed = self.current
        else:
            self.owner.execute("ROLLBACK")
        self.owner = None
        self.current = copied(self.committed)

    def end_all(self):
        while self.owner:
            self.end()

    def rolled_back(self):
        self.owner, self.stack, self.current = None, [], copied(self.committed)

    # The index

    def create(self, table, connection):
        self.made += 1
        name = f"ix {self.made}"
        connection.execute(f'CREATE VIRTUAL TABLE {table.schema}."{name}" USING vec_index("{table.name}", "{table.column}")')
        table.index = name

    def drop(self, table, connection):
        connection.execute(f'DROP TABLE {table.schema}."{table.index}"')
        table.index = None

    def tell(self, table, connection, command):
        name = f'{table.schema}."{table.index}"'
        sql = f'INSERT INTO {name}("{table.index}") VALUES (?)'
        try:
            connection.execute(sql, (command,))
        except apsw.CorruptError:
            # What VACUUM has renumbered fits its codes again after a merge.
            if command != "check" or not table.is_renumbered:
                raise
            COUNTS["renumbered"] += 1
            connection.execute(sql, ("merge",))
            connection.execute(sql, (command,))
        if command in ("merge", "rebuild"):
            table.is_renumbered = False

    def command(self):
        table = self.table()
        connection = self.writer(table, library=True)
        if not connection:
            return
        if table.has_bad():
            # No index is made of a table with rows of another length.
            self.doing = f"mend {table.path} {self.called(connection)}"
            return self.carried_out(connection, lambda: self.mend(table, connection))
        if not table.index:
            self.doing = f"create on {table.path}"
            return self.carried_out(connection, lambda: self.create(table, connection))
        command = self.numbers.choice(("merge", "merge", "merge", "rebuild", "check", "drop"))
        self.doing = f"{command} {table.path} {self.called(connection)}"
        if command == "drop":
            return self.carried_out(connection, lambda: self.drop(table, connection))
        self.carried_out(connection, lambda: self.tell(table, connection, command))

    # The schema and the file

    def rename(self):
        table = self.table()
        connection = self.writer(table, library=True)
        if not connection:
            return
        self.made += 1
        kinds = ["table", "column", "add"] + (["index"] if table.index else [])
        kind, old = self.numbers.choice(kinds), table.path

        def work():
            # DROP COLUMN is refused by a connection that has not read the schema since another changed it.
            connection.execute(f"SELECT count(*) FROM {table.schema}.sqlite_schema").fetchall()
            if kind == "table":
                connection.execute(f'ALTER TABLE {old} RENAME TO "t {self.made}"')
                table.name = f"t {self.made}"
            elif kind == "column":
                connection.execute(f"ALTER TABLE {old} RENAME {table.column} TO v{self.made}")
                table.column = f"v{self.made}"
            elif kind == "add" and table.extra == 0:
                connection.execute(f"ALTER TABLE {old} ADD extra DEFAULT 5")
                table.extra = 1
            elif kind == "add":
                connection.execute(f"ALTER TABLE {old} DROP extra")
                table.extra = 0
            else:
                connection.execute(f'ALTER TABLE {table.schema}."{table.index}" RENAME TO "ix {self.made}"')
                table.index = f"ix {self.made}"

        self.doing = f"rename {kind} of {old} {self.called(connection)}"
        self.carried_out(connection, work)

    def vacuum(self):
        if self.owner:
            return
        table = self.current["t"]
        connection = self.numbers.choice((self.a, self.b, self.plain))
        self.doing = f"VACUUM {self.called(connection)}"

        self.forget_snapshot()
        try:
            (self.hurried if self.numbers.random() < 0.1 else self.at_leisure)(connection, lambda: connection.execute("VACUUM main"))
        except apsw.InterruptError:
            COUNTS["interrupted statements"] += 1
        self.read_again(connection, table)
        self.committed = copied(self.current)

    def read_again(self, connection, table):
        """VACUUM and copies give rows without a key new rowids, in their order."""
        sql = f"SELECT rowid, {table.column} FROM {self.named(table, connection)} ORDER BY rowid"
        stored, known = connection.execute(sql).fetchall(), [table.rows[row] for row in sorted(table.rows)]
        assert len(stored) == len(known), "VACUUM lost rows"
        assert not self.keyed or [row for row, _ in stored] == sorted(table.rows)
        table.is_renumbered |= [row for row, _ in stored] != sorted(table.rows)
        table.rows = {row: vector for (row, _), vector in zip(stored, known)}

    def reopen(self):
        if not self.owner:
            self.doing = "close and open"
            self.close()
            self.open()

    def reattach(self):
        if not self.owner:
            self.doing = "DETACH and ATTACH"
            self.a.execute("DETACH far")
            self.a.execute("ATTACH ? AS far", (self.far_path,))

    def take_snapshot(self):
        if self.is_wal and not self.owner:
            self.doing = "a snapshot"
            self.forget_snapshot()
            connection = opened(self.path)
            connection.execute("BEGIN; SELECT count(*) FROM sqlite_schema").fetchall()
            self.snapshot = connection, copied(self.committed)

    def copy(self):
        """A copy of the main database answers right and is sound; sometimes the history goes on with it."""
        if self.owner:
            return
        self.made += 1
        path = f"{self.folder.name}/copy {self.made}.db"
        kind = self.numbers.choice(("backup", "VACUUM INTO", "bytes", "changeset"))
        self.doing = kind
        table = copy.copy(self.committed["t"])
        if kind == "changeset":
            return self.changeset()
        if kind == "backup":
            target = opened(path)
            with target.backup("main", self.numbers.choice((self.a, self.b, self.plain)), "main") as backup:
                while not backup.done:
                    backup.step(self.numbers.choice((3, 50, -1)))
                    # Writes between the steps become part of it.
                    if not backup.done and self.numbers.random() < 0.2:
                        self.write()
                        self.doing = kind
            table = copy.copy(self.committed["t"])
            target.close()
        elif kind == "VACUUM INTO":
            self.numbers.choice((self.a, self.b, self.plain)).execute("VACUUM INTO ?", (path,))
        else:
            with open(path, "wb") as file:
                file.write(self.b.serialize("main"))
        target = opened(path)
        self.read_again(target, table)
        self.assert_sound(target, table)
        for _ in range(3):
            self.compare(target, table)
        target.close()
        if self.numbers.random() < 0.3:
            self.go_on_with(path, table)
        else:
            os.remove(path)

    def go_on_with(self, path, table):
        self.close()
        self.path = path
        plain = opened(path, library=False)
        plain.execute(f"PRAGMA journal_mode = {'WAL' if self.is_wal else 'DELETE'}")
        plain.close()
        self.committed["t"] = table
        self.current = copied(self.committed)
        self.open()

    def changeset(self):
        """What was written to one database is written to a copy of it as a changeset, which knows nothing of the index."""
        if not self.keyed:
            return
        path = f"{self.folder.name}/replica {self.made}.db"
        self.a.execute("VACUUM INTO ?", (path,))
        replica = opened(path)
        session = apsw.Session(self.a, "main")
        session.attach(None)
        self.owner, self.stack = self.a, [self.committed]
        self.a.execute("BEGIN IMMEDIATE")
        table = self.current["t"]
        for _ in range(self.numbers.randrange(1, 20)):
            getattr(self, self.numbers.choice(self.WRITES))(table, self.a)
        if table.index and self.numbers.random() < 0.5:
            self.tell(table, self.a, "merge")
        changes = session.changeset()
        session.close()
        apsw.Changeset.apply(changes, replica)
        self.assert_sound(replica, table)
        for _ in range(3):
            self.compare(replica, table)
        if table.index:
            self.tell(table, replica, "merge")
            self.assert_sound(replica, table)
            self.compare(replica, table)
        replica.close()
        os.remove(path)

    # The oracle

    def assert_sound(self, connection, table):
        if table.index:
            self.tell(table, connection, "check")
        said = connection.execute(f"PRAGMA {table.schema}.integrity_check").get
        assert said == "ok", said
        COUNTS["checks"] += 1

    def compare_one(self):
        """A search by one of those who can, in what it sees."""
        if self.snapshot and self.numbers.random() < 0.2:
            connection, tables = self.snapshot
            return self.compare(connection, tables["t"])
        connection = self.numbers.choice((self.a, self.a, self.b))
        tables = self.current if self.owner is None or connection is self.owner else self.committed
        name = self.numbers.choice("tttu") if connection is self.a else "t"
        # Tables of the other schema are seen as committed, except by the writer.
        try:
            if connection is self.a and self.numbers.random() < 0.05:
                return self.compare_both(connection, tables)
            self.compare(connection, tables[name])
        except apsw.BusyError:
            if self.is_wal:
                raise
            COUNTS["busy"] += 1

    def options(self, table):
        exact = self.numbers.random() < 0.5
        index = [f', "index": "{table.index}"'] * 3 if table.index else []
        chosen = self.numbers.choice(["", ', "index": false', *index])
        return exact or "false" in chosen, chosen + (', "exact": true' if exact else "")

    def compare(self, connection, table):
        query, metric = self.vector(), self.numbers.choice(("dot", "cosine", "l2"))
        limit = self.numbers.choice((1, 5, 5, 20, 1000))
        skip, (is_exact, options) = self.numbers.random() < 0.5, self.options(table)
        options = f'{{"metric": "{metric}", "skip_bad": {str(skip).lower()}{options}}}'
        first = self.numbers.choice([None, None, self.row(table)])
        if first is None:
            sql = "SELECT rowid, score FROM vec_topk(?1, ?2, ?3, ?4, ?5)"
            right = table.scores(query, metric)
        else:
            sql = "SELECT rowid, score FROM vec_topk(?1, ?2, ?3, NULL, ?5) WHERE rowid >= ?6 LIMIT ?4"
            right = table.scores(query, metric, lambda row: row >= first)
        values = (table.path, table.column, query.tobytes(), limit, options, first)
        asked = f"{sql} {options} {limit} {first} {table.path}"
        pace = self.hurried if self.numbers.random() < 0.1 else self.at_leisure
        try:
            found = pace(connection, lambda: connection.execute(sql, values[: 5 if first is None else 6]).fetchall())
        except apsw.InterruptError:
            COUNTS["interrupted searches"] += 1
            return
        except apsw.SQLError as error:
            assert table.has_bad() and not skip and "expected" in str(error), f"{asked}: {error}"
            COUNTS["refused"] += 1
            return
        assert skip or first is not None or not table.has_bad(), f"{asked}: a row of another length was not noticed"
        self.assert_right(found, right, limit, is_exact, asked)
        if table.index and f'"index": "{table.index}"' in options:
            sql = "SELECT path FROM vec_stats WHERE source = ? AND column_name = ?"
            path = connection.execute(sql, (f"{table.schema}.{table.name}", table.column)).get
            COUNTS["by index" if path == "index" else "by scan, where an index was named"] += 1

    def compare_both(self, connection, tables):
        """Both tables at once, in two databases."""
        both = [tables["t"], tables["u"]]
        if any(table.has_bad() for table in both):
            return
        query = self.vector()
        right = [(score, (number, row)) for number, table in enumerate(both) for score, row in table.scores(query, "dot")]
        right.sort(key=lambda hit: (-hit[0], hit[1]))
        column = both[0].column
        if column != both[1].column:
            return
        sql = "SELECT source, rowid, score FROM vec_topk(?, ?, ?, 10, ?)"
        values = (", ".join(table.path for table in both), column, query.tobytes(), '{"exact": true}')
        found = [((int(source.startswith("far")), row), score) for source, row, score in connection.execute(sql, values)]
        self.assert_right(found, right, 10, True, f"{sql} {values[0]}")
        COUNTS["of two databases"] += 1

    def assert_right(self, found, right, limit, is_exact, asked):
        """The same scores, each that of its row; rows of equal scores may change places within the rounding of floats."""
        own, wanted = {row: score for score, row in right}, right[:limit]
        assert len(found) == len(wanted), f"{asked}: {len(found)} rows, not {len(wanted)}\n{found}\n{wanted}"
        assert len({row for row, _ in found}) == len(found), f"{asked}: a row twice"
        for row, score in found:
            assert row in own and near(score, own[row]), f"{asked}: row {row} scores {score}, not {own.get(row)}"
        assert all(near(b[1], a[1]) or a[1] > b[1] for a, b in zip(found, found[1:])), f"{asked}: out of order"
        last = wanted[-1][0] if wanted else 0
        missed = sum(1 for score, row in wanted if score > last and not near(score, last) and row not in dict(found))
        if found and not near(found[-1][1], last):
            missed = max(missed, 1)
        assert not (missed and is_exact), f"{asked}: {missed} rows missed\n{found}\n{wanted}"
        COUNTS["missed"] += missed
        COUNTS["comparisons"] += 1
        COUNTS["neighbours"] += len(found)

    STEPS = (
        ["write"] * 40 + ["command"] * 8 + ["begin"] * 5 + ["end"] * 6 + ["rename"] * 2 + ["take_snapshot"]
        + ["copy", "vacuum", "reopen", "reattach"]
    )

    def run(self, steps):
        try:
            for self.step_number in range(steps):
                self.doing = self.numbers.choice(self.STEPS)
                COUNTS[self.doing] += 1
                getattr(self, self.doing)()
                if self.step_number % 2:
                    self.compare_one()
            self.end_all()
            self.forget_snapshot()
            for table in self.committed.values():
                self.assert_sound(self.a, table)
            self.close()
        except BaseException:
            print(f"history {self.seed}, step {self.step_number}, {self.doing}", flush=True)
            raise
        self.folder.cleanup()


def copied(tables):
    return {name: copy.copy(table) for name, table in tables.items()}


def near(a, b):
    return abs(a - b) <= 2e-5 * max(1.0, abs(a), abs(b))


def main():
    seeds = random.Random(SEED)
    done = 0
    while done < max(STEPS, 1):
        History(seeds.randrange(1 << 32) if STEPS else SEED).run(LENGTH)
        done += LENGTH
    most = 1 + 5 * COUNTS["neighbours"] // MISSED_IN
    counts = ", ".join(f"{count:,} {name}" for name, count in sorted(COUNTS.items()))
    print(f"torture histories: {done:,} steps: {counts} (FAFCAS_SEED={SEED})")
    assert COUNTS["by index"] > COUNTS["comparisons"] // 5, "the index was hardly used"
    assert COUNTS["missed"] <= most, f"expected at most {most} rows missed"


if __name__ == "__main__":
    main()
