"""Pruning after real runs: the kept one is whole and can be gone on with, a removed one can be made again."""

from __future__ import annotations

from pathlib import Path

import pytest

import nereus
from benchmarks.kill_and_resume import outputs, small_data
from nereus.agents.planner.run import load_run
from nereus.errors import StoreError
from nereus.memory.records import Event
from nereus.memory.retention import prune
from nereus.settings import load_settings
from tests.test_discover import SMALL

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest) -> dict[str, str]:
    return {} if request.param == "sqlite" else {"database_url": str(request.getfixturevalue("postgres"))}


def test_the_kept_run_is_whole_and_the_other_can_be_made_again(
    server: dict[str, str], tmp_path: Path
) -> None:
    data, home = small_data(tmp_path), tmp_path / "home"
    settings = load_settings(home=home, **server)
    refused: list[str] = []

    def during(event: Event) -> None:
        if event.seq == 20:
            with pytest.raises(StoreError, match="being worked on") as caught:
                prune(settings, keep=0)
            refused.append(caught.value.what)

    def discover(seed: int, name: str) -> nereus.Run:
        return nereus.discover(
            *data, out=tmp_path / name, home=home, seed=seed, budget=SMALL, on_event=during, **server
        )

    first, second = discover(1, "first"), discover(2, "second")
    assert len(refused) == 2
    before = outputs(tmp_path / "first")
    done = prune(settings, keep=1)
    assert [one.id for one in done.runs] == [first.id]
    assert done.objects > 5
    assert done.object_bytes > 10_000

    kept = load_run(second.id, home=home, **server)
    assert kept.record == second.record
    for call in kept.record.calls.values():
        for ref in call.outputs.values():
            assert kept.artifacts.path(ref).stat().st_size == ref.size
    for ref in kept.record.header.inputs.values():
        assert kept.artifacts.has(ref)
    assert kept.claims.equals(second.claims)
    assert outputs(tmp_path / "first") == before, "its report stays"
    report = (tmp_path / "second" / "hypotheses.json").read_bytes()
    assert nereus.resume(second.id, home=home, **server).record.hypotheses == second.record.hypotheses
    assert (tmp_path / "second" / "hypotheses.json").read_bytes() == report

    made_again = discover(1, "again")
    assert made_again.id == first.id, "the id of a forgotten run is free"
    assert outputs(tmp_path / "again") == before
