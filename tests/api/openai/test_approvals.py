"""Calls that need a yes, over ``/v1``: asked, answered in words, in a stream, in a thread, and never done twice."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from nereus.api.openai import agent
from nereus.memory.threads import Notes
from nereus.settings import load_settings
from tests.api.openai.conftest import Served, serve

NOTE = "remember that {} is a bad batch"


@pytest.fixture(scope="module")
def careful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose agent asks before everything that does something."""
    home = tmp_path_factory.mktemp("careful")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        yield from serve(load_settings(home=home / "home", serve_tokens="always", chat_approval="always"))


@pytest.fixture
def client(careful: Served) -> OpenAI:
    return OpenAI(base_url=f"{careful.url}/v1", api_key=careful.tokens["ada"], max_retries=0, timeout=60)


def asked(client: OpenAI, said: list[Any], **more: Any) -> tuple[str, dict[str, Any]]:
    """An answer and what it rests on."""
    made = client.chat.completions.create(model="nereus-rules", messages=said, **more)
    return made.choices[0].message.content or "", (made.model_extra or {})["nereus"]


def go_on(said: list[Any], answer: str, then: str) -> list[Any]:
    return [*said, {"role": "assistant", "content": answer}, {"role": "user", "content": then}]


def notes(served: Served, owner: str, text: str) -> int:
    """How many notes about something an owner has."""
    found = Notes(served.state.workspace.database).recall(owner, text, 100)
    return sum(text in one.text for one in found)


def test_a_call_that_needs_a_yes_waits_for_it_in_words(client: OpenAI, careful: Served) -> None:
    said: list[Any] = [{"role": "user", "content": NOTE.format("B17")}]
    answer, told = asked(client, said)
    assert "needs your yes" in answer
    assert [one["action_request"]["action"] for one in told["approval"]] == ["remember"]
    assert notes(careful, "ada", "B17") == 0
    done, after = asked(client, go_on(said, answer, "Yes, please."))
    assert "approval" not in after
    assert "needs your yes" not in done
    assert notes(careful, "ada", "B17") == 1


def test_a_no_ends_it_and_other_words_are_no_yes(client: OpenAI, careful: Served) -> None:
    said: list[Any] = [{"role": "user", "content": NOTE.format("B18")}]
    answer, _ = asked(client, said)
    refused, after = asked(client, go_on(said, answer, "No, don't."))
    assert refused
    assert "approval" not in after
    words, _ = asked(client, go_on(said, answer, "not this one, only help me"))
    assert words
    assert notes(careful, "ada", "B18") == 0


def test_a_yes_is_nobody_else_s_and_answers_nothing_where_nothing_waits(careful: Served) -> None:
    said: list[Any] = [{"role": "user", "content": NOTE.format("B19")}]
    clients = {
        name: OpenAI(base_url=f"{careful.url}/v1", api_key=careful.tokens[name], max_retries=0)
        for name in ("ada", "eve")
    }
    answer, _ = asked(clients["ada"], said)
    asked(clients["eve"], go_on(said, answer, "yes"))
    asked(clients["ada"], [{"role": "user", "content": "yes"}])
    assert notes(careful, "ada", "B19") == notes(careful, "eve", "B19") == 0
    asked(clients["ada"], go_on(said, answer, "yes"))
    assert notes(careful, "ada", "B19") == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_named_thread_keeps_what_waits(client: OpenAI, careful: Served, stream: bool) -> None:
    batch = f"C{int(stream)}"
    headers = {"X-Nereus-Thread": f"mine-{stream}"}
    said: list[Any] = [{"role": "user", "content": NOTE.format(batch)}]
    _, told = asked(client, said, extra_headers=headers)
    assert told["approval"]
    yes: list[Any] = [{"role": "user", "content": "yes"}]
    if stream:
        parts = client.chat.completions.create(
            model="nereus-rules", messages=yes, stream=True, extra_headers=headers
        )
        assert [one.choices[0].finish_reason for one in parts][-1] == "stop"
    else:
        asked(client, yes, extra_headers=headers)
    assert notes(careful, "ada", batch) == 1


