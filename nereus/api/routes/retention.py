"""Which of your runs are kept. Files that no run needs any more go with `nereus runs prune`, when the server is down."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from nereus.api.access import State, Writer
from nereus.api.problems import documented
from nereus.api.served_runs import forget_report
from nereus.api.views import Kept, Pruned
from nereus.errors import InputError
from nereus.memory.retention import choose

router = APIRouter(prefix="/api/runs", tags=["runs"])


class PruneRequest(BaseModel):
    """Limits; where both are given, what lies beyond both goes."""

    model_config = ConfigDict(extra="forbid")

    keep: int | None = Field(default=None, ge=0, lt=2**31)
    """How many of the newest stay."""
    older_than_days: float | None = Field(default=None, ge=0, le=36_500)
    """Only what ended longer ago goes."""
    dry_run: bool = True
    """Remove nothing; tell what would go."""


@router.post(
    "/prune",
    responses=documented(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY),
)
def prune_runs(asked: PruneRequest, state: State, caller: Writer) -> Pruned:
    """Forget your older runs with their reports. Those that are not ended stay, and those that a kept one names."""
    if asked.keep is None and asked.older_than_days is None:
        raise InputError("no limit was given", where="prune", mend="give keep, older_than_days or both")
    repository = state.workspace.repository
    gone, stay = choose(repository.list_runs(owner=caller.owner), asked.keep, asked.older_than_days)
    at_work = set(state.jobs.unended_runs(caller.owner))
    stay += [(one, "it is being worked on") for one in gone if one.id in at_work]
    gone = [one for one in gone if one.id not in at_work]
    if not asked.dry_run:
        for one in gone:
            repository.delete_run(one.id)
            forget_report(state.workspace, one)
        state.audit.add(caller.owner, "prune runs", " ".join(one.id for one in gone), "done", caller.address)
    return Pruned(
        runs=[one.id for one in gone],
        kept=[Kept(run=one.id, why=why) for one, why in stay],
        dry_run=asked.dry_run,
    )
