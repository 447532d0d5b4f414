"""Semantic search for any SQLite database, in plain SQL.

    import sqlite3, fafcas

    connection = sqlite3.connect("notes.db")
    fafcas.load(connection)
    connection.execute("SELECT rowid, score FROM vec_topk('notes', 'embedding', embed_query(?), 10)", ["a question"])

The functions that SQL then has are told in the project's README.
"""

from __future__ import annotations

from ._collection import Collection, Columns, Hit, Item, open
from ._library import LoadError, loadable_path
from ._load import load, load_async
from ._vector import vector
from .models import fetch_model

__all__ = [
    "Collection",
    "Columns",
    "Hit",
    "Item",
    "LoadError",
    "fetch_model",
    "load",
    "load_async",
    "loadable_path",
    "open",
    "vector",
]
__version__ = "0.1.0"
