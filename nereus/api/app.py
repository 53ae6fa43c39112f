"""The server's application: stores open while it lives, protection around it, one module of endpoints a resource."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute

from nereus import __version__
from nereus.api import langgraph as langgraph_protocol
from nereus.api import openai, page, problems
from nereus.api.access import AskedFirst, Gate
from nereus.api.langgraph.service import open_graphs
from nereus.api.mcp import endpoint as mcp
from nereus.api.openapi import described
from nereus.api.protection import CROSS_ORIGIN, LOOPBACK, BodyLimit, KnownHosts, SecureHeaders
from nereus.api.routes import (
    actions,
    approvals,
    comparisons,
    datasets,
    examples,
    forks,
    health,
    jobs,
    methods,
    plan_files,
    retention,
    run_events,
    run_figures,
    run_views,
    runs,
    session,
    threads,
    tools,
    usage,
)
from nereus.api.state import open_state
from nereus.settings import Settings

if TYPE_CHECKING:
    from nereus.api.telemetry.signals import Signals

ROUTERS = (
    health,
    session,
    examples,
    datasets,
    runs,
    run_views,
    run_figures,
    forks,
    plan_files,
    retention,
    comparisons,
    run_events,
    approvals,
    threads,
    jobs,
    tools,
    methods,
    actions,
    usage,
    mcp,
    *openai.ROUTERS,
    *langgraph_protocol.ROUTERS,
    page,
)


def create_app(settings: Settings, host: str = "127.0.0.1", signals: Signals | None = None) -> FastAPI:
    """The application.

    Parameters
    ----------
    settings
        Where everything is.
    host
        Address on which it is going to listen; on loopback, requests need no token unless the settings say so.
    signals
        What measures it; where the setting `telemetry` names a collector, one that sends there.
    """

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        with open_state(settings) as state, open_graphs(state) as graphs:
            app.state.nereus = state
            app.state.graphs = graphs
            yield
            if (turns := getattr(app.state, "chat_turns", None)) is not None:
                turns.close()
        if signals is not None:
            await run_in_threadpool(signals.close)

    if signals is None and settings.telemetry is not None:
        from nereus.api.telemetry.signals import open_signals

        signals = open_signals(settings, "nereus-server")

    app = FastAPI(
        title="Nereus",
        version=__version__,
        summary="From a raw proteomics table to ranked, traceable hypotheses.",
        lifespan=life,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        openapi_url=None,  # made in a thread instead: it takes a second, which streams would notice
        generate_unique_id_function=_name,
    )
    local = host in LOOPBACK
    app.state.gate = Gate(local and settings.serve_tokens == "auto", settings.serve_rate)
    problems.install(app)
    for module in ROUTERS:
        app.include_router(module.router)
    app.add_middleware(AskedFirst)
    app.add_middleware(BodyLimit, upload_bytes=settings.serve_upload_mb * 2**20)
    if settings.serve_origins:
        app.add_middleware(CORSMiddleware, **CROSS_ORIGIN, allow_origins=list(settings.serve_origins))
    known = {*settings.serve_hosts, host, *(LOOPBACK if local else ())}
    app.add_middleware(KnownHosts, hosts=known, origins=settings.serve_origins)
    app.add_middleware(SecureHeaders)
    if signals is not None:  # without, nothing of it is imported or stands in between
        from nereus.api.telemetry.signals import MeasuredRequests

        app.add_middleware(MeasuredRequests, signals=signals)
    app.openapi = described(app)  # type: ignore[method-assign]

    @app.get("/openapi.json", include_in_schema=False)
    def description() -> Response:
        return JSONResponse(app.openapi())

    return app


def _name(route: APIRoute) -> str:
    return route.name
