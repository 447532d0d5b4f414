"""NumPy: one product of a matrix and a vector, and a partition. The matrix is in memory."""

from typing import Any

import numpy

from systems.base import System


class Matrix(System):
    """What one writes when one has nothing else."""

    name, package = "NumPy", "numpy"

    def settings(self) -> str:
        return "matrix @ query, argpartition; OpenBLAS on one thread"

    def build(self, base: numpy.ndarray) -> None:
        numpy.save(self.folder / "peer.npy", base)

    def open(self) -> None:
        self.matrix = numpy.load(self.folder / "peer.npy")

    def ask(self, query: numpy.ndarray, k: int) -> list[int]:
        scores = self.matrix @ query
        if k >= len(scores):
            return numpy.argsort(-scores).tolist()
        best = numpy.argpartition(-scores, k)[:k]
        return best[numpy.argsort(-scores[best])].tolist()

    def ask_filtered(self, query: numpy.ndarray, k: int, below: int) -> list[int]:
        rows = numpy.flatnonzero(self.parts < below)
        scores = self.matrix[rows] @ query
        return rows[numpy.argsort(-scores)[:k]].tolist()

    def ask_many(self, queries: numpy.ndarray, k: int) -> Any:
        return numpy.argpartition(-(queries @ self.matrix.T), k, axis=1)[:, :k]


SYSTEMS = [Matrix]
