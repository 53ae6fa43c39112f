"""What was used, and what was done."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query

from nereus.api.access import Admin, Reader, State
from nereus.api.problems import documented
from nereus.api.views import Usage

router = APIRouter(prefix="/api", tags=["usage"])

_FAULTS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY)


@router.get("/usage", responses=documented(*_FAULTS))
def usage(state: State, caller: Reader) -> Usage:
    """What your runs have used."""
    runs, wall_s, used = state.workspace.repository.used(caller.owner)
    return Usage(owner=caller.owner, runs=runs, wall_s=wall_s, used=used)


@router.get("/audit", responses=documented(*_FAULTS))
def audit(
    state: State,
    caller: Admin,
    owner: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
) -> list[dict[str, Any]]:
    """Who did what, newest first."""
    del caller
    return state.audit.read(owner, limit)
