"""`nereus serve`: the server in this process, and workers beside it that are started again when they die."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from pydantic import SecretStr

from nereus.api.app import create_app
from nereus.api.protection import LOOPBACK
from nereus.api.telemetry.logs import write_logs
from nereus.errors import SettingsError
from nereus.memory.database import Database
from nereus.memory.tokens import Tokens
from nereus.settings import Settings

log = logging.getLogger("nereus.api")

_LOOK_S = 0.5
_CALM_S = 30.0
_STOP_S = 10.0


def serve(settings: Settings, host: str, port: int, workers: int) -> None:
    """Serve until interrupted.

    Parameters
    ----------
    settings
        Where everything is.
    host, port
        Where to listen.
    workers
        Processes that work on runs and tool calls; 0 where they run elsewhere (`nereus worker`).

    Raises
    ------
    SettingsError
        The server would listen to others, and nobody has a token.
    """
    write_logs(settings)
    if host not in LOOPBACK:
        _refuse_without_tokens(settings, host)
    app = create_app(settings, host)
    config = uvicorn.Config(
        app, host=host, port=port, log_config=None, timeout_graceful_shutdown=3, server_header=False
    )
    with beside(settings, workers):
        uvicorn.Server(config).run()


def _refuse_without_tokens(settings: Settings, host: str) -> None:
    database = Database(settings.database_url)
    try:
        if not any(one.revoked_at is None for one in Tokens(database).list()):
            raise SettingsError(
                f"{host!r} is reached from other machines, and nobody has a token yet",
                where="nereus serve",
                mend="make one with `nereus token create NAME`, or listen on 127.0.0.1",
            )
    finally:
        database.close()


@contextmanager
def beside(settings: Settings, count: int) -> Iterator[None]:
    """Workers in processes of their own for as long as the server lives; one that dies is started again."""
    stop = threading.Event()
    keepers = [
        threading.Thread(target=_keep, args=(settings, stop), name=f"worker {number}", daemon=True)
        for number in range(count)
    ]
    for keeper in keepers:
        keeper.start()
    try:
        yield
    finally:
        stop.set()
        for keeper in keepers:
            keeper.join(timeout=_STOP_S + 2)


def _keep(settings: Settings, stop: threading.Event) -> None:
    """Run one worker, again and again, more slowly each time that it dies at once."""
    pause = _LOOK_S
    while not stop.is_set():
        process = _start(settings)
        began = threading.Event()
        calm = threading.Timer(_CALM_S, began.set)
        calm.start()
        while process.poll() is None and not stop.wait(_LOOK_S):
            pass
        calm.cancel()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
            return
        log.error("a worker ended with code %s; it is started again", process.returncode)
        pause = _LOOK_S if began.is_set() else min(2 * pause, _CALM_S)
        stop.wait(pause)


def worker_environment(settings: Settings) -> dict[str, str]:
    """The server's settings as a worker reads them, secrets among them: nobody but the worker sees them."""
    given = {**settings.model_dump(exclude_unset=True), "home": settings.home}
    told = {name: json.dumps(value, default=_told) for name, value in given.items() if value is not None}
    return dict(os.environ) | {
        f"NEREUS_{name.upper()}": json.loads(text) if text.startswith('"') else text
        for name, text in told.items()
    }


def _told(value: object) -> object:
    """What JSON has no form for: a secret is its text, anything else (a path, an address) as it is written."""
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _start(settings: Settings) -> subprocess.Popen[bytes]:
    """A worker with the server's settings, which it reads from its environment alone."""
    environment = worker_environment(settings)
    return subprocess.Popen(
        [sys.executable, "-m", "nereus.api.workers", "--beside", str(os.getpid())], env=environment
    )
