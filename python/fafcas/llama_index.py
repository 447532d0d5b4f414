"""A vector store of LlamaIndex (package `llama-index-core`) over a Collection, so that the nodes stay an ordinary table.

    from fafcas.llama_index import FafcasEmbedding, FafcasVectorStore
    from llama_index.core import StorageContext, VectorStoreIndex

    context = StorageContext.from_defaults(vector_store=FafcasVectorStore("notes.db"))
    index = VectorStoreIndex.from_documents(documents, storage_context=context, embed_model=FafcasEmbedding())

What filters and modes mean is what LlamaIndex's own SimpleVectorStore makes of them: its functions decide here too, on rows that
SQL has chosen before where it can.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Sequence
from typing import Any, Optional

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.indices.query.embedding_utils import get_top_k_embeddings_learner, get_top_k_mmr_embeddings
from llama_index.core.schema import BaseNode, MetadataMode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import build_metadata_filter_fn, metadata_dict_to_node, node_to_metadata_dict

from ._collection import Collection, Item, _connect, embedded, embedded_question
from ._vector import numbers
from .kit.source import quoted

Mode = VectorStoreQueryMode
LEARNERS = (Mode.SVM, Mode.LINEAR_REGRESSION, Mode.LOGISTIC_REGRESSION)
BY = {Mode.DEFAULT: "meaning", Mode.TEXT_SEARCH: "words", Mode.SPARSE: "words", Mode.HYBRID: "both", Mode.SEMANTIC_HYBRID: "both"}
# Whole numbers up to here are the same in JSON, in SQL and in Python.
WHOLE = 2**53


class FafcasEmbedding(BaseEmbedding):
    """The library's own models. Embeddings of any other kind will do as well for the store."""

    model: Optional[str] = None

    @classmethod
    def class_name(cls) -> str:
        return "FafcasEmbedding"

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [numbers(blob) for blob in embedded(texts, self.model)]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return numbers(embedded_question(query, self.model))

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)


