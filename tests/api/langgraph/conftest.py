"""A real server with a small graph beside the product's, and LangGraph's own clients, unmodified."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from tests.api.conftest import HEALTHY_S, Server, free_port

ROOT = Path(__file__).parents[3]
Start = Callable[..., Server]


def say(text: str) -> dict[str, Any]:
    """The input of a conversation."""
    return {"messages": [{"role": "user", "content": text}]}


def launch(home: Path, port: int | None = None, workers: int = 0, **settings: str) -> Server:
    port = port or free_port()
    environment = {
        **os.environ,
        "NEREUS_HOME": str(home),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        **settings,
    }
    command = [sys.executable, "-m", "tests.api.langgraph.toy_server", str(port), str(workers)]
    process = subprocess.Popen(command, env=environment, cwd=home, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    ends = time.monotonic() + HEALTHY_S
    while time.monotonic() < ends:
        try:
            if httpx.get(f"{url}/ok", timeout=5).status_code == 200:
                return Server(url, home, process)
        except httpx.TransportError:
            time.sleep(0.1)
        assert process.poll() is None, "the server ended"
    process.kill()
    raise AssertionError("the server is not healthy")


def stop(server: Server, number: signal.Signals = signal.SIGINT) -> None:
    server.process.send_signal(number)
    try:
        server.process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(server.process.pid, signal.SIGKILL)
        raise


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it as it is."""
    started = launch(tmp_path_factory.mktemp("graphs"))
    yield started
    stop(started)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start servers of a test's own; those that live are ended after it."""
    made: list[Server] = []

    def begin(**given: Any) -> Server:
        made.append(launch(given.pop("home", tmp_path), **given))
        return made[-1]

    yield begin
    for one in made:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()


@pytest.fixture
def client(toy: Server) -> Iterator[SyncLangGraphClient]:
    with get_sync_client(url=toy.url, api_key=None) as made:
        yield made


def texts(values: Any) -> list[str]:
    """What was said in a conversation."""
    return [one["content"] for one in values["messages"]]
