"""What one question may spend on a language model: a conversation that goes on for long is answered to its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from nereus.agents.chat.local_desk import open_local_desk
from nereus.agents.graphs import GRAPHS
from nereus.settings import load_settings
from tests.models.llm.stub import Answer, Stub, message, says, stub

MOST = 2


def scripted(asked: dict[str, Any], before: int) -> Answer:
    """Looks things up for ever where it is asked to dig, else answers at once."""
    questions = [str(one["content"]) for one in asked["messages"] if one["role"] == "user"]
    if "dig" not in questions[-1]:
        return says("There is nothing yet.")
    call = {"id": f"c{before}", "type": "function", "function": {"name": "list", "arguments": "{}"}}
    return Answer(message("", tool_calls=[call], finish="tool_calls"))


@pytest.fixture
def endpoint() -> Iterator[Stub]:
    with stub(scripted) as found:
        yield found


@pytest.fixture
def graph(endpoint: Stub, tmp_path: Path) -> Iterator[Any]:
    """The chat graph as the server keeps it: one for an owner, for all threads and questions."""
    settings = load_settings(
        home=tmp_path, llm_base_url=endpoint.url, llm_model="m", llm_api_key="k", llm_max_calls=MOST
    )
    with open_local_desk(settings) as desk:
        yield GRAPHS["chat"](desk, InMemorySaver(), None)


def ask(graph: Any, thread: str, text: str) -> Any:
    config = {"configurable": {"thread_id": thread}}
    return graph.invoke({"messages": [HumanMessage(text)]}, config)["messages"][-1]


def test_every_question_has_the_ceilings_before_it(graph: Any, endpoint: Stub) -> None:
    for number in range(2 * MOST + 1):
        answer = ask(graph, f"t{number % 2}", "hello")
        assert answer.content == "There is nothing yet."
        assert answer.additional_kwargs["nereus"]["notices"] == []
    assert len(endpoint.asked) == 2 * MOST + 1
    assert len(set(endpoint.other)) == len(
        endpoint.other
    )  # the window is asked for once, not for every question


def test_one_question_stops_at_its_ceiling_and_the_next_is_answered(graph: Any, endpoint: Stub) -> None:
    answer = ask(graph, "t", "dig")
    assert len(endpoint.asked) == MOST
    assert f"the limit of {MOST} model calls is reached" in str(answer.additional_kwargs["nereus"]["notices"])
    assert ask(graph, "t", "hello").content == "There is nothing yet."
