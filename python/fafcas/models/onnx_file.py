"""Writes an ONNX file: as much of the format as a graph of operators needs.

An ONNX file is one Protocol Buffers message. Its few fields are written here, not by a package, so that the bytes depend
on the graph alone and a finished model has one checksum, whatever is installed. Field numbers are those of onnx.proto3.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Value = Union[int, float, str, bytes]

# A dimension that varies has a name.
Shape = Sequence[Union[int, str]]

ELEMENT_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "float16": 10}


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def field(number: int, value: Value) -> bytes:
    """One field: an int as a varint, a float in four bytes, text and nested messages with their length before them."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def message(*fields: tuple[int, Value]) -> bytes:
    return b"".join(field(number, value) for number, value in fields)


def attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return message((1, name), (3, value), (20, 2))
    return message((1, name), *((8, number) for number in value), (20, 7))


def tensor(name: str, array: Array) -> bytes:
    dimensions = ((1, size) for size in array.shape)
    return message(*dimensions, (2, ELEMENT_TYPES[array.dtype.name]), (8, name), (9, array.tobytes()))


def value(name: str, element_type: str, shape: Shape) -> bytes:
    """The type of an input or output; a dimension is a number or, where it varies, a name."""
    dimensions = (message((1 if isinstance(size, int) else 2, size)) for size in shape)
    shape = message(*((1, dimension) for dimension in dimensions))
    tensor_type = message((1, ELEMENT_TYPES[element_type]), (2, shape))
    return message((1, name), (2, message((1, tensor_type))))


class Graph:
    """A graph under construction. Every method returns the name of what it added, to be the input of what follows."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fields: list[tuple[int, bytes]] = []
        self.constants: set[str] = set()
        self.domains: set[str] = set()

    def input(self, name: str, element_type: str, shape: Shape) -> str:
        self.fields.append((11, value(name, element_type, shape)))
        return name

    def output(self, name: str, element_type: str, shape: Shape) -> None:
        self.fields.append((12, value(name, element_type, shape)))

    def known_shape(self, name: str, element_type: str, shape: Shape) -> None:
        self.fields.append((13, value(name, element_type, shape)))

    def constant(self, name: str, array: Any) -> str:
        """A constant is stored once, however often it is named."""
        if name not in self.constants:
            self.constants.add(name)
            self.fields.append((5, tensor(name, np.asarray(array))))
        return name

    def node(self, name: str, operator: str, *inputs: str, outputs: Sequence[str] | None = None, domain: str = "", **attributes: int | Sequence[int]) -> str:
        """Adds an operator whose output has the node's own name, or those of `outputs`. `domain` is whose operator it is, if it
        is not one of ONNX's own."""
        names = [(1, source) for source in inputs] + [(2, target) for target in outputs or [name]]
        settings: list[tuple[int, Value]] = [(5, attribute(key, attributes[key])) for key in sorted(attributes)]
        if domain:
            self.domains.add(domain)
            settings.append((7, domain))
        self.fields.append((1, message(*names, (3, name), (4, operator), *settings)))
        return name

    def file(self, opset: int) -> bytes:
        versions = {"": opset, **dict.fromkeys(sorted(self.domains), 1)}
        operators = ((8, message((1, domain), (2, version))) for domain, version in versions.items())
        graph = message(*sorted(self.fields, key=lambda entry: entry[0]), (2, self.name))
        return message((1, 7), (2, "fafcas"), (7, graph), *operators)
