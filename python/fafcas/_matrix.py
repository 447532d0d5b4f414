"""Many vectors at once: a matrix of numpy, or rows of numbers, as the BLOBs that SQLite binds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ._vector import vector

# Vectors within this of unit length are stored as they are.
UNIT = 1e-6


class Rows:
    """The rows of a matrix as SQLite binds them, without a copy of each."""

    def __init__(self, matrix: Any) -> None:
        import numpy

        self.matrix = numpy.ascontiguousarray(matrix, "<f4")
        self.number, dimensions = self.matrix.shape
        self.size = 4 * dimensions

    def __iter__(self) -> Iterator[memoryview]:
        return self.together(1)

    def together(self, number: int) -> Iterator[memoryview]:
        """So many rows at a time, and the rest at the end."""
        whole, size = memoryview(self.matrix.data).cast("B"), self.size * number
        return (whole[at : at + size] for at in range(0, len(whole), size))

    def are_unit(self) -> bool:
        import numpy

        return bool(numpy.all(numpy.abs(numpy.einsum("ij,ij->i", self.matrix, self.matrix) - 1) < 2 * UNIT))


def as_blobs(vectors: Any) -> tuple[int, Iterable[Any], bool]:
    """How many vectors there are, each as a BLOB, and whether all are of unit length."""
    if hasattr(vectors, "__array__"):
        import numpy

        matrix = numpy.asarray(vectors)
        if matrix.ndim != 2 or matrix.dtype.kind not in "fiu" or matrix.shape[1] == 0:
            raise ValueError(f"fafcas.Collection: expected a matrix of numbers, not one of {matrix.dtype} and shape {matrix.shape}")
        rows = Rows(matrix)
        return rows.number, rows, rows.are_unit()
    vectors = list(vectors)
    if any(isinstance(row, (int, float)) for row in vectors):
        raise ValueError("fafcas.Collection: expected a row of numbers for each vector, not numbers alone")
    blobs = [row if isinstance(row, bytes) else vector(row) for row in vectors]
    sizes = {len(blob) for blob in blobs}
    if len(sizes) > 1:
        raise ValueError(f"fafcas.Collection: expected vectors of one length, not of {', '.join(str(size // 4) for size in sorted(sizes))} numbers")
    return len(blobs), blobs, False


def as_array(blob: bytes | None) -> Any:
    if blob is None:
        return None
    try:
        import numpy
    except ModuleNotFoundError:
        return blob
    return numpy.frombuffer(blob, "<f4")
