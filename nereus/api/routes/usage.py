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
    headers = state.workspace.repository.list_runs(owner=caller.owner)
    used: dict[str, float] = {}
    for header in headers:
        for name, amount in header.used.items():
            used[name] = used.get(name, 0.0) + amount
    return Usage(owner=caller.owner, runs=len(headers), wall_s=sum(one.wall_s for one in headers), used=used)


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
