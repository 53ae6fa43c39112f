"""The application behind a real socket; a language model where a test sets one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from nereus.api.app import create_app
from nereus.memory.tokens import Tokens
from nereus.settings import Settings, load_settings
from tests.api.conftest import free_port


@dataclass
class Served:
    """An application that listens."""

    url: str
    app: FastAPI
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Any:
        return self.app.state.nereus


def serve(settings: Settings) -> Iterator[Served]:
    port = free_port()
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    ends = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < ends
        time.sleep(0.05)
    made = Tokens(app.state.nereus.workspace.database)
    tokens = {
        "ada": made.create("ada")[0],
        "eve": made.create("eve")[0],
        "reader": made.create("ada", ["read"])[0],
    }
    yield Served(f"http://127.0.0.1:{port}", app, tokens)
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("openai")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        yield from serve(load_settings(home=home / "home", serve_tokens="always"))
