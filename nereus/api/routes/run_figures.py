"""Figures of a run as a page draws them itself, and further ones drawn from what the run made.

An interactive figure needs more than its points: which columns were named, what the axes hold, which table a point is a row of.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from nereus.api.access import Caller, Reader, State, Writer
from nereus.api.artifact_files import rows
from nereus.api.problems import documented
from nereus.api.routes.jobs import Wait, waited
from nereus.api.routes.runs import RunId, owned
from nereus.api.run_records import record_of
from nereus.api.state import ServerState
from nereus.api.views import JobView
from nereus.errors import InputError, NotFound
from nereus.memory.jobs import Job
from nereus.memory.records import ArtifactKind, ArtifactRef, PlannedStep, RunRecord, ToolCall
from nereus.tools import registry
from nereus.tools.base import Capability

router = APIRouter(prefix="/api/runs", tags=["runs"])

_FAULTS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
_FIGURES = "plot_"
"""How names of tools that draw begin."""
_OF_RUN = "run/"


class FigureView(BaseModel):
    """A figure as data."""

    tool: str
    params: dict[str, Any]
    """Of the call that drew it."""
    values: dict[str, str | int | float | bool | None]
    """Numbers of the call: shares of variance on the axes, p of a log-rank test ..."""
    inputs: dict[str, str]
    """What it was drawn from: input to ``<step>/<output>``."""
    groups: dict[str, str]
    """Sample to its group, of a figure whose columns are samples and that named a factor."""
    columns: list[str]
    rows: list[list[str | int | float | bool | None]]
    """What is drawn; a missing or infinite number is null."""


class DrawingRequest(BaseModel):
    """A figure to be drawn from what a run made."""

    model_config = ConfigDict(extra="forbid")

    tool: Annotated[str, Field(pattern="^plot_[a-z_]{1,40}$")]
    inputs: dict[str, Annotated[str, Field(max_length=200)]] = Field(default={}, max_length=8)
    """Input to ``<step>/<output>`` of the run, or to a name of `GET /api/runs/{id}/outputs` as ``run/<name>``."""
    params: dict[str, Any] = {}


@router.get("/{run_id}/figures/{step}/{name}", responses=documented(*_FAULTS))
def figure(run_id: RunId, step: str, name: str, state: State, caller: Reader) -> FigureView:
    """What a figure shows, with what it takes to draw it anew."""
    record = _record(state, caller, run_id)
    planned = next((one for one in record.steps() if one.id == step), None)
    call = None if planned is None else record.calls.get(planned.call_key or "")
    ref = None if call is None else call.outputs.get(f"{name}_data")
    drawn = None if call is None else call.outputs.get(name)
    if (
        planned is None
        or call is None
        or ref is None
        or drawn is None
        or drawn.kind is not ArtifactKind.FIGURE
    ):
        raise NotFound(
            f"step {step!r} drew no figure {name!r}", mend=f"GET /api/runs/{run_id}/artifacts lists all"
        )
    told = rows(state.workspace.artifacts.table(ref))
    return FigureView(
        tool=call.spec.tool,
        params=call.spec.params | _compared(record, planned, call),
        values=dict(call.values),
        inputs={slot: _named(record, one) for slot, one in planned.inputs.items() if isinstance(one, str)},
        groups=_groups(state, record, planned, call, set(told["columns"])),
        columns=told["columns"],
        rows=told["rows"],
    )


@router.post("/{run_id}/drawings", status_code=HTTPStatus.ACCEPTED, responses=documented(*_FAULTS))
async def draw(run_id: RunId, asked: DrawingRequest, state: State, caller: Writer, wait: Wait = 0) -> JobView:
    """Draw one more figure from what a run made: one feature by group, cells on a plane. The run stays as it is.

    The call is a job; its outputs are the figure and the table that it was drawn from.
    """

    def queue() -> Job:
        record = _record(state, caller, run_id)
        tool = registry.get(asked.tool) if asked.tool in registry.names() else None
        if tool is None or not tool.name.startswith(_FIGURES) or tool.capability is not Capability.COMPUTE:
            raise NotFound(f"no tool {asked.tool!r} draws figures", mend="GET /api/tools lists them")
        tool.validate(asked.params)
        known = {one.name for one in tool.inputs}
        if unknown := sorted(set(asked.inputs) - known):
            raise InputError(
                f"there is no input {unknown[0]!r}", where=tool.name, mend=f"inputs are {sorted(known)}"
            )
        needed = [one.name for one in tool.inputs if not one.optional and one.name not in asked.inputs]
        if needed:
            raise InputError(
                f"input {needed[0]!r} is missing", where=tool.name, mend="name a step and its output"
            )
        request = {
            "tool": tool.name,
            "params": asked.params,
            "seed": record.header.seed,
            "inputs": {
                slot: _made(record, one).model_dump(mode="json") for slot, one in asked.inputs.items()
            },
        }
        state.audit.add(caller.owner, "draw", f"{run_id} {tool.name}", "done", caller.address)
        return state.jobs.add(caller.owner, "tool", request)

    return await waited(state, caller, await run_in_threadpool(queue), wait)


def _compared(record: RunRecord, planned: PlannedStep, call: ToolCall) -> dict[str, Any]:
    """What the table of a figure compared or followed, where the figure was not told."""
    source = planned.inputs.get("table")
    if call.spec.params.get("contrast") or call.spec.params.get("variable") or not isinstance(source, str):
        return {}
    step_id = _named(record, source).rpartition("/")[0]
    made = next((one for one in record.steps() if one.id == step_id), None)
    test = None if made is None else record.calls.get(made.call_key or "")
    if test is None:
        return {}
    return {name: test.spec.params[name] for name in ("contrast", "variable") if test.spec.params.get(name)}


def _groups(
    state: ServerState, record: RunRecord, planned: PlannedStep, call: ToolCall, columns: set[str]
) -> dict[str, str]:
    """The first factor of the samples that are columns of a figure: only the sheet is read, never the matrix."""
    factor = _factor(call.spec.params | _compared(record, planned, call))
    source = planned.inputs.get("dataset")
    if factor is None or not isinstance(source, str):
        return {}
    try:
        ref = _made(record, source)
    except NotFound:  # its step left the plan
        return {}
    if ref.kind is not ArtifactKind.DATASET:
        return {}
    import h5py
    from anndata.io import read_elem

    with h5py.File(state.workspace.artifacts.checked_path(ref)) as file:
        sheet = read_elem(file["obs"])
    if factor not in sheet.columns:
        return {}
    held = sheet[factor].dropna()
    return {str(name): str(level) for name, level in held.items() if str(name) in columns}


def _factor(params: dict[str, Any]) -> str | None:
    contrast = params.get("contrast")
    if isinstance(contrast, dict) and isinstance(contrast.get("factor"), str):
        return str(contrast["factor"])
    factors = params.get("factors")
    return str(factors[0]) if isinstance(factors, list | tuple) and factors else None


def _record(state: ServerState, caller: Caller, run_id: str) -> RunRecord:
    owned(state, caller, run_id)
    return record_of(state.workspace, run_id)


def _named(record: RunRecord, reference: str) -> str:
    """A reference with the step that made it: what the run shares under a name is some step's."""
    if reference.startswith(_OF_RUN):
        return record.outputs.get(reference.removeprefix(_OF_RUN), reference)
    return reference


def _made(record: RunRecord, reference: str) -> ArtifactRef:
    step_id, _, output = _named(record, reference).rpartition("/")
    steps: dict[str, PlannedStep] = {one.id: one for one in record.steps()}
    call: ToolCall | None = record.calls.get(steps[step_id].call_key or "") if step_id in steps else None
    ref = None if call is None else call.outputs.get(output)
    if ref is None:
        raise NotFound(f"the run made no {reference!r}", mend="GET /api/runs/{id}/artifacts lists all")
    return ref
