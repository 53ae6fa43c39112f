"""Tool planning: planted studies with and without traps, analysed by the fixed template and by the reasoner's plan.

The reasoner sees the data and the sheet, never the truth: it judges plans by effects that it plants itself under
exchanged labels. The truth of the study is read by the scorer alone: the evidence score is the F1 of the features that
a plan calls at a false discovery rate of 5 %, against those that were shifted. Rules that follow the profile (average
repeats, adjust for batches) and random plans with as many steps stand beside it. Whether the order of the search
matters is asked of all plans of a study at once (`orders`).
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reasoning.orders import Plan, orders, table
from benchmarks.reasoning.timing import Clock
from benchmarks.truth.arms import load
from benchmarks.truth.planting import make_study
from benchmarks.truth.planting.recipes import PLANS, plan_of
from benchmarks.truth.planting.study import DATA, SAMPLES, Study
from benchmarks.truth.results import without_nan
from nereus.agents.reasoner.modes import Answer, best_of_n, mcts
from nereus.agents.reasoner.policy import UniformPolicy
from nereus.agents.reasoner.search import SearchOptions
from nereus.agents.reasoner.tasks.tool_plans import TEMPLATE, Comparison, ToolPlan, f1, options
from nereus.memory.artifacts import ArtifactStore
from nereus.tools.steps import MemoryLedger, StepRunner

FIRST = 2010
"""Studies from here on were not looked at while this was built."""
SIMULATIONS = 40
TRAPPED = {"batch": 1, "batch and group": 1, "repeated": 1}
PLAIN = {"plain": 1}
SEARCH = SearchOptions(simulations=SIMULATIONS, root_children=8, children=8, steps="one")


@dataclass
class Case:
    """One study, opened for the reasoner, and its truth for the scorer."""

    plan: str
    trapped: bool
    problem: ToolPlan
    effects: dict[str, int]
    neutral: frozenset[str]

    def score(self, steps: Sequence[str]) -> float:
        """Evidence score of a plan."""
        call, _ = self.problem.carry_out(steps)
        return f1(
            self.problem.runner.artifacts.table(next(iter(call.outputs.values()))), self.effects, self.neutral
        )


def studies(seed: int) -> list[tuple[int, bool]]:
    """Seeds of the planted studies of a seed, and whether they have a trap."""
    names = [name for name, *_ in PLANS]
    return [
        (FIRST + len(PLANS) * (2 * seed + k) + names.index(name), trapped)
        for chosen, trapped in ((TRAPPED, True), (PLAIN, False))
        for name, count in chosen.items()
        for k in range(count)
    ]


def opened(number: int, trapped: bool, data: Path, folder: Path, seed: int) -> Case:
    """Make a study and open it."""
    study = make_study(plan_of(number), data)
    assert isinstance(study, Study)
    work = folder / str(number)
    study.write(work)
    dataset = load(work / DATA, work / SAMPLES)
    runner = StepRunner(ArtifactStore(work / "artifacts"), MemoryLedger(), run_seed=seed)
    ref = runner.artifacts.put_dataset(dataset, "data")
    profile = runner.run("profile_dataset", {}, {"dataset": ref})
    columns = runner.artifacts.table(profile.outputs["columns"])
    comparison = Comparison.profiled(profile, columns, "condition", "treated", "control")
    effects = {one.entity: one.direction for one in study.truth.claims if one.plant == "shift"}
    neutral = frozenset(one.entity for one in study.truth.claims) - set(effects)
    return Case(plan_of(number).name, trapped, ToolPlan(runner, ref, comparison, seed=seed), effects, neutral)


def by_rules(problem: ToolPlan) -> tuple[str, ...]:
    """What the profile demands: repeats averaged, every batch column adjusted for, otherwise the template."""
    known = options(problem.comparison)
    plan = list(TEMPLATE)
    plan[0], plan[3] = known["rows"][-1], known["design"][-1]
    return tuple(plan)


def of_study(number: int, trapped: bool, data: Path, folder: Path, seed: int) -> dict[str, Any]:
    """The row of one study."""
    clock = Clock()
    case = opened(number, trapped, data, folder, seed)
    problem = case.problem
    found = mcts(problem, UniformPolicy(), SEARCH, seed=seed, name=f"study {number}")
    plan = problem.best(found.steps, found.reward)
    drawn = _random(problem, found.calls, seed)
    known = _table(case)
    row = {
        "study": number,
        "plan": case.plan,
        "base": plan_of(number).base,
        "trapped": trapped,
        "seed": seed,
        "template": case.score(TEMPLATE),
        "reasoner": case.score(plan),
        "rules": case.score(by_rules(problem)),
        "random_plans": case.score(problem.best(drawn.steps, drawn.reward)),
        "steps": list(plan),
        "reward": found.reward,
        "calls": found.calls,
        "plans": len(known),
        "orders": orders(problem, known),
    }
    clock(f"{case.plan} {number}: {row['template']:.2f} -> {row['reasoner']:.2f}")
    return row


def _table(case: Case) -> dict[Plan, tuple[float, float]]:
    scored: dict[Plan, float] = {}

    def score(plan: Plan) -> float:
        if plan not in scored:
            scored[plan] = case.score(plan)
        return scored[plan]

    return table(case.problem, score)


def _random(problem: ToolPlan, calls: int, seed: int) -> Answer:
    """The best of as many random plans as the search could have taken with its steps."""
    return best_of_n(problem, UniformPolicy(), max(1, calls // problem.max_depth), seed=seed)


def measured(seed: int, data: Path, scratch: Path) -> dict[str, Any]:
    """All studies of a seed; differences to the template by kind of data. A finished study is kept in `scratch`."""
    warnings.filterwarnings("ignore", category=RuntimeWarning)  # means of features that a group lacks
    rows = []
    for number, trapped in studies(seed):
        kept = scratch / f"tools-{seed}-{number}.json"
        if not kept.exists():
            with tempfile.TemporaryDirectory() as work:
                kept.write_text(json.dumps(without_nan(of_study(number, trapped, data, Path(work), seed))))
        rows.append(json.loads(kept.read_text()))
    return {"studies": rows, **_per_seed(rows)}


def _per_seed(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    arms = [name for name in ("template", "reasoner", "rules", "random_plans") if name in rows[0]]
    for name, trapped in (("trapped", True), ("plain", False)):
        chosen = [row for row in rows if row["trapped"] is trapped]
        made[name] = {arm: float(np.mean([row[arm] for row in chosen])) for arm in arms}
        made[name]["gain"] = made[name]["reasoner"] - made[name]["template"]
        made[name]["gain_over_random_plans"] = made[name]["reasoner"] - made[name]["random_plans"]
        made[name]["orders"] = _mean([row["orders"] for row in chosen])
    return made


def _mean(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means of the same numbers in nested dictionaries."""
    return {
        name: _mean([row[name] for row in rows])
        if isinstance(one, dict)
        else float(np.mean([row[name] for row in rows]))
        for name, one in rows[0].items()
    }
