"""LangGraph's protocol, side by side: this server and LangGraph's own development server, the same graph and client.

The graph does nothing in one node. The client is `langgraph_sdk`, unmodified. Of each server: runs a second, one after the
other and eight at once, each waited for; and the time from asking to the first event and to the first update of the graph.
The two servers take turns, so that other load on the machine meets both. Ours keeps every run, event and state in SQLite;
LangGraph's development server keeps them in memory (and in pickles now and then), and looks for work about once a second,
which is what most of its times are.

    python -m venv stock && stock/bin/pip install "langgraph-cli[inmem]"
    python -m benchmarks.langgraph_servers stock/bin/langgraph
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
from langgraph_sdk import get_client

from benchmarks.truth.results import store

ROUNDS = 3
WAITED = 40
"""Runs that are waited for, each way and round."""
STREAMED = 30
AT_ONCE = 8
JOBS = 10
"""Runs that the stock server may work on at once; its default is one."""
READY_S = 120

GRAPH = """
from langgraph.graph import END, START, MessagesState, StateGraph

def nothing(state):
    return {}

graph = StateGraph(MessagesState)
graph.add_node("nothing", nothing)
graph.add_edge(START, "nothing")
graph.add_edge("nothing", END)
"""


def main(stock: str) -> None:
    """Measure both and store the figures."""
    began = time.monotonic()
    load = os.getloadavg()
    with (
        tempfile.TemporaryDirectory() as folder,
        ours(Path(folder)) as one,
        theirs(Path(folder), stock) as other,
    ):
        servers = {"nereus": one, "langgraph_dev": other}
        measured: dict[str, list[dict[str, Any]]] = {name: [] for name in servers}
        for url in servers.values():
            asyncio.run(round_of(url, 5, 3))  # so that no figure holds the first import
        for _ in range(ROUNDS):
            for name, url in servers.items():
                measured[name].append(asyncio.run(round_of(url, WAITED, STREAMED)))
        stock_version = httpx.get(f"{other}/info", timeout=30).json()["version"]
    content = {
        "what": "a graph of one node that does nothing, asked for through langgraph_sdk",
        "versions_of_servers": {
            "langgraph": version("langgraph"),
            "langgraph-sdk": version("langgraph-sdk"),
            "langgraph-api (stock)": stock_version,
        },
        "stock_options": {"n_jobs_per_worker": JOBS},
        "load_before_and_after": [round(load[0], 1), round(os.getloadavg()[0], 1)],
        "rounds": ROUNDS,
        "servers": {name: summary(rounds) for name, rounds in measured.items()},
    }
    path = store(
        "langgraph_servers",
        content,
        module="benchmarks.langgraph_servers",
        arguments=[str(Path(stock).absolute())],
        seconds=time.monotonic() - began,
    )
    sys.stdout.write(path.read_text())


async def round_of(url: str, waited: int, streamed: int) -> dict[str, Any]:
    """One round against one server."""
    async with get_client(url=url, api_key=None) as client:
        given: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}]}

        async def run() -> None:
            result = await client.runs.wait(None, "noop", input=given)
            if result["messages"][0]["content"] != "x":
                raise RuntimeError("the graph did not run")

        began = time.perf_counter()
        for _ in range(waited):
            await run()
        one_by_one = waited / (time.perf_counter() - began)

        gate = asyncio.Semaphore(AT_ONCE)

        async def gated() -> None:
            async with gate:
                await run()

        began = time.perf_counter()
        await asyncio.gather(*(gated() for _ in range(waited)))
        at_once = waited / (time.perf_counter() - began)

        first: list[float] = []
        updated: list[float] = []
        for _ in range(streamed):
            thread = (await client.threads.create())["thread_id"]
            began = time.perf_counter()
            seen = False
            async for part in client.runs.stream(thread, "noop", input=given, stream_mode="updates"):
                if not seen:
                    first.append(1000 * (time.perf_counter() - began))
                    seen = True
                if part.event == "updates":
                    updated.append(1000 * (time.perf_counter() - began))
        return {"one_by_one": one_by_one, "at_once": at_once, "first": first, "updated": updated}


def summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of a server over its rounds."""
    first = sorted(one for each in rounds for one in each["first"])
    updated = sorted(one for each in rounds for one in each["updated"])
    return {
        "runs_a_second_one_by_one": statistics.median(one["one_by_one"] for one in rounds),
        f"runs_a_second_{AT_ONCE}_at_once": statistics.median(one["at_once"] for one in rounds),
        "first_event_ms": {"p50": statistics.median(first), "p95": first[int(0.95 * len(first))]},
        "first_update_ms": {"p50": statistics.median(updated), "p95": updated[int(0.95 * len(updated))]},
        "n_streams": len(first),
    }


@contextmanager
def ours(folder: Path) -> Iterator[str]:
    """This project's server."""
    port = _port()
    environment = {**os.environ, "NEREUS_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    with _server(
        [sys.executable, "-m", "benchmarks.langgraph_servers", "serve", str(port)], port, environment
    ):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def theirs(folder: Path, stock: str) -> Iterator[str]:
    """LangGraph's own development server."""
    place = folder / "stock"
    place.mkdir()
    (place / "noop.py").write_text(GRAPH + "\nnoop = graph.compile()\n")
    (place / "langgraph.json").write_text('{"dependencies": ["."], "graphs": {"noop": "./noop.py:noop"}}')
    port = _port()
    command = [str(Path(stock).absolute()), "dev", "--no-browser", "--no-reload", "--port", str(port)]
    command += ["--n-jobs-per-worker", str(JOBS)]
    with _server(command, port, dict(os.environ), place):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _server(
    command: list[str], port: int, environment: dict[str, str], place: Path | None = None
) -> Iterator[None]:
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        ends = time.monotonic() + READY_S
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/ok", timeout=5).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
            if process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError(f"{command[0]} does not answer")
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def serve(port: int) -> None:
    """Serve the product with the graph that does nothing beside its own; called in a process of its own."""
    from nereus.agents.graphs import GRAPHS
    from nereus.api.serving import serve as serve_product
    from nereus.settings import load_settings

    space: dict[str, Any] = {}
    exec(GRAPH, space)  # noqa: S102  (the text above)
    GRAPHS["noop"] = lambda desk, checkpointer=None, store=None: space["graph"].compile(
        checkpointer=checkpointer, store=store
    )
    serve_product(load_settings(), "127.0.0.1", port, 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]))
    else:
        main(sys.argv[1])
