"""Parts of an answer over REST, while a language model writes it: checked words only, and then the whole answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.conftest import served_here
from tests.models.llm.stub import Answer, Stub, stub

WORDS = "Nereus reads a table 🧪 and tests it. It questions its own results, and says **what** it rests on. "
INVENTED = "It rises 3.7 fold in all of them. So there. "
CHECKED = "Nothing was computed yet."


def scripted(asked: dict[str, Any], before: int) -> Answer:
    """Invents a number where the question wants one, and mends it when it is told so."""
    said = json.dumps(asked["messages"][-1]["content"])
    text = CHECKED if "cannot be shown" in said else WORDS + (INVENTED + WORDS if "invent" in said else WORDS)
    pieces = [{"content": f"{word} "} for word in text.split()]
    return Answer(pieces=pieces, pause_s=0.02)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Stub]:
    with stub(scripted) as found:
        yield found


@pytest.fixture(scope="module")
def client(endpoint: Stub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    home = tmp_path_factory.mktemp("parts")
    with (
        served_here(home, llm_base_url=endpoint.url, llm_model="m", llm_api_key="k") as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


def streamed(client: httpx.Client, text: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What came of an answer while it was written, and the answer."""
    thread = client.post("/api/threads", json={}).json()["id"]
    events = []
    accept = {"accept": "text/event-stream"}
    with client.stream(
        "POST", f"/api/threads/{thread}/messages", json={"text": text}, headers=accept
    ) as answer:
        for line in answer.iter_lines():
            if line.startswith("data:"):
                events.append(json.loads(line[5:]))
    assert events[-1]["type"] == "end"
    kept = client.get(f"/api/threads/{thread}/messages").json()
    assert "answer_part" not in [one["type"] for one in kept]
    assert kept == [one for one in events if one["type"] != "answer_part"]
    whole = next(one for one in events if one["type"] == "message" and one["payload"]["role"] == "ai")
    assert events.index(whole) == max(
        place for place, one in enumerate(events) if one["type"] in ("message", "answer_part")
    )
    return [one["payload"] for one in events if one["type"] == "answer_part"], whole["payload"]


def test_parts_grow_into_the_answer_that_follows_under_their_id(client: httpx.Client) -> None:
    parts, whole = streamed(client, "what is this?")
    assert len(parts) > 8
    assert {one["id"] for one in parts} == {whole["id"]}
    text = ""
    for one in parts:
        assert one["start"] == len(text)  # characters: a sign beyond the first plane counts once
        text += one["text"]
        assert whole["content"].startswith(text)
    assert len(text) > 0.8 * len(whole["content"])


def test_a_number_without_evidence_is_in_no_part(client: httpx.Client) -> None:
    parts, whole = streamed(client, "invent a number")
    assert whole["content"] == CHECKED
    refused = [one for one in parts if one["id"] != whole["id"]]
    seen = "".join(one["text"] for one in refused)
    assert seen.startswith(WORDS.split(".")[0])
    assert "taken back" in seen
    assert "3" not in seen
    assert "So there" not in seen
