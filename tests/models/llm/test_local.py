"""A folder as a chat model: what it says, LangChain's standard suites, limits."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
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
def chat(tiny_folder: Path) -> Iterator[LocalChat]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a model this small is slower on several
    yield LocalChat.of_folder(tiny_folder, device="cpu", reply_tokens=64, timeout_s=120)
    torch.set_num_threads(threads)


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


def test_a_reply_that_nobody_waits_for_any_more_frees_the_model(chat: LocalChat) -> None:
    """A cancelled call, and a stream that is left, end with the next token: the one after them does not wait for theirs."""
    endless = LocalChat.of(
        chat._model, chat._tokenizer, reply_tokens=30_000, timeout_s=300, temperature=5.0, seed=1
    )

    async def cancelled() -> None:
        task = asyncio.ensure_future(endless.ainvoke("Hello"))
        while not (
            chat._lock.locked() or endless._lock.locked()
        ):  # until it writes; its reply has an end too
            await asyncio.sleep(0.002)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def left() -> None:
        async for _ in endless.astream("Hello"):
            break

    for leave in (cancelled, left):
        asyncio.run(leave())
        end = time.monotonic() + 60
        while chat._lock.locked() or endless._lock.locked():
            assert time.monotonic() < end, "the model still writes for nobody"
            time.sleep(0.05)
    assert chat.invoke("Hello").content == "Hello, what shall we look at?"


def test_a_seed_draws_the_same_and_leaves_the_process_s_own_numbers_alone(chat: LocalChat) -> None:
    import numpy as np
    import torch

    drawn = LocalChat.of(
        chat._model, chat._tokenizer, reply_tokens=12, timeout_s=120, temperature=3.0, seed=7
    )
    states = (random.getstate(), str(np.random.get_state()), torch.random.get_rng_state())
    assert drawn.invoke("Hello").content == drawn.invoke("Hello").content
    assert random.getstate() == states[0]
    assert str(np.random.get_state()) == states[1]
    assert torch.equal(torch.random.get_rng_state(), states[2])


def test_the_precision_of_the_folder_is_kept(chat: LocalChat, tmp_path: Path) -> None:
    import torch

    half = type(chat._model).from_pretrained(chat.folder, dtype=torch.bfloat16)
    half.save_pretrained(tmp_path)
    chat._tokenizer.save_pretrained(tmp_path)
    read = LocalChat.of_folder(tmp_path, device="cpu", reply_tokens=16)
    assert read._model.dtype == torch.bfloat16
    assert read.invoke("Hello").content


def test_the_settings_name_a_folder(tiny_folder: Path, tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, policy="llm", llm_model=str(tiny_folder), llm_reply_tokens=256)
    assert isinstance(chat_model(settings), LocalChat)
    with pytest.raises(InputError, match=r"lacks config\.json"):
        LocalChat.of_folder(tmp_path)


@pytest.fixture
def benchmark(benchmark: Any) -> Any:
    """What the suites measure thousands of times is done once: they hold no time of it against anything."""
    benchmark.disabled = True
    return benchmark


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
