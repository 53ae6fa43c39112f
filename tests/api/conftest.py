"""A real server with a worker, in processes of their own, and a table for it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

HEALTHY_S = 90


@dataclass(frozen=True)
class Server:
    """Where a server listens, and where it keeps its things."""

    url: str
    home: Path
    process: subprocess.Popen[bytes]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=120)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def start(home: Path, workers: int) -> Server:
    port = free_port()
    command = [sys.executable, "-m", "nereus", "serve", "--port", str(port), "--workers", str(workers)]
    environment = {**os.environ, "NEREUS_HOME": str(home), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, cwd=home, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    ends = time.monotonic() + HEALTHY_S
    while time.monotonic() < ends:
        try:
            if httpx.get(f"{url}/healthz", timeout=5).status_code == 200:
                return Server(url, home, process)
        except httpx.TransportError:
            time.sleep(0.1)
        assert process.poll() is None, "the server ended"
    process.kill()
    raise AssertionError("the server is not healthy")


def end(server: Server) -> None:
    server.process.send_signal(signal.SIGINT)
    try:
        server.process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(server.process.pid, signal.SIGKILL)
        raise


@contextlib.contextmanager
def served_here(home: Path, **settings: Any) -> Iterator[str]:
    """A server without workers, in this process; gives its address."""
    import uvicorn

    from nereus.api.app import create_app
    from nereus.settings import load_settings

    port = free_port()
    app = create_app(load_settings(home=home, **settings))
    made = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    try:
        while not made.started:
            assert thread.is_alive()
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        made.should_exit = True
        thread.join(timeout=10)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = start(tmp_path_factory.mktemp("served"), workers=1)
    yield started
    end(started)


@pytest.fixture(scope="session")
def table() -> bytes:
    """Intensities of 160 proteins in eight samples; the first twelve are fourfold in the second group."""
    rng = np.random.default_rng(7)
    logs = rng.normal(20, 2, (160, 1)) + rng.normal(0, 0.25, (160, 8))
    logs[:12, 4:] += 2
    names = [f"{group}_{number}" for group in ("control", "treated") for number in range(1, 5)]
    lines = [",".join(["protein", *names])]
    lines += [
        ",".join([f"P{10000 + row}", *(f"{2**value:.3f}" for value in logs[row])]) for row in range(len(logs))
    ]
    return ("\n".join(lines) + "\n").encode()


@pytest.fixture(scope="session")
def dataset(server: Server, table: bytes) -> str:
    with server.client() as client:
        made = client.post("/api/datasets", files={"file": ("table.csv", table)})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])
