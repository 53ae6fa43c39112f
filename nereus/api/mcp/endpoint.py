"""``/mcp``: streamable HTTP. Host and origin were checked before; here every request shows who makes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from nereus.api.access import Caller, caller_with, state_of
from nereus.api.problems import Refused, problem

if TYPE_CHECKING:
    from anyio.abc import TaskStatus
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from nereus.api.mcp.asked import Asked, Context

PATH = "/mcp"
SESSION_IDLE_S = 30 * 60
OF_ONE_OWNER = 100
"""Sessions that one owner may have open: nobody keeps others out."""
_CALLER = "nereus.caller"
_METHODS = ("GET", "POST", "DELETE")
_reader = caller_with("read")


class Sessions:
    """MCP sessions of one application, begun with the first request: a server that nobody speaks MCP to loads none of it.

    Parameters
    ----------
    app
        The application.
    tasks
        Where sessions run; they end with it.
    """

    def __init__(self, app: FastAPI, tasks: anyio.abc.TaskGroup) -> None:
        self._app = app
        self._tasks = tasks
        self._lock = anyio.Lock()
        self._managers: dict[str, StreamableHTTPSessionManager] = {}

    async def manager(self, owner: str) -> StreamableHTTPSessionManager:
        """What hands requests to the sessions of an owner."""
        async with self._lock:
            if owner not in self._managers:
                made = await run_sync(self._made)  # loading takes a second, which others need not wait for
                await self._tasks.start(self._run, made)
                self._managers[owner] = made
            return self._managers[owner]

    def _made(self) -> StreamableHTTPSessionManager:
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        from nereus.api.mcp import server

        return StreamableHTTPSessionManager(
            server.build(self._who), session_idle_timeout=SESSION_IDLE_S, max_sessions=OF_ONE_OWNER
        )

    async def _run(
        self,
        manager: StreamableHTTPSessionManager,
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        async with manager.run():
            task_status.started()
            await anyio.sleep_forever()

    def _who(self, context: Context) -> Asked:
        from nereus.api.mcp.asked import Asked

        request = cast(Request, context.request)
        return Asked(self._app.state.nereus, cast(Caller, request.scope[_CALLER]), context)


@asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        app.state.mcp = Sessions(app, tasks)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()


class _Endpoint:
    """Checks who asks, and hands the request to their session."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        request = Request(scope, receive)
        if request.method not in _METHODS:
            answer: JSONResponse | None = JSONResponse(
                {"detail": "Method Not Allowed"}, 405, headers={"allow": ", ".join(_METHODS)}
            )
        else:
            answer = await self._refusal(request, scope)
        if answer is not None:
            await answer(scope, receive, send)
            return
        caller = cast(Caller, scope[_CALLER])
        manager = await cast(Sessions, request.app.state.mcp).manager(caller.owner)
        scope["user"] = _user(caller)
        await manager.handle_request(scope, receive, send)

    async def _refusal(self, request: Request, scope: Scope) -> JSONResponse | None:
        try:
            scope[_CALLER] = await _reader(request)
            await state_of(request)
        except Refused as error:
            return problem(error.status, error.what, error.where, error.mend, headers=error.headers)
        return None


def _user(caller: Caller) -> Any:
    """The caller as MCP's session manager knows users: a session is open to the owner who began it alone."""
    from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
    from mcp.server.auth.provider import AccessToken

    return AuthenticatedUser(
        AccessToken(token="", client_id=caller.owner, scopes=sorted(caller.scopes), subject=caller.owner)
    )


router = APIRouter(lifespan=_life)
router.routes.append(
    Route(PATH, endpoint=_Endpoint(), include_in_schema=False)
)  # no operation of the REST interface
