"""``nereus mcp``: the server on standard input and output, for clients that start it on the user's own machine."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import ExitStack
from io import TextIOWrapper

import anyio
from mcp.server.stdio import stdio_server

from nereus.api.access import Caller
from nereus.api.mcp.asked import Asked, Context
from nereus.api.mcp.server import build
from nereus.api.serving import beside
from nereus.api.state import ServerState, open_state
from nereus.memory.database.models import LOCAL
from nereus.memory.tokens import SCOPES
from nereus.settings import Settings


def serve(settings: Settings, workers: int = 1) -> None:
    """Serve one client until it closes standard input.

    Parameters
    ----------
    settings
        Where everything is.
    workers
        Processes that work on runs and calls, started with the first; 0 where `nereus serve` or `nereus worker` does.
    """
    reading, writing = _protocol_streams()
    with open_state(settings) as state, ExitStack() as helpers:
        anyio.run(_talk, state, _Workers(settings, workers, helpers), reading, writing)


class _Workers:
    """Workers that are started when there is work: many clients start all their servers, and use few."""

    def __init__(self, settings: Settings, count: int, helpers: ExitStack) -> None:
        self._settings = settings
        self._count = count
        self._helpers = helpers
        self._lock = threading.Lock()

    def begin(self) -> None:
        with self._lock:
            count, self._count = self._count, 0
            if count:
                self._helpers.enter_context(beside(self._settings, count))


async def _talk(
    state: ServerState, workers: _Workers, reading: TextIOWrapper, writing: TextIOWrapper
) -> None:
    caller = Caller(LOCAL, frozenset(SCOPES), "stdio")

    def who(context: Context) -> Asked:
        return Asked(state, caller, context, local_files=True, before_work=workers.begin)

    server = build(who)
    async with stdio_server(anyio.wrap_file(reading), anyio.wrap_file(writing)) as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def _protocol_streams() -> tuple[TextIOWrapper, TextIOWrapper]:
    """Standard input and output for the protocol alone.

    What anything else prints, in this process or in one that it starts, goes to standard error; nothing else reads the
    client's messages.
    """
    sys.stdout.flush()
    reading, writing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return (
        TextIOWrapper(os.fdopen(reading, "rb"), encoding="utf-8", errors="replace"),
        TextIOWrapper(os.fdopen(writing, "wb"), encoding="utf-8"),
    )
