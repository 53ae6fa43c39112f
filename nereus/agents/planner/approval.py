"""What a person may answer at a gate: accept, refuse, drop, edit and add, and what is wrong with an answer.

An answer is checked before it is recorded, against the question alone, so that a page, a script and the terminal get the
same words. A recorded answer is replayed when the run is resumed: the question has an id that does not depend on when
it was asked.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from pydantic import Field, ValidationError

from nereus.agents.planner.check import check_params, check_workflow, materialise
from nereus.agents.planner.editing import apply_edits
from nereus.agents.planner.needs import lacking
from nereus.agents.policies.base import (
    EditDraft,
    ObjectiveDraft,
    StepDraft,
    View,
    WorkflowDraft,
)
from nereus.errors import InputError, PlanError
from nereus.memory.records import Contrast, Edit, Objective, PlannedStep, Workflow
from nereus.tools import registry
from nereus.tools.steps import canonical_json

_ADJUSTED = re.compile(r", adjusted for [^?]*")
BY_PERSON = "asked for by a person"
TRIGGER = "approval"


class RunWaits(Exception):
    """Raised by whoever is asked, to leave the run waiting at the gate: it can be resumed."""


@runtime_checkable
class Stops(Protocol):
    """Somebody who is asked, may leave the run waiting, and then looks at it."""

    def __call__(self, request: Mapping[str, Any], /) -> Any:
        """The answer, or `RunWaits`."""

    def stopped(self, services: Any, state: Mapping[str, Any]) -> None:
        """Look at a run that waits: its services, and the state of its graph."""


class ObjectiveEdit(View):
    """What may be changed of an open objective; what is not named stays."""

    priority: float | None = Field(default=None, ge=0.0, le=1.0)
    covariates: tuple[str, ...] | None = None
    contrast: Contrast | None = None
    statement: str | None = None


class ObjectivesAnswer(View):
    """Answer at the gate ``objectives``."""

    approve: bool = True
    drop: tuple[str, ...] = ()
    edit: dict[str, ObjectiveEdit] = Field(default_factory=dict)
    add: tuple[ObjectiveDraft, ...] = ()


class StepAddition(View):
    """A step that a person adds."""

    after: str = ""
    """Id of the step that it follows; empty: it comes first."""
    step: StepDraft


class WorkflowAnswer(View):
    """Answer at the gate ``workflow``."""

    approve: bool = True
    drop: tuple[str, ...] = ()
    params: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Step id -> parameters to set."""
    add: tuple[StepAddition, ...] = ()
    steps: tuple[StepDraft, ...] | None = None
    """All steps, in place of those that were proposed."""


class ToolAnswer(View):
    """Answer at the gate ``tool``."""

    approve: bool = True
    params: dict[str, Any] = Field(default_factory=dict)


class ReportAnswer(View):
    """Answer at the gate ``report``."""

    approve: bool = True


Answer = ObjectivesAnswer | WorkflowAnswer | ToolAnswer | ReportAnswer
_ANSWERS: dict[str, type[Answer]] = {
    "objectives": ObjectivesAnswer,
    "workflow": WorkflowAnswer,
    "tool": ToolAnswer,
    "report": ReportAnswer,
}


def question_id(request: Mapping[str, Any]) -> str:
    """The id under which a question and its answer are recorded: from what is asked, not from when."""
    subject = str(request.get("id", ""))
    digest = hashlib.sha256(canonical_json(dict(request)).encode()).hexdigest()[:8]
    return f"{request.get('gate', 'gate')}:{subject}:{digest}"


def read_answer(gate: str, answer: Any) -> Answer:
    """An answer as its type: True accepts, False refuses, a dictionary says more.

    Raises
    ------
    InputError
        The answer is of no known form.
    """
    model = _ANSWERS.get(gate, ReportAnswer)
    if isinstance(answer, Mapping):
        given = dict(answer)
        if gate == "objectives":
            given["add"] = [_with_defaults(one) for one in given.get("add") or ()]
        try:
            return model.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(
                f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
                where=f"answer at the gate {gate!r}",
                mend=f"write True, False, or a mapping with some of {sorted(model.model_fields)}",
            ) from None
    return model(approve=answer is True)


def _with_defaults(draft: Any) -> Any:
    if not isinstance(draft, Mapping):
        return draft
    given = {"rationale": BY_PERSON, "cites": [TRIGGER], "priority": 0.9, **draft}
    contrast = given.get("contrast")
    if isinstance(contrast, Mapping) and given.get("covariates") and not contrast.get("covariates"):
        given["contrast"] = {**contrast, "covariates": given["covariates"]}
    return given


