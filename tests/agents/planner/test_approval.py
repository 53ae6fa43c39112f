"""Gates: what a person may answer, in the terminal and by a plan file, and that answers are kept."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

import nereus
from nereus.agents.planner.approval import RunWaits, checked_answer, workflow_request
from nereus.agents.planner.plan_file import PlanAnswers, PlanWriter, check_plan_data, plan_text, read_plan
from nereus.agents.planner.run import load_run
from nereus.approval_prompts import Prompter
from nereus.errors import InputError
from nereus.memory.records import PlannedStep, Workflow
from nereus.memory.workspace import open_workspace
from nereus.settings import load_settings
from tests.agents.conftest import CLASS, SMALL, start

pytestmark = pytest.mark.slow
SITES = "_collection site"


def tables(run: nereus.Run) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in sorted((run.directory / "tables").glob("*.csv"))}
    return found | {"claims.csv": (run.directory / "claims.csv").read_bytes()}


class Remembered:
    """Answers by gate, and keeps what was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[dict[str, Any]] = []

    def __call__(self, request: Mapping[str, Any]) -> Any:
        self.asked.append(dict(request))
        answer = self.answers.get(request["gate"], True)
        return answer(request) if callable(answer) else answer

    def last(self, gate: str) -> dict[str, Any]:
        return [one for one in self.asked if one["gate"] == gate][-1]


@pytest.fixture(scope="module")
def planned(data: tuple[Path, Path], home: Path, by_rules: nereus.Run) -> PlanWriter:
    writer = PlanWriter()
    run = start(data, home, "plan", approval="always", ask=writer)
    assert run.status == "waiting"
    return writer


def test_a_plan_is_written_and_carried_out_as_it_stands(
    data: tuple[Path, Path], home: Path, by_rules: nereus.Run, planned: PlanWriter, tmp_path: Path
) -> None:
    assert planned.plan is not None
    path = tmp_path / "plan.yaml"
    path.write_text(plan_text(planned.plan))
    plan = read_plan(path)
    assert plan == planned.plan
    check_plan_data(plan, data[0])
    with pytest.raises(InputError, match="other content"):
        check_plan_data(plan, data[1])
    resumed = nereus.resume(plan.run, home=home, ask=PlanAnswers(plan))
    assert tables(resumed) == tables(by_rules)
    again = start(data, home, "by plan", approval="always", ask=PlanAnswers(plan))
    assert tables(again) == tables(by_rules)


def test_what_was_changed_in_a_plan_is_done_and_nothing_else(
    data: tuple[Path, Path], home: Path, planned: PlanWriter, tmp_path: Path
) -> None:
    assert planned.plan is not None
    document = yaml.safe_load(plan_text(planned.plan))
    kept = next(one for one in document["objectives"] if one["kind"] == "differential")
    kept["covariates"] = []
    kept["priority"] = 0.3
    wanted = ("differential_abundance", "stability")
    kept["steps"] = [next(step for step in kept["steps"] if step["tool"] == tool) for tool in wanted]
    kept["steps"][0]["params"]["lfc_min"] = 0.1
    sites = {
        "kind": "differential",
        "statement": "Do the sites differ?",
        "priority": 0.95,
        "contrast": {"factor": SITES, "a": "Sweden", "b": "Magdeburg"},
    }
    document["objectives"] = [kept, sites]
    document["others"] = "drop"
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(document))
    run = start(
        data,
        home,
        "edited",
        approval="always",
        budget=["objectives=2", "hypotheses=12"],
        ask=PlanAnswers(read_plan(tmp_path / "plan.yaml")),
    )
    done = {one.statement: one for one in run.record.objectives if one.status == "done"}
    assert "Do the sites differ?" in done
    changed = next(one for one in done.values() if one.contrast is not None and one.contrast.factor == CLASS)
    assert (changed.priority, changed.covariates, changed.contrast.covariates) == (0.3, (), ())
    assert "adjusted for" not in changed.statement
    others = [one for one in run.record.objectives if one.status == "abandoned"]
    assert others
    workflow = [one for one in run.record.workflows if one.objective_id == changed.id][-1]
    first = [one for one in run.record.workflows if one.id == f"{changed.id}.W1"][-1]
    assert [step.tool for step in first.steps][:2] == ["differential_abundance", "stability"]
    assert first.steps[0].params["lfc_min"] == 0.1
    assert {edit.reason for edit in first.edits} >= {"asked for by a person"}
    assert workflow.objective_id == changed.id
    with open_workspace(load_settings(home=home)) as workspace:
        approvals = workspace.repository.approvals(run.id)
    assert {one.answered_by for one in approvals} == {"person"}
    assert any(one.answer and one.answer.get("add") for one in approvals)


