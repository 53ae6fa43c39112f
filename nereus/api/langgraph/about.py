"""Whether the server is there, what it is, and what of the protocol it does not offer."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter

from nereus import __version__
from nereus.api.access import Reader
from nereus.api.langgraph.answers import FAULTS
from nereus.api.problems import Refused

router = APIRouter(tags=["langgraph"])


@router.get("/ok", responses=FAULTS)
async def ok() -> dict[str, bool]:
    """Whether the server answers."""
    return {"ok": True}


@router.get("/info", responses=FAULTS)
async def info() -> dict[str, Any]:
    """What the server is, and which parts of the protocol it has."""
    return {
        "version": __version__,
        "flags": {"assistants": True, "crons": False, "langsmith": False},
        "host": {"kind": "nereus"},
    }


@router.post("/runs/crons/search", responses=FAULTS)
async def search_crons(caller: Reader) -> list[dict[str, Any]]:
    """Runs at set times: there are none."""
    del caller
    return []


@router.post("/runs/crons/count", responses=FAULTS)
async def count_crons(caller: Reader) -> int:
    """Runs at set times: there are none."""
    del caller
    return 0


@router.post("/runs/crons", name="create_cron", responses=FAULTS)
@router.post("/threads/{thread_id}/runs/crons", name="create_thread_cron", responses=FAULTS)
async def create_cron(caller: Reader) -> None:
    """Runs at set times are not offered."""
    del caller
    raise Refused(
        HTTPStatus.NOT_FOUND,
        "runs at set times are not offered",
        mend="ask for a run from the system's own scheduler (cron, systemd): POST /runs",
    )
