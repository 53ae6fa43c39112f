"""Whether the server can do its work."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel

from nereus import __version__
from nereus.api.access import State
from nereus.api.problems import documented

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The server answers, and its database can be read."""

    status: str = "ok"
    version: str = __version__


@router.get("/healthz", responses=documented(HTTPStatus.SERVICE_UNAVAILABLE))
def healthz(state: State) -> Health:
    """Answer once the server can be used. Asks for no token and tells nothing about anybody."""
    state.jobs.waiting()
    return Health()
