"""What the server tells of things, as typed documents: written by the endpoints, read by the clients.

Nothing heavy is imported here, so that a client needs neither the server nor the tools.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from nereus.memory.approvals import Approval
from nereus.memory.jobs import Job, JobStatus
from nereus.memory.records import Evidence, RunHeader, ToolCall
from nereus.memory.uploads import Upload


class Dataset(BaseModel):
    """A file that was uploaded."""

    id: str
    name: str
    size: int
    """Bytes."""
    created_at: str

    @classmethod
    def of(cls, upload: Upload) -> Dataset:
        """What is told of an upload."""
        return cls(id=upload.id, name=upload.name, size=upload.size, created_at=upload.created_at)


class JobView(BaseModel):
    """A piece of work."""

    id: str
    kind: str
    status: str
    """``queued``, ``running``, ``finished``, ``failed`` or ``cancelled``."""
    run: str | None
    created_at: str
    ended_at: str | None
    tool: str | None = None
    """Of a tool call."""
    result: dict[str, Any]
    """What came out; of a failed one ``error`` with ``what``, ``where`` and ``mend``."""

    @classmethod
    def of(cls, job: Job) -> JobView:
        """What is told of a job."""
        return cls(
            id=job.id,
            kind=job.kind,
            status=job.status,
            run=job.run_id,
            created_at=job.created_at,
            ended_at=job.ended_at,
            tool=job.request.get("tool"),
            result=job.result,
        )


class RunView(BaseModel):
    """A run."""

    id: str
    status: str
    stop_reason: str
    question: str | None
    inputs: dict[str, str]
    """Role to file name."""
    seed: int
    policy: str
    started: str
    finished: str | None
    wall_s: float
    used: dict[str, float]
    last_event: int
    forked_from: str | None = None
    forked_at: str | None = None

    @classmethod
    def of(cls, header: RunHeader, work: JobStatus | None, last_event: int = 0) -> RunView:
        """What is told of a run. While its job is not ended, it has not: its report may still be written."""
        return cls(
            **header.model_dump(include=set(cls.model_fields) - {"inputs", "last_event", "status"}),
            status=shown_status(header.status, work),
            inputs={role: ref.name for role, ref in header.inputs.items()},
            last_event=last_event,
        )


def shown_status(status: str, work: JobStatus | None) -> str:
    """Status of a run as those who wait for its end need it.

    Parameters
    ----------
    status
        As it is recorded.
    work
        Whether its job waits or is at work; None where it has none.
    """
    return status if work is None else work


class RunArtifact(BaseModel):
    """Something that a step of a run made."""

    step: str
    tool: str
    name: str
    id: str
    kind: str
    """``table``, ``dataset``, ``figure``, ``model`` or ``file``."""
    size: int
    summary: str = ""


class EvidenceView(BaseModel):
    """A piece of evidence, and the call that recomputes it."""

    evidence: Evidence
    call: ToolCall | None


class ApprovalView(BaseModel):
    """A question of a run."""

    id: str
    kind: str
    """``objectives``, ``workflow``, ``tool`` or ``report``."""
    status: str
    request: dict[str, Any]
    """What is asked: shown to the person."""
    answer: dict[str, Any] | None
    answered_by: str

    @classmethod
    def of(cls, approval: Approval) -> ApprovalView:
        """What is told of a question."""
        return cls(**approval.model_dump(include=set(cls.model_fields)))


class Kept(BaseModel):
    """A run that a limit chose to go, but that stays."""

    run: str
    why: str


class Pruned(BaseModel):
    """Runs that were removed, or would be."""

    runs: list[str]
    kept: list[Kept]
    dry_run: bool


class ToolInput(BaseModel):
    """One input of a tool."""

    name: str
    kind: str
    required: bool


class ToolView(BaseModel):
    """A tool."""

    name: str
    version: str
    summary: str
    capability: str
    """``read``, ``compute``, ``network`` or ``exec``; the last two can be called in approved runs only."""
    inputs: list[ToolInput]
    outputs: list[str]


class ToolDetails(ToolView):
    """A tool with its documentation and parameters."""

    documentation: str
    parameters: dict[str, Any]
    """JSON schema."""


class Usage(BaseModel):
    """What one owner's runs have used."""

    owner: str
    runs: int
    wall_s: float
    used: dict[str, float]
    """Steps, tool calls, calls and tokens of language models, money: by the names of a run's budget."""
