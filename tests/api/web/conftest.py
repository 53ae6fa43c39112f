"""A real browser, and a line between it and the server that can be cut."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.api.conftest import Server

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


STEP_MS = 120_000
RUN_S = 180
PHONE = {"width": 390, "height": 844}


class Visit:
    """A page in a window of its own, that notes what it asks for and what goes wrong."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(STEP_MS)
        self.page = self.context.new_page()
        self.url = url
        self.asked: list[str] = []
        self.faults: list[str] = []
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", self._asked)
        self.page.on("console", self._told)

    def _asked(self, dialog: Any) -> None:
        self.faults.append(dialog.message)
        dialog.dismiss()

    def _told(self, message: Any) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            self.faults.append(message.text)

    def open(self, place: str = "") -> Any:
        self.page.goto(f"{self.url}/#/{place}")
        return self.page

    def left_the_origin(self) -> list[str]:
        return [one for one in self.asked if not one.startswith((self.url, "data:", "blob:"))]


class Line:
    """Forwards a port to the server; `cut` drops every connection and refuses new ones until `mend`."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (str(parts.hostname), int(parts.port or 80))
        self._open: set[socket.socket] = set()
        self._whole = threading.Event()
        self._whole.set()
        self._ends = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._whole.clear()
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._whole.set()

    def close(self) -> None:
        self._ends.set()
        self.cut()
        self._server.close()

    def _accept(self) -> None:
        while not self._ends.is_set():
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            if not self._whole.is_set():
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                sink.sendall(part)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            self._open.discard(one)


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Chromium without a window; tests are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    named = os.environ.get("CHROMIUM")
    path = named or next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium on this machine; name one in the environment variable CHROMIUM")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def line(server: Server) -> Iterator[Line]:
    drawn = Line(server.url)
    yield drawn
    drawn.close()


@pytest.fixture
def visit(browser: Any, server: Server) -> Iterator[Visit]:
    opened = Visit(browser, server.url)
    yield opened
    opened.context.close()


@pytest.fixture(scope="session")
def finished(server: Server, dataset: str) -> str:
    """A small run that has ended."""
    with server.client() as client:
        asked = {"data": dataset, "question": "What differs?", "budget": ["objectives=1", "steps=20"]}
        run = str(client.post("/api/runs", json=asked).json()["id"])
        ends = time.monotonic() + RUN_S
        while (seen := client.get(f"/api/runs/{run}").json())["status"] in ("queued", "running"):
            assert time.monotonic() < ends
            time.sleep(0.3)
        assert seen["status"] in ("finished", "stopped")
    return run
