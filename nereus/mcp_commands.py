"""`nereus mcp`: the server of the Model Context Protocol on standard input and output."""

from __future__ import annotations

from typing import Annotated

import typer

from nereus.telling import told


def mcp(
    workers: Annotated[
        int,
        typer.Option(
            min=0,
            max=64,
            help="Processes that work on runs and calls, started with the first; 0 where a server or worker runs.",
        ),
    ] = 1,
) -> None:
    """Serve an MCP client (an assistant or editor) that starts this command: tools, runs, evidence, prompts."""
    with told("stopped"):
        from nereus.api.mcp.stdio import serve
        from nereus.settings import load_settings

        serve(load_settings(), workers)
