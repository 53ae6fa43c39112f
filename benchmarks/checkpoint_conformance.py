"""LangGraph's conformance suite for checkpointers, on ours: SQLite, and PostgreSQL where it is installed.

python -m benchmarks.checkpoint_conformance
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from benchmarks.truth.results import store
from nereus.memory.checkpoints import open_checkpoints
from scripts.local_postgres import NoServerError, temporary_server


def main() -> None:
    """Run the suite and store what passed; LangGraph's own saver for SQLite stands beside, for comparison."""
    began = time.monotonic()
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found["sqlite"] = suite("sqlite", f"sqlite:///{folder / 'checkpoints.sqlite'}")
        try:
            found["postgresql"] = suite("postgresql", stack.enter_context(temporary_server()))
        except NoServerError as error:
            found["postgresql"] = {"skipped": str(error)}
        found["langgraph's AsyncSqliteSaver"] = theirs(folder / "theirs.sqlite")
    path = store(
        "checkpoint_conformance",
        {
            "suite": {
                "langgraph-checkpoint-conformance": version("langgraph-checkpoint-conformance"),
                "langgraph-checkpoint": version("langgraph-checkpoint"),
            },
            "savers": found,
        },
        module="benchmarks.checkpoint_conformance",
        arguments=[],
        seconds=time.monotonic() - began,
    )
    sys.stdout.write(path.read_text())


def suite(name: str, url: str) -> dict[str, Any]:
    """What of the suite one of our savers passes, by group."""

    @checkpointer_test(name=name)
    async def ours() -> AsyncIterator[Any]:
        with open_checkpoints(url) as saver:
            yield saver

    return told(asyncio.run(validate(ours)))


def theirs(file: Path) -> dict[str, Any]:
    """What LangGraph's own asynchronous saver for SQLite passes."""

    @checkpointer_test(name="theirs")
    async def saver() -> AsyncIterator[Any]:
        async with AsyncSqliteSaver.from_conn_string(str(file)) as made:
            yield made

    return told(asyncio.run(validate(saver)))


def told(report: Any) -> dict[str, Any]:
    """A report as it is stored."""
    return {
        "level": report.conformance_level(),
        "groups": {
            name: {
                "offered": one.detected,
                "passed": one.tests_passed,
                "failed": one.tests_failed,
                "failures": one.failures,
            }
            for name, one in report.results.items()
        },
    }


if __name__ == "__main__":
    main()
