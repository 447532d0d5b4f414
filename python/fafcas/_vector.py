"""Arrays and numbers as vectors, and vectors as what SQLite binds."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy


def vector(values: Iterable[float]) -> bytes:
    """The BLOB of little-endian 4-byte floats that SQL takes for a vector, from numbers or a numpy array."""
    shape = getattr(values, "shape", None)
    if shape is not None and len(shape) != 1:
        raise ValueError(f"fafcas.vector: expected an array of one dimension, not of {len(shape)}")
    if hasattr(values, "astype"):
        return bytes(values.astype("<f4").tobytes())
    numbers = array("f", values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def bindable(values: numpy.ndarray[Any, Any]) -> Any:
    """What a numpy array stands for where it is bound to a parameter.

    One dimension of floats, or of integers wider than a byte, is a vector. SQLite takes any other array for its bytes, as it
    takes all of them without this.
    """
    number = values.dtype.kind == "f" or (values.dtype.kind in "iu" and values.dtype.itemsize > 1)
    return vector(values) if number and values.ndim == 1 else values.tobytes()
