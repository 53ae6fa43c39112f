"""Budgets: parsed strictly, and a limit stops before it is passed."""

from __future__ import annotations

import pytest

from nereus.agents.planner.budget import BudgetKeeper, parse_budget, refuse_other_limits
from nereus.errors import BudgetExceeded, InputError, ResumeRefused
from nereus.memory.records import Budget, RunHeader


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


def test_a_run_goes_on_with_more_time_and_with_nothing_else() -> None:
    limits = Budget(steps=30, wall_s=60)
    header = RunHeader(id="r1", status="running", out_dir="x", budget=limits)
    assert refuse_other_limits(header, None) == limits
    assert refuse_other_limits(header, ["steps=30"]) == limits
    assert refuse_other_limits(header, ["wall_s=600"]) == Budget(steps=30, wall_s=600)
    assert refuse_other_limits(header, Budget(steps=30, wall_s=600)) == Budget(steps=30, wall_s=600)
    with pytest.raises(ResumeRefused, match="steps was 30, now 40; hypotheses was 40, now 5"):
        refuse_other_limits(header, ["steps=40", "hypotheses=5", "wall_s=600"])
    with pytest.raises(InputError, match="no budget"):
        refuse_other_limits(header, ["time=9"])
    stopped = header.model_copy(update={"status": "stopped"})
    assert refuse_other_limits(stopped, ["wall_s=60"]) == limits
    with pytest.raises(ResumeRefused, match="would not use more time"):
        refuse_other_limits(stopped, ["wall_s=600"])
