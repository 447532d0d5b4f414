"""Chroma: a graph, with its records in SQLite."""

from typing import Any

import chromadb
import numpy
from chromadb.api.client import SharedSystemClient
from chromadb.config import Settings

from systems.base import System


class Hnsw(System):
    """With its own defaults."""

    name, package = "Chroma", "chromadb"
    knob, points = "ef_search", [10, 50, 100, 200, 500]
    collection: Any
    batch = 5000

    def settings(self) -> str:
        return "PersistentClient, space ip, its defaults (max_neighbors 16, ef_construction 100), added 5,000 at a time"

    def client(self) -> Any:
        """On the folder, without telemetry."""
        return chromadb.PersistentClient(str(self.folder), Settings(anonymized_telemetry=False))

    def build(self, base: numpy.ndarray) -> None:
        collection = self.client().create_collection("rows", configuration={"hnsw": {"space": "ip"}}, embedding_function=None)
        for at in range(0, len(base), self.batch):
            ids = [str(row) for row in range(at, min(at + self.batch, len(base)))]
            parts = None if self.parts is None else [{"part": int(part)} for part in self.parts[at : at + self.batch]]
            collection.add(ids, embeddings=base[at : at + self.batch], metadatas=parts)

    def open(self) -> None:
        self.collection = self.client().get_collection("rows", embedding_function=None)

    def point(self, value: int) -> None:
        self.collection.modify(configuration={"hnsw": {"ef_search": value}})
        # What is in memory keeps the value that it was read with.
        SharedSystemClient.clear_system_cache()
        self.open()

    def ask(self, query: numpy.ndarray, k: int) -> list[int]:
        return [int(row) for row in self.collection.query(query_embeddings=[query], n_results=k, include=[])["ids"][0]]

    def ask_filtered(self, query: numpy.ndarray, k: int, below: int) -> list[int]:
        found = self.collection.query(query_embeddings=[query], n_results=k, include=[], where={"part": {"$lt": below}})
        return [int(row) for row in found["ids"][0]]


SYSTEMS = [Hnsw]
