"""DuckDB with its extension vss, which a package of the registry brings, so that no hub is asked."""

import os
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_vss
import numpy
import pyarrow

from systems.base import System


class Vss(System):
    """A graph over a column."""

    name, package = "DuckDB, vss HNSW", "duckdb"
    knob, points = "ef_search", [10, 64, 128, 256, 512]
    connection: Any

    def settings(self) -> str:
        index = "FLOAT[] column, USING HNSW (v) WITH (metric = 'ip'), M 16, ef_construction 128 (its defaults)"
        return f"{index}; prepared, the query as text; persistence is experimental"

    def connect(self, threads: int) -> None:
        """The file, with the extension."""
        self.connection = duckdb.connect(str(self.folder / "peer.duckdb"), config={"threads": threads})
        file = next(Path(duckdb_extension_vss.__file__).parent.rglob("vss.duckdb_extension"))
        self.connection.execute(f"LOAD '{file}'")
        self.connection.execute("SET hnsw_enable_experimental_persistence = true")

    def build(self, base: numpy.ndarray) -> None:
        self.connect(os.cpu_count() or 1)
        vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(base.reshape(-1)), self.dimensions)
        rows = pyarrow.table({"id": pyarrow.array(numpy.arange(len(base))), "v": vectors})
        self.connection.register("rows", rows)
        self.connection.execute(f"CREATE TABLE t AS SELECT id, v::FLOAT[{self.dimensions}] AS v FROM rows")
        self.connection.execute("CREATE INDEX t_v ON t USING HNSW (v) WITH (metric = 'ip')")
        self.connection.execute("CHECKPOINT")
        self.connection.close()

    def open(self) -> None:
        self.connect(1)
        nearest = f"SELECT id FROM t ORDER BY array_negative_inner_product(v, $1::VARCHAR::FLOAT[{self.dimensions}]) LIMIT"
        plan = self.connection.execute(f"EXPLAIN {nearest} 10", [str([0.0] * self.dimensions)]).fetchall()
        if "HNSW_INDEX_SCAN" not in str(plan):
            raise RuntimeError("DuckDB does not use its index for this statement")
        self.nearest, self.prepared = nearest, 0

    def point(self, value: int) -> None:
        self.connection.execute(f"SET hnsw_ef_search = {value}")

    def ask(self, query: numpy.ndarray, k: int) -> list[int]:
        if k != self.prepared:
            self.connection.execute(f"PREPARE nearest AS {self.nearest} {k}")
            self.prepared = k
        # As text: a list of parameters takes six times as long, and a list of numbers twice as long.
        return [row for (row,) in self.connection.execute(f"EXECUTE nearest('{query.tolist()}')").fetchall()]


SYSTEMS = [Vss]
