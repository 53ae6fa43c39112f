"""A sample of the faults of `benchmarks/endpoint_faults.py`: every call ends within its limit and says why."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("langchain_openai")
from benchmarks.endpoint_faults import FAULTS, faulty, judged
from nereus.errors import EndpointError, ReplyTimeout
from nereus.models.llm import chat_model
from nereus.settings import load_settings


@pytest.mark.parametrize(
    ("fault", "way", "says"),
    [
        ("hang", "invoke", "no reply within 2 s"),
        ("a byte at a time", "tool", "no reply within 2 s"),
        ("a stream without end", "stream", "no reply within 2 s"),
        ("a body without end", "invoke", ""),
        ("hang in the stream", "stream", "no reply within 2 s"),
        ("a head without end", "invoke", "no reply within 2 s"),
        ("a head without end", "stream", "no reply within 2 s"),
        ("reset", "invoke", "the connection failed"),
        ("500", "tool", "HTTP 500, the server failed"),
        ("401", "invoke", "HTTP 401, the key is not accepted"),
        ("HTML as success", "stream", "the reply"),
        ("broken JSON", "invoke", "the reply is no JSON"),
        ("a stream cut in a word", "stream", "broke off before the reply was finished"),
        ("a stream cut in a call", "stream", "broke off before the reply was finished"),
        ("no choices", "invoke", "the reply"),
        ("an error as success", "policy", "the model failed"),
        ("hang", "policy", "no reply within 2 s"),
    ],
)
def test_it_ends_and_says_why(fault: str, way: str, says: str, tmp_path: Path) -> None:
    assert fault in FAULTS
    found = judged(fault, way, 2.0, tmp_path)
    # A machine under load may be late; that the reason is right and the thread is not held is what counts here.
    assert found["ended"] in ("error", "fallback"), found
    assert found["seconds"] < 20, found
    assert says in found["said"], found


def test_a_cut_stream_is_no_reply_although_words_came(tmp_path: Path) -> None:
    with faulty(FAULTS["a stream cut in a word"]) as url:
        model = chat_model(load_settings(home=tmp_path, llm_base_url=url, llm_model="m", llm_timeout_s=5))
        assert model is not None
        pieces = model.stream("Hello")
        with pytest.raises(EndpointError, match=r"broke off|no chat completion"):
            list(pieces)


@pytest.mark.parametrize("fault", ["hang", "a stream without end"])
def test_asynchronous_calls_end_too(fault: str, tmp_path: Path) -> None:
    import asyncio

    async def ask(url: str) -> None:
        model = chat_model(load_settings(home=tmp_path, llm_base_url=url, llm_model="m", llm_timeout_s=1.5))
        assert model is not None
        with pytest.raises(ReplyTimeout):
            await model.ainvoke("Hello")
        with pytest.raises(ReplyTimeout):
            async for _ in model.astream("Hello"):
                pass

    with faulty(FAULTS[fault]) as url:
        asyncio.run(ask(url))