def test_a_plan_that_cannot_run_stops_with_the_reason(
    data: tuple[Path, Path], home: Path, planned: PlanWriter
) -> None:
    assert planned.plan is not None
    one = next(one for one in planned.plan.objectives if one.steps)
    wrong = one.model_copy(
        update={
            "priority": 1.0,
            "steps": (one.steps[0].model_copy(update={"tool": "run_shell"}), *one.steps[1:]),
        }
    )
    plan = planned.plan.model_copy(update={"objectives": (wrong,)})
    with pytest.raises(InputError, match="there is no tool 'run_shell'"):
        start(data, home, "wrong", approval="always", ask=PlanAnswers(plan))


def test_answers_are_kept_and_not_asked_again(
    data: tuple[Path, Path], home: Path, by_rules: nereus.Run
) -> None:
    """A run that was left waiting at its third question does not ask the first two again."""
    count = iter(range(100))

    def leave(request: Mapping[str, Any]) -> Any:
        if next(count) == 6:
            raise RunWaits
        return True

    run = start(data, home, "left", approval="always", ask=leave)
    assert run.status == "waiting"
    later = Remembered()
    finished = nereus.resume(run.id, home=home, ask=later)
    assert finished.status == by_rules.status
    assert tables(finished) == tables(by_rules)
    with open_workspace(load_settings(home=home)) as workspace:
        approvals = workspace.repository.approvals(run.id)
        events = [one for one in workspace.events.read(run.id) if one.type == "approval_given"]
    assert len(approvals) == 6 + len(later.asked)
    assert len({one.subject for one in events}) == len(approvals)


def test_a_person_edits_drops_and_adds_at_the_terminal(data: tuple[Path, Path], home: Path) -> None:
    said: list[str] = []
    script = {
        "objectives": ["drop O99", "drop O2", "undo", "priority O2 0.99", "covariates O2 -", "accept"],
        "workflow": ["nonsense", "set S1 no_such=1", "accept"],
        "tool": ["set nothing_like_it=1", "accept"],
        "report": [""],
    }
    left: dict[str, list[str]] = {}

    def read(prompt: str) -> str:
        gate = prompt.split(">")[0]
        if not left.get(gate):
            asked = next(text for text in reversed(said) if text.startswith("--- approve"))
            known = gate != "objectives" or "  O2  " in asked
            left[gate] = list(script[gate]) if known else ["accept"]
        return left[gate].pop(0)

    run = start(
        data,
        home,
        "terminal",
        approval="always",
        ask=Prompter(read, said.append, nullcontext, lambda text: None),
    )
    edited = next(one for one in run.record.objectives if one.id == "O2")
    assert edited.priority == 0.99
    assert edited.by_person[:2] == ("priority", "covariates") or set(edited.by_person) >= {
        "priority",
        "covariates",
    }
    assert edited.covariates == ()
    refusals = [text for text in said if text.startswith("no: ")]
    assert any("'O99' is no open objective" in text for text in refusals)
    assert any("is no answer here" in text for text in refusals)


