"""LangChain's own suites for embedders, vector stores and tools, on ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langchain_tests")
from langchain_core.tools import BaseTool
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import EmbeddingsIntegrationTests, VectorStoreIntegrationTests
from langchain_tests.integration_tests.tools import ToolsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests
from langchain_tests.unit_tests.tools import ToolsUnitTests

import nereus
from nereus.api.langchain import NereusEmbeddings, StoredVectors, lab_tools
from nereus.errors import InputError
from nereus.memory.database import Database
from nereus.tools import registry
from tests.api.conftest import Server

pytestmark = pytest.mark.anyio  # the suites have tests that are awaited


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'nereus.sqlite'}")
    yield opened
    opened.close()


class TestEmbeddingsUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[NereusEmbeddings]:
        return NereusEmbeddings


class TestEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[NereusEmbeddings]:
        return NereusEmbeddings


class TestVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, database: Database) -> VectorStore:
        return StoredVectors(database, "suite", self.get_embeddings())


class _Params:
    """A tool that needs a worker, on a real server."""

    lab: Any
    data: str

    @pytest.fixture(autouse=True)
    def _served(self, server: Server, dataset: str) -> Iterator[None]:
        with nereus.Client(server.url) as client:
            type(self).lab, type(self).data = client, dataset
            yield

    @property
    def tool_constructor(self) -> BaseTool:
        return lab_tools(self.lab, ["load_dataset"])[0]

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"inputs": {"data": self.data}, "params": {}, "seed": 0}


class TestToolsUnit(_Params, ToolsUnitTests):  # type: ignore[misc]
    pass


class TestTools(_Params, ToolsIntegrationTests):  # type: ignore[misc]
    pass


def test_all_tools_that_stay_within_their_inputs_are_there_with_typed_arguments() -> None:
    made = {one.name: one for one in lab_tools(None)}  # type: ignore[arg-type]
    assert len(made) > 50
    assert set(made) <= set(registry.names())
    schema = made["load_dataset"].get_input_jsonschema()
    assert "data" in str(schema["$defs"]["load_dataset_inputs"]["required"])
    assert not {"run_code"} & set(made)


def test_a_model_can_name_no_file_of_this_machine(server: Server, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("protein,a\nP1,1\n")
    with nereus.Client(server.url) as client:
        (tool,) = lab_tools(client, ["load_dataset"])
        before = len(client.datasets.list())
        for path in (str(secret), "/etc/passwd", "../x", "d0", "j0123456789abcdef/../../x"):
            with pytest.raises(ValueError, match="pattern"):
                tool.invoke({"inputs": {"data": path}})
        assert len(client.datasets.list()) == before
        told = tool.invoke({"inputs": {"data": f"d{'0' * 16}"}})
        assert "there is no data set" in str(told), "a fault is told to the model"


def test_vectors_are_their_owners_alone_and_others_of_the_home_find_them(database: Database) -> None:
    mine = StoredVectors(database, "notes", owner="ada")
    mine.add_texts(["APOE rises", "batch 7 was frozen"], [{"run": 1}, {"run": 2}], ids=["a", "b"])
    again = StoredVectors(database, "notes", owner="ada")
    assert [one.id for one in again.similarity_search("batch 7", k=1)] == ["b"]
    assert [one.id for one in again.similarity_search("batch 7", k=5, filter={"run": 1})] == ["a"]
    assert [one.id for one in again.max_marginal_relevance_search("batch", k=2)]
    assert [one.page_content for one in again.as_retriever(search_kwargs={"k": 1}).invoke("APOE")] == [
        "APOE rises"
    ]
    for other in (
        StoredVectors(database, "notes", owner="eve"),
        StoredVectors(database, "more", owner="ada"),
    ):
        assert not other.similarity_search("batch")
        assert not other.get_by_ids(["a"])
        other.delete()
    assert len(again.get_by_ids(["a", "b", "c"])) == 2
    for name in ("", "a.b", "x" * 101, "a/b"):
        with pytest.raises(InputError, match="no name of a collection"):
            StoredVectors(database, name)
