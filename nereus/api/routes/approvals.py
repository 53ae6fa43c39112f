"""Questions that runs ask before they go on, and their answers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body

from nereus.api.access import Reader, State, Writer
from nereus.api.problems import documented
from nereus.api.routes.runs import RunId, owned
from nereus.api.views import ApprovalView
from nereus.errors import NotFound, ResumeRefused

router = APIRouter(prefix="/api/runs", tags=["approvals"])

_FAULTS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


@router.get("/{run_id}/approvals", responses=documented(*_FAULTS))
def approvals(run_id: RunId, state: State, caller: Reader, pending: bool = False) -> list[ApprovalView]:
    """Questions of a run; with ``pending`` those that wait for an answer."""
    owned(state, caller, run_id)
    return [ApprovalView.of(one) for one in state.workspace.repository.approvals(run_id, pending)]


@router.post("/{run_id}/approvals/{approval_id:path}", responses=documented(*_FAULTS, HTTPStatus.CONFLICT))
def answer(
    run_id: RunId,
    approval_id: str,
    given: Annotated[
        dict[str, Any],
        Body(
            description="``{'approve': true}``; more by kind: ``drop``, ``edit``, ``add``, ``params``, ``steps``.",
            examples=[{"approve": True}],
        ),
    ],
    state: State,
    caller: Writer,
) -> ApprovalView:
    """Answer a question, once. When the last open one is answered, the run goes on."""
    from nereus.agents.planner.approval import checked_answer

    owned(state, caller, run_id)
    repository = state.workspace.repository
    known = {one.id: one for one in repository.approvals(run_id)}
    if approval_id not in known:
        raise NotFound(f"there is no question {approval_id!r}", mend=f"open ones are {sorted(known)}")
    if known[approval_id].status == "answered":
        raise ResumeRefused(
            "it was answered before", where=f"question {approval_id!r}", mend="answer another"
        )
    done = repository.answer_approval(
        run_id, approval_id, checked_answer(known[approval_id].request, given), by=caller.owner
    )
    state.audit.add(caller.owner, "answer", f"{run_id} {approval_id}", "done", caller.address)
    if not repository.approvals(run_id, pending_only=True):
        state.jobs.add_to_run(caller.owner, run_id)
    return ApprovalView.of(done)
