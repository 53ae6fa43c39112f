"""LangGraph's own suite for checkpointers, on ours: every group, those that are optional too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nereus.memory.checkpoints import open_checkpoints

pytest.importorskip("langgraph.checkpoint.conformance")


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'checkpoints.sqlite'}"
    return str(request.getfixturevalue("postgres"))


def test_our_savers_do_all_that_the_suite_asks(address: str) -> None:
    from langgraph.checkpoint.conformance import checkpointer_test, validate
    from langgraph.checkpoint.conformance.capabilities import Capability

    @checkpointer_test(name="ours")
    async def ours() -> AsyncIterator[Any]:
        with open_checkpoints(address) as saver:
            yield saver

    report = asyncio.run(validate(ours))
    failures = {name: one.failures for name, one in report.results.items() if one.failures}
    assert not failures
    assert {name for name, one in report.results.items() if one.passed} == {one.value for one in Capability}
    assert report.conformance_level() == "FULL"
    assert all(one.tests_passed >= 5 for one in report.results.values())


def test_a_way_to_prune_that_is_none_is_refused(address: str) -> None:
    with open_checkpoints(address) as saver, pytest.raises(ValueError, match="prune"):
        saver.prune(["t"], strategy="everything")
