"""The vector store of LlamaIndex against LlamaIndex's own SimpleVectorStore: each method, filter and mode, on the same nodes."""

import itertools

import numpy as np
import pytest
from fafcas.llama_index import FafcasVectorStore
from llama_index.core.schema import ImageNode, IndexNode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.simple import SimpleVectorStore
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

RANDOM = np.random.default_rng(5)
VECTORS = RANDOM.standard_normal((60, 8))
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
QUESTION = VECTORS[3] + 0.3 * VECTORS[11]


def nodes():
    made = []
    for at, vector in enumerate(VECTORS.tolist()):
        metadata = {
            "at": at,
            "half": at / 2,
            "name": f"Straße {at % 7}",
            "flag": at % 2 == 0,
            "tags": ["sea", "moon"][: at % 3],
            "none": None,
            'odd "key".%s': at % 5,
        }
        if at % 4 == 0:
            metadata["seldom"] = "é" if at % 8 else ""
        of = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"document {at % 6}")}
        made.append(TextNode(id_=f"n{at}", text=f"text of {at}", metadata=metadata, embedding=vector, relationships=of))
    return made


def both():
    stores = SimpleVectorStore(), FafcasVectorStore()
    for store in stores:
        assert store.add(nodes()) == [f"n{at}" for at in range(60)]
    return stores


@pytest.fixture()
def stores():
    return both()


@pytest.fixture(scope="module")
def read_only():
    return both()


def answer(store, **asked):
    wanted = {"query_embedding": QUESTION.tolist(), "similarity_top_k": 12, **asked}
    try:
        found = store.query(VectorStoreQuery(**wanted))
    except (TypeError, ValueError) as error:
        return type(error), str(error)
    return found.ids, np.array(found.similarities)


def assert_same(simple, ours):
    assert ours[0] == simple[0]
    if isinstance(simple[0], list):
        np.testing.assert_allclose(ours[1], simple[1], atol=2e-5)
    else:
        assert ours == simple


VALUES = [7, 3.5, 0, "Straße 3", "straße", "STRASSE", "S", "", "é", "sea", ["sea", "moon"], ["sea"], [1, 2, 3], [3.5, 4.0], ["Straße 1"], None]
KEYS = ["at", "half", "name", "flag", "tags", "none", "missing", "seldom", 'odd "key".%s', "ref_doc_id"]


@pytest.mark.parametrize("operator", list(FilterOperator))
def test_each_filter_gives_the_same_rows_or_the_same_error(operator, read_only):
    simple, ours = read_only
    matched = refused = 0
    for key, value in itertools.product(KEYS, VALUES):
        filters = MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=operator)])
        wanted = answer(simple, filters=filters)
        assert_same(wanted, answer(ours, filters=filters))
        matched += isinstance(wanted[0], list) and 0 < len(wanted[0])
        refused += not isinstance(wanted[0], list)
    assert matched, "no filter found anything"


@pytest.mark.parametrize("condition", [*FilterCondition, None])
def test_filters_together(condition, stores):
    simple, ours = stores
    some = [
        MetadataFilter(key="at", value=50, operator=FilterOperator.LT),
        MetadataFilter(key="name", value="Straße 3"),
        MetadataFilter(key="tags", value="sea", operator=FilterOperator.CONTAINS),
        MetadataFilter(key="flag", value=1),
    ]
    for number in range(len(some) + 1):
        for chosen in itertools.combinations(some, number):
            filters = MetadataFilters(filters=list(chosen), condition=condition)
            assert_same(answer(simple, filters=filters), answer(ours, filters=filters))
    nested = MetadataFilters(filters=[MetadataFilters(filters=some)], condition=condition)
    assert_same(answer(simple, filters=nested), answer(ours, filters=nested))


