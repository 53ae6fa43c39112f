"""Who asks over MCP, and what belongs to one session: its log level, its subscriptions, what it may do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.session import ServerSession
from mcp.shared.context import RequestContext
from mcp.shared.exceptions import McpError

from nereus.api.access import Caller
from nereus.api.state import ServerState
from nereus.errors import NereusError, NotFound

RESOURCE_NOT_FOUND = -32002
_LEVELS: tuple[types.LoggingLevel, ...] = (
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
)


@dataclass
class SessionState:
    """What one MCP session has set."""

    tasks: anyio.abc.TaskGroup
    level: types.LoggingLevel = "info"
    subscriptions: dict[str, anyio.CancelScope] = field(default_factory=dict)


Context = RequestContext[ServerSession, SessionState, Any]
McpServer = Server[SessionState, Any]


@asynccontextmanager
async def session_state(server: McpServer) -> AsyncIterator[SessionState]:
    """State of a session, for as long as it lives; what follows runs for it ends with it."""
    del server
    async with anyio.create_task_group() as tasks:
        try:
            yield SessionState(tasks)
        finally:
            tasks.cancel_scope.cancel()


@dataclass(frozen=True)
class Asked:
    """One request: the open stores, who asks, and how they are told of progress.

    Parameters
    ----------
    state
        Open stores.
    caller
        Who asks, with scopes.
    context
        The request as MCP has it.
    local_files
        Whether files are named by their paths: over stdio, where the client runs on this machine as this user.
    before_work
        Called before a job is queued: over stdio it sees to it that a worker is there.
    """

    state: ServerState
    caller: Caller
    context: Context
    local_files: bool = False
    before_work: Callable[[], None] = lambda: None

    def may(self, scope: str) -> bool:
        """Whether the caller's token has a scope."""
        return scope in self.caller.scopes

    async def progress(self, done: float, total: float | None, message: str) -> None:
        """Tell how far the work is, where the client asked to be told."""
        token = None if self.context.meta is None else self.context.meta.progressToken
        if token is not None:
            await self.context.session.send_progress_notification(
                token, done, total, message, related_request_id=str(self.context.request_id)
            )

    async def log(self, level: types.LoggingLevel, logger: str, data: Any) -> None:
        """Tell the client something beside the result, unless it set a higher level."""
        if _LEVELS.index(level) >= _LEVELS.index(self.context.lifespan_context.level):
            await self.context.session.send_log_message(
                level, data, logger, related_request_id=self.context.request_id
            )

    def was_cancelled(self) -> bool:
        """Whether the client took this very request back, rather than the session or the server ending."""
        responder = self.context.session._in_flight.get(self.context.request_id)
        return responder is not None and bool(responder.cancelled)


Who = Callable[[Context], Asked]


def protocol_error(error: NereusError) -> McpError:
    """An error of ours as one of the protocol."""
    code = RESOURCE_NOT_FOUND if isinstance(error, NotFound) else types.INVALID_PARAMS
    return McpError(
        types.ErrorData(code=code, message=error.what, data={"where": error.where, "mend": error.mend})
    )


def invalid(message: str) -> McpError:
    """An error for parameters that cannot be used."""
    return McpError(types.ErrorData(code=types.INVALID_PARAMS, message=message))