def test_a_yes_that_is_sent_again_is_said_once(careful: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = agent._graph

    def slow(asking: Any, saver: Any) -> Any:
        time.sleep(0.8)
        return plain(asking, saver)

    impatient = OpenAI(
        base_url=f"{careful.url}/v1", api_key=careful.tokens["ada"], max_retries=6, timeout=0.5
    )
    said: list[Any] = [{"role": "user", "content": NOTE.format("D1")}]
    answer, _ = asked(impatient.with_options(timeout=60), said)
    monkeypatch.setattr(agent, "_graph", slow)
    asked(impatient, go_on(said, answer, "yes"))
    assert notes(careful, "ada", "D1") == 1


def test_what_nobody_waits_for_any_more_is_ended(careful: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from nereus.api.openai import again

    monkeypatch.setattr(again, "GRACE_S", 0.2)
    monkeypatch.setattr(again, "_LOOK_S", 0.1)
    ended = threading.Event()

    async def for_ever(asking: Any) -> Any:
        try:
            yield agent.Doing("waiting")
            await asyncio.sleep(60)
        finally:
            ended.set()

    monkeypatch.setattr("nereus.api.openai.completions.turn", for_ever)
    client = OpenAI(base_url=f"{careful.url}/v1", api_key=careful.tokens["ada"], max_retries=0, timeout=0.5)
    with pytest.raises(openai.APITimeoutError):
        asked(client, [{"role": "user", "content": "help"}])
    assert ended.wait(10)


def test_a_client_that_gave_up_and_asks_again_gets_the_answer_that_was_on_its_way(
    careful: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenAI's client asks three times by itself; what it asked for is done once."""
    turns: list[str] = []
    plain = agent._graph
    let_go = threading.Event()

    def slow(asking: Any, saver: Any) -> Any:
        turns.append(asking.messages[-1].text)
        assert let_go.wait(30)
        return plain(asking, saver)

    monkeypatch.setattr(agent, "_graph", slow)
    client = OpenAI(base_url=f"{careful.url}/v1", api_key=careful.tokens["ada"], max_retries=4, timeout=0.5)
    threading.Timer(1.2, let_go.set).start()
    made = client.chat.completions.create(
        model="nereus-rules", messages=[{"role": "user", "content": "help"}]
    )
    assert made.choices[0].message.content
    assert turns == ["help"]
    patient = client.with_options(timeout=30, max_retries=0)
    patient.chat.completions.create(model="nereus-rules", messages=[{"role": "user", "content": "help"}])
    assert turns == ["help", "help"], "who asks the same anew is answered anew"


def test_a_timeout_is_the_client_s_own_exception_and_the_server_goes_on(
    careful: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = agent._graph

    def slow(asking: Any, saver: Any) -> Any:
        time.sleep(1)
        return plain(asking, saver)

    monkeypatch.setattr(agent, "_graph", slow)
    client = OpenAI(base_url=f"{careful.url}/v1", api_key=careful.tokens["ada"], max_retries=0, timeout=0.3)
    for stream in (False, True):
        with pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(
                model="nereus-rules", messages=[{"role": "user", "content": "help"}], stream=stream
            )
    assert httpx.get(f"{careful.url}/healthz").status_code == 200


def test_a_stream_begins_before_a_slow_answer(careful: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from nereus.api.openai import completions

    monkeypatch.setattr(completions, "STATUS_S", 0.1)
    plain = agent._graph

    def slow(asking: Any, saver: Any) -> Any:
        time.sleep(1.5)
        return plain(asking, saver)

    monkeypatch.setattr(agent, "_graph", slow)
    client = OpenAI(base_url=f"{careful.url}/v1", api_key=careful.tokens["ada"], max_retries=0, timeout=1.2)
    began = time.monotonic()
    stream = client.chat.completions.create(
        model="nereus-rules", messages=[{"role": "user", "content": "help"}], stream=True
    )
    first = next(iter(stream))
    assert time.monotonic() - began < 1
    assert first.choices[0].delta.role == "assistant"
    stream.close()


def test_an_answer_stops_where_the_client_says(careful: Served) -> None:
    client = OpenAI(base_url=f"{careful.url}/v1", api_key=careful.tokens["ada"], max_retries=0)
    said: list[Any] = [{"role": "user", "content": "help"}]
    whole, _ = asked(client, said)
    word = whole.split()[5]
    cut, _ = asked(client, said, stop=["§§", word])
    assert cut == whole[: whole.index(word)]
    parts = client.chat.completions.create(model="nereus-rules", messages=said, stop=word, stream=True)
    assert "".join(one.choices[0].delta.content or "" for one in parts if one.choices) == cut


def test_on_loopback_any_key_will_do_but_a_token_must_be_one(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients of OpenAI's interface cannot be made without a key."""
    home = tmp_path_factory.mktemp("open")
    monkeypatch.chdir(home)
    for served in serve(load_settings(home=home / "home")):
        for key in ("none", "sk-1234", "EMPTY"):
            assert list(OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0).models.list())
        with pytest.raises(openai.AuthenticationError):
            OpenAI(base_url=f"{served.url}/v1", api_key="nrs_revoked", max_retries=0).models.list()
        mine = OpenAI(base_url=f"{served.url}/v1", api_key=served.tokens["ada"], max_retries=0)
        assert list(mine.models.list())
