"""Plans as files: what a run is about to do, written to be read and edited, and carried out by another run.

`PlanWriter` lets a run read and prepare the data, and leaves it waiting where the first questions are open; the file
holds these questions with the steps that would answer them. `PlanAnswers` answers the gates of a run from such a file.
Only what was changed in the file is imposed: an untouched plan gives the run that would have been without one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nereus.agents.planner.approval import BY_PERSON, TRIGGER, RunWaits, drafted
from nereus.agents.planner.check import materialise
from nereus.agents.planner.objective_graph import context_of
from nereus.agents.planner.services import Services
from nereus.agents.policies.base import DecisionKind, StepDraft, WorkflowDraft
from nereus.errors import InputError, StoreError
from nereus.memory.records import Contrast, Objective, ObjectiveKind, Workflow
from nereus.tools.steps import canonical_json

PLAN_VERSION = 1
_HEAD = """# Plan of a Nereus run. Edit it, then: nereus discover DATA --plan THIS_FILE
# Objectives: change priority, covariates, contrast or steps; delete one to drop it; add one without an id.
# Inputs of steps: run/<name> (held by the run), #2/<output> (second step of this list).
# 'proposed' says what was proposed, so that a change is told from what another run would propose: leave it.
"""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlanObjective(_Part):
    """A question of the plan."""

    id: str | None = None
    """Id at the time of planning; None for one that a person added."""
    kind: ObjectiveKind
    statement: str
    priority: float = Field(default=0.9, ge=0.0, le=1.0)
    contrast: Contrast | None = None
    variable: str | None = None
    design: dict[str, str] = Field(default_factory=dict)
    label: str = ""
    covariates: tuple[str, ...] = ()
    why: str = ""
    seconds: float | None = None
    """Rough duration of its steps; for the reader."""
    steps: tuple[StepDraft, ...] = ()

    @property
    def asks(self) -> str:
        """Digest of what is asked, whatever is adjusted for."""
        return _asks(self.model_dump(mode="json"))


class Proposed(_Part):
    """What was proposed, to tell what a person changed."""

    asks: str
    priority: float
    statement: str
    covariates: tuple[str, ...] = ()
    steps: str


class Plan(_Part):
    """A plan file."""

    nereus_plan: int = PLAN_VERSION
    run: str = ""
    """The run that waits where this plan was written."""
    data: str = ""
    sha256: str = ""
    question: str | None = None
    others: Literal["keep", "drop"] = "keep"
    """What becomes of questions that come up later and are not in the plan."""
    objectives: tuple[PlanObjective, ...] = ()
    proposed: dict[str, Proposed] = Field(default_factory=dict)


def read_plan(path: Path) -> Plan:
    """Read a plan file.

    Raises
    ------
    InputError
        It is no YAML or no plan; says the line or field.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", where=str(path), mend="check the path"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(
            f"not readable as YAML: {error}", where=str(path), mend="write it with `nereus plan`"
        ) from None
    return checked_plan(found, str(path))


def checked_plan(found: Any, where: str) -> Plan:
    """A plan as it was read from a file or a request.

    Raises
    ------
    InputError
        It is no plan; says the field.
    """
    if not isinstance(found, Mapping) or found.get("nereus_plan") != PLAN_VERSION:
        raise InputError(
            f"this is no plan of version {PLAN_VERSION}",
            where=where,
            mend="write one with `nereus plan DATA -o FILE`",
        )
    try:
        plan = Plan.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}", where=where, mend="change this field"
        ) from None
    named = [one.id for one in plan.objectives if one.id is not None]
    twice = [one for one in dict.fromkeys(named) if named.count(one) > 1]
    if twice:
        raise InputError(
            f"objective {twice[0]} stands twice",
            where=where,
            mend="leave out the id of the one that you added",
        )
    return plan


def plan_text(plan: Plan) -> str:
    """The plan as YAML, in the order in which a person reads it."""
    shown = plan.model_dump(mode="json", exclude_defaults=True)
    ordered = {"nereus_plan": plan.nereus_plan, "others": plan.others}
    ordered |= {name: value for name, value in shown.items() if name not in (*ordered, "proposed")}
    ordered["proposed"] = shown.get("proposed", {})
    return _HEAD + str(yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=110))


class PlanWriter:
    """Answers the gates of the first steps with yes, and stops where questions beyond preparation are open."""

    def __init__(self) -> None:
        self.plan: Plan | None = None

    def __call__(self, request: Mapping[str, Any]) -> Any:
        """See `discover.Ask`."""
        if request["gate"] == "objectives":
            kinds = {one["kind"] for one in request["objectives"]}
            if not kinds & {ObjectiveKind.DATA.value, ObjectiveKind.QUALITY.value}:
                raise RunWaits
        return True

    def stopped(self, services: Services, state: Mapping[str, Any]) -> None:
        """Write down the open objectives, and the steps that the policy would plan for them."""
        objectives = []
        proposed = {}
        profile = services.profile(state.get("calls", {}), state.get("outputs", {}))
        for one in map(Objective.model_validate, state["objectives"].values()):
            if one.status != "open":
                continue
            steps = tuple(_steps(services, state, one))
            contrast = one.contrast
            entry = PlanObjective(
                id=one.id,
                kind=one.kind,
                statement=one.statement,
                priority=round(one.priority, 4),
                # What is adjusted for stands in one place of the file.
                contrast=contrast.model_copy(update={"covariates": ()}) if contrast else None,
                variable=one.variable,
                design=one.design,
                label=one.label,
                covariates=contrast.covariates if contrast else one.covariates,
                why=one.rationale,
                seconds=round(sum(services.seconds(step.tool, profile) for step in steps), 1),
                steps=steps,
            )
            objectives.append(entry)
            proposed[one.id] = Proposed(
                asks=entry.asks,
                priority=entry.priority,
                statement=entry.statement,
                covariates=entry.covariates,
                steps=_digest([step.model_dump(mode="json") for step in steps]),
            )
        objectives.sort(key=lambda entry: -entry.priority)
        data = services.inputs["data"]
        self.plan = Plan(
            run=services.run_id,
            data=data.name,
            sha256=data.id,
            question=services.question,
            objectives=tuple(objectives),
            proposed=proposed,
        )


