"""Runs end for those who follow them, at whatever moment somebody wants them to end or takes them for lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from nereus.agents.graphs import GRAPHS
from nereus.api.langgraph.asking import ask
from nereus.api.langgraph.requests import RunBody
from nereus.api.langgraph.service import GraphService, open_graphs
from nereus.api.langgraph.streams import ended
from nereus.api.state import open_state
from nereus.errors import NotFound
from nereus.memory.langgraph.runs import Run
from nereus.memory.langgraph.streamed import StreamedEvents
from nereus.settings import load_settings
from tests.api.langgraph.conftest import say
from tests.api.langgraph.toy_server import toy

SOON_S = 90.0
"""Longer than it takes one who follows to ask again, even on a machine that does much else."""


@pytest.fixture
def graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GraphService]:
    monkeypatch.setitem(GRAPHS, "toy", toy)
    with open_state(load_settings(home=tmp_path)) as state, open_graphs(state) as opened:
        yield opened


def end_of(graphs: GraphService, run: Run) -> str:
    async def wait() -> None:
        async for _ in ended(graphs, run.run_id, run.owner):
            continue

    asyncio.run(asyncio.wait_for(wait(), SOON_S))
    return graphs.kept.runs.get(run.run_id, run.owner).status


@pytest.mark.parametrize("wanted", ["lost", "interrupt"])
def test_nothing_disturbs_an_end_that_is_being_kept(
    graphs: GraphService, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    keep = StreamedEvents.write
    disturbed: list[str] = []

    def keep_and_disturb(self: StreamedEvents, events: list, ends: tuple = ()) -> None:  # type: ignore[type-arg]
        keep(self, events, ends)
        if ends:  # the loop hears of this before it hears that the end is kept
            disturbed.extend(graphs.engine._at_work)
            for run_id in list(graphs.engine._at_work):
                graphs.engine.cancel(run_id, wanted)

    monkeypatch.setattr(StreamedEvents, "write", keep_and_disturb)
    run = ask(graphs, "ada", None, RunBody(assistant_id="toy", input=say("x")))
    assert end_of(graphs, run) == "success"
    assert disturbed == [run.run_id]


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
def test_a_run_that_is_ended_before_its_first_step_ends(graphs: GraphService, action: str) -> None:
    begin = graphs.engine._begin_reserved

    def begin_and_end(run: Run) -> None:
        begin(run)
        graphs.engine._cancel(run.run_id, action)

    graphs.engine._begin_reserved = begin_and_end  # type: ignore[method-assign]
    run = ask(graphs, "ada", None, RunBody(assistant_id="toy", input=say("x"), on_completion="keep"))
    if action == "interrupt":
        assert end_of(graphs, run) == "interrupted"
    else:
        with pytest.raises(NotFound, match="no run"):
            end_of(graphs, run)
