"""The product's own graphs through LangGraph's client: a conversation, a research run, and one that is ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from nereus.agents.graphs import GRAPHS
from tests.api.conftest import Server
from tests.api.langgraph.conftest import ROOT, say

pytestmark = pytest.mark.long

SMALL = ["objectives=1", "steps=14", "hypotheses=6"]


@pytest.fixture
def product(server: Server) -> Iterator[SyncLangGraphClient]:
    with get_sync_client(url=server.url, api_key=None) as made:
        yield made


def test_a_conversation_about_a_file(product: SyncLangGraphClient, dataset: str) -> None:
    thread = product.threads.create(graph_id="chat")["thread_id"]
    about = {"nereus": {"datasets": [dataset]}}
    asked = {"messages": [{"type": "human", "content": "what is in this file?", "additional_kwargs": about}]}
    parts = list(product.runs.stream(thread, "chat", input=asked, stream_mode=["values", "messages-tuple"]))
    final = next(one.data for one in reversed(parts) if one.event == "values")["messages"]
    assert final[0]["content"] == "what is in this file?"
    assert final[-1]["type"] == "ai"
    assert "8" in final[-1]["content"], "eight samples"
    assert {one.event for one in parts} >= {"metadata", "values", "messages", "end"}
    assert product.threads.get(thread)["status"] == "idle"
    told = product.runs.wait(thread, "chat", input=say("what can you do?"))["messages"]
    assert len(told) > len(final)
    assert [one["thread_id"] for one in product.threads.search(metadata={"graph_id": "chat"})] == [thread]


def test_a_research_run_is_followed_to_its_hypotheses(product: SyncLangGraphClient, dataset: str) -> None:
    thread = product.threads.create()["thread_id"]
    asked = {"data": dataset, "question": "what does treatment change?", "budget": SMALL}
    parts = list(product.runs.stream(thread, "research", input=asked, stream_mode=["custom", "values"]))
    events = [one.data["event"] for one in parts if one.event == "custom"]
    assert [one["seq"] for one in events] == list(range(1, len(events) + 1))
    state: Any = product.threads.get_state(thread)["values"]
    assert state["status"] in ("finished", "stopped")
    assert state["hypotheses"]
    assert state["hypotheses"][0]["evidence_ids"]
    assert product.threads.get(thread)["status"] == "idle"


def test_ending_a_research_run_ends_the_work(
    server: Server, product: SyncLangGraphClient, dataset: str
) -> None:
    thread = product.threads.create()["thread_id"]
    run = product.runs.create(thread, "research", input={"data": dataset})["run_id"]
    ends = time.monotonic() + 60
    while "run_id" not in (product.threads.get_state(thread)["values"] or {}):
        assert time.monotonic() < ends
        time.sleep(0.1)
    work = product.threads.get_state(thread)["values"]["run_id"]
    product.runs.cancel(thread, run, wait=True)
    with server.client() as client:
        while client.get(f"/api/runs/{work}").json()["status"] in ("queued", "running"):
            assert time.monotonic() < ends
            time.sleep(0.1)
        assert client.get(f"/api/runs/{work}").json()["status"] == "cancelled"


def test_langgraph_s_own_command_line_finds_the_same_graphs(tmp_path: Path) -> None:
    named = json.loads((ROOT / "langgraph.json").read_text())["graphs"]
    assert list(named) == [name for name in GRAPHS if name != "toy"]
    for name, place in named.items():
        file, _, factory = place.partition(":")
        assert (ROOT / file).is_file()
        module = file.removeprefix("./").removesuffix(".py").replace("/", ".")
        code = f"import asyncio, {module} as m; print(sorted(asyncio.run(m.{factory}()).nodes))"
        environment = {**os.environ, "NEREUS_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert "__start__" in done.stdout, name