def _steps(services: Services, state: Mapping[str, Any], one: Objective) -> list[StepDraft]:
    """The workflow that the policy would plan now; nothing is recorded."""
    context = context_of(
        {
            "objective": one.model_dump(mode="json"),
            "run_objectives": state["objectives"],
            "run_calls": state.get("calls", {}),
            "run_outputs": state.get("outputs", {}),
            "steps_left": int(state["limits"]["steps"]),
            "workflow": None,
        },
        services,
    )
    draft = services.policy.decide(DecisionKind.PLAN_WORKFLOW, context, seed=services.seed).payload
    assert isinstance(draft, WorkflowDraft)
    workflow = materialise(draft, one.id, 1)
    return drafted(workflow.steps, workflow.id)


def check_plan_data(plan: Plan, data: Path) -> None:
    """`InputError` where a plan was made for other data."""
    if not plan.sha256 or not data.is_file():
        return
    with data.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != plan.sha256:
        raise InputError(
            f"the plan was made for {plan.data!r} with other content",
            where=str(data),
            mend="plan this file anew",
        )


class PlanAnswers:
    """Answers every gate of a run from a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def __call__(self, request: Mapping[str, Any]) -> Any:
        """See `discover.Ask`."""
        if request["gate"] == "objectives":
            return self._objectives(request)
        if request["gate"] == "workflow":
            return self._workflow(request)
        return True

    def _objectives(self, request: Mapping[str, Any]) -> dict[str, Any]:
        of_plan = {one.id: one for one in self.plan.objectives if one.id in self.plan.proposed}
        planned = {self.plan.proposed[str(one.id)].asks: one for one in of_plan.values()}
        dropped = {one.asks for name, one in self.plan.proposed.items() if name not in of_plan}
        added = [one for one in self.plan.objectives if one.id not in self.plan.proposed]
        own = {one.asks for one in self.plan.objectives}
        answer: dict[str, Any] = {"drop": [], "edit": {}, "add": []}
        for item in request["objectives"]:
            asks = _asks(item)
            if asks in dropped or (
                self.plan.others == "drop"
                and asks not in own
                and asks not in planned
                and item["kind"] not in (ObjectiveKind.DATA.value, ObjectiveKind.QUALITY.value)
            ):
                answer["drop"].append(item["id"])
            elif asks in planned:
                changes = self._changes(planned[asks], set(item.get("by_person", ())))
                if changes:
                    answer["edit"][item["id"]] = changes
        known = {_asks(item) for item in request["objectives"]}
        ready = not {item["kind"] for item in request["objectives"]} & {ObjectiveKind.QUALITY.value}
        for one in added:
            if ready and one.asks not in known:
                draft = one.model_dump(mode="json", exclude={"id", "why", "seconds", "steps"})
                answer["add"].append({**draft, "rationale": one.why or BY_PERSON, "cites": [TRIGGER]})
        return answer

    def _changes(self, one: PlanObjective, known: set[str]) -> dict[str, Any]:
        """What a person changed in the file, and was not imposed before."""
        before = self.plan.proposed[str(one.id)]
        changes: dict[str, Any] = {}
        if one.asks != before.asks and one.contrast is not None:
            contrast = one.contrast.model_dump(mode="json")
            return {"contrast": contrast, "priority": one.priority, "covariates": list(one.covariates)}
        if one.priority != before.priority and "priority" not in known:
            changes["priority"] = one.priority
        if one.statement != before.statement and "statement" not in known:
            changes["statement"] = one.statement
        wanted = one.covariates
        if one.contrast is not None and one.contrast.covariates:  # written where the contrast is
            wanted = one.contrast.covariates
        if wanted != before.covariates and "covariates" not in known:
            changes["covariates"] = list(wanted)
        return changes

    def _workflow(self, request: Mapping[str, Any]) -> Any:
        workflow = Workflow.model_validate(request["workflow"])
        asks = _asks(request["objective"])
        one = next((one for one in self.plan.objectives if one.asks == asks and one.steps), None)
        if one is None or not workflow.id.endswith(".W1"):
            return True
        before = self.plan.proposed.get(str(one.id))
        steps = [step.model_dump(mode="json") for step in one.steps]
        if before is not None and before.asks == one.asks and before.steps == _digest(steps):
            return True
        return {"steps": steps}


def write_plan(plan: Plan, path: Path, overwrite: bool = False) -> None:
    """Write a plan file; `StoreError` where one is there or it cannot be written."""
    if path.exists() and not overwrite:
        raise StoreError("the file exists", where=str(path), mend="name another one, or add --force")
    try:
        path.write_text(plan_text(plan), encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"cannot be written: {error.strerror}", where=str(path), mend="name another place"
        ) from None


def _asks(objective: Mapping[str, Any]) -> str:
    contrast = objective.get("contrast") or {}
    named = [contrast.get(name) for name in ("factor", "a", "b")] + [contrast.get("subset") or {}]
    return _digest([str(objective["kind"]), named, objective.get("variable"), objective.get("design") or {}])


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]
