"""A run as a page shows it: its plan, its findings as cards, parts of its tables, and its evidence graph.

Numbers stand in texts as pieces that name their source, so that whoever reads a sentence gets to the row of the table and to
the step that it comes from.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from nereus.api.access import Caller, Reader, State
from nereus.api.problems import documented
from nereus.api.routes.runs import RunId, owned
from nereus.api.run_records import record_of
from nereus.api.run_texts import Card, Piece, RunTexts
from nereus.api.state import ServerState
from nereus.api.table_pages import TablePage, page_of
from nereus.errors import NotFound
from nereus.memory.records import ArtifactKind, GraphEdge, GraphNode, PlannedStep, RunRecord, ToolCall

router = APIRouter(prefix="/api/runs", tags=["runs"])

_FAULTS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
_FIRST = {"supported": 0, "inferred": 1, "refuted": 2, "untested": 3, "known": 4}
"""Which edges are shown where not all can be."""


class StepOutput(BaseModel):
    """Something that a step made."""

    name: str
    kind: str
    """``table``, ``dataset``, ``figure``, ``file`` or ``model``."""
    title: str
    size: int
    """Bytes."""


class StepView(BaseModel):
    """A step of the plan, and what came of it."""

    id: str
    tool: str
    version: str | None
    purpose: str
    status: str
    params: dict[str, Any]
    inputs: dict[str, str]
    """Input to ``<step>/<output>``; several tables for one input are left out."""
    verdict: str | None
    summary: str
    warnings: list[str]
    error: str | None
    expected_s: float | None
    """Of a step that was not made: rough seconds on a table of 2,000 features and 200 samples."""
    seconds: float | None
    key: str | None
    """Of the call that carried it out."""
    seed: int | None
    outputs: list[StepOutput]


class EditView(BaseModel):
    """A change of a workflow, made because of a result."""

    op: str
    step: str
    reason: str
    trigger: str


class WorkflowView(BaseModel):
    """The newest version of a workflow."""

    id: str
    template: str | None
    version: int
    edits: list[EditView]
    steps: list[StepView]


class ObjectiveView(BaseModel):
    """A question that the run set itself."""

    id: str
    kind: str
    statement: str
    about: str
    rationale: str
    priority: float
    status: str
    outcome: list[Piece]
    parent: str | None
    covariates: list[str]
    by_person: bool
    workflows: list[WorkflowView]


class PlanView(BaseModel):
    """The plan as it stands, and what a reader must know of the run."""

    objectives: list[ObjectiveView]
    notices: list[list[Piece]]


class GraphView(BaseModel):
    """The evidence graph, or its best supported part."""

    nodes: list[GraphNode]
    edges: list[GraphEdge]
    n_total: int
    """Edges that the run has."""


@router.get("/{run_id}/plan", responses=documented(*_FAULTS))
def plan(run_id: RunId, state: State, caller: Reader) -> PlanView:
    """Objectives, workflows and steps, with what each step came to."""
    record = _record(state, caller, run_id)
    texts = RunTexts(record, state.workspace.artifacts)
    return PlanView(
        objectives=[
            ObjectiveView(
                **objective.model_dump(
                    include={"id", "kind", "statement", "rationale", "priority", "status"}
                ),
                about=objective.about,
                outcome=texts.pieces(objective.outcome),
                parent=objective.parent_id,
                covariates=list(
                    objective.covariates or (objective.contrast.covariates if objective.contrast else ())
                ),
                by_person=bool(objective.by_person),
                workflows=[
                    WorkflowView(
                        id=one.id,
                        template=one.template,
                        version=one.version,
                        edits=[
                            EditView(op=edit.op, step=edit.step_id, reason=edit.reason, trigger=edit.trigger)
                            for edit in one.edits
                        ],
                        steps=[
                            _step(step, record.calls.get(step.call_key or ""), record.outputs)
                            for step in one.steps
                        ],
                    )
                    for one in record.workflows
                    if one.objective_id == objective.id
                ],
            )
            for objective in record.objectives
        ],
        notices=[texts.pieces(one) for one in record.notices],
    )


@router.get("/{run_id}/cards", responses=documented(*_FAULTS))
def cards(run_id: RunId, state: State, caller: Reader) -> list[Card]:
    """What was found, best first: statements with the source of every number, tests, doubts and figures."""
    return RunTexts(_record(state, caller, run_id), state.workspace.artifacts).cards()


@router.get("/{run_id}/tables/{step}/{name}", responses=documented(*_FAULTS))
def table(
    run_id: RunId,
    step: str,
    name: str,
    state: State,
    caller: Reader,
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=20_000)] = 50,
    sort: Annotated[
        str | None, Query(max_length=500, description="Column to sort by; missing values last.")
    ] = None,
    descending: bool = False,
    search: Annotated[
        str, Query(max_length=200, description="Only rows with this text in a column of text.")
    ] = "",
    columns: Annotated[
        list[str] | None, Query(max_length=200, description="Only these, where the table has them.")
    ] = None,
    row: Annotated[
        str | None,
        Query(max_length=2000, description="Key of a row: the part of the table around it is given."),
    ] = None,
) -> TablePage:
    """Part of a table: sorted, searched, or around a row."""
    record = _record(state, caller, run_id)
    call = _call(record, step)
    ref = None if call is None else call.outputs.get(name)
    if ref is None or ref.kind is not ArtifactKind.TABLE:
        raise NotFound(
            f"step {step!r} made no table {name!r}", mend=f"GET /api/runs/{run_id}/artifacts lists all"
        )
    return page_of(
        state.workspace.artifacts.table(ref),
        offset=offset,
        limit=limit,
        sort=sort,
        descending=descending,
        search=search,
        columns=columns,
        row=row,
    )


@router.get("/{run_id}/graph", responses=documented(*_FAULTS))
def graph(
    run_id: RunId, state: State, caller: Reader, limit: Annotated[int, Query(ge=1, le=5000)] = 300
) -> GraphView:
    """What the run says of which things, the best supported first."""
    record = _record(state, caller, run_id)
    ordered = sorted(
        record.edges, key=lambda one: (_FIRST[one.status], 1.0 if one.q is None else one.q, one.id)
    )
    edges = ordered[:limit]
    ends = {end for edge in edges for end in (edge.source, edge.target)}
    return GraphView(
        nodes=[one for one in record.nodes if one.id in ends], edges=edges, n_total=len(record.edges)
    )


def _record(state: ServerState, caller: Caller, run_id: str) -> RunRecord:
    owned(state, caller, run_id)
    return record_of(state.workspace, run_id)


def _call(record: RunRecord, step_id: str) -> ToolCall | None:
    """The call of a step, also of one that left the plan and that evidence still names."""
    keys = {one.id: one.call_key for one in record.steps()}
    keys |= {one.step_id: one.call_key for one in record.evidence.values() if one.step_id not in keys}
    return record.calls.get(keys.get(step_id) or "")


def _step(step: PlannedStep, call: ToolCall | None, shared: dict[str, str]) -> StepView:
    expected = _expected_s(step.tool) if call is None else None
    return StepView(
        id=step.id,
        tool=step.tool,
        version=None if call is None else call.spec.version,
        purpose=step.purpose,
        status=step.status,
        params=step.params if call is None else call.spec.params,
        inputs={
            slot: shared.get(one.removeprefix("run/"), one) if one.startswith("run/") else one
            for slot, one in step.inputs.items()
            if isinstance(one, str)
        },
        verdict=step.verdict,
        summary=step.note if call is None else call.summary,
        warnings=[] if call is None else list(call.warnings),
        error=None if call is None else call.error,
        expected_s=expected,
        seconds=None if call is None else call.wall_s,
        key=None if call is None else call.key,
        seed=None if call is None else call.spec.seed,
        outputs=[]
        if call is None
        else [
            StepOutput(name=name, kind=ref.kind.value, title=ref.summary, size=ref.size)
            for name, ref in call.outputs.items()
        ],
    )


def _expected_s(tool: str) -> float | None:
    from nereus.errors import PlanError
    from nereus.tools import registry

    try:
        return registry.get(tool).seconds
    except PlanError:
        return None
