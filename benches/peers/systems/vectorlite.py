"""vectorlite: hnswlib as a table of SQLite. Its graph is in memory, and is written to a file of its own."""

import numpy
import vectorlite_py

from systems.base import InSqlite


class Hnsw(InSqlite):
    """With its own defaults of M and ef_construction."""

    name, package = "vectorlite, HNSW", "vectorlite-py"
    knob, points = "ef", [10, 32, 64, 128, 256, 512, 1024]
    search = "SELECT rowid FROM t WHERE knn_search(v, knn_param(?, ?, ?))"
    ef = 10

    def settings(self) -> str:
        return f"v float32[{self.dimensions}] ip, hnsw(max_elements={self.rows}), M 16, ef_construction 200 (its defaults)"

    def extend(self) -> None:
        self.connection.load_extension(vectorlite_py.vectorlite_path())

    def build(self, base: numpy.ndarray) -> None:
        self.connect()
        index = f"v float32[{self.dimensions}] ip, hnsw(max_elements={self.rows}), '{self.folder / 'peer.hnsw'}'"
        self.connection.execute(f"CREATE VIRTUAL TABLE t USING vectorlite({index})")
        self.insert("INSERT INTO t(rowid, v) VALUES (?, ?)", base)
        # It writes its file when the connection closes.
        self.connection.close()

    def point(self, value: int) -> None:
        self.ef = value

    def ask(self, query: numpy.ndarray, k: int) -> list[int]:
        return [row - 1 for (row,) in self.connection.execute(self.search, (query.tobytes(), k, max(k, self.ef)))]


SYSTEMS = [Hnsw]