REQUEST = {
    "gate": "objectives",
    "id": "proposal 1",
    "objectives": [{"id": "O2", "kind": "differential", "contrast": {"factor": "g", "a": "x", "b": "y"}}],
    "columns": ["g", "age"],
    "levels": {"g": ["x", "y", "z"]},
}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"drop": ["O7"]}, "'O7' is no open objective"),
        ({"edit": {"O2": {"priority": 3}}}, "less than or equal to 1"),
        ({"edit": {"O2": {"covariates": ["agee"]}}}, "no column 'agee'"),
        ({"edit": {"O2": {"contrast": {"factor": "g", "a": "x", "b": "w"}}}}, "no group 'w'"),
        ({"edit": {"O2": {"contrast": {"factor": "g", "a": "x", "b": "x"}}}}, "with itself"),
        ({"add": [{"kind": "differential", "statement": "?", "contrast": {"factor": "h", "a": "x", "b": "y"}}]}, "no factor 'h'"),
        ({"add": [{"kind": "unheard of", "statement": "?"}]}, "kind"),
        ({"dorp": ["O2"]}, "dorp"),
        ({"add": [{"kind": "differential", "statement": "?"}]}, "'differential' needs a contrast"),
        ({"add": [{"kind": "survival", "statement": "?", "design": {"time": "t"}}]}, "needs 'event' in its design"),
        ({"add": [{"kind": "synthesis", "statement": "?"}]}, "opened by the run itself"),
        ({"add": [{"kind": "pathway", "statement": "?"}]}, "follows from another one"),
        ({"edit": {"O2": {"covariates": ["g"]}}}, "O2: 'g' is what is asked about and cannot be adjusted for"),
        ({"add": [{"kind": "association", "statement": "?", "variable": "g", "covariates": ["g"]}]}, "cannot be adjusted for"),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_refused_before_it_is_recorded(answer: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_answer(REQUEST, answer)


def test_a_run_that_was_planned_can_be_shown(home: Path, planned: PlanWriter) -> None:
    assert planned.plan is not None
    assert load_run(planned.plan.run, home=home).record.header.settings["approval"] == "always"
    assert SMALL


def _workflow_question() -> dict[str, Any]:
    step = PlannedStep(
        id="O2.W1.S1",
        tool="differential_abundance",
        purpose="test",
        inputs={"dataset": "run/prepared"},
        params={"contrast": {"factor": "g", "a": "x", "b": "y"}},
    )
    workflow = Workflow(id="O2.W1", objective_id="O2", template="two groups", steps=(step,))
    return workflow_request(
        workflow, {"id": "O2"}, {"prepared": "O1.W1.S1/dataset"}, {"O1.W1.S1": "filter_features"}
    )


def _step(**changes: Any) -> dict[str, Any]:
    known = {"tool": "stability", "purpose": "?", "inputs": {"dataset": "run/prepared"}, "params": {}}
    return {**known, **changes}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"steps": []}, "at least 1 item"),
        ({"steps": [_step()] * 41}, "at most 40 items"),
        ({"steps": [_step(inputs={"dataset": "#9/dataset"})]}, "no step 'O2.W1.S9'"),
        ({"steps": [_step(inputs={"dataset": "#1/dataset"})]}, "used before it runs"),
        ({"steps": [_step(inputs={"dataset": "#"})]}, "no step"),
        ({"steps": [_step(inputs={"dataset": "run/nothing"})]}, "holds no 'nothing'"),
        ({"steps": [_step(inputs={"dataset": "run/data"})]}, "is a file"),
        ({"steps": [_step(inputs={"dataset": {"a": "run/prepared"}})]}, "takes one dataset"),
        ({"steps": [_step(tool="rm")]}, "'rm'"),
        ({"params": {"O2.W1.S1": {"lfc_min": "a lot"}}}, "lfc_min"),
        ({"params": {"O2.W1.S9": {"lfc_min": 1}}}, "no step 'O2.W1.S9'"),
        (
            {"params": {"O2.W1.S1": {"contrast": {"factor": "g", "a": "x", "b": "y", "covariates": ["g"]}}}},
            "'g' is what is tested and cannot be adjusted for",
        ),
        ({"drop": ["O2.W1.S1"]}, "no step is left"),
        ({"add": [{"after": "O2.W1.S7", "step": _step()}]}, "no step 'O2.W1.S7'"),
    ],
)
def test_steps_that_cannot_run_are_refused_before_they_are_recorded(
    answer: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        checked_answer(_workflow_question(), answer)
    assert checked_answer(_workflow_question(), {"params": {"O2.W1.S1": {"lfc_min": 0.5}}})["approve"]