@pytest.mark.parametrize("mode", list(VectorStoreQueryMode))
def test_each_mode(mode, stores):
    simple, ours = stores
    words = (VectorStoreQueryMode.TEXT_SEARCH, VectorStoreQueryMode.SPARSE)
    hybrid = (VectorStoreQueryMode.HYBRID, VectorStoreQueryMode.SEMANTIC_HYBRID)
    if mode in words:
        assert answer(ours, mode=mode, query_str="17", query_embedding=None)[0] == ["n17"]
    elif mode in hybrid:
        ids, alone = (answer(ours, mode=each, query_str="17", similarity_top_k=60)[0] for each in (mode, VectorStoreQueryMode.DEFAULT))
        assert ids.index("n17") < alone.index("n17") and len(ids) == 60
        assert len(answer(ours, mode=mode, query_str="17")[0]) == 12
        assert answer(ours, mode=mode, query_str="17", alpha=0.5)[0] is ValueError
    else:
        filters = MetadataFilters(filters=[MetadataFilter(key="at", value=40, operator=FilterOperator.LT)])
        for asked in ({}, {"similarity_top_k": 1}, {"similarity_top_k": 100}, {"filters": filters}, {"node_ids": ["n5", "n9", "none"]}):
            assert_same(answer(simple, mode=mode, **asked), answer(ours, mode=mode, **asked))
        for store in stores:
            store.clear()
        if mode == VectorStoreQueryMode.DEFAULT:
            assert_same(answer(simple, mode=mode), answer(ours, mode=mode))


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 1.0])
def test_mmr_with_a_threshold(threshold, stores):
    asked = VectorStoreQuery(query_embedding=QUESTION.tolist(), similarity_top_k=10, mode=VectorStoreQueryMode.MMR)
    simple, ours = (store.query(asked, mmr_threshold=threshold) for store in stores)
    assert ours.ids == simple.ids


def test_methods(stores):
    simple, ours = stores
    np.testing.assert_allclose(ours.get("n7"), simple.get("n7"), atol=1e-6)
    for store in stores:
        with pytest.raises(KeyError):
            store.get("none")
        store.delete("document 2")
        store.delete("none")
        store.delete_nodes(["n1", "n3", "none"])
        store.delete_nodes(filters=MetadataFilters(filters=[MetadataFilter(key="name", value="Straße 5")]))
        store.delete_nodes(["n7", "n9"], MetadataFilters(filters=[MetadataFilter(key="at", value=9)]))
        # Again, and with another vector.
        store.add([TextNode(id_="n0", text="another", embedding=QUESTION.tolist())])
    assert_same(answer(simple, similarity_top_k=100), answer(ours, similarity_top_k=100))
    for store in stores:
        store.delete_nodes()
    assert_same(answer(simple), answer(ours))
    assert ours.add([]) == [] and len(ours.client) == 0


def test_nodes_come_back_as_they_were_and_documents_are_honoured(tmp_path):
    made = [*nodes(), IndexNode(id_="i", text="index", index_id="x", embedding=[1.0] * 8), ImageNode(id_="p", image_path="a.png", embedding=[0.5] * 8)]
    path = tmp_path / "nodes.db"
    FafcasVectorStore(path).add(made)
    store = FafcasVectorStore(path)
    found = {node.node_id: node for node in store.get_nodes()}
    for node in made:
        assert type(found[node.node_id]) is type(node)
        assert found[node.node_id].model_copy(update={"embedding": node.embedding}) == node
    assert [node.node_id for node in store.get_nodes(["n4", "none"])] == ["n4"]
    ids, _ = answer(store, doc_ids=["document 3"], similarity_top_k=100)
    assert sorted(ids) == sorted(f"n{at}" for at in range(3, 60, 6))


async def test_the_asynchronous_calls(stores):
    _, ours = stores
    asked = VectorStoreQuery(query_embedding=QUESTION.tolist(), similarity_top_k=3)
    assert (await ours.aquery(asked)).ids == ours.query(asked).ids
    await ours.adelete("document 1")
    await ours.adelete_nodes(["n0"])
    assert len(await ours.aget_nodes()) == 49
    await ours.async_add(nodes()[:1])
    await ours.aclear()
    assert len(ours.client) == 0


def test_in_an_index_of_llama_index():
    from llama_index.core import Document, MockEmbedding, StorageContext, VectorStoreIndex

    store = FafcasVectorStore()
    documents = [Document(text=f"text {at}", id_=f"d{at}") for at in range(3)]
    index = VectorStoreIndex.from_documents(
        documents, storage_context=StorageContext.from_defaults(vector_store=store), embed_model=MockEmbedding(embed_dim=4)
    )
    assert len(index.as_retriever(similarity_top_k=2).retrieve("text")) == 2
    index.delete_ref_doc("d1")
    again = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(embed_dim=4))
    assert sorted(hit.node.get_content() for hit in again.as_retriever(similarity_top_k=5).retrieve("text")) == ["text 0", "text 2"]