def checked_answer(request: Mapping[str, Any], answer: Any) -> dict[str, Any]:
    """The answer in the form in which it is recorded.

    Raises
    ------
    InputError
        What is wrong with it, and what is possible.
    """
    gate = str(request.get("gate", ""))
    found = read_answer(gate, answer)
    wrong: list[str] = []
    if isinstance(found, ObjectivesAnswer):
        wrong = _objectives_faults(found, request)
    elif isinstance(found, WorkflowAnswer) and found.approve:
        wrong = _workflow_faults(found, request)
    elif isinstance(found, ToolAnswer) and found.params:
        tool = registry.get(str(request["tool"]))
        wrong = check_params(tool, {**request["params"], **found.params})
    if wrong:
        raise InputError(
            "; ".join(wrong),
            where=f"answer at the gate {gate!r} of {request.get('id', 'the run')}",
            mend="change the answer",
        )
    return found.model_dump(mode="json", exclude_defaults=True) | {"approve": found.approve}


# ---------------------------------------------------------------------------------------------------- objectives


def objectives_request(opened: Iterable[Objective], round_: int, profile: Any) -> dict[str, Any]:
    """The question at the gate ``objectives``: the open ones, and the columns and groups that others could name.

    Parameters
    ----------
    opened
        Open objectives.
    round_
        How often objectives were proposed.
    profile
        `ProfileView` of the data set.
    """
    levels: dict[str, list[str]] = {}
    for row in profile.tables.get("factors", []):
        levels.setdefault(str(row["factor"]), []).append(str(row["level"]))
    for row in profile.tables.get("columns", []):  # a person may compare batches and sites as well
        if row.get("levels") and row.get("role") not in ("identifier", "subject"):
            levels.setdefault(str(row["column"]), [one.strip() for one in str(row["levels"]).split(";")])
    return {
        "gate": "objectives",
        "id": f"proposal {round_}",
        "objectives": [one.model_dump(mode="json") for one in opened],
        "columns": [str(row["column"]) for row in profile.tables.get("columns", [])],
        "levels": levels,
    }


def _objectives_faults(answer: ObjectivesAnswer, request: Mapping[str, Any]) -> list[str]:
    known = {str(one["id"]): one for one in request["objectives"]}
    wrong = [
        f"{one!r} is no open objective; open are {sorted(known)}"
        for one in (*answer.drop, *answer.edit)
        if one not in known
    ]
    for identity, edit in answer.edit.items():
        if edit.contrast is not None and identity in known and not known[identity].get("contrast"):
            wrong.append(f"{identity} has no contrast")
        wrong += _named(identity, edit.contrast, edit.covariates or (), None, request)
        if identity in known and edit.contrast is None:
            wrong += _adjusted_for_itself(identity, known[identity], edit.covariates or ())
    for draft in answer.add:
        wrong += _named("an added objective", draft.contrast, draft.covariates, draft.variable, request)
        missing = lacking(draft.kind, draft.contrast, draft.variable, draft.design)
        wrong += [f"an added objective: {one}" for one in missing]
        asked = draft.model_dump(mode="json", exclude={"contrast"})
        wrong += _adjusted_for_itself("an added objective", asked, draft.covariates)
    return wrong


def _adjusted_for_itself(where: str, asked: Mapping[str, Any], covariates: Iterable[str]) -> list[str]:
    """What a question compares, follows or crosses cannot be adjusted for: nothing would be left of it."""
    contrast = asked.get("contrast") or {}
    tested = {contrast.get("factor"), asked.get("variable"), *(asked.get("design") or {}).values()}
    blocks = {contrast.get("block")} - {None}
    return [
        f"{where}: {one!r} is what is asked about and cannot be adjusted for"
        for one in covariates
        if one in tested
    ] + [f"{where}: {one!r} joins the samples of a subject already" for one in covariates if one in blocks]


def _named(
    where: str,
    contrast: Contrast | None,
    covariates: Iterable[str],
    variable: str | None,
    request: Mapping[str, Any],
) -> list[str]:
    levels, columns = request["levels"], list(request["columns"])
    named = [*covariates, *(contrast.covariates if contrast else ()), *([variable] if variable else ())]
    wrong = [
        f"{where}: there is no column {one!r}; there are {columns}" for one in named if one not in columns
    ]
    if contrast is None:
        return wrong
    if contrast.factor not in levels:
        return [*wrong, f"{where}: there is no factor {contrast.factor!r}; there are {sorted(levels)}"]
    wrong += [
        f"{where}: {contrast.factor!r} has no group {one!r}; there are {levels[contrast.factor]}"
        for one in (contrast.a, contrast.b)
        if one not in levels[contrast.factor]
    ]
    if contrast.a == contrast.b:
        wrong.append(f"{where}: it compares {contrast.a!r} with itself")
    if contrast.factor in named:
        wrong.append(f"{where}: {contrast.factor!r} is compared and cannot be adjusted for")
    return wrong


def edited_objective(one: Objective, edit: ObjectiveEdit) -> Objective:
    """An open objective with a person's changes that keep what it asks: priority, covariates, wording."""
    changes: dict[str, Any] = {}
    if edit.priority is not None:
        changes["priority"] = edit.priority
    if edit.statement is not None:
        changes["statement"] = edit.statement
    if edit.covariates is not None:
        changes["covariates"] = edit.covariates
        if one.contrast is not None:
            changes["contrast"] = one.contrast.model_copy(update={"covariates": edit.covariates})
        if edit.statement is None and ", adjusted for " in one.statement:
            told = f", adjusted for {', '.join(edit.covariates)}" if edit.covariates else ""
            changes["statement"] = _ADJUSTED.sub(lambda _: told, one.statement)
    by_person = tuple(dict.fromkeys([*one.by_person, *changes]))
    return one.model_copy(update={**changes, "by_person": by_person})


