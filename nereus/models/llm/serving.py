"""Serve a model over the OpenAI protocol: start a server, wait until it is ready, start it again when it dies, stop it whole.

On a GPU host that is vLLM in an environment of its own (its pins conflict with ours); elsewhere transformers' own server, for a
folder. Either is a process with a log; nothing of it runs in this one.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Literal

import httpx

from nereus.errors import InputError, SettingsError, ToolError
from nereus.models.llm.tool_parsers import chat_template, parser_of
from nereus.offline import FOR_OTHERS

Engine = Literal["auto", "vllm", "transformers"]
READY_S = 900.0
"""Seconds until a server must answer: large weights are read from disk first."""
MOST_RESTARTS = 3
WITHIN_S = 600.0
"""More than `MOST_RESTARTS` deaths in so many seconds end it: what dies that often will not live."""
_STOP_S = 10.0
_TAIL = 20
_NO_NEWS = {name: FOR_OTHERS[name] for name in ("DO_NOT_TRACK", "VLLM_NO_USAGE_STATS")}
"""For a server that may fetch its model: it still tells nobody of its use."""
VLLM_ENVIRONMENT = "python3 -m venv {folder} && {folder}/bin/pip install vllm"


@dataclass(frozen=True)
class Plan:
    """How a model is served."""

    engine: Literal["vllm", "transformers"]
    command: tuple[str, ...]
    model: str
    """The name under which it is asked for."""
    host: str
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    parser: str | None = None
    """What reads tool calls in the server; None leaves that to the client."""

    @property
    def url(self) -> str:
        """Address of the protocol."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/v1"


def plan(
    model: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    engine: Engine = "auto",
    vllm: Path | None = None,
    home: Path | None = None,
    parser: str | None = None,
    further: Sequence[str] = (),
    gpu: bool | None = None,
) -> Plan:
    """How to serve a model here.

    Parameters
    ----------
    model
        A folder, or (vLLM) a name at the hub.
    host, port
        Where to listen; port 0 takes a free one.
    engine
        ``auto`` takes vLLM where there are a GPU and its environment, else transformers.
    vllm
        The program ``vllm``; looked for in ``<home>/vllm-env`` and on the path.
    home
        Where our state lies.
    parser
        vLLM's tool-call parser, in place of the one that the model's template tells.
    further
        Further options for the server, as they are.
    gpu
        Whether there is a GPU; None looks.

    Raises
    ------
    SettingsError
        vLLM is asked for and not here.
    InputError
        transformers is to serve what is no folder with a model.
    """
    folder = Path(model).expanduser()
    local = folder.is_dir()
    place = (home or Path.home() / ".nereus") / "vllm-env"
    found = vllm or next((one for one in (place / "bin" / "vllm",) if one.is_file()), None)
    found = found or (Path(which) if (which := shutil.which("vllm")) else None)
    port = port or _free_port(host)
    if engine == "auto":
        there = _has_gpu() if gpu is None else gpu
        engine = "vllm" if there and found is not None else "transformers"
    if engine == "vllm":
        if found is None or not found.is_file():
            raise SettingsError(
                "vLLM is not here", where="engine vllm", mend=VLLM_ENVIRONMENT.format(folder=place)
            )
        name = str(folder.resolve()) if local else model
        reads = parser or (parser_of(chat_template(folder)) if local else None)
        tools = ("--enable-auto-tool-choice", "--tool-call-parser", reads) if reads else ()
        command = (str(found), "serve", name, "--host", host, "--port", str(port), *tools, *further)
        return Plan("vllm", command, name, host, port, dict(FOR_OTHERS) if local else dict(_NO_NEWS), reads)
    if not local or not (folder / "config.json").is_file():
        raise InputError(
            f"{model!r} is no folder with a model",
            where="engine transformers",
            mend="give a folder that `save_pretrained` wrote; names at the hub need vLLM: "
            + VLLM_ENVIRONMENT.format(folder=place),
        )
    name = str(folder.resolve())
    start = "import nereus.offline; nereus.offline.inherit(); from transformers.cli.transformers import main; main()"
    listen = ("--host", host, "--port", str(port))
    device = (
        ()
        if "--device" in further
        else ("--device", "auto" if gpu or (gpu is None and _has_gpu()) else "cpu")
    )
    return Plan(
        "transformers",
        (sys.executable, "-c", start, "serve", *listen, *device, *further, name),
        name,
        host,
        port,
        dict(FOR_OTHERS),
    )


