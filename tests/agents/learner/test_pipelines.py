"""Pipelines as actions: mined of plans that were accepted twice, validated on other data, planned with while nobody objects."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nereus.agents.learner.action_learner import ActionLearner, ActionLibrary
from nereus.agents.learner.background import LOG, learn_later, learn_now
from nereus.agents.learner.pipeline_learning import PipelineAgent, PipelineAuthor, RunTask, plan_hash
from nereus.agents.learner.pipeline_plans import PipelinePlanner
from nereus.agents.learner.pipelines import Planned, mine_pipelines, signature, sources
from nereus.agents.planner import discover as discovering
from nereus.agents.planner.learned_plans import learned_step, note_use, planned_draft
from nereus.agents.policies.base import StepDraft, WorkflowDraft
from nereus.memory.actions import Actions, LearnedAction
from nereus.memory.database import Database
from nereus.memory.records import Contrast, Objective, ObjectiveKind, PlannedStep, Workflow
from nereus.settings import load_settings

ROLES = ("data", "samples")
PROFILE = {"data_kind": "proteins", "organism": "human", "subject_column": None}


def question(number: int, factor: str = "dose") -> Objective:
    contrast = Contrast(factor=factor, a="high", b="low")
    return Objective(id=f"O{number}", kind=ObjectiveKind.DIFFERENTIAL, statement="?", contrast=contrast)


def planned(run: int, factor: str, threshold: float = 0.05, **changes: Any) -> Planned:
    asked = question(2, factor)
    rows = [{"factor": factor, "a": "high", "b": "low"}]
    params = {"contrast": asked.contrast.model_dump(mode="json")} if asked.contrast else {}
    steps = (
        {"tool": "differential_abundance", "purpose": "test", "inputs": {"dataset": "run/prepared"},
         "params": params, "publishes": ""},
        {"tool": "filter_rows", "purpose": f"keep those of {factor}", "inputs": {"table": "#1/table"},
         "params": {"most": threshold}, "publishes": ""},
    )  # fmt: skip
    base = {
        "run_id": f"r{run}",
        "data_id": f"d{run}",
        "objective": asked,
        "template": "two groups",
        "steps": steps,
        "signature": signature(asked, PROFILE, ROLES),
        "sources": sources(asked, PROFILE, rows),
        "names": frozenset({factor, "high", "low"}),
        "accepted": True,
        "decisions": 5,
        "warned": (False, True),
    }
    return Planned(**{**base, **changes})


def task(run: int, factor: str, **changes: Any) -> RunTask:
    one = planned(run, factor, **changes)
    return RunTask(f"r{run}", (one,), ROLES, dict(PROFILE), ({"factor": factor, "a": "high", "b": "low"},))


def learn(kept: Actions | None, held_out: RunTask, **options: Any) -> ActionLibrary:
    training = [task(1, "dose"), task(2, "treatment")]
    return ActionLearner(
        PipelineAgent(), PipelineAuthor(), training, [held_out], repository=kept, **options
    ).learn()


@pytest.fixture
def kept(tmp_path: Path) -> Actions:
    return Actions(Database(f"sqlite:///{tmp_path / 'home.sqlite'}"))


def test_what_belongs_to_the_data_becomes_an_argument_and_no_name_of_it_is_left() -> None:
    (action,) = mine_pipelines([planned(1, "dose"), planned(2, "treatment")])
    assert dict(action.parameters) == {"contrast": "dict"}
    for name in ("dose", "treatment", "high", "low"):
        assert name not in action.source
    assert action.plan["warned"] == [False, True]
    assert action.provenance["data"] == ["d1", "d2"]
    assert mine_pipelines([planned(1, "dose"), planned(1, "dose")]) == [], "one data set is no rule"
    assert mine_pipelines([planned(1, "dose"), planned(2, "dose", accepted=False)]) == []
    assert mine_pipelines([planned(1, "dose"), planned(2, "dose", threshold=0.1)]) == []


def test_it_is_validated_on_data_that_it_was_not_learned_from_and_waits_for_a_person(kept: Actions) -> None:
    library = learn(kept, task(3, "diet"), approval="always")
    assert library.actions == ()
    (stored,) = kept.known()
    assert stored.status == "validated"
    assert [(test.task, test.ok) for test in stored.tests] == [("r3", True)]
    assert kept.usable() == []


def test_what_plans_the_held_out_run_otherwise_is_not_accepted(kept: Actions) -> None:
    library = learn(kept, task(3, "diet", threshold=0.01), approval="never")
    assert library.actions == ()
    assert kept.known() == []
    assert any("expected" in one for one in library.notices)


def test_what_fits_no_held_out_question_is_not_accepted(kept: Actions) -> None:
    other = signature(question(2), {**PROFILE, "data_kind": "cells"}, ROLES)
    held_out = RunTask(
        "r3", (planned(3, "diet", signature=other),), ROLES, {**PROFILE, "data_kind": "cells"}, ()
    )
    library = learn(kept, held_out, approval="never")
    assert library.actions == ()
    assert any("of no use" in one for one in library.notices)


def find(planner: PipelinePlanner, factor: str = "diet") -> Any:
    rows = [{"factor": factor, "a": "high", "b": "low"}]
    return planner.planned(question(2, factor), PROFILE, rows, ROLES)


def active(kept: Actions) -> LearnedAction:
    (action,) = learn(kept, task(3, "diet"), approval="never").actions
    return kept.get(action.name)


def test_a_plan_of_an_action_is_the_plan_that_was_made_without_it(kept: Actions) -> None:
    planner = PipelinePlanner([active(kept)], may_run=kept.may_run)
    found = find(planner, "temperature")
    planner.close()
    steps = [
        s.model_dump(mode="json", include={"tool", "inputs", "params", "publishes"})
        for s in found.draft.steps
    ]
    assert plan_hash(steps) == plan_hash(planned(9, "temperature").steps)


@pytest.mark.parametrize("way", ["revoked", "removed", "changed"])
def test_an_action_that_a_run_knew_is_not_run_once_it_was_taken_out_of_use(kept: Actions, way: str) -> None:
    known = active(kept)
    planner = PipelinePlanner([known], may_run=kept.may_run)
    if way == "revoked":
        kept.revoke(known.name, "me")
    elif way == "removed":
        kept.remove(known.name)
    else:
        planner = PipelinePlanner(
            [known.model_copy(update={"source": known.source + "# more\n"})], may_run=kept.may_run
        )
    assert find(planner) is None
    assert planner._sessions == {}, "no sandbox was opened for it"


_HEAD = "def {name}(contrast: dict) -> list:\n    "
_PROFILE = "step('profile', purpose='', inputs={{}}, params={{}})"
EVIL = {
    "no steps": f"{_HEAD}return []\n",
    "an error": f"{_HEAD}return [step(1 / 0)]\n",
    "endless steps": f"{_HEAD}while True:\n        {_PROFILE}\n",
    "huge steps": f"{_HEAD}{_PROFILE.replace(chr(39) * 2, repr('x' * 30_000))}\n",
    "steps as it is read": f"{_HEAD.replace('dict)', f'dict, s: str = {_PROFILE})')}return []\n",
    "no drafts": f"{_HEAD}step(5, purpose=None, inputs=[], params='x')\n",
}


@pytest.mark.parametrize("source", EVIL.values(), ids=EVIL.keys())
def test_code_that_fails_costs_its_own_use_and_counts_against_it(kept: Actions, source: str) -> None:
    good = active(kept)
    bad = good.model_copy(update={"source": source.format(name=good.name)})
    planner = PipelinePlanner([bad])
    found = find(planner)
    planner.close()
    assert found.draft is None
    assert found.why
    assert planner.actions == [], "it is not tried again in this run"


class FakeServices:
    """As much of a run as the functions of learned plans look at."""

    def __init__(self, kept: Actions, planner: PipelinePlanner) -> None:
        self.repository = SimpleNamespace(database=kept._database)
        self.pipelines: Any = planner
        self.run_id = "r9"
        self.inputs = dict.fromkeys(ROLES)
        self.decisions: dict[str, Any] = {}
        self.events: list[str] = []

    def emit(self, name: str, subject: str, **payload: Any) -> None:
        self.events.append(name)

    def decided(self, identity: str) -> Any:
        return self.decisions.get(identity)

    def decide(self, kind: Any, subject: str, context: Any, schema: Any, policy: Any = None) -> Any:
        self.decisions[f"{kind.value}@{subject}"] = SimpleNamespace(policy=policy.id if policy else "rules")
        draft = policy.decide(kind, context, seed=0).payload if policy else None
        return draft or WorkflowDraft(template=None, steps=(StepDraft(tool="profile", purpose=""),))


def context(**changes: Any) -> Any:
    rows = [{"factor": "diet", "a": "high", "b": "low"}]
    base = {"errors": (), "profile": SimpleNamespace(values=PROFILE, tables={"contrasts": rows})}
    return SimpleNamespace(**{**base, "workflow": None, "step_id": None, **changes})


def workflow(draft: WorkflowDraft, version: int = 1, status: str = "done") -> Workflow:
    steps = tuple(
        PlannedStep(
            id=f"O2.W1.S{at}",
            tool=one.tool,
            purpose=one.purpose,
            status=status,
            verdict="accept" if status == "done" else None,
        )
        for at, one in enumerate(draft.steps, start=1)
    )
    return Workflow(id="O2.W1", objective_id="O2", template="two groups", version=version, steps=steps)


@pytest.fixture
def run(kept: Actions) -> FakeServices:
    return FakeServices(kept, PipelinePlanner([active(kept)], may_run=kept.may_run))


def begun(run: Any) -> Workflow:
    draft = planned_draft(run, "O2.W1#1", question(2, "diet"), context())
    run.pipelines.close()
    assert run.events == ["action_used"]
    return workflow(draft)


def test_one_decision_plans_a_question_and_its_steps_are_not_asked_about(run: Any, kept: Actions) -> None:
    done = begun(run)
    assert run.decisions["plan_workflow@O2.W1#1"].policy.startswith(
        "learned:answer_differential_two_groups v1"
    )
    assert learned_step(run, context(workflow=done, step_id="O2.W1.S1")) is False
    assert learned_step(run, context(workflow=done, step_id="O2.W1.S2")) is True, "it warned before"
    kept.revoke(run.pipelines.known[0].name, "me")
    assert learned_step(run, context(workflow=done, step_id="O2.W1.S1")) is None, "revoked: asked about again"


def test_the_record_of_a_pipeline_is_that_of_its_own_plans(run: Any, kept: Actions) -> None:
    done = begun(run)
    (action,) = run.pipelines.known
    note_use(
        run, workflow(WorkflowDraft(template=None, steps=planned_steps(done)), status="planned"), stopped=True
    )
    assert kept.standing(action).uses == 0, "a budget that ended the run says nothing about it"
    note_use(run, done)
    note_use(run, done)
    assert (kept.standing(action).uses, kept.standing(action).successes) == (1, 1)
    run.decisions["plan_workflow@O2.W1#2"] = SimpleNamespace(policy="rules")
    run.run_id = "r10"
    note_use(run, done)
    assert (kept.standing(action).uses, kept.standing(action).successes) == (2, 1), (
        "another plan went well, not its own"
    )
    assert learned_step(run, context(workflow=done, step_id="O2.W1.S1")) is None


def planned_steps(done: Workflow) -> tuple[StepDraft, ...]:
    return tuple(StepDraft(tool=one.tool, purpose=one.purpose) for one in done.steps)


def test_a_plan_that_cannot_be_made_is_noted_and_the_question_is_asked_as_ever(
    run: Any, kept: Actions
) -> None:
    (action,) = run.pipelines.known
    broken = action.model_copy(update={"source": EVIL["an error"].format(name=action.name)})
    run.pipelines = PipelinePlanner([broken])
    draft = planned_draft(run, "O2.W1#1", question(2, "diet"), context())
    run.pipelines.close()
    assert run.events == ["action_failed"]
    assert run.decisions["plan_workflow@O2.W1#1"].policy == "rules"
    assert draft.steps[0].tool == "profile"
    assert (kept.standing(action).uses, kept.standing(action).successes) == (1, 0)


# ------------------------------------------------------------------------------------------- in the background


def test_learning_in_the_background_tells_why_nothing_came_of_it_and_runs_once(tmp_path: Path) -> None:
    import fcntl

    settings = load_settings(home=tmp_path / "home")
    assert learn_now(settings) == {
        "accepted": [],
        "notices": list(json.loads((settings.home / LOG).read_text())["notices"]),
    }
    assert "ended runs about 0 data sets" in (settings.home / LOG).read_text()
    with (settings.home / "learning.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert learn_now(settings) is None, "another process is at it"


@pytest.mark.parametrize(
    ("learn", "status", "asked"), [(True, "finished", 1), (True, "stopped", 0), (False, "finished", 0)]
)
def test_a_run_that_finished_is_learned_from_where_the_settings_ask_for_it(
    learn: bool, status: str, asked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nereus.agents.learner import background

    called: list[Path] = []
    monkeypatch.setattr(background, "learn_later", lambda settings: called.append(settings.home))
    done: Any = SimpleNamespace(record=SimpleNamespace(header=SimpleNamespace(status=status)))
    settings = load_settings(home=tmp_path, learn=learn)
    assert discovering._taught(done, settings) is done
    assert called == [tmp_path] * asked


@pytest.mark.long
def test_the_process_in_the_background_finds_the_home_of_the_run(tmp_path: Path) -> None:
    process = learn_later(load_settings(home=tmp_path / "elsewhere"))
    assert process is not None
    assert process.wait(60) == 0
    assert "ended runs about 0 data sets" in (tmp_path / "elsewhere" / LOG).read_text()
