"""LanceDB: clusters with PQ codes and a second look, and clusters with graphs."""

from typing import Any

import lancedb
import numpy
import pyarrow

from systems.base import System


class IvfPq(System):
    """With its own number of clusters and of codes."""

    name, package = "LanceDB, IVF_PQ, refined", "lancedb"
    knob, points = "nprobes, refine_factor", [(1, 2), (5, 5), (10, 10), (20, 20), (50, 50)]
    kind = "IVF_PQ"
    table: Any

    def settings(self) -> str:
        return f'create_index(metric="dot", index_type="{self.kind}"), its defaults'

    def build(self, base: numpy.ndarray) -> None:
        vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(base.reshape(-1)), self.dimensions)
        columns = {"id": pyarrow.array(numpy.arange(len(base))), "vector": vectors}
        if self.parts is not None:
            columns["part"] = pyarrow.array(self.parts)
        table = lancedb.connect(self.folder).create_table("t", pyarrow.table(columns))
        table.create_index(metric="dot", index_type=self.kind, vector_column_name="vector")
        table.wait_for_index(["vector_idx"])

    def open(self) -> None:
        self.table = lancedb.connect(self.folder).open_table("t")

    def point(self, value: tuple[int, int]) -> None:
        self.probes, self.refine = value

    def query(self, query: numpy.ndarray, k: int) -> Any:
        """With the knob as it stands."""
        return (
            self.table.search(query).distance_type("dot").select(["id"]).limit(k).nprobes(self.probes).refine_factor(self.refine)
        )

    def ask(self, query: numpy.ndarray, k: int) -> list[int]:
        return self.query(query, k).to_arrow()["id"].to_pylist()

    def ask_filtered(self, query: numpy.ndarray, k: int, below: int) -> list[int]:
        return self.query(query, k).where(f"part < {below}", prefilter=True).to_arrow()["id"].to_pylist()


class IvfHnsw(IvfPq):
    """Clusters, a graph in each, numbers of a byte."""

    name, knob = "LanceDB, IVF_HNSW_SQ, refined", "ef, nprobes, refine_factor"
    points = [(20, 1, 1), (50, 1, 2), (100, 5, 5), (200, 10, 5), (500, 20, 10)]
    kind = "IVF_HNSW_SQ"

    def point(self, value: tuple[int, int, int]) -> None:
        self.ef, self.probes, self.refine = value

    def query(self, query: numpy.ndarray, k: int) -> Any:
        return super().query(query, k).ef(max(self.ef, k))


SYSTEMS = [IvfPq, IvfHnsw]
