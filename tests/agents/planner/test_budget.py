"""Budgets: parsed strictly, and a limit stops before it is passed."""

from __future__ import annotations

import pytest

from nereus.agents.planner.budget import BudgetKeeper, parse_budget
from nereus.errors import BudgetExceeded, InputError
from nereus.memory.records import Budget


def test_items_change_the_defaults() -> None:
    budget = parse_budget(["steps=5", "wall_s=1.5"])
    assert (budget.steps, budget.wall_s, budget.hypotheses) == (5, 1.5, Budget().hypotheses)


@pytest.mark.parametrize(
    "item",
    [
        "steps",
        "stepps=3",
        "steps=many",
        "steps=0",
        "steps=-1",
        "steps=2",
        "wall_s=0",
        "wall_s=inf",
        "wall_s=nan",
    ],
)
def test_nonsense_is_refused_with_its_name(item: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_budget([item])
    assert caught.value.mend


def test_counts_stop_before_the_limit() -> None:
    keeper = BudgetKeeper(Budget(steps=2))
    keeper.reserve({"steps": 1}, "steps")
    with pytest.raises(BudgetExceeded, match="limit on steps"):
        keeper.reserve({"steps": 2}, "steps")


def test_wall_time_of_earlier_processes_counts() -> None:
    with pytest.raises(BudgetExceeded, match="wall time"):
        BudgetKeeper(Budget(wall_s=10), wall_used_s=9.5).reserve({}, "steps", seconds=1.0)
