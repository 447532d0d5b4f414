"""The systems that are compared: one file for each, all with the interface of `base.System`.

A file is imported only in the process that runs the system, so that a package that cannot be had takes nothing else with it.
"""

import importlib

from systems.base import System

# By file, in the order of the record.
FILES = [
    "fafcas",
    "vec0",
    "sqlite_vector",
    "vec1",
    "vectorlite",
    "hnswlib",
    "usearch",
    "faiss",
    "lance",
    "chroma",
    "duck",
    "matrix",
]


def of(file: str) -> list[type[System]]:
    """The systems of one file."""
    return importlib.import_module(f"systems.{file}").SYSTEMS


def find(file: str, name: str) -> type[System]:
    """One of them by its name."""
    return next(system for system in of(file) if system.name == name)