def other_contrast(one: Objective, edit: ObjectiveEdit) -> ObjectiveDraft:
    """The objective that takes the place of one whose contrast a person changed."""
    contrast = edit.contrast
    if contrast is None or one.contrast is None:
        raise ValueError(f"objective {one.id} keeps its contrast")
    covariates = edit.covariates if edit.covariates is not None else contrast.covariates or one.covariates
    covariates = tuple(name for name in covariates if name != contrast.factor)
    statement = edit.statement or one.statement.replace(one.contrast.label, contrast.label)
    if statement == one.statement:
        for old, new in ((one.contrast.a, contrast.a), (one.contrast.b, contrast.b)):
            statement = statement.replace(old, new)
    return ObjectiveDraft(
        kind=one.kind,
        statement=statement,
        contrast=contrast.model_copy(update={"covariates": covariates}),
        variable=one.variable,
        design=one.design,
        covariates=covariates,
        rationale=f"{BY_PERSON} in place of {one.id}",
        cites=(TRIGGER,),
        priority=edit.priority if edit.priority is not None else one.priority,
    )


# ----------------------------------------------------------------------------------------------------- workflows


def workflow_request(
    workflow: Workflow,
    objective: Mapping[str, Any],
    run_outputs: Mapping[str, str],
    known_steps: Mapping[str, str],
) -> dict[str, Any]:
    """The question at the gate ``workflow``: the steps, and what their inputs may refer to."""
    return {
        "gate": "workflow",
        "id": workflow.id,
        "objective": dict(objective),
        "workflow": workflow.model_dump(mode="json"),
        "holds": dict(run_outputs),
        "ran": dict(known_steps),
    }


def _workflow_faults(answer: WorkflowAnswer, request: Mapping[str, Any]) -> list[str]:
    workflow = Workflow.model_validate(request["workflow"])
    known = [step.id for step in workflow.steps]
    named = [*answer.drop, *answer.params, *(one.after for one in answer.add if one.after)]
    wrong = [f"there is no step {one!r}; steps are {known}" for one in named if one not in known]
    if wrong:
        return wrong
    try:
        edited = edited_workflow(workflow, answer)
    except PlanError as error:
        return [error.what]
    except ValidationError as error:  # no step, or too many
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    if not edited.steps:
        return ["no step is left: refuse the workflow instead"]
    return check_workflow(edited, request["holds"], request["ran"])


def edited_workflow(workflow: Workflow, answer: WorkflowAnswer) -> Workflow:
    """The workflow with a person's edits as a new version; the same one where nothing was edited."""
    if answer.steps is not None:
        draft = WorkflowDraft(template=workflow.template, steps=answer.steps, stop_rule=workflow.stop_rule)
        number = int(workflow.id.rpartition("W")[2])
        fresh = materialise(draft, workflow.objective_id, number)
        if [_comparable(step) for step in fresh.steps] == [_comparable(step) for step in workflow.steps]:
            return workflow
        log = tuple(
            Edit(op="replace", step_id=step.id, reason=BY_PERSON, trigger=TRIGGER) for step in fresh.steps
        )
        return fresh.model_copy(update={"version": workflow.version + 1, "edits": (*workflow.edits, *log)})
    position = {step.id: number for number, step in enumerate(workflow.steps, start=1)}
    told = {"reason": BY_PERSON, "trigger": TRIGGER}
    edits = [
        EditDraft(op="reparam", position=position[one], params=params, **told)
        for one, params in answer.params.items()
    ]
    edits += [
        EditDraft(op="insert", position=position.get(one.after, 0) + 1, step=one.step, **told)
        for one in answer.add
    ]
    edits += [EditDraft(op="remove", position=position[one], **told) for one in answer.drop]
    return apply_edits(workflow, edits) if edits else workflow


def drafted(steps: Iterable[PlannedStep], workflow_id: str) -> list[StepDraft]:
    """Planned steps as drafts: ``O2.W1.S2/x`` becomes ``#2/x``, so that steps may be moved and copied."""
    listed = list(steps)
    position = {step.id: number for number, step in enumerate(listed, start=1)}

    def relative(reference: str) -> str:
        owner, slash, output = reference.partition("/")
        return f"#{position[owner]}{slash}{output}" if owner in position else reference

    return [
        StepDraft(
            tool=step.tool,
            purpose=step.purpose,
            inputs={
                name: {key: relative(one) for key, one in reference.items()}
                if isinstance(reference, dict)
                else relative(reference)
                for name, reference in step.inputs.items()
            },
            params=step.params,
            publishes=step.publishes,
        )
        for step in listed
    ]


def _comparable(step: PlannedStep) -> tuple[Any, ...]:
    return (step.id, step.tool, step.inputs, step.params, step.publishes)
