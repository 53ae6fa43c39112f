"""One home with one small run about real data, and a desk over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from sqlalchemy import text

import nereus
from nereus.agents.chat import chat_graph
from nereus.agents.chat.local_desk import LocalDesk, open_local_desk
from nereus.memory.workspace import open_workspace
from nereus.settings import load_settings

BUDGET = ["objectives=1", "hypotheses=8", "steps=16"]


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chat") / "home"


@pytest.fixture(scope="session")
def analysed(data: tuple[Path, Path], shared_home: Path) -> nereus.Run:
    """A run on people of two sites of the example, which the conversations are about."""
    return nereus.discover(
        *data, out=shared_home.parent / "report", home=shared_home, seed=3, workers=1, budget=BUDGET
    )


@pytest.fixture
def chat_home(shared_home: Path, analysed: nereus.Run) -> Path:
    """The home, in which steps are found again, while the runs of other tests are somebody else's."""
    with (
        open_workspace(load_settings(home=shared_home)) as workspace,
        workspace.database.write() as connection,
    ):
        connection.execute(
            text("UPDATE runs SET owner = 'another test' WHERE id != :id"), {"id": analysed.id}
        )
    return shared_home


@pytest.fixture
def desk(analysed: nereus.Run, chat_home: Path, data: tuple[Path, Path]) -> Iterator[LocalDesk]:
    with open_local_desk(load_settings(home=chat_home)) as desk:
        for file in data:
            desk.add_file(file)
        yield desk


@pytest.fixture
def empty_desk(tmp_path: Path) -> Iterator[LocalDesk]:
    with open_local_desk(load_settings(home=tmp_path / "home")) as desk:
        yield desk


class Conversation:
    """Says things to the graph and gives what it answers."""

    def __init__(self, desk: LocalDesk, model: BaseChatModel | None = None, **configurable: Any) -> None:
        self.graph = chat_graph(desk, model=model, checkpointer=InMemorySaver())
        self.config: Any = {"configurable": {"thread_id": "t", **configurable}, "recursion_limit": 60}
        self.events: list[dict[str, Any]] = []

    def say(self, words: str, **nereus: Any) -> AIMessage:
        named = {"nereus": nereus} if nereus else {}
        return self._go({"messages": [HumanMessage(words, additional_kwargs=named)]})

    def answer(self, *answers: Any) -> AIMessage:
        return self._go(Command(resume=list(answers)))

    def requests(self) -> list[dict[str, Any]]:
        return [one for found in self.graph.get_state(self.config).interrupts for one in found.value]

    def _go(self, given: Any) -> AIMessage:
        for part in self.graph.stream(given, self.config, stream_mode="custom"):
            self.events.append(part)
        return self.graph.get_state(self.config).values["messages"][-1]  # type: ignore[no-any-return]


@pytest.fixture
def talk(desk: LocalDesk) -> Callable[..., Conversation]:
    def begin(model: BaseChatModel | None = None, **configurable: Any) -> Conversation:
        return Conversation(desk, model, **configurable)

    return begin


def told(message: AIMessage) -> dict[str, Any]:
    """What an answer says beside its text."""
    return dict(message.additional_kwargs["nereus"])