class Served:
    """A server that is watched.

    Parameters
    ----------
    plan
        What is started.
    log
        File that gets all that the server says.
    ready_s
        Seconds until it must answer.
    tell
        Told what happens, a line each.
    """

    def __init__(
        self,
        plan: Plan,
        log: Path,
        *,
        ready_s: float = READY_S,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.plan, self.log, self.ready_s, self._tell = plan, log, ready_s, tell
        self._process: subprocess.Popen[bytes] | None = None
        self._deaths: deque[float] = deque(maxlen=MOST_RESTARTS + 1)
        self._stopped = Event()

    @property
    def pid(self) -> int | None:
        """The server's process, while there is one."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises
        ------
        ToolError
            It died, or did not answer in time; with the end of its log.
        """
        self._require_free_port()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        cache = self.log.parent / "hub"  # transformers' list of models fails without such a folder
        cache.mkdir(exist_ok=True)
        environment = {**os.environ, **self.plan.environment}
        if self.plan.engine == "transformers":
            environment.setdefault("HF_HUB_CACHE", str(cache))
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    self.plan.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise ToolError(
                    f"the server cannot be started: {error.strerror}", where=self.plan.command[0]
                ) from error
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def watch(self) -> None:
        """Stay until it is stopped; start it again when it dies, but not for ever.

        Raises
        ------
        ToolError
            It died too often.
        """
        while not self._stopped.is_set():
            assert self._process is not None
            status = self._process.poll()
            if status is None:
                self._stopped.wait(0.5)
                continue
            self._kill()
            self._deaths.append(time.monotonic())
            recent = [one for one in self._deaths if one > time.monotonic() - WITHIN_S]
            if len(recent) > MOST_RESTARTS:
                raise ToolError(
                    f"the server died {len(recent)} times in {WITHIN_S:g} s\n{self.tail()}",
                    where=str(self.log),
                )
            self._tell(f"the server died ({_died(status)}); starting it again")
            self._stopped.wait(min(0.5 * 2 ** len(recent), 10.0))
            if not self._stopped.is_set():
                self.start()
                self._tell(f"ready again: {self.plan.url}")

    def stop(self) -> None:
        """End it with all its processes."""
        self._stopped.set()
        self._kill()

    def healthy(self) -> bool:
        """Whether it answers."""
        try:
            answer = httpx.get(self.plan.url.removesuffix("/v1") + "/health", timeout=5.0, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    def tail(self, lines: int = _TAIL) -> str:
        """The end of its log."""
        if not self.log.is_file():
            return ""
        with self.log.open("rb") as stream:
            stream.seek(max(0, self.log.stat().st_size - 20_000))
            return "\n".join(stream.read().decode("utf-8", "replace").splitlines()[-lines:])

    def _require_free_port(self) -> None:
        """Refuse a port on which something else answers: it would pass for our server."""
        try:
            with socket.create_connection((self.plan.host, self.plan.port), timeout=1.0):
                pass
        except OSError:
            return
        raise ToolError(
            f"something already listens on port {self.plan.port}",
            where=self.plan.host,
            mend="give another --port",
        )

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self.ready_s
        while time.monotonic() < deadline and not self._stopped.is_set():
            status = self._process.poll()
            if status is not None:
                raise ToolError(
                    f"the server ended before it was ready ({_died(status)})\n{self.tail()}",
                    where=str(self.log),
                )
            if self.healthy():
                return
            time.sleep(0.2)
        if not self._stopped.is_set():
            raise ToolError(
                f"the server did not answer within {self.ready_s:g} s\n{self.tail()}", where=str(self.log)
            )

    def _kill(self) -> None:
        process, self._process = self._process, self._process
        if process is None:
            return
        for sent, seconds in ((signal.SIGTERM, _STOP_S), (signal.SIGKILL, _STOP_S)):
            try:
                os.killpg(process.pid, sent)
            except (ProcessLookupError, PermissionError):
                break
            try:
                process.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                continue
        if process.poll() is None:
            process.wait(timeout=_STOP_S)


@contextmanager
def served(model: str | Path, *, log: Path, ready_s: float = READY_S, **options: object) -> Iterator[Served]:
    """A server for as long as a block lasts.

    Parameters
    ----------
    model
        See `plan`.
    log
        File of its log.
    ready_s
        Seconds until it must answer.
    **options
        See `plan`; the port is a free one unless it is given.
    """
    server = Served(plan(str(model), **({"port": 0} | options)), log, ready_s=ready_s)  # type: ignore[arg-type]
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _died(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as one:
        one.bind((host, 0))
        return int(one.getsockname()[1])


def _has_gpu() -> bool:
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    try:
        done = subprocess.run([program, "-L"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"GPU" in done.stdout
