"""The server that a `Lab` keeps for itself: in this process, on a socket that only its user can reach, with workers beside it."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
import weakref
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from nereus.errors import StoreError

if TYPE_CHECKING:
    from nereus.settings import Settings

ADDRESS = "http://localhost"
_START_S = 60.0


class LocalServer:
    """A server on a socket in a folder of its own; started with the first request.

    Parameters
    ----------
    settings
        Where everything is.
    workers
        Processes that work on runs and tool calls.
    """

    def __init__(self, settings: Settings, workers: int) -> None:
        self._settings = settings
        self._workers = workers
        self._lock = threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="nereus-"))  # readable by its user only
        self._stack = ExitStack()
        self._stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
        self._started = False
        self.close = weakref.finalize(self, self._stack.close)
        """End it; at the latest when the program ends."""

    @property
    def socket(self) -> str:
        """File of the socket."""
        return str(self._folder / "socket")

    def ready(self) -> None:
        """Start it, unless it was started.

        Raises
        ------
        StoreError
            It does not start, or was closed.
        """
        with self._lock:
            if not self.close.alive:
                raise StoreError("the lab was closed", where="Lab", mend="open another one")
            if not self._started:
                self._start()
                self._started = True

    def _start(self) -> None:
        import uvicorn

        from nereus.api.app import create_app
        from nereus.api.serving import beside

        settings = self._settings.model_copy(update={"serve_tokens": "auto"})
        config = uvicorn.Config(
            create_app(settings), uds=self.socket, log_level="warning", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, name="lab", daemon=True)
        self._stack.enter_context(beside(settings, self._workers))
        thread.start()

        def end() -> None:
            server.should_exit = True
            thread.join(timeout=5)

        self._stack.callback(end)
        ends = time.monotonic() + _START_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > ends:
                raise StoreError(
                    "the lab does not start",
                    where=str(settings.home),
                    mend="`nereus doctor` tells what works",
                )
            time.sleep(0.01)
