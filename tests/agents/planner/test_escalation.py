"""Uncertain and failing workflows go to the reasoner; certain ones run as they always did."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import nereus
from nereus.agents.planner import objective_graph
from nereus.agents.planner.escalation import EVEN, SIMULATIONS, doubt
from nereus.agents.planner.learning import Experience
from nereus.agents.policies.base import DecisionContext, DecisionKind, Verdict, WorkflowDraft
from nereus.agents.policies.rules import RulesPolicy
from nereus.memory.database import Database
from nereus.memory.priors import Priors, Usual
from nereus.memory.records import ObjectiveKind, PlannedStep, Workflow
from nereus.memory.trees import Trees
from tests.agents.conftest import start

PLAN = Workflow(
    id="O1.W1",
    objective_id="O1",
    template=None,
    steps=(PlannedStep(id="O1.W1.S1", tool="differential_abundance", purpose="test"),),
)


def known(exceptions: int, data_sets: int = 8) -> Experience:
    row = Usual(
        data_kind="protein", question="differential", decision="assess_step", tool="differential_abundance",
        data_sets=data_sets, exceptions=exceptions,
    )  # fmt: skip
    return Experience(Priors(usual=(row,)))


@pytest.mark.parametrize(
    ("template", "experience", "number", "attempt", "acceptance"),
    [
        ("differential", Experience(), 1, 1, 1.0),
        ("differential", known(8), 1, 1, 1.0),  # what nothing speaks against here runs as it always did
        (None, Experience(), 1, 1, EVEN),
        (None, known(0), 1, 1, 0.9),
        (None, known(4), 1, 1, 0.5),
        (None, known(0, data_sets=2), 1, 1, EVEN),  # two data sets teach nothing
        ("differential", known(0), 2, 1, EVEN),
        ("differential", known(0), 1, 2, EVEN),
    ],
)
def test_acceptance_is_predicted(
    template: str | None, experience: Experience, number: int, attempt: int, acceptance: float
) -> None:
    plan = PLAN.model_copy(update={"template": template})
    found = doubt(plan, experience, "protein", "differential", number=number, attempt=attempt)
    assert found.acceptance == pytest.approx(acceptance)
    assert found.uncertain == (acceptance < 0.8)
    assert bool(found.reason) == (acceptance < 1)


@pytest.mark.parametrize(
    ("on", "template", "number", "attempt", "version", "looked_at", "asked"),
    [
        (True, "differential", 1, 1, 1, None, ""),
        (True, None, 1, 1, 1, None, "no template stands behind it"),
        (True, "differential", 1, 2, 1, None, "the plan before it was refused by the check"),
        (True, "differential", 2, 1, 1, None, "the workflow before it did not answer the question"),
        (True, None, 1, 1, 1, "O1.W1", ""),  # once
        (True, None, 1, 1, 2, None, ""),  # what was refined while it ran is not planned anew
        (False, None, 2, 2, 1, None, ""),
    ],
)
def test_the_reasoner_is_asked_exactly_when_the_page_says(
    monkeypatch: pytest.MonkeyPatch,
    on: bool,
    template: str | None,
    number: int,
    attempt: int,
    version: int,
    looked_at: str | None,
    asked: str,
) -> None:
    plan = PLAN.model_copy(update={"template": template, "version": version})
    monkeypatch.setattr(objective_graph, "check_workflow", lambda *_: [])
    services = SimpleNamespace(
        reason=on,
        experience=Experience(),
        approval="never",
        run_id="r",
        repository=SimpleNamespace(save_workflow=lambda *_: None),
        emit=lambda *_, **__: None,
        profile=lambda *_: SimpleNamespace(values={"data_kind": "protein"}),
        parsed=SimpleNamespace(
            workflow=Workflow.model_validate,
            objective=lambda _: SimpleNamespace(kind=ObjectiveKind.DIFFERENTIAL),
        ),
    )
    state: Any = {
        "workflow": plan.model_dump(mode="json"), "run_calls": {}, "run_outputs": {}, "workflow_number": number,
        "plan_attempts": attempt, "objective": {}, "steps_left": 10, "reasoned": looked_at,
    }  # fmt: skip
    made = objective_graph.check(state, SimpleNamespace(context=services))  # type: ignore[arg-type]
    assert made["route"] == ("reason" if asked else "fill")
    assert made.get("reason", "") == asked


class Careless(RulesPolicy):
    """The rules, but comparisons come without a template and adjust for nothing."""

    id = "careless"

    def decide(self, kind: DecisionKind, context: DecisionContext, *, seed: int) -> Verdict:
        verdict = super().decide(kind, context, seed=seed)
        asked = context.objective
        if (
            kind is not DecisionKind.PLAN_WORKFLOW
            or asked is None
            or asked.kind is not ObjectiveKind.DIFFERENTIAL
        ):
            return verdict
        draft = verdict.payload
        assert isinstance(draft, WorkflowDraft)
        steps = []
        for step in draft.steps:
            params: dict[str, Any] = dict(step.params)
            if "contrast" in params:
                params["contrast"] = {**params["contrast"], "covariates": []}
            steps.append(step.model_copy(update={"params": params}))
        return verdict.model_copy(
            update={"payload": draft.model_copy(update={"template": None, "steps": tuple(steps)})}
        )


def reasoned_events(run: nereus.Run, home: Path) -> list[dict[str, Any]]:
    from nereus.memory.events import EventStream

    database = Database(f"sqlite:///{home / 'nereus.sqlite'}")
    try:
        found = [
            one.payload
            for one in EventStream(database).read(run.record.header.id)
            if one.type == "plan_reasoned"
        ]
        trees = Trees(database).find(run.record.header.id)
        assert len(trees) == len(found)
        assert all(0 < tree.simulations <= SIMULATIONS for tree in trees)
        return found
    finally:
        database.close()


def test_a_certain_plan_is_not_reasoned_about(by_rules: nereus.Run, home: Path) -> None:
    assert reasoned_events(by_rules, home) == []


def test_an_uncertain_plan_is_compared_with_others_before_it_runs(
    data: tuple[Path, Path], home: Path, by_rules: nereus.Run
) -> None:
    run = start(data, home, "careless", policy=Careless())
    found = reasoned_events(run, home)
    assert len(found) == 1
    assert found[0]["design"] == "compare plainly"
    assert found[0]["reason"] == "no template stands behind it"
    used = [
        call.spec.params["contrast"]["covariates"]
        for call in run.record.calls.values()
        if call.spec.tool == "differential_abundance" and call.spec.params["contrast"]["factor"]
    ]
    chosen = str(found[0]["chosen"])
    expected = [chosen.removeprefix("adjust for ")] if chosen.startswith("adjust for ") else []
    assert expected in [list(one) for one in used]
    told = any("the reasoner changed its design" in notice for notice in run.record.notices)
    assert told == (chosen != "compare plainly")


def test_it_can_be_switched_off(
    data: tuple[Path, Path], home: Path, by_rules: nereus.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEREUS_REASON", "false")
    run = start(data, home, "unreasoned", policy=Careless())
    assert reasoned_events(run, home) == []
