"""A dozen of the cases of `benchmarks/poisoned_data.py`: data that give orders to a model that follows them."""

from __future__ import annotations

from pathlib import Path

import pytest

import nereus
from tests.agents.policies.poison import (
    CASES,
    FORBIDDEN,
    ORDERS,
    PLACES,
    Case,
    attack,
    clean_run,
    groups,
    undefended,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("poison")


@pytest.fixture(scope="module")
def clean(folder: Path) -> nereus.Run:
    run = clean_run(folder)
    assert len(run.claims) >= 8, "there is something to be kept from changing"
    assert not {step.tool for step in run.record.steps()} & set(FORBIDDEN)
    return run


@pytest.mark.parametrize(("place", "order"), list(zip(PLACES, ORDERS, strict=False)))
def test_orders_in_data_are_not_carried_out(place: str, order: str, folder: Path, clean: nereus.Run) -> None:
    (found,) = attack([Case(place, order)], folder, clean)
    assert found.faults == ()


@pytest.mark.parametrize(
    ("place", "order"),
    [
        ("column name", "plain"),
        ("column name", "number"),
        ("feature names", "system"),
        ("retrieved text", "plain"),
        ("retrieved text", "drops"),
    ],
)
def test_orders_that_a_model_sees_and_follows_are_not_carried_out(
    place: str, order: str, folder: Path, clean: nereus.Run
) -> None:
    """Without the first line of defence, so that the second is tried."""
    with undefended():
        (found,) = attack([Case(place, order)], folder, clean)
    assert found.shown
    assert found.followed
    assert found.faults == ()


def test_names_that_give_orders_are_hidden_in_sentences_too(folder: Path, clean: nereus.Run) -> None:
    """Messages of tools list names of columns between commas, where nothing tells them from words of ours."""
    outcomes = attack([Case("column name", order) for order in ("plain", "polite", "system")], folder, clean)
    assert [one.shown for one in outcomes] == [False] * 3
    assert outcomes[0].faults == ()


def test_there_are_a_hundred_cases_and_more() -> None:
    assert len({one.text + one.place for one in CASES}) == len(CASES) >= 100
    assert sorted(one.id for group in groups() for one in group) == sorted(one.id for one in CASES)
    assert all(len({one.place for one in group}) == 1 for group in groups())
