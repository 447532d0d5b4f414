"""A vector store of LangChain (package `langchain-core`) over a Collection, so that the documents stay an ordinary table.

    from fafcas.langchain import FafcasEmbeddings, FafcasVectorStore

    store = FafcasVectorStore(FafcasEmbeddings(), "notes.db")
    store.add_documents(documents)
    store.similarity_search("why are there tides", k=4, filter={"kind": "sea"})
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional, Union

import numpy
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from ._collection import Collection, Columns, Hit, _connect, embedded, embedded_question
from ._vector import numbers
from .kit.source import quoted

# Metadata that must be equal, or one of a list; or a condition in SQL.
Filter = Optional[Union[Mapping[str, Any], str]]


class FafcasEmbeddings(Embeddings):
    """The library's own models. Embeddings of any other kind will do as well for the store."""

    def __init__(self, model: str | None = None) -> None:
        self.model = model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [numbers(blob) for blob in embedded(texts, self.model)]

    def embed_query(self, text: str) -> list[float]:
        return numbers(embedded_question(text, self.model))


class FafcasVectorStore(VectorStore):
    """Documents in a table of an SQLite file. Its scores are cosines: 1 is nearest.

    `filter` of each search is a mapping of metadata that must be equal (a list: equal to one of its values), or a condition in
    SQL on the table's columns, with its values in `params`. `by="both"` searches by words too, and `by="words"` by them alone.
    Threads take turns.
    """

    def __init__(
        self,
        embedding: Embeddings,
        path: str | os.PathLike[str] = ":memory:",
        table: str = "documents",
        *,
        columns: Columns | None = None,
    ) -> None:
        self._embedding = embedding
        self._turn = threading.RLock()
        connection = _connect(path, across_threads=True)
        self.collection = Collection(connection, table, embed=embedding.embed_documents, columns=columns)

    @property
    def embeddings(self) -> Embeddings:
        return self._embedding

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **named: Any,
    ) -> FafcasVectorStore:
        store = cls(embedding, **named)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **_: Any,
    ) -> list[str]:
        all_texts = list(texts)
        named = [name or str(uuid.uuid4()) for name in ids or [None] * len(all_texts)]
        # Not while others wait: this may ask a server.
        vectors = self._embedding.embed_documents(all_texts) if all_texts else []
        with self._turn:
            self.collection.upsert(all_texts, metadatas or [{}] * len(all_texts), named, vectors=vectors)
        return named

    def delete(self, ids: list[str] | None = None, **_: Any) -> bool:
        with self._turn:
            if ids is None:
                self.collection.delete(where="true")
            else:
                self.collection.delete(ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        with self._turn:
            found = {item.id: item for item in self.collection.get(ids)}
        items = [found[name] for name in ids if name in found]
        return [Document(id=str(item.id), page_content=item.text or "", metadata=item.metadata or {}) for item in items]

    # Searches

    def similarity_search(self, query: str, k: int = 4, **named: Any) -> list[Document]:
        return [document for document, _ in self.similarity_search_with_score(query, k, **named)]

    def similarity_search_with_score(self, query: str, k: int = 4, **named: Any) -> list[tuple[Document, float]]:
        vector = None if named.get("by") == "words" else self._embedding.embed_query(query)
        return [(_document(hit), hit.score) for hit in self._hits(query, vector, k, **named)]

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **named: Any) -> list[Document]:
        return [_document(hit) for hit in self._hits(None, embedding, k, **named)]

    def _select_relevance_score_fn(self) -> Any:
        return lambda score: min(1.0, max(0.0, score))

    def max_marginal_relevance_search(self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **named: Any) -> list[Document]:
        return self.max_marginal_relevance_search_by_vector(self._embedding.embed_query(query), k, fetch_k, lambda_mult, **named)

    def max_marginal_relevance_search_by_vector(
        self, embedding: list[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **named: Any
    ) -> list[Document]:
        with self._turn:
            hits = self._hits(None, embedding, fetch_k, **named)
            vectors = {item.id: item.vector for item in self.collection.get([hit.id for hit in hits], vectors=True)}
        if not hits:
            return []
        chosen = maximal_marginal_relevance(numpy.array(embedding), [vectors[hit.id] for hit in hits], lambda_mult, k)
        return [_document(hits[at]) for at in chosen]

    def _hits(
        self,
        question: str | None,
        vector: list[float] | None,
        k: int,
        *,
        filter: Filter = None,
        params: Mapping[str, Any] | None = None,
        by: str = "meaning",
    ) -> list[Hit]:
        where = filter if isinstance(filter, str) else None
        if filter and not isinstance(filter, str):
            where, params = self._where(filter)
        with self._turn:
            return self.collection.search(question, k, where=where, params=params, vector=vector, by=by)

    def _where(self, wanted: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        metadata = self.collection.columns.metadata
        if metadata is None:
            raise ValueError(f"fafcas.langchain: expected a filter in SQL, as {self.collection.table} has no column of metadata")
        conditions: list[str] = []
        values: dict[str, Any] = {}
        for key, value in wanted.items():
            options = value if isinstance(value, (list, tuple, set)) else [value]
            name = f"p{len(values)}"
            values[name] = key
            either = []
            for option in options:
                if not isinstance(option, (str, int, float, type(None))):
                    raise ValueError(f"fafcas.langchain: expected a text, a number or None for {key}, or a list of such, not {option!r}")
                values[f"p{len(values)}"] = option
                either.append(f"value IS :p{len(values) - 1}")
            conditions.append(f"EXISTS (SELECT 1 FROM json_each({quoted(metadata)}) WHERE key = :{name} AND ({' OR '.join(either) or 'false'}))")
        return " AND ".join(conditions), values


def _document(hit: Hit) -> Document:
    return Document(id=str(hit.id), page_content=hit.text or "", metadata=hit.metadata or {})
