"""fafcas: its index with one thread and with two, and its scan."""

import os
from typing import Any

import numpy

from systems.base import UserTable


class Index(UserTable):
    """No knob: one point for each number of threads."""

    name, package, threads = "fafcas, index, 1 thread", "fafcas", 1
    search = "SELECT rowid FROM vec_topk('t', 'v', ?, ?)"

    def settings(self) -> str:
        return f"CREATE VIRTUAL TABLE t_vec USING vec_index(t, v); vec_topk; threads = {self.threads}"

    def extend(self) -> None:
        self.connection.load_extension(os.environ["FAFCAS_LIBRARY"])
        self.connection.execute("SELECT fafcas_config('threads', ?)", (self.threads,))

    def build(self, base: numpy.ndarray) -> None:
        self.connection.execute("CREATE VIRTUAL TABLE t_vec USING vec_index(t, v)")

    def ask_filtered(self, query: numpy.ndarray, k: int, below: int) -> list[int]:
        sql = "SELECT rowid FROM vec_topk('t', 'v', ?) WHERE rowid IN (SELECT id FROM t WHERE part < ?) LIMIT ?"
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