class FafcasVectorStore(BasePydanticVectorStore):
    """Nodes in a table of an SQLite file, with their texts. Threads take turns.

    Beside the modes of SimpleVectorStore there are TEXT_SEARCH (and SPARSE) for words, and HYBRID (and SEMANTIC_HYBRID) for
    meaning and words at once. MMR and the learners look at each node that meets the filters, as those of SimpleVectorStore do.
    `doc_ids` of a query are honoured.
    """

    stores_text: bool = True
    path: str
    table: str
    _collection: Collection = PrivateAttr()
    _turn: Any = PrivateAttr()

    def __init__(self, path: str | os.PathLike[str] = ":memory:", table: str = "nodes", **named: Any) -> None:
        super().__init__(**{"path": os.fspath(path), "table": table, **named})
        self._turn = threading.RLock()
        self._collection = Collection(_connect(path, across_threads=True), table, embed=_no_embedding)

    @classmethod
    def class_name(cls) -> str:
        return "FafcasVectorStore"

    @property
    def client(self) -> Collection:
        return self._collection

    def add(self, nodes: Sequence[BaseNode], **_: Any) -> list[str]:
        """Nodes whose ids are there are replaced."""
        if not nodes:
            return []
        with self._turn:
            self._collection.upsert(
                [node.get_content(MetadataMode.NONE) for node in nodes],
                [node_to_metadata_dict(node, remove_text=True, flat_metadata=False) for node in nodes],
                [node.node_id for node in nodes],
                vectors=[node.get_embedding() for node in nodes],
            )
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str, **_: Any) -> None:
        condition, params = self._equal({"ref_doc_id": ref_doc_id})
        with self._turn:
            self._collection.delete(where=condition, params=params)

    def delete_nodes(self, node_ids: Optional[list[str]] = None, filters: Optional[MetadataFilters] = None, **_: Any) -> None:
        with self._turn:
            self._collection.delete([item.id for item in self._items(node_ids, filters)])

    def clear(self) -> None:
        with self._turn:
            self._collection.delete(where="true")

    def get(self, text_id: str) -> list[float]:
        """A node's vector, of unit length. KeyError where there is no such node."""
        with self._turn:
            found = self._collection.get([text_id], vectors=True)
        if not found:
            raise KeyError(text_id)
        return [float(number) for number in found[0].vector]

    def get_nodes(self, node_ids: Optional[list[str]] = None, filters: Optional[MetadataFilters] = None) -> list[BaseNode]:
        with self._turn:
            return [_node(item) for item in self._items(node_ids, filters)]

    def query(self, query: VectorStoreQuery, **named: Any) -> VectorStoreQueryResult:
        if query.alpha is not None:
            raise ValueError("fafcas.llama_index: expected no alpha, as hybrid search has one weight, which docs/reference.md tells")
        with self._turn:
            if query.mode in LEARNERS or query.mode == Mode.MMR:
                scores, ids = self._by_all(query, named.get("mmr_threshold", query.mmr_threshold))
            elif query.mode in BY:
                scores, ids = self._by_search(query)
            else:
                raise ValueError(f"Invalid query mode: {query.mode}")
            items = {item.id: item for item in self._collection.get(ids)}
        return VectorStoreQueryResult(nodes=[_node(items[name]) for name in ids], similarities=scores, ids=ids)

    def _by_search(self, query: VectorStoreQuery) -> tuple[list[float], list[str]]:
        where, params = None, None
        if query.node_ids or query.doc_ids or (query.filters and query.filters.filters):
            ids = [item.id for item in self._chosen(query)]
            where = f"{quoted(self._collection.columns.id)} IN (SELECT value FROM json_each(:ids))"
            params = {"ids": json.dumps(ids)}
        by = BY[query.mode]
        vector = None if by == "words" else query.query_embedding
        hits = self._collection.search(query.query_str, query.similarity_top_k, where=where, params=params, vector=vector, by=by)
        return [hit.score for hit in hits], [str(hit.id) for hit in hits]

    def _by_all(self, query: VectorStoreQuery, threshold: Optional[float]) -> tuple[list[float], list[str]]:
        items = self._chosen(query, vectors=True)
        ids, vectors = [str(item.id) for item in items], [item.vector.astype("f8").tolist() for item in items]
        asked: dict[str, Any] = {"similarity_top_k": query.similarity_top_k, "embedding_ids": ids}
        wanted = query.query_embedding or []
        if query.mode == Mode.MMR:
            scores, found = get_top_k_mmr_embeddings(wanted, vectors, mmr_threshold=threshold, **asked)
        else:
            # Without the mode, as SimpleVectorStore calls it.
            scores, found = get_top_k_embeddings_learner(wanted, vectors, **asked)
        return [float(score) for score in scores], found

    # Filters

    def _chosen(self, query: VectorStoreQuery, *, vectors: bool = False) -> list[Item]:
        # An index of a store that keeps texts asks with an empty list, and means all.
        items = self._items(query.node_ids or None, query.filters, vectors=vectors)
        return [item for item in items if not query.doc_ids or (item.metadata or {}).get("ref_doc_id") in query.doc_ids]

    def _items(self, node_ids: Optional[list[str]], filters: Optional[MetadataFilters], *, vectors: bool = False) -> list[Item]:
        where, params = self._equal(_must_equal(filters))
        found = self._collection.get(node_ids, where=where, params=params, vectors=vectors)
        metadata = {str(item.id): item.metadata or {} for item in found}
        meets = build_metadata_filter_fn(metadata.__getitem__, filters)
        return [item for item in found if meets(str(item.id))]

    def _equal(self, wanted: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """A condition that certain keys of the metadata have certain values."""
        metadata = quoted(self._collection.columns.metadata or "metadata")
        conditions, params = ["true"], {}
        for at, (key, value) in enumerate(wanted.items()):
            conditions.append(f"EXISTS (SELECT 1 FROM json_each({metadata}) WHERE key = :key{at} AND value = :value{at})")
            params.update({f"key{at}": key, f"value{at}": value})
        return " AND ".join(conditions), params


def _must_equal(filters: Optional[MetadataFilters]) -> dict[str, Any]:
    """Of the filters, those that SQL can tell from the stored JSON in the same way. They choose rows; they do not decide."""
    if filters is None or filters.condition not in (FilterCondition.AND, None):
        return {}
    return {
        each.key: each.value
        for each in filters.filters
        if isinstance(each, MetadataFilter)
        and each.operator == FilterOperator.EQ
        and (isinstance(each.value, str) or (isinstance(each.value, int) and abs(each.value) < WHOLE))
    }


def _node(item: Item) -> BaseNode:
    return metadata_dict_to_node(item.metadata or {}, text=item.text)


def _no_embedding(_: list[str]) -> Any:
    raise ValueError("fafcas.llama_index: expected a query with its embedding, which LlamaIndex makes")
