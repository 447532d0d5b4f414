"""sqlite-vec: its table vec0 as it was, and with the indexes that its newest version has (an alpha)."""

import numpy
import sqlite_vec

from systems.base import InSqlite


class Flat(InSqlite):
    """Distances to all rows, which are in chunks of 1024."""

    name, package = "sqlite-vec, vec0 flat", "sqlite-vec"
    search = "SELECT rowid FROM t WHERE v MATCH ? AND k = ?"
    option = ""

    def settings(self) -> str:
        return f"vec0(v float[{self.dimensions}]{self.option}); MATCH ? AND k = ?"

    def extend(self) -> None:
        self.connection.load_extension(sqlite_vec.loadable_path())

    def build(self, base: numpy.ndarray) -> None:
        self.connect()
        part = "" if self.parts is None else ", part integer"
        self.connection.execute(f"CREATE VIRTUAL TABLE t USING vec0(v float[{self.dimensions}]{self.option}{part})")
        columns, marks = ("rowid, v", "?, ?") if self.parts is None else ("rowid, v, part", "?, ?, ?")
        self.insert(f"INSERT INTO t({columns}) VALUES ({marks})", base)


class FlatFiltered(Flat):
    """The same: only this form has columns to filter by."""

    def ask_filtered(self, query: numpy.ndarray, k: int, below: int) -> list[int]:
        sql = "SELECT rowid FROM t WHERE v MATCH ? AND k = ? AND part < ?"
        return [row - 1 for (row,) in self.connection.execute(sql, (query.tobytes(), k, below))]


class RescoreBit(Flat):
    """Signs of all rows, and the vectors of the best."""

    name, knob, points = "sqlite-vec, vec0 rescore bit", "oversample", [2, 8, 16, 32, 64, 128]
    option = " indexed by rescore(quantizer=bit, oversample=8)"

    def point(self, value: int) -> None:
        self.connection.execute("INSERT INTO t(t) VALUES (?)", (f"oversample={value}",))


class RescoreInt8(RescoreBit):
    """Bytes instead of signs."""

    name, points = "sqlite-vec, vec0 rescore int8", [1, 2, 8]
    option = " indexed by rescore(quantizer=int8, oversample=8)"


class DiskAnn(Flat):
    """A graph on the disk."""

    name, knob, points = "sqlite-vec, vec0 DiskANN", "search_list_size", [16, 64, 128, 256, 512]
    option = " indexed by diskann(neighbor_quantizer=binary)"
    slow = "it takes in some 200 rows a second, so it is measured on up to 10,000, in the long form"

    def point(self, value: int) -> None:
        self.connection.execute("INSERT INTO t(t) VALUES (?)", (f"search_list_size_search={value}",))


SYSTEMS = [FlatFiltered, RescoreBit, RescoreInt8, DiskAnn]
