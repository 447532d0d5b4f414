"""The vector store of LangChain against the standard tests of `langchain-tests`, and what these do not ask."""

import threading

import numpy as np
import pytest
from fafcas.langchain import FafcasVectorStore
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests

EMBEDDINGS = DeterministicFakeEmbedding(size=6)
DOCUMENTS = [Document(id=f"d{at}", page_content=f"text {at}", metadata={"even": at % 2 == 0, "at": at, "of": ["x", None][at % 2]}) for at in range(40)]


class TestInMemory(VectorStoreIntegrationTests):
    @pytest.fixture()
    def vectorstore(self):
        yield FafcasVectorStore(self.get_embeddings())


class TestInFile(VectorStoreIntegrationTests):
    @pytest.fixture()
    def vectorstore(self, tmp_path):
        yield FafcasVectorStore(self.get_embeddings(), tmp_path / "notes.db", "my documents")


@pytest.fixture()
def filled():
    store = FafcasVectorStore(EMBEDDINGS)
    store.add_documents(DOCUMENTS)
    return store


@pytest.fixture()
def reference():
    store = InMemoryVectorStore(EMBEDDINGS)
    store.add_documents(DOCUMENTS)
    return store


FILTERS = [
    ({"even": True}, lambda d: d.metadata["even"] is True),
    ({"at": 7}, lambda d: d.metadata["at"] == 7),
    ({"at": [7, 8, 99], "even": False}, lambda d: d.metadata["at"] == 7),
    ({"of": None}, lambda d: d.metadata["of"] is None),
    ({"none": 1}, lambda d: False),
    ({}, None),
]


@pytest.mark.parametrize(("wanted", "same"), FILTERS)
def test_filters_give_what_langchains_own_store_gives(filled, reference, wanted, same):
    found = filled.similarity_search_with_score("text 3", 5, filter=wanted)
    other = reference.similarity_search_with_score("text 3", 5, filter=same)
    assert [document for document, _ in found] == [document for document, _ in other]
    np.testing.assert_allclose([score for _, score in found], [score for _, score in other], atol=1e-6)
    marginal = filled.max_marginal_relevance_search("text 3", 3, 10, 0.4, filter=wanted)
    assert marginal == reference.max_marginal_relevance_search("text 3", 3, 10, 0.4, filter=same)


def test_filters_in_sql_and_searches_by_words(filled):
    found = filled.similarity_search("text 3", 3, filter="metadata ->> 'at' BETWEEN :low AND :high", params={"low": 5, "high": 6})
    assert sorted(document.id for document in found) == ["d5", "d6"]
    assert [document.id for document in filled.similarity_search("39", 1, by="words")] == ["d39"]
    assert filled.similarity_search("text 3", 1, by="both")[0].id == "d3"
    with pytest.raises(ValueError, match="expected a text, a number or None for of"):
        filled.similarity_search("x", filter={"of": {"$gt": 1}})


def test_relevance_is_from_0_to_1_and_retrievers_have_their_kinds(filled):
    assert all(0 <= score <= 1 for _, score in filled.similarity_search_with_relevance_scores("text 3", 40))
    for kind in ("similarity", "mmr"):
        assert len(filled.as_retriever(search_type=kind, search_kwargs={"k": 2}).invoke("text 3")) == 2
    threshold = filled.as_retriever(search_type="similarity_score_threshold", search_kwargs={"k": 9, "score_threshold": 0.99})
    assert [document.id for document in threshold.invoke("text 3")] == ["d3"]


def test_all_is_deleted_where_no_ids_are_named_and_ids_come_in_their_order(filled):
    assert [document.id for document in filled.get_by_ids(["d5", "none", "d2"])] == ["d5", "d2"]
    assert filled.delete() and filled.similarity_search("text 3") == []


def test_it_is_made_of_texts_and_opened_again(tmp_path):
    path = tmp_path / "notes.db"
    FafcasVectorStore.from_texts(["a", "b"], EMBEDDINGS, [{"at": 1}, {"at": 2}], ids=["one", "two"], path=path)
    found = FafcasVectorStore(EMBEDDINGS, path).similarity_search("b", 1)
    assert found == [Document(id="two", page_content="b", metadata={"at": 2})]


def test_threads_take_turns(filled):
    failed = []

    def work(number):
        try:
            for at in range(20):
                filled.add_texts([f"of {number}, {at}"], ids=[f"{number}-{at}"])
                filled.similarity_search("text", 3)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and len(filled.collection) == 120
