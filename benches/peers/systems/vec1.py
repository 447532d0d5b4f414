"""vec1, SQLite's own extension, as apsw brings it: flat, and trained as its manual says."""

import os

import apsw.sqlite_extra
import numpy

from systems.base import InSqlite


class Flat(InSqlite):
    """Packed in blocks, which the manual says is twice as fast as plain rows."""

    name, package = "vec1, flat", "apsw"
    search = "SELECT rowid FROM t(?, json_object('k', ?))"

    def settings(self) -> str:
        return '\'rebuild\', {index: "flat", distance: "l2"}'

    def extend(self) -> None:
        apsw.sqlite_extra.load(self.connection, "vec1")

    def build(self, base: numpy.ndarray) -> None:
        self.connect()
        self.connection.execute(f"CREATE VIRTUAL TABLE t USING vec1(v{'' if self.parts is None else ', part'})")
        columns, marks = ("rowid, v", "?, ?") if self.parts is None else ("rowid, v, part", "?, ?, ?")
        self.insert(f"INSERT INTO t({columns}) VALUES ({marks})", base)
        self.train()

    def train(self) -> None:
        """By the command that makes the index."""
        self.connection.execute("""INSERT INTO t(cmd, arg) VALUES ('rebuild', '{"index": "flat", "distance": "l2"}')""")


class FlatFiltered(Flat):
    """The same, with the column that the manual has for filters."""

    def ask_filtered(self, query: numpy.ndarray, k: int, below: int) -> list[int]:
        sql = "SELECT rowid FROM t(?, json_object('k', ?)) WHERE part < ?"
        return [row - 1 for (row,) in self.connection.execute(sql, (query.tobytes(), k, below))]


class Trained(Flat):
    """Clusters of whole vectors, which want no second look."""

    name, knob, points = "vec1, trained, codesize 0", "nprobe", [0.01, 0.03, 0.1, 0.3, 0.6, 1.0]
    search = "SELECT rowid FROM t(?, json_object('k', ?, 'nprobe', ?))"
    probes = 1

    def config(self) -> str:
        """What `vec1_train` is given."""
        return f'{{"nbucket": {self.buckets()}, "codesize": 0, "distance": "l2"}}'

    def buckets(self) -> int:
        """The root of the rows, between the limits that the manual names."""
        return min(4096, max(32, self.lists()))

    def settings(self) -> str:
        return f"vec1_train(v, '{self.config()}') of up to 100,000 rows; nprobe as a share of the buckets"

    def train(self) -> None:
        self.connection.execute("SELECT vec1_config('nthread', ?)", (os.cpu_count() or 1,))
        sample = "SELECT v FROM t LIMIT 100000"
        self.connection.execute(f"INSERT INTO t(cmd, arg) SELECT 'rebuild', vec1_train(v, ?) FROM ({sample})", (self.config(),))

    def point(self, value: float) -> None:
        self.probes = max(1, round(value * self.buckets()))

    def ask(self, query: numpy.ndarray, k: int) -> list[int]:
        return [row - 1 for (row,) in self.connection.execute(self.search, (query.tobytes(), k, self.probes))]


class Quantised(Trained):
    """Codes, and the vectors of the best, in the way of the manual."""

    name, knob = "vec1, trained, PQ, reranked", "nprobe, k before"
    points = [(0.02, 5), (0.05, 10), (0.1, 10), (0.2, 20), (0.5, 20), (1.0, 50)]
    search = "SELECT rowid FROM t(?1, json_object('k', ?2, 'nprobe', ?3)) ORDER BY vec1_l2_distance(?1, v) LIMIT ?4"
    times = 1

    def config(self) -> str:
        return (
            f'{{"nbucket": {self.buckets()}, "codesize": {min(256, self.dimensions // 8)}, "quantizer": "pq", "distance": "l2"}}'
        )

    def settings(self) -> str:
        return super().settings() + "; k times the second number, then by vec1_l2_distance"

    def point(self, value: tuple[float, int]) -> None:
        super().point(value[0])
        self.times = value[1]

    def ask(self, query: numpy.ndarray, k: int) -> list[int]:
        values = (query.tobytes(), k * self.times, self.probes, k)
        return [row - 1 for (row,) in self.connection.execute(self.search, values)]


SYSTEMS = [FlatFiltered, Trained, Quantised]
