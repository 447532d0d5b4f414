"""USearch: another graph. All of it is in memory."""

from typing import Any

import numpy
import usearch.index

from systems.base import System


class Hnsw(System):
    """With its own defaults, numbers in 16 bits among them."""

    name, package = "USearch", "usearch"
    knob, points = "expansion_search", [16, 64, 128, 256, 512, 1024]
    index: Any

    def settings(self) -> str:
        return "metric cos, its defaults (dtype bf16, connectivity 16, expansion_add 128), built on all cores; load()"

    def build(self, base: numpy.ndarray) -> None:
        index = usearch.index.Index(ndim=self.dimensions, metric="cos")
        index.add(numpy.arange(len(base)), base)
        index.save(str(self.folder / "peer.usearch"))

    def open(self) -> None:
        self.index = usearch.index.Index(ndim=self.dimensions, metric="cos")
        self.index.load(str(self.folder / "peer.usearch"))

    def point(self, value: int) -> None:
        self.index.expansion_search = value

    def ask(self, query: numpy.ndarray, k: int) -> list[int]:
        return self.index.search(query, k, threads=1).keys.tolist()

    def ask_many(self, queries: numpy.ndarray, k: int) -> Any:
        return self.index.search(queries, k, threads=1).keys


class HnswFloats(Hnsw):
    """Numbers in 32 bits, as the vectors have them."""

    name = "USearch, f32"

    def settings(self) -> str:
        return "metric cos, dtype f32, else its defaults (connectivity 16, expansion_add 128), built on all cores; load()"

    def build(self, base: numpy.ndarray) -> None:
        index = usearch.index.Index(ndim=self.dimensions, metric="cos", dtype="f32")
        index.add(numpy.arange(len(base)), base)
        index.save(str(self.folder / "peer.usearch"))

    def open(self) -> None:
        self.index = usearch.index.Index(ndim=self.dimensions, metric="cos", dtype="f32")
        self.index.load(str(self.folder / "peer.usearch"))


SYSTEMS = [Hnsw, HnswFloats]
