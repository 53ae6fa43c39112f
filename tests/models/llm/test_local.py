"""A folder as a chat model: what it says, LangChain's standard suites, limits."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage

pytest.importorskip("langchain_tests")
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from nereus.errors import CeilingReached, ContextOverflow, InputError, ReplyTimeout
from nereus.models.llm import chat_model
from nereus.models.llm.ceilings import Ceilings, Meter
from nereus.models.llm.local import LocalChat
from nereus.settings import load_settings
from tests.models.llm import tiny


@pytest.fixture(scope="module")
def chat(tiny_folder: Path) -> LocalChat:
    return LocalChat.of_folder(tiny_folder, device="cpu", reply_tokens=64, timeout_s=120)


def test_it_talks_calls_and_answers(chat: LocalChat) -> None:
    assert chat.invoke("Hello").content == "Hello, what shall we look at?"
    bound = chat.bind_tools([tiny.TOOL])
    call = bound.invoke(tiny.QUESTION)
    assert [(one["name"], one["args"]) for one in call.tool_calls] == [
        ("count_proteins", {"tissue": "plasma"})
    ]
    given = ToolMessage("412", tool_call_id=call.tool_calls[0]["id"] or "")
    assert bound.invoke([HumanMessage(tiny.QUESTION), call, given]).content == tiny.ANSWER


def test_a_stream_says_the_same(chat: LocalChat) -> None:
    whole: Any = None
    pieces = 0
    for one in chat.bind_tools([tiny.TOOL]).stream(tiny.QUESTION):
        assert isinstance(one, AIMessageChunk)
        whole = one if whole is None else whole + one
    for one in chat.stream("Hello"):
        pieces += bool(one.content)
    assert whole.tool_calls[0]["args"] == {"tissue": "plasma"}
    assert whole.content == ""
    assert whole.usage_metadata["output_tokens"] > 10
    assert pieces > 3


def test_a_broken_call_is_told_as_such(chat: LocalChat) -> None:
    reply = chat.bind_tools([tiny.TOOL]).invoke(tiny.BROKEN_QUESTION)
    assert reply.tool_calls == []
    assert [one["error"] for one in reply.invalid_tool_calls] == ["a text in it has no end"]


def test_stops_limits_and_forced_calls(chat: LocalChat) -> None:
    assert chat.invoke("Hello", stop=["shall"]).content == "Hello, what"
    short = chat.invoke("Hello", max_tokens=3)
    assert short.response_metadata["finish_reason"] == "length"
    assert short.usage_metadata is not None
    assert short.usage_metadata["output_tokens"] == 3
    forced = chat.bind_tools([tiny.TOOL], tool_choice="count_proteins").invoke(tiny.QUESTION)
    assert forced.tool_calls[0]["name"] == "count_proteins"


def test_time_window_and_ceilings(chat: LocalChat) -> None:
    with pytest.raises(ReplyTimeout):
        LocalChat.of(chat._model, chat._tokenizer, timeout_s=0.001).invoke("Hello")
    with pytest.raises(ContextOverflow, match="32768 are allowed"):
        chat.invoke("µ" * 20_000)
    meter = Meter(Ceilings(1, 10**6))
    limited = LocalChat.of(chat._model, chat._tokenizer, reply_tokens=16, meter=meter)
    limited.invoke("Hello")
    assert meter.used.calls == 1
    with pytest.raises(CeilingReached):
        list(limited.stream("Hello"))


def test_the_settings_name_a_folder(tiny_folder: Path, tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, policy="llm", llm_model=str(tiny_folder), llm_reply_tokens=256)
    assert isinstance(chat_model(settings), LocalChat)
    with pytest.raises(InputError, match=r"lacks config\.json"):
        LocalChat.of_folder(tmp_path)


class _Suite:
    @pytest.fixture(autouse=True)
    def _folder(self, tiny_folder: Path) -> None:
        type(self).folder = tiny_folder  # type: ignore[attr-defined]

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return _Loaded

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"folder": str(self.folder), "reply_tokens": 32}  # type: ignore[attr-defined]

    @property
    def has_tool_choice(self) -> bool:
        return True

    @property
    def returns_usage_metadata(self) -> bool:
        return True


@cache
def _read(folder: str) -> LocalChat:
    return LocalChat.of_folder(Path(folder), device="cpu")


class _Loaded(LocalChat):
    """Reads its folder when it is made, as the suites make models by class and parameters."""

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        made = _read(self.folder)
        self._model, self._tokenizer = made._model, made._tokenizer


class TestUnit(_Suite, ChatModelUnitTests):
    """LangChain's unit suite."""


@pytest.mark.asyncio
@pytest.mark.filterwarnings("ignore:The test .* is marked with")
class TestIntegration(_Suite, ChatModelIntegrationTests):
    """LangChain's integration suite, where it does not ask a quarter million weights to understand the question."""

    @property
    def has_tool_calling(self) -> bool:
        return False  # the suite's tool calls must answer its own questions; ours above are learned

    @property
    def has_structured_output(self) -> bool:
        return False
