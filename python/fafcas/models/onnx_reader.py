"""Reads the weights of an encoder from an ONNX file that an exporter of PyTorch wrote.

Vectors and tables have the names of the module they were in. Matrices have lost theirs, but the operators that multiply by
them are named after their modules. So a graph that fuses well can be written anew, in f32 or in int8.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Union

import numpy as np

from .onnx_file import Array

Content = Union[bytes, memoryview]

FLOAT = 1


def varint(content: Content, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = content[at]
        at, number, shift = at + 1, number | (byte & 0x7F) << shift, shift + 7
        if byte < 0x80:
            return number, at


def fields(content: Content) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a message: an int, or bytes."""
    at = 0
    while at < len(content):
        tag, at = varint(content, at)
        kind = tag & 7
        value: Any
        if kind == 0:
            value, at = varint(content, at)
        else:
            length, at = (8, at) if kind == 1 else (4, at) if kind == 5 else varint(content, at)
            value, at = content[at : at + length], at + length
        yield tag >> 3, value


def texts(message: Content, number: int) -> list[str]:
    return [bytes(value).decode() for found, value in fields(message) if found == number]


def tensor(message: Content) -> tuple[str, Array | None]:
    """Name and array of a tensor in f32; None as array of any other."""
    shape, kind, name, raw = [], 0, "", b""
    for number, value in fields(message):
        if number == 1:
            shape += [value] if isinstance(value, int) else unpacked(value)
        elif number == 2:
            kind = value
        elif number == 8:
            name = bytes(value).decode()
        elif number == 9:
            raw = value
    return name, np.frombuffer(raw, "<f4").reshape(shape) if kind == FLOAT and raw else None


def unpacked(content: Content) -> list[int]:
    numbers, at = [], 0
    while at < len(content):
        number, at = varint(content, at)
        numbers.append(number)
    return numbers


def encoder_weights(content: bytes, module: str) -> dict[str, Any]:
    """Name -> f32 array, as in the weights of the module inside which the encoder is: `model.0.auto_model`."""
    graph = next(value for number, value in fields(memoryview(content)) if number == 7)
    found = dict(tensor(value) for number, value in fields(graph) if number == 5)
    weights = {name.removeprefix(f"{module}."): array for name, array in found.items() if name.startswith(f"{module}.")}
    for node in (value for number, value in fields(graph) if number == 1):
        (name,), inputs = texts(node, 3) or [""], texts(node, 1)
        path, _, operator = name.partition(f"/{module.rpartition('.')[2]}/")[2].rpartition("/")
        matrix = found.get(inputs[1]) if operator == "MatMul" else None
        if matrix is not None:
            weights[f"{path.replace('/', '.')}.weight"] = matrix.T
    return weights
