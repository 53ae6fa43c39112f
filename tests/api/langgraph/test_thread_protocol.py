"""The SDK's `threads.stream`, unmodified, async and sync: runs, messages, states, questions, and clients that were cut off."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client, get_sync_client

from tests.api.conftest import Server
from tests.api.langgraph.conftest import say, texts

ALL = ["values", "updates", "messages", "tools", "lifecycle", "input", "checkpoints", "tasks", "custom"]


def events(server: Server, thread: str, **wanted: Any) -> list[dict[str, Any]]:
    """Events of a thread up to the end of a run, read as any client would."""
    found = []
    body = {"channels": ALL, **wanted}
    with httpx.stream(
        "POST", f"{server.url}/threads/{thread}/stream/events", json=body, timeout=30
    ) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if line.startswith("data:"):
                found.append(json.loads(line.removeprefix("data:")))
                data = found[-1]["params"]["data"]
                if found[-1]["method"] == "lifecycle" and data["event"] not in ("started", "running"):
                    break
    return found


def test_a_session_is_followed_from_its_first_word_to_its_state(toy: Server) -> None:
    async def main() -> None:
        client = get_client(url=toy.url, api_key=None)
        async with client.threads.stream(assistant_id="toy") as thread:
            begun = await thread.run.start(input=say("hello"), metadata={"a": 1})
            assert begun["run_id"]
            messages = [one async for one in thread.messages]
            assert str(await messages[-1].text) == "you said hello"
            assert texts(await thread.output)[-1] == "you said hello"
        async with client.threads.stream(thread.thread_id, assistant_id="toy") as second:
            again = await second.run.start(input=say("more"))
            assert again["run_id"] != begun["run_id"]
            states = [one async for one in second.values]
            assert texts(states[-1])[-1] == "you said more"
            assert texts(await second.output) == ["hello", "you said hello", "more", "you said more"]
        run = await client.runs.get(thread.thread_id, begun["run_id"])
        assert (run["metadata"] or {})["a"] == 1

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_question_is_told_and_answered(toy: Server) -> None:
    async def main() -> None:
        client = get_client(url=toy.url, api_key=None)
        async with client.threads.stream(assistant_id="toy") as thread:
            await thread.run.start(input=say("ask me"))
            async for _ in thread.values:
                continue
            for _ in range(100):
                if thread.interrupted:
                    break
                await asyncio.sleep(0.05)
            (asked,) = thread.interrupts
            assert asked["value"][0]["action_request"]["action"] == "spend"
            with pytest.raises(RuntimeError, match="does not match"):
                await thread.run.respond([{"type": "accept"}], interrupt_id="another")
            await thread.run.respond([{"type": "accept"}])
            assert texts(await thread.output)[-1] == "answered accept"

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_run_that_fails_fails_for_the_client(toy: Server) -> None:
    async def main() -> None:
        client = get_client(url=toy.url, api_key=None)
        async with client.threads.stream(assistant_id="toy") as thread:
            await thread.run.start(input=say("boom"))
            with pytest.raises(RuntimeError, match="boom"):
                await thread.output
        async with client.threads.stream(assistant_id="none") as thread:
            with pytest.raises(RuntimeError, match="there is no assistant"):
                await thread.run.start(input=say("x"))

    asyncio.run(asyncio.wait_for(main(), 60))


def test_the_sync_client_does_the_same(toy: Server) -> None:
    with get_sync_client(url=toy.url, api_key=None) as client:  # noqa: SIM117
        with client.threads.stream(assistant_id="toy") as thread:
            thread.run.start(input=say("hello"))
            assert texts(thread.output)[-1] == "you said hello"


def test_who_was_cut_off_anywhere_gets_the_rest_once_and_in_order(toy: Server) -> None:
    thread = str(uuid.uuid4())
    with httpx.Client(base_url=toy.url, timeout=30) as client:
        command = {"id": 7, "method": "run.start", "params": {"assistant_id": "toy", "input": say("many")}}
        told = client.post(f"/threads/{thread}/commands", json=command).json()
        assert (told["type"], told["id"]) == ("success", 7)
        client.get(f"/threads/{thread}/runs/{told['result']['run_id']}/join")
    whole = events(toy, thread, since=told["meta"]["applied_through_seq"])
    numbers = [one["seq"] for one in whole]
    assert numbers == sorted(set(numbers))
    assert len({one["event_id"] for one in whole}) == len(whole)
    assert [one["params"]["data"]["event"] for one in whole if one["method"] == "lifecycle"] == [
        "started",
        "completed",
    ]
    for cut in range(0, len(whole) - 1, max(1, len(whole) // 12)):
        assert events(toy, thread, since=whole[cut]["seq"]) == whole[cut + 1 :]
    pieces = [one["params"]["data"] for one in whole if one["method"] == "messages"]
    text = "".join(one["delta"]["text"] for one in pieces if one["event"] == "content-block-delta")
    assert text.endswith("you said many")
    only = events(toy, thread, channels=["custom:progress", "lifecycle"], since=0)
    assert [one["method"] for one in only] == ["lifecycle", "custom", "lifecycle"]


def test_commands_that_cannot_be_done_are_told_in_the_answer(toy: Server) -> None:
    with httpx.Client(base_url=toy.url, timeout=30) as client:
        thread = client.post("/threads", json={}).json()["thread_id"]
        for method, params, code in (
            ("run.start", {}, "invalid_argument"),
            ("run.start", {"assistant_id": "none"}, "invalid_argument"),
            ("run.start", {"assistant_id": "toy", "config": {"recursion_limit": 0}}, "invalid_argument"),
            ("input.respond", {}, "invalid_argument"),
            ("input.respond", {"interrupt_id": "x", "response": 1}, "no_such_interrupt"),
            ("subscription.subscribe", {}, "not_supported"),
            ("dance", {}, "unknown_command"),
        ):
            told = client.post(
                f"/threads/{thread}/commands", json={"id": 1, "method": method, "params": params}
            ).json()
            assert (told["type"], told["error"]) == ("error", code), told
            assert told["message"]
        wrong: list[Any] = [{}, {"id": 1}, {"id": -1, "method": "run.start"}, []]
        for body in wrong:
            assert client.post(f"/threads/{thread}/commands", json=body).status_code == 422
        wrong = [{}, {"channels": []}, {"channels": ["values"], "since": -1}]
        for body in wrong:
            assert client.post(f"/threads/{thread}/stream/events", json=body).status_code == 422
        missing = client.post("/threads/none/stream/events", json={"channels": ["values"]})
        assert missing.status_code == 404
