"""Forks: one of your runs goes another way from one of its questions on, as a run of its own."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from nereus.api.access import State, Writer
from nereus.api.problems import documented
from nereus.api.routes.runs import RunId, owned, view
from nereus.api.served_runs import reports
from nereus.api.views import RunView

router = APIRouter(prefix="/api/runs", tags=["runs"])

_FAULTS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


class ForkRequest(BaseModel):
    """Where a fork leaves the run, and what is changed there."""

    model_config = ConfigDict(extra="forbid")

    at: Annotated[str, Field(pattern="^O[0-9]{1,6}$")]
    """Objective, as ``O2``: the fork begins before it was taken up."""
    edit: dict[str, Any] = {}
    """``drop``, ``edit`` and ``add``, as answers at the gate of objectives; nothing changes nothing."""


@router.post("/{run_id}/forks", status_code=HTTPStatus.ACCEPTED, responses=documented(*_FAULTS))
def fork_run(run_id: RunId, asked: ForkRequest, response: Response, state: State, caller: Writer) -> RunView:
    """Go another way from a question of a run on. The fork is a run of its own; the run stays as it is."""
    from nereus.agents.planner.queued import queue_fork

    owned(state, caller, run_id)
    made = queue_fork(
        state.workspace,
        run_id,
        asked.at,
        asked.edit,
        owner=caller.owner,
        reports=reports(state.workspace),
    )
    state.jobs.add_to_run(caller.owner, made.id)
    state.audit.add(caller.owner, "fork run", f"{run_id} {made.id}", "done", caller.address)
    response.headers["location"] = f"/api/runs/{made.id}"
    return view(state, caller, made.id)
