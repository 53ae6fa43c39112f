"""Runs: asked for, listed, cancelled, gone on with, and read."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from nereus.api.access import Caller, Reader, State, Writer
from nereus.api.artifact_files import content
from nereus.api.problems import documented
from nereus.api.run_records import record_of
from nereus.api.served_runs import cancelled, forget_report, reports
from nereus.api.state import ServerState
from nereus.api.views import EvidenceView, RunArtifact
from nereus.api.views import RunView as RunView
from nereus.errors import NotFound, ResumeRefused
from nereus.memory.jobs import ENDED
from nereus.memory.records import ArtifactRef, RunHeader
from nereus.memory.runs import RESUMABLE

router = APIRouter(prefix="/api/runs", tags=["runs"])

RunId = Annotated[str, Path(pattern="^r[0-9a-f]{10}-[0-9]{1,9}$")]
_FAULTS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY)
_ONE = (*_FAULTS, HTTPStatus.NOT_FOUND)
_PAGES = {".html": "text/html", ".svg": "image/svg+xml", ".json": "application/json", ".csv": "text/csv"}
_REPORT_POLICY = {
    "content-security-policy": "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline'; font-src 'self' data:; sandbox allow-scripts allow-popups allow-downloads"
}


class RunRequest(BaseModel):
    """What is asked for: as `nereus.discover`, with data sets in place of files."""

    model_config = ConfigDict(extra="forbid")

    data: str
    """Data set with the table of intensities, or of cells."""
    samples: str | None = None
    """Data set with the sample sheet."""
    cohort: str | None = None
    """A second cohort, in which findings are tested again."""
    cohort_samples: str | None = None
    """Sample sheet of the cohort."""
    layers: dict[Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,30}$")], str] = {}
    """Other layers of the same samples, by name."""
    question: Annotated[str, Field(max_length=2000)] | None = None
    """What you want to know, in your words."""
    budget: list[Annotated[str, Field(max_length=60)]] = Field(default=[], max_length=20)
    """Limits, as ``steps=40``."""
    load: dict[str, Any] = {}
    """Parameters of the reader where it should not decide alone."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    approval: Literal["never", "costly", "always"] = "never"
    """When the run asks before it goes on."""
    policy: Literal["rules", "llm"] | None = None
    """Who decides; the server's setting where it is not said."""
    stop_at: Literal["plan"] | None = None
    """``plan``: read and prepare the data, and wait with a plan that can be edited (``runs/ID/plan-file``)."""


@router.post("", status_code=HTTPStatus.ACCEPTED, responses=documented(*_ONE))
def create_run(asked: RunRequest, response: Response, state: State, caller: Writer) -> RunView:
    """Ask for a run. It is queued; follow its events, or look at it."""
    from nereus.agents.planner.companions import named_files
    from nereus.agents.planner.queued import queue_run

    ids: dict[str, str | FilePath] = {"data": asked.data}
    if asked.samples is not None:
        ids["samples"] = asked.samples
    ids |= named_files(asked.cohort, asked.cohort_samples, asked.layers)
    inputs = {role: state.uploads.get(str(one), caller.owner).artifact for role, one in ids.items()}
    settings: dict[str, Any] = {"seed": asked.seed, "approval": asked.approval}
    if asked.stop_at is not None:
        settings["approval"] = "always"  # a plan is written, and carried out, at the questions of the run
    if asked.policy is not None:
        settings["policy"] = asked.policy
    with state.workspace.database.write():
        header = queue_run(
            state.workspace,
            inputs,
            owner=caller.owner,
            reports=reports(state.workspace),
            question=asked.question,
            budget=asked.budget,
            load=asked.load,
            told={} if asked.stop_at is None else {"stop_at": asked.stop_at},
            **settings,
        )
        state.jobs.add(caller.owner, "run", run_id=header.id)
        state.audit.add(caller.owner, "create run", header.id, "done", caller.address)
    response.headers["location"] = f"/api/runs/{header.id}"
    return view(state, caller, header.id)


@router.get("", responses=documented(*_FAULTS))
def list_runs(
    state: State,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    before: Annotated[str | None, Query(description="Only runs older than this one.")] = None,
) -> list[RunView]:
    """Your runs, newest first."""
    work = state.jobs.unended_runs(caller.owner)
    headers = state.workspace.repository.list_runs(limit, owner=caller.owner, before=before)
    newest = state.workspace.events.newest([one.id for one in headers])
    return [RunView.of(one, work.get(one.id), newest.get(one.id, 0)) for one in headers]


@router.get("/{run_id}", responses=documented(*_ONE))
def get_run(run_id: RunId, state: State, caller: Reader) -> RunView:
    """One run."""
    return view(state, caller, run_id)


@router.post("/{run_id}/cancel", responses=documented(*_ONE))
def cancel_run(run_id: RunId, state: State, caller: Writer) -> RunView:
    """End a run with every process that works on it. What was found stays, and it can be resumed."""
    owned(state, caller, run_id)
    for job in state.jobs.of_run(run_id, unended=True):
        state.jobs.ask_to_cancel(job.id)
    if all(job.status in ENDED for job in state.jobs.of_run(run_id)):  # nobody is at work on it
        cancelled(state.workspace, run_id)
    state.audit.add(caller.owner, "cancel run", run_id, "done", caller.address)
    return view(state, caller, run_id)


