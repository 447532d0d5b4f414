"""fafcas: its index with one thread and with two, and its scan."""

import os
from typing import Any

import numpy

from systems.base import UserTable


JOIN = """
SELECT s.rowid FROM vec_topk('t', 'v', ?) AS s JOIN t ON t.id = s.rowid WHERE t.part < ? ORDER BY s.score DESC LIMIT ?
"""
LIST = "SELECT rowid FROM vec_topk('t', 'v', ?) WHERE rowid IN (SELECT id FROM t WHERE part < ?) LIMIT ?"


class Index(UserTable):
    """No knob: one point for each number of threads."""

    name, package, threads = "fafcas, index, 1 thread", "fafcas", 1
    search = "SELECT rowid FROM vec_topk('t', 'v', ?, ?)"

    def settings(self) -> str:
        filters = "a filter is a join, or a list if it lets less than an eighth through"
        return f"CREATE VIRTUAL TABLE t_vec USING vec_index(t, v); vec_topk; threads = {self.threads}; {filters}"

    def extend(self) -> None:
        self.connection.load_extension(os.environ["FAFCAS_LIBRARY"])
        self.connection.execute("SELECT fafcas_config('threads', ?)", (self.threads,))

    def build(self, base: numpy.ndarray) -> None:
        self.connection.execute("CREATE VIRTUAL TABLE t_vec USING vec_index(t, v)")

    def ask_filtered(self, query: numpy.ndarray, k: int, below: int) -> list[int]:
        # As README.md says: a join where one row in a few passes, and a list where few do.
        sql = JOIN if below >= 125 else LIST
        return [row - 1 for (row,) in self.connection.execute(sql, (query.tobytes(), below, k))]

    def ask_many(self, queries: numpy.ndarray, k: int) -> Any:
        self.connection.execute("CREATE TEMP TABLE IF NOT EXISTS asked (id INTEGER PRIMARY KEY, v BLOB)")
        self.connection.execute("DELETE FROM asked")
        self.connection.executemany("INSERT INTO asked (v) VALUES (?)", ((query.tobytes(),) for query in queries))
        sql = "SELECT query_rowid, rowid FROM vec_topk_many('t', 'v', 'asked', 'v', ?)"
        return self.connection.execute(sql, (k,)).fetchall()


class IndexThreads(Index):
    """The same with two threads."""

    name, threads = "fafcas, index, 2 threads", 2


class Scan(Index):
    """No index: every row is read."""

    name = "fafcas, scan"

    def settings(self) -> str:
        return "no index; vec_topk; threads = 1"

    def build(self, base: numpy.ndarray) -> None:
        pass


SYSTEMS = [Index, IndexThreads, Scan]
