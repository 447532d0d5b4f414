"""sqlite-vector: quantised and preloaded, as its documentation recommends."""

import importlib.resources

import numpy

from systems.base import UserTable


class Quantised(UserTable):
    """Bytes, which is what it does by itself."""

    name, package = "sqlite-vector, quantised", "sqliteai-vector"
    search = "SELECT rowid FROM vector_quantize_scan('t', 'v', ?, ?)"
    option = ""

    def settings(self) -> str:
        return f"vector_init('t', 'v', '{self.options()}'); vector_quantize('t', 'v', '{self.option}'); vector_quantize_preload"

    def options(self) -> str:
        """Of the column."""
        return f"type=FLOAT32,dimension={self.dimensions},distance=DOT"

    def extend(self) -> None:
        self.connection.load_extension(str(importlib.resources.files("sqlite_vector") / "binaries" / "vector"))

    def build(self, base: numpy.ndarray) -> None:
        self.connection.execute("SELECT vector_init('t', 'v', ?)", (self.options(),))
        self.connection.execute("SELECT vector_quantize('t', 'v', ?)", (self.option,))

    def open(self) -> None:
        super().open()
        self.connection.execute("SELECT vector_init('t', 'v', ?)", (self.options(),))
        self.connection.execute("SELECT vector_quantize_preload('t', 'v')")


class Turbo(Quantised):
    """Four bits a number."""

    name = "sqlite-vector, TurboQuant 4 bits"
    option = "qtype=TURBO,qbits=4"


SYSTEMS = [Quantised, Turbo]
