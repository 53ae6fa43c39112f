"""Who is asking, and what the server is: what the web page needs to know first; and how a browser keeps its token.

A browser shows its token once, in the header; from then on a cookie does, which no script can read and which no other site
can make the browser send. Streams, pictures and downloads, for which a page cannot set headers, then work as well.
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from nereus import __version__
from nereus.api.access import COOKIE, Caller, Reader, State, shown_secret
from nereus.api.problems import documented
from nereus.api.state import ServerState

router = APIRouter(prefix="/api/session", tags=["session"])

_FAULTS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_KEPT_S = 30 * 24 * 3600


class Session(BaseModel):
    """Who is asking, and what the server is."""

    owner: str
    scopes: list[str]
    signed_in: bool
    """Whether a token was shown; False where the server asks for none."""
    version: str
    policy: str
    """Who decides in runs that do not say: ``rules``, ``llm`` or both by kind of decision."""
    asks: str | None
    """Host of the language model that decisions are sent to; None where none is asked."""
    offline: bool
    upload_bytes: int
    """Largest file that is taken."""


@router.get("", responses=documented(*_FAULTS))
def get_session(request: Request, state: State, caller: Reader) -> Session:
    """Who you are here."""
    return _session(request, state, caller)


@router.post("", responses=documented(*_FAULTS))
def open_session(request: Request, response: Response, state: State, caller: Reader) -> Session:
    """Keep the token that this request shows in a cookie of this browser."""
    secret = shown_secret(request)
    if secret is not None:
        response.set_cookie(
            COOKIE,
            secret,
            max_age=_KEPT_S,
            path="/",
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        state.audit.add(caller.owner, "sign in", "page", "done", caller.address)
    return _session(request, state, caller)


@router.delete("", status_code=HTTPStatus.NO_CONTENT, responses=documented(*_FAULTS))
def close_session(response: Response, caller: Reader) -> None:
    """Forget this browser's token."""
    del caller
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


def _session(request: Request, state: ServerState, caller: Caller) -> Session:
    settings = state.settings
    asks = None
    if settings.asks_model:
        asks = urlsplit(settings.llm_base_url or "").hostname or "the provider's own address"
    return Session(
        owner=caller.owner,
        scopes=sorted(caller.scopes),
        signed_in=shown_secret(request) is not None,
        version=__version__,
        policy=settings.policy,
        asks=asks,
        offline=settings.offline,
        upload_bytes=settings.serve_upload_mb * 2**20,
    )
