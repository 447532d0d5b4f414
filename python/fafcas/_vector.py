"""Arrays and numbers as vectors, and vectors as what SQLite binds."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    import numpy


def vector(values: Iterable[float]) -> bytes:
    """The BLOB of little-endian 4-byte floats that SQL takes for a vector, from numbers or a numpy array."""
    shape = getattr(values, "shape", None)
    if shape is not None and len(shape) != 1:
        raise ValueError(f"fafcas.vector: expected an array of one dimension, not of {len(shape)}")
    if hasattr(values, "astype"):
        return bytes(values.astype("<f4").tobytes())
    floats = array("f", values)
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tobytes()


def numbers(blob: bytes) -> list[float]:
    """The numbers of a vector."""
    found = array("f", blob)
    if sys.byteorder == "big":
        found.byteswap()
    return list(found)


def bindable(values: Union[numpy.ndarray[Any, Any], array[Any]]) -> Any:
    """What an array stands for where it is bound to a parameter.

    One dimension of floats, or of integers wider than a byte, is a vector, and one of bytes is these bytes. Without this, SQLite
    would store the bytes of any other array too, which no search could read.
    """
    if isinstance(values, array):
        return values.tobytes() if values.itemsize == 1 else vector(values)
    kind, width = values.dtype.kind, values.dtype.itemsize
    if values.ndim == 1 and (kind == "f" or (kind in "iu" and width > 1)):
        return vector(values)
    if values.ndim == 1 and kind in "iu":
        return values.tobytes()
    raise ValueError(
        f"fafcas: expected an array of one dimension and of floats or integers, not of {values.dtype} and shape {values.shape}; "
        "to store its bytes as they are, bind values.tobytes()"
    )


def checked(value: Any, dimensions: int | None, name: str) -> bytes | None:
    """The BLOB to store of what a column is given; a BLOB is taken as it is where its length is that of a vector."""
    if value is None:
        return None
    if isinstance(value, str):
        raise TypeError(f"{name}: expected numbers, not the text {value[:40]!r}")
    blob = bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) else vector(value)
    if len(blob) % 4:
        raise ValueError(f"{name}: expected a BLOB of 4-byte floats, not {len(blob)} bytes")
    if dimensions is not None and len(blob) != 4 * dimensions:
        hint = " (twice as many: float64?)" if len(blob) == 8 * dimensions else ""
        raise ValueError(f"{name}: expected {dimensions} dimensions, not {len(blob) // 4}{hint}")
    return blob
