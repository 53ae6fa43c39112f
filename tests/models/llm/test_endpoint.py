"""What stands between an agent and an endpoint: ceilings, waits, limits of time, keys, and options that servers do not know."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langchain_openai")
from nereus.errors import CeilingReached, EndpointError, NereusError, ReplyTimeout
from nereus.models.llm import patience
from nereus.models.llm.ceilings import Ceilings, Meter, Prices
from nereus.models.llm.chosen import chat_model
from nereus.models.llm.endpoint import EndpointChat
from nereus.settings import load_settings
from tests.models.llm.stub import Answer, message, refuses, says, stub

KEY = "sk-canary-2718281828"


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., EndpointChat]:
    def make(url: str | None, **more: Any) -> EndpointChat:
        changes = {name: more.pop(name) for name in ("meter", "call_timeout_s", "n") if name in more}
        settings = load_settings(
            home=tmp_path, llm_base_url=url, llm_model="m", llm_api_key=KEY, **{"llm_retries": 0, **more}
        )
        found = chat_model(settings, **changes)
        assert isinstance(found, EndpointChat)
        return found

    return make


def times(calls: int, ask: Callable[[], Any]) -> list[BaseException | None]:
    """How as many calls side by side ended."""

    def one(_: int) -> BaseException | None:
        try:
            ask()
        except NereusError as error:
            return error
        return None

    with ThreadPoolExecutor(calls) as pool:
        return list(pool.map(one, range(calls)))


# ---------------------------------------------------------------------- ceilings


WAYS: dict[str, Callable[[EndpointChat], Any]] = {
    "invoke": lambda model: model.invoke("Hello"),
    "stream": lambda model: list(model.stream("Hello")),
    "ainvoke": lambda model: asyncio.run(model.ainvoke("Hello")),
    "astream": lambda model: asyncio.run(_all(model)),
}


async def _all(model: EndpointChat) -> list[Any]:
    return [one async for one in model.astream("Hello")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("limits", "prices", "allowed"),
    [
        (Ceilings(4, 10**6), Prices(), 4),
        # Held for a call: 13 tokens or so of the prompt and 1,000 of the reply.
        (Ceilings(100, 3_100), Prices(), 3),
        (Ceilings(100, 10**6, usd=0.0022), Prices(reply=1.0), 2),
        (Ceilings(100, 10**6, seconds=25.0), Prices(), 3),
    ],
    ids=["calls", "tokens", "money", "seconds"],
)
def test_calls_side_by_side_do_not_pass_a_ceiling(
    made: Any, way: str, limits: Ceilings, prices: Prices, allowed: int
) -> None:
    """What is in progress counts as used: the rest is refused before it is sent, and nothing is lost or held for ever."""
    go = threading.Event()

    def answer(asked: dict[str, Any], before: int) -> Answer:
        go.wait(5)
        return says(tokens=(9, 3))

    with stub(answer) as server:
        meter = Meter(limits, prices)
        model = made(server.url, meter=meter, llm_reply_tokens=1000, call_timeout_s=10.0)
        model.window()
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(WAYS[way], model) for _ in range(8)]
            end = time.monotonic() + 5
            while sum(one.done() for one in asked) < 8 - allowed and time.monotonic() < end:
                time.sleep(0.01)
            go.set()
            ended = [one.exception() for one in asked]
        assert sum(one is None for one in ended) == allowed, ended
        assert all(isinstance(one, CeilingReached) for one in ended if one is not None)
        assert len(server.asked) == allowed
        assert meter.used.calls == allowed
        assert meter.used.tokens == 12 * allowed
        assert (meter._held.calls, meter._held.tokens) == (0, 0)
        assert meter._held.usd == pytest.approx(0.0, abs=1e-12)


def test_several_choices_of_one_call_are_held_and_a_stream_that_is_left_counts_in_full(made: Any) -> None:
    with stub(lambda asked, before: Answer(message(), pieces=[{"content": "a"}] * 5)) as server:
        meter = Meter(Ceilings(10, 4_000))
        several = made(server.url, meter=meter, llm_reply_tokens=1000, n=5)
        with pytest.raises(CeilingReached):
            several.invoke("Hello")
        assert server.asked == []
        stream = made(server.url, meter=meter, llm_reply_tokens=1000).stream("Hello")
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert meter.used.calls == 1
        assert meter.used.tokens > 1000, "nobody told what it took"
        assert meter._held.calls == 0


def test_a_call_that_is_cancelled_gives_back_what_it_held(made: Any) -> None:
    ended = threading.Event()

    def answer(asked: dict[str, Any], before: int) -> Answer:
        ended.wait(5)
        return says()

    async def left(model: EndpointChat) -> None:
        task = asyncio.ensure_future(model.ainvoke("Hello"))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with stub(answer) as server:
        meter = Meter(Ceilings(10, 10_000))
        asyncio.run(left(made(server.url, meter=meter)))
        ended.set()
        assert (meter.used.calls, meter._held.calls, meter._held.tokens) == (1, 0, 0)


def test_one_model_is_asked_from_one_event_loop_after_the_other(made: Any) -> None:
    """A command runs a loop for each turn; a connection that is kept belongs to the loop that opened it."""
    with stub(lambda asked, before: says()) as server:
        model = made(server.url)
        for _ in range(3):
            assert asyncio.run(model.ainvoke("Hello")).content == "Hello there"
            assert asyncio.run(_all(model))
        assert len(server.asked) == 6


# ---------------------------------------------------------------------- waits and limits of time


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
def test_a_wait_that_was_asked_for_is_kept(made: Any, status: int, way: str) -> None:
    def answer(asked: dict[str, Any], before: int) -> Answer:
        return refuses(status, "slow down", retry_after_ms="400") if before == 0 else says()

    with stub(answer) as server:
        start = time.monotonic()
        WAYS[way](made(server.url, llm_retries=2))
        assert 0.4 <= time.monotonic() - start < 4
        assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("told", "least", "most"),
    [
        ("7", 7, 7),
        ("0.5", 0.5, 0.5),
        ("in an hour", 3590, 3601),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("-3", 0, 0),
        ("soon", None, None),
        ("nan", None, None),
        ("inf", None, None),
        ("99999999999999999999999", 1e20, 1e24),
    ],
)
def test_how_long_was_asked_for(made: Any, told: str, least: float | None, most: float | None) -> None:
    if told == "in an hour":
        told = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    with (
        stub(lambda asked, before: refuses(429, "slow down", retry_after=told)) as server,
        pytest.raises(EndpointError) as caught,
    ):
        made(server.url).invoke("Hello")
    if least is None or most is None:
        assert caught.value.wait_s is None
    else:
        assert caught.value.wait_s is not None
        assert least <= caught.value.wait_s <= most


def test_a_wait_beyond_the_limit_of_time_is_not_begun_and_nobody_else_asks_meanwhile(made: Any) -> None:
    with stub(lambda asked, before: refuses(429, "slow down", retry_after="3600")) as server:
        model = made(server.url, llm_retries=5, llm_timeout_s=5)
        start = time.monotonic()
        with pytest.raises(EndpointError, match="HTTP 429, too many requests"):
            model.invoke("Hello")
        ended = times(12, lambda: made(server.url, llm_retries=5).invoke("Hello"))
        assert time.monotonic() - start < 4
        assert len(server.asked) == 1, "a dozen calls that wait do not make the queue longer"
        assert all("asked to be left alone for another" in str(one) for one in ended)
        assert all(isinstance(one, EndpointError) and one.status == 429 for one in ended)


def test_a_storm_of_refusals_ends_when_the_pause_does(made: Any) -> None:
    began = time.monotonic()

    def answer(asked: dict[str, Any], before: int) -> Answer:
        early = time.monotonic() - began < 0.6
        return refuses(429, "slow down", retry_after_ms="700") if early else says()

    with stub(answer) as server:
        meter = Meter(Ceilings(1000, 10**7))
        ended = times(10, lambda: made(server.url, llm_retries=3, meter=meter).invoke("Hello"))
        assert ended == [None] * 10
        assert len(server.asked) <= 20, "each was refused once at most"
        assert meter.used.calls == len(server.asked)


def test_a_pause_has_an_end() -> None:
    pause = patience.Pause()
    pause.ask(10**9)
    assert 590 < pause.wait_s(10**9) <= 1.1 * patience.LONGEST_PAUSE_S
    with pytest.raises(EndpointError, match="left alone"):
        pause.wait_s(5.0)
    assert patience.Pause().wait_s(5.0) == 0.0


def test_nothing_is_sent_when_the_time_is_over(made: Any) -> None:
    """A refusal that comes just before the limit is not answered with one more call that nobody can wait for."""

    def answer(asked: dict[str, Any], before: int) -> Answer:
        time.sleep(0.45)
        return refuses(503, "busy")

    with stub(answer) as server:
        start = time.monotonic()
        with pytest.raises(EndpointError):
            made(server.url, llm_retries=10, call_timeout_s=0.6).invoke("Hello")
        assert time.monotonic() - start < 3
        time.sleep(0.3)
        assert len(server.asked) <= 2
        with pytest.raises(ReplyTimeout):
            made(server.url, call_timeout_s=0.0).invoke("Hello")
        assert len(server.asked) <= 2


# ---------------------------------------------------------------------- keys


def test_a_key_is_in_no_text_that_can_be_kept(made: Any, caplog: Any, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    with stub(lambda asked, before: refuses(401, f"Incorrect key {KEY} (Bearer {KEY})")) as server:
        model = made(server.url)
        try:
            model.bind_tools([]).invoke("Hello")
        except EndpointError as error:
            caught: Exception = error
            shown = "".join(traceback.format_exception(error))
        assert KEY not in shown
        assert "Incorrect key ***" in str(caught), "what the endpoint said helps whoever reads it"
        assert "Incorrect" not in caught.reason, "but is not for records"  # type: ignore[attr-defined]
    for text in (
        repr(model),
        str(model),
        json.dumps(model.model_dump(mode="json", exclude={"client", "async_client"}), default=repr),
        json.dumps(model.lc_attributes, default=repr),
        str(model._identifying_params),
        str(model._get_ls_params()),
        repr(model.__dict__),
        caplog.text,
    ):
        assert KEY not in text
    from langchain_core.load import dumps

    assert KEY not in dumps(model)


def test_a_password_in_the_address_is_not_told(made: Any) -> None:
    word = "-".join(["s3cret", "word"])
    with pytest.raises(EndpointError) as caught:
        made(f"http://ada:{word}@127.0.0.1:9/v1").invoke("Hello")
    assert word not in "".join(traceback.format_exception(caught.value))


# ---------------------------------------------------------------------- what servers do not know


def test_the_limit_of_a_reply_is_named_as_every_server_knows_it(made: Any) -> None:
    with stub(lambda asked, before: says()) as server:
        model = made(server.url, llm_reply_tokens=300)
        model.invoke("Hello")
        list(model.stream("Hello"))
        for asked in server.asked:
            assert asked["max_tokens"] == 300
            assert "max_completion_tokens" not in asked
    own = made(None)
    assert own._get_request_payload("Hello")["max_completion_tokens"] == 2048


def test_options_that_are_refused_are_left_out_or_renamed(made: Any) -> None:
    def answer(asked: dict[str, Any], before: int) -> Answer:
        for name, told in (
            ("max_tokens", "Unsupported parameter: use 'max_completion_tokens' instead."),
            ("temperature", "Unsupported value: 'temperature' does not support 0 with this model."),
            ("stream_options", "extra fields not permitted: stream_options"),
        ):
            if name in asked:
                return refuses(400, told)
        return says()

    with stub(answer) as server:
        model = made(server.url, llm_retries=3)
        assert [one.content for one in model.stream("Hello") if one.content] == ["Hello there"]
        assert model.invoke("Hello").content == "Hello there"
        assert len(server.asked) == 5, "learned once"
        assert server.asked[-1]["max_completion_tokens"] == 2048
    with stub(lambda asked, before: refuses(400, "temperature is too hot")) as server:
        with pytest.raises(EndpointError, match="HTTP 400"):
            made(server.url, llm_retries=9).invoke("Hello")
        assert len(server.asked) == 2, "once without it, and no more"


def test_a_server_that_was_silent_is_asked_for_its_window_again(made: Any, monkeypatch: Any) -> None:
    ready: list[bool] = []

    def get(path: str) -> Answer:
        listed = {"data": [{"id": "m", "max_model_len": 8192}]}
        return Answer(listed) if ready else Answer({"error": "Loading model"}, 503)

    with stub(lambda asked, before: says(), get) as server:
        model = made(server.url)
        assert model.window() is None
        ready.append(True)
        assert model.window() is None, "not at every call"
        monkeypatch.setattr(model, "_silent_until", 0.0)
        assert model.window() == 8192
        asked = len(server.other)
        assert model.window() == 8192
        assert len(server.other) == asked


# ---------------------------------------------------------------------- broken replies, over the wire


TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "adds",
        "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
    },
}


def call(arguments: Any, name: Any = "add", own: Any = "a1", index: Any = 0) -> dict[str, Any]:
    return {"index": index, "id": own, "type": "function", "function": {"name": name, "arguments": arguments}}


GOOD = '{"x": 1}'
REPLIES: dict[str, tuple[Answer, list[int]]] = {
    "as it should be": (says(None, tool_calls=[call(GOOD)]), [1]),
    "two calls": (says("", tool_calls=[call(GOOD), call('{"x": 2}', own="a2", index=1)]), [1, 2]),
    "missing brace": (says(None, tool_calls=[call('{"x": 1')]), []),
    "doubled JSON": (says(None, tool_calls=[call(GOOD + GOOD)]), [1]),
    "arguments None": (says(None, tool_calls=[call(None)]), []),
    "arguments empty": (says(None, tool_calls=[call("")]), []),
    "arguments of another form": (says(None, tool_calls=[call("{'x': 1}")]), [1]),
    "no id": (says(None, tool_calls=[call(GOOD, own=None)]), [1]),
    "cut in a text": (says(None, tool_calls=[call('{"x": 1, "y": "rm -')]), []),
    "no name": (says(None, tool_calls=[call(GOOD, name=None)]), []),
    "name of another tool": (says(None, tool_calls=[call(GOOD, name="remove")]), []),
    "thought before": (says('<think>add(9)?</think>', tool_calls=[call(GOOD)]), [1]),
    "calls null": (says("Hello", tool_calls=None), []),
    "calls empty": (says("Hello", tool_calls=[]), []),
    "call inside prose": (says('I call <tool_call>{"name": "add", "arguments": {"x": 1}}</tool_call> now.'), [1]),
    "call told in prose": (says('I would call {"name": "add", "arguments": {"x": 1}}.'), []),
    "unicode": (says("Grüße 日本 𝔊 \u202e\u200b\ud83d\ude00"), []),
    "lone half of a letter": (Answer(json.dumps(message("MARK")).replace("MARK", "\\ud800").encode()), []),
    "a megabyte of words": (says("word " * 200_000), []),
    "a megabyte of open tags": (says("<tool_call>" * 90_000), []),
    "a megabyte of brackets": (says("<tool_call>" + "[" * 10**6 + "</tool_call>"), []),
    "a megabyte of quotes": (says('<tool_call>{"name": "add", "arguments": {"x": "' + '\\"' * 500_000), []),
    "cut off at the limit": (says('<tool_call>{"name": "add", "arguments": {"x": 1}}', finish="length"), []),
    "content in blocks": (says([{"type": "text", "text": "Hello"}]), []),
    "content null": (says(None), []),
}  # fmt: skip
STREAMS: dict[str, tuple[Answer, list[int]]] = {
    "id and name only in the first piece": (
        Answer(pieces=[
            {"tool_calls": [call("")]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]},
            {"tool_calls": [{"index": 0, "id": None, "function": {"name": None, "arguments": ": 1}"}}]},
        ]), [1]),
    "id again in every piece": (
        Answer(pieces=[{"tool_calls": [call('{"x"')]}, {"tool_calls": [call(": 1}", name=None)]}]), [1]),
    "no index": (Answer(pieces=[{"tool_calls": [{"id": "a", "function": {"name": "add", "arguments": GOOD}}]}]), [1]),
    "a letter a piece": (
        Answer(pieces=[{"content": one} for one in '<tool_call>{"name": "add", "arguments": {"x": 1}}</tool_call>']), [1]),
    "an end that is missing": (
        Answer(pieces=[{"content": one} for one in '<tool_call>{"name": "add", "arguments": {"x": 1']), []),
    "null deltas": (Answer(pieces=[{"content": None}, {"content": "Hello"}, {"content": None}]), []),
    "whole call at once, then empty": (
        Answer(pieces=[{"tool_calls": [call(GOOD)]}, {"tool_calls": []}, {"content": ""}]), [1]),
}  # fmt: skip


def ran(model: EndpointChat, streamed: bool) -> list[int]:
    """With what the tool is run by the loop that agents use; a stream is put together first, as LangChain does."""
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage

    from nereus.models.llm.tool_loop import LoopTool, run_tool_loop

    done: list[int] = []
    function: Any = TOOL["function"]
    tool = LoopTool("add", "adds", function["parameters"], lambda x: str(done.append(x) or x))
    if not streamed:
        run_tool_loop(model, "add one", [tool], max_model_calls=1)
        return done
    whole: Any = None
    for piece in model.bind_tools([TOOL]).stream("add one"):
        whole = piece if whole is None else whole + piece
    said = AIMessage(
        whole.content,
        tool_calls=whole.tool_calls,
        invalid_tool_calls=whole.invalid_tool_calls,
        response_metadata=whole.response_metadata,
    )

    class Said(GenericFakeChatModel):
        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return self

    run_tool_loop(Said(messages=iter([said])), "add one", [tool], max_model_calls=1)
    return done


@pytest.mark.parametrize("name", REPLIES)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_broken_reply_raises_nothing_foreign_and_runs_what_was_meant(
    made: Any, name: str, streamed: bool
) -> None:
    answer, expected = REPLIES[name]
    if streamed and (isinstance(answer.body, bytes) or name == "content in blocks"):
        pytest.skip("has no form as a stream")
    with stub(lambda asked, before: answer) as server:
        start = time.monotonic()
        assert ran(made(server.url), streamed) == expected
        assert time.monotonic() - start < 20


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_in_odd_pieces_is_put_together(made: Any, name: str) -> None:
    answer, expected = STREAMS[name]
    with stub(lambda asked, before: answer) as server:
        assert ran(made(server.url), streamed=True) == expected


def test_a_stream_takes_thoughts_apart_also_where_no_tool_is_offered(made: Any) -> None:
    pieces = [{"content": one} for one in ("<th", "ink>not for", " all</thi", "nk>Hel", "lo <", "b>")]
    with stub(lambda asked, before: Answer(message(), pieces=pieces)) as server:
        whole: Any = None
        for one in made(server.url).stream("Hello"):
            whole = one if whole is None else whole + one
    assert whole.content == "Hello <b>"
    assert whole.additional_kwargs["reasoning_content"] == "not for all"