@router.post(
    "/{run_id}/resume",
    status_code=HTTPStatus.ACCEPTED,
    responses=documented(*_ONE, HTTPStatus.CONFLICT),
)
def resume_run(run_id: RunId, state: State, caller: Writer) -> RunView:
    """Go on with a run that was cancelled, stopped by a budget, or whose process died."""
    header = owned(state, caller, run_id)
    if header.status not in RESUMABLE:
        raise ResumeRefused(f"the run is {header.status}", where=f"run {run_id}", mend="start a new run")
    state.jobs.add_to_run(caller.owner, run_id)
    state.audit.add(caller.owner, "resume run", run_id, "done", caller.address)
    return view(state, caller, run_id)


@router.delete(
    "/{run_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=documented(*_ONE, HTTPStatus.CONFLICT),
)
def delete_run(run_id: RunId, state: State, caller: Writer) -> None:
    """Forget a run that nobody works on, with its report."""
    header = owned(state, caller, run_id)
    if state.jobs.of_run(run_id, unended=True):
        raise ResumeRefused("the run is being worked on", where=f"run {run_id}", mend="cancel it first")
    state.workspace.repository.delete_run(run_id)
    forget_report(state.workspace, header)
    state.audit.add(caller.owner, "delete run", run_id, "done", caller.address)


@router.get("/{run_id}/hypotheses", responses=documented(*_ONE))
def hypotheses(run_id: RunId, state: State, caller: Reader) -> list[dict[str, Any]]:
    """What the run found, best first, each with the evidence that its numbers are read from."""
    owned(state, caller, run_id)
    record = record_of(state.workspace, run_id)
    return [one.model_dump(mode="json") for one in record.hypotheses]


@router.get("/{run_id}/evidence/{evidence_id}", responses=documented(*_ONE))
def evidence(run_id: RunId, evidence_id: str, state: State, caller: Reader) -> EvidenceView:
    """One piece of evidence, and the call that recomputes it."""
    owned(state, caller, run_id)
    record = record_of(state.workspace, run_id)
    if evidence_id not in record.evidence:
        raise NotFound(f"there is no evidence {evidence_id!r}", mend="hypotheses name theirs")
    found = record.evidence[evidence_id]
    return EvidenceView(evidence=found, call=record.calls.get(found.call_key))


@router.get("/{run_id}/steps", responses=documented(*_ONE))
def steps(run_id: RunId, state: State, caller: Reader) -> list[dict[str, Any]]:
    """Objectives with their workflows and steps: the plan as it stands."""
    owned(state, caller, run_id)
    record = record_of(state.workspace, run_id)
    return [
        {
            **objective.model_dump(mode="json"),
            "workflows": [
                one.model_dump(mode="json") for one in record.workflows if one.objective_id == objective.id
            ],
        }
        for objective in record.objectives
    ]


@router.get("/{run_id}/outputs", responses=documented(*_ONE))
def outputs(run_id: RunId, state: State, caller: Reader) -> dict[str, str]:
    """Well-known results (``claims``, ``profile`` ...) to the step and the name under which they are kept."""
    owned(state, caller, run_id)
    return state.workspace.repository.load(run_id).outputs


@router.get("/{run_id}/artifacts", responses=documented(*_ONE))
def artifacts(run_id: RunId, state: State, caller: Reader) -> list[RunArtifact]:
    """Everything that the run's steps made."""
    owned(state, caller, run_id)
    record = record_of(state.workspace, run_id)
    return [
        RunArtifact(step=step.id, tool=step.tool, name=name, **ref.model_dump(mode="json", exclude={"name"}))
        for step in record.steps()
        if step.call_key in record.calls
        for name, ref in record.calls[step.call_key].outputs.items()
    ]


@router.get("/{run_id}/artifacts/{step}/{name}", response_class=Response, responses=documented(*_ONE))
def artifact(
    run_id: RunId,
    step: str,
    name: str,
    state: State,
    caller: Reader,
    form: Annotated[str, Query(pattern="^(json|csv|file)$")] = "file",
) -> Response:
    """A table, data set or figure of a step: as it is kept, or a table as CSV or JSON rows."""
    owned(state, caller, run_id)
    record = record_of(state.workspace, run_id)
    keys = {one.id: one.call_key for one in record.steps()}
    call = record.calls.get(keys.get(step) or "")
    ref: ArtifactRef | None = None if call is None else call.outputs.get(name)
    if ref is None:
        raise NotFound(f"step {step!r} made no {name!r}", mend=f"GET /api/runs/{run_id}/artifacts lists all")
    return content(state.workspace.artifacts, ref, form)


@router.get("/{run_id}/report", response_class=FileResponse, responses=documented(*_ONE))
@router.get(
    "/{run_id}/report/{file:path}",
    name="report_file",
    response_class=FileResponse,
    responses=documented(*_ONE),
)
def report(run_id: RunId, state: State, caller: Reader, file: str = "report.html") -> FileResponse:
    """A file of the report: the page itself where none is named."""
    header = owned(state, caller, run_id)
    root = FilePath(header.out_dir).resolve()
    found = (root / file.replace("\x00", "")).resolve()
    if not found.is_relative_to(root) or not found.is_file():
        raise NotFound(f"the report has no file {file!r}", mend="it is written when the run ends")
    kind = _PAGES.get(found.suffix, "application/octet-stream")
    return FileResponse(found, media_type=kind, headers=_REPORT_POLICY)


def view(state: ServerState, caller: Caller, run_id: str) -> RunView:
    """What is told of a run now."""
    work = state.jobs.unended_runs(caller.owner).get(run_id)  # read first: a job ends after its run
    header = owned(state, caller, run_id)
    return RunView.of(header, work, state.workspace.events.last(run_id))


def owned(state: ServerState, caller: Caller, run_id: str) -> RunHeader:
    """A run of the caller; `NotFound` where it is somebody else's."""
    return state.workspace.repository.owned(run_id, caller.owner)
