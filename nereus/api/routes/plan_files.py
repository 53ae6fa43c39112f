"""Plans that can be edited: what a run is about to do, read and changed before it goes on."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body

from nereus.api.access import Reader, State, Writer
from nereus.api.problems import documented
from nereus.api.routes.runs import RunId, owned, view
from nereus.api.views import RunView
from nereus.errors import NotFound

router = APIRouter(prefix="/api/runs", tags=["runs"])

_FAULTS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


@router.get("/{run_id}/plan-file", responses=documented(*_FAULTS))
def plan_file(run_id: RunId, state: State, caller: Reader) -> dict[str, Any]:
    """The plan with which a run waits that was asked for with ``stop_at: plan``: as the file that `nereus plan` writes."""
    from nereus.agents.planner.queued import plan_of

    found = plan_of(owned(state, caller, run_id))
    if found is None:
        raise NotFound(
            f"run {run_id!r} has no plan to edit",
            mend="ask for it with stop_at: plan, and wait until it waits; runs/ID/plan shows what other runs do",
        )
    return found.model_dump(mode="json")


@router.put(
    "/{run_id}/plan-file",
    status_code=HTTPStatus.ACCEPTED,
    responses=documented(*_FAULTS, HTTPStatus.CONFLICT),
)
def carry_out_plan(
    run_id: RunId,
    plan: Annotated[dict[str, Any], Body(description="The plan, edited or as it was.")],
    state: State,
    caller: Writer,
) -> RunView:
    """Let the run go on by a plan. Only what was changed in it is imposed."""
    from nereus.agents.planner.queued import carry_out

    owned(state, caller, run_id)
    carry_out(state.workspace, run_id, plan)
    state.jobs.add_to_run(caller.owner, run_id)
    state.audit.add(caller.owner, "carry out plan", run_id, "done", caller.address)
    return view(state, caller, run_id)
