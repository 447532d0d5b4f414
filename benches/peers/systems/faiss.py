"""FAISS: flat, clusters with PQ fast scan or RaBitQ codes and a second look, and a graph. All of it is in memory."""

from typing import Any

import faiss
import numpy

from systems.base import System


class Flat(System):
    """All rows."""

    name, package = "FAISS, flat", "faiss-cpu"
    index: Any

    def factory(self) -> str:
        """In the language of `index_factory`."""
        return "Flat"

    def settings(self) -> str:
        return f'index_factory({self.dimensions}, "{self.factory()}", METRIC_INNER_PRODUCT), built on all cores; read_index()'

    def build(self, base: numpy.ndarray) -> None:
        index = faiss.index_factory(self.dimensions, self.factory(), faiss.METRIC_INNER_PRODUCT)
        self.before(index)
        index.train(base)
        index.add(base)
        faiss.write_index(index, str(self.folder / "peer.faiss"))

    def before(self, index: Any) -> None:
        """What is set before building."""

    def open(self) -> None:
        faiss.omp_set_num_threads(1)
        self.index = faiss.read_index(str(self.folder / "peer.faiss"))

    def ask(self, query: numpy.ndarray, k: int) -> list[int]:
        return self.index.search(query[None, :], k)[1][0].tolist()

    def ask_many(self, queries: numpy.ndarray, k: int) -> Any:
        return self.index.search(queries, k)[1]


class FlatFiltered(Flat):
    """The same, with a bitmap of the rows that pass, which is made once for a filter."""

    # The bits too: FAISS has only their address.
    kept: tuple[int, Any, Any] = (-1, None, None)

    def ask_filtered(self, query: numpy.ndarray, k: int, below: int) -> list[int]:
        if self.kept[0] != below:
            bits = numpy.packbits(self.parts < below, bitorder="little")
            self.kept = (below, faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits)), bits)
        return self.index.search(query[None, :], k, params=self.kept[1])[1][0].tolist()


class FastScan(Flat):
    """Clusters, codes of 4 bits for two numbers each, and the vectors of the best."""

    name, knob = "FAISS, IVF-PQ fast scan, refined", "nprobe, k_factor"
    points = [(1, 4), (4, 4), (16, 4), (32, 8), (64, 8), (128, 16), (512, 32)]

    def clusters(self) -> int:
        """Four times the root of the rows, as its wiki has it for up to a million."""
        return max(16, 4 * self.lists())

    def factory(self) -> str:
        return f"IVF{self.clusters()},PQ{self.dimensions // 2}x4fs,RFlat"

    def point(self, value: tuple[int, int]) -> None:
        parameters = faiss.IVFSearchParameters(nprobe=min(value[0], self.clusters()))
        self.parameters = faiss.IndexRefineSearchParameters(k_factor=value[1], base_index_params=parameters)

    def ask(self, query: numpy.ndarray, k: int) -> list[int]:
        return self.index.search(query[None, :], k, params=self.parameters)[1][0].tolist()

    def ask_many(self, queries: numpy.ndarray, k: int) -> Any:
        return self.index.search(queries, k, params=self.parameters)[1]


class RaBitQ(FastScan):
    """Clusters, a bit for each number, and the vectors of the best."""

    name = "FAISS, IVF-RaBitQ, refined"

    def factory(self) -> str:
        return f"IVF{self.clusters()},RaBitQ,RFlat"

    def point(self, value: tuple[int, int]) -> None:
        parameters = faiss.IVFRaBitQSearchParameters()
        parameters.nprobe, parameters.qb = min(value[0], self.clusters()), 8
        self.parameters = faiss.IndexRefineSearchParameters(k_factor=value[1], base_index_params=parameters)


class Hnsw(Flat):
    """A graph."""

    name, knob, points = "FAISS, HNSW", "efSearch", [16, 32, 64, 128, 256, 512, 1024]

    def factory(self) -> str:
        return "HNSW32,Flat"

    def settings(self) -> str:
        return super().settings() + "; efConstruction 200"

    def before(self, index: Any) -> None:
        index.hnsw.efConstruction = 200

    def point(self, value: int) -> None:
        self.index.hnsw.efSearch = value


SYSTEMS = [FlatFiltered, FastScan, RaBitQ, Hnsw]
