"""hnswlib: the graph that most others are measured by. All of it is in memory."""

from __future__ import annotations

from typing import Any

import hnswlib
import numpy

from systems.base import System


class Hnsw(System):
    """With the parameters of its README."""

    name, package = "hnswlib", "hnswlib"
    knob, points = "ef", [10, 32, 64, 128, 256, 512, 1024]
    index: Any

    def settings(self) -> str:
        return "space ip, M 16, ef_construction 200, built on all cores; the whole index is read when it is opened"

    def build(self, base: numpy.ndarray) -> None:
        index = hnswlib.Index(space="ip", dim=self.dimensions)
        index.init_index(max_elements=self.rows, M=16, ef_construction=200)
        index.add_items(base, numpy.arange(len(base)))
        index.save_index(str(self.folder / "peer.hnsw"))

    def open(self) -> None:
        self.index = hnswlib.Index(space="ip", dim=self.dimensions)
        self.index.load_index(str(self.folder / "peer.hnsw"))
        self.index.set_num_threads(1)

    def point(self, value: int) -> None:
        self.index.set_ef(value)

    def ask(self, query: numpy.ndarray, k: int) -> list[int]:
        return self.index.knn_query(query, k)[0][0].tolist()

    def ask_filtered(self, query: numpy.ndarray, k: int, below: int) -> list[int]:
        parts = self.parts
        return self.index.knn_query(query, k, filter=lambda row: bool(parts[row] < below))[0][0].tolist()

    def ask_many(self, queries: numpy.ndarray, k: int) -> Any:
        return self.index.knn_query(queries, k)[0]


SYSTEMS = [Hnsw]
