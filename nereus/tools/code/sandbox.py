"""Open a sandbox and run code in it: once, or piece by piece with variables that stay.

Examples
--------
>>> from nereus.tools.code.sandbox import run_once
>>> run_once("print(6 * 7)").shown().strip()
'42'
"""

from __future__ import annotations

import atexit
import os
import secrets
import selectors
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from nereus.errors import NereusError, ToolError, on_one_line
from nereus.tools.code import launch, processes, reading
from nereus.tools.code.channel import ChannelBroken, Output, Replies, drain
from nereus.tools.code.folders import Folder, used
from nereus.tools.code.inside import columns
from nereus.tools.code.inside.frames import packed
from nereus.tools.code.layers import Grade, Layer, chosen, filtered, grade
from nereus.tools.code.limits import Limits
from nereus.tools.code.outcome import Outcome, Stop, claim, said
from nereus.tools.code.view import DEVICES, View

if TYPE_CHECKING:
    import pandas as pd

    from nereus.memory.records import Scalar

_START_S = 30.0
_LOOK_S = 0.05
_LOOK_AT_FILES_S = 0.25
_XCPU, _XFSZ, _KILL = 24, 25, 9

Function = Callable[..., Any]
_OPEN: weakref.WeakSet[Session] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for session in list(_OPEN):
        session.close()


class Session:
    """A sandbox that stays open: variables live from one piece of code to the next. Use it in a ``with`` block.

    Parameters
    ----------
    limits
        What the code may take.
    least
        The weakest grade that will do.
    layer
        One layer by name; None takes the strongest that works.
    home
        Folder of sandboxes; None takes one among the system's temporary files.
    functions
        What the code may ask for by ``call(name, ...)``: JSON values in and out. They run in this process.
    files
        Files that the code may read, and not write, as ``inputs/<name>`` in its work folder.

    Raises
    ------
    SettingsError
        No sandbox here is as strong as `least`.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        least: Grade | str = Grade.CONFINED,
        layer: Layer | str | None = None,
        home: Path | None = None,
        functions: Mapping[str, Function] | None = None,
        files: Mapping[str, Path] | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.layer = chosen(least, layer)
        self.grade = grade(self.layer)
        self.held: dict[str, Any] = {}
        """What the worker said that holds: ``landlock`` (version) and ``seccomp``."""
        self._home = home
        self._functions = dict(functions or {})
        self._files = dict(files or {})
        self._lock = threading.Lock()
        self._folder: Folder | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._requests = self._replies = -1
        self._token = ""
        self._paused: list[int] = []
        _OPEN.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._process is not None or self._folder is not None:
            self.close()

    @property
    def open(self) -> bool:
        """Whether there is a process, and so variables."""
        return self._process is not None

    @property
    def work(self) -> Path | None:
        """The work folder while there is one. What lies in it is the code's: follow no link in it."""
        return None if self._folder is None else self._folder.work

    def run(
        self,
        code: str,
        *,
        tables: Mapping[str, pd.DataFrame] | None = None,
        values: Mapping[str, Scalar] | None = None,
        seed: int | None = None,
        echo: bool = False,
        collect: bool = True,
        timeout: float | None = None,
    ) -> Outcome:
        """Run a piece of code, and tell what became of it.

        Parameters
        ----------
        code
            Python.
        tables, values
            Variables that it finds.
        seed
            Seed of everything random; None leaves it random.
        echo
            Print the value of a last expression, as a notebook does.
        collect
            Bring back tables, plain values and figures.
        timeout
            Seconds that it may run, if less than the limit.
        """
        with self._lock:
            try:
                return self._run(code, tables or {}, values or {}, seed, echo, collect, timeout)
            except BaseException:  # also an interrupt: nothing is left running
                self._end()
                raise

    def close(self) -> None:
        """End the process and remove its folder."""
        with self._lock:
            self._end()

    # ---------------------------------------------------------------------------- starting and ending

    def _start(self) -> None:
        self._folder = Folder.make(self._home)
        view = View.around(self._folder.work, self._folder.inputs, self._folder.give(self._files))
        ours_in, self._requests = os.pipe()
        self._replies, ours_out = os.pipe()
        self._token = self._folder.path.name
        try:
            environment = launch.environment(self._folder) | {processes.MARK: self._token}
            self._process = launch.STARTER.start(
                launch.command(self.layer, view, launch.worker(ours_in, ours_out, self.layer), self._folder),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                cwd=self._folder.work,
                pass_fds=(ours_in, ours_out),
                start_new_session=True,
            )
        finally:
            os.close(ours_in)
            os.close(ours_out)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        for descriptor in (self._requests, self._replies, self._process.stdout, self._process.stderr):
            os.set_blocking(descriptor if isinstance(descriptor, int) else descriptor.fileno(), False)
        self._begin(view)

    def _begin(self, view: View) -> None:
        linux = self.layer not in (Layer.RLIMITS, Layer.SEATBELT)
        limits = self.limits
        own_ids = self.layer in (Layer.BUBBLEWRAP, Layer.NAMESPACES)
        tasks = limits.threads + (0 if own_ids else processes.of_this_user())
        filters = filtered()
        readable = [*view.readable, "/proc"] if own_ids else list(view.readable)
        exchange = _Exchange(
            self,
            {
                "limits": {
                    "memory_mb": limits.memory_mb,
                    "file_mb": limits.file_mb,
                    "open_files": limits.open_files,
                    "session_cpu_s": limits.session_cpu_s,
                    "tasks": tasks,
                },
                "reply_mb": limits.reply_mb,
                "bare": not linux and not filters,
                "landlock": linux and _landlocked(),
                "seccomp": filters,
                "readable": readable,
                "writable": [view.work],
                "devices": DEVICES,
            },
            Output(64_000),
            time.monotonic() + _START_S,
        )
        reply, stop = exchange.until("ready")
        if reply is None:
            told = exchange.output.text("err").strip().splitlines()
            self._end()
            why = told[-1] if told else (stop.value if stop else "no reply")
            raise ToolError(
                f"the sandbox ({self.layer.value}) did not start: {why}",
                where="sandbox",
                mend="see `nereus doctor`; a higher NEREUS_SANDBOX_MEMORY_MB may be needed",
            )
        self.held = {name: reply.get(name) for name in ("landlock", "seccomp")}
        self._pause()

    def _pause(self) -> None:
        """Let nothing run between two pieces of code: a thread that one left behind would be under no limit."""
        if self._process is not None and self._process.poll() is None:
            self._paused = [*processes.below(self._process.pid)] or [self._process.pid]
            processes.pause(self._paused, stopped=True)

    def _end(self) -> None:
        process, self._process = self._process, None
        self._paused = []
        for name in ("_requests", "_replies"):
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
                setattr(self, name, -1)
        if process is not None:
            processes.kill_all(process, self._token)
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.remove()

    # ---------------------------------------------------------------------------------------- running

    def _run(
        self,
        code: str,
        tables: Mapping[str, pd.DataFrame],
        values: Mapping[str, Scalar],
        seed: int | None,
        echo: bool,
        collect: bool,
        timeout: float | None,
    ) -> Outcome:
        if self._process is None:
            self._start()
        start = time.monotonic()
        limits = self.limits
        output = Output(limits.output_kb * 1024)
        request = {
            "code": code,
            "tables": [columns.encoded(name, table) for name, table in sorted(tables.items())],
            "values": dict(values),
            "functions": sorted(self._functions),
            "seed": seed,
            "echo": echo,
            "collect": collect,
            "cpu_s": limits.cpu_s,
        }
        allowed = min(limits.wall_s, timeout or limits.wall_s)
        processes.pause(self._paused, stopped=False)
        exchange = _Exchange(self, request, output, start + allowed)
        reply, stop = exchange.until("result")
        self._pause()
        found: dict[str, Any] = {}
        if reply is not None:
            try:
                found = reading.read(reply)
            except ValueError as fault:
                stop, found = (
                    Stop.CHANNEL,
                    {"why": f"stopped: what came from the sandbox was no reply ({fault})"},
                )
        if stop is not None:
            self._end()
            if not found.get("why"):
                timed = stop is Stop.WALL and allowed < limits.wall_s
                found = {"why": f"stopped after {allowed:g} s, as asked" if timed else said(stop, limits)}
            if exchange.ending:
                found["why"] += f" ({exchange.ending})"
        elif (error := found.get("error")) is not None and (
            stop := claim(error, os.path.realpath(self._folder.work if self._folder else ""))
        ) is not None:
            found |= {"claimed": True, "why": said(stop, limits)}
        return Outcome(
            layer=self.layer,
            grade=self.grade,
            printed=output.text("out"),
            errors=output.text("err"),
            stop=stop,
            lost=self._process is None,
            wall_s=round(time.monotonic() - start, 3),
            **found,
        )

    def _called(self, message: Mapping[str, Any]) -> bytes:
        """Carry out what the code asks for; whatever goes wrong is told to the code."""
        match message:
            case {"name": str(name), "arguments": dict(arguments)} if name in self._functions:
                try:
                    return packed({"value": self._functions[name](**arguments)})
                except NereusError as error:
                    return packed({"error": on_one_line(str(error))[:2000]})
                except Exception as error:  # noqa: BLE001 - arguments are the code's, and so is what comes of them
                    return packed({"error": f"{type(error).__name__}: {error}"[:2000]})
            case _:
                return packed({"error": "there is no such function"})


class _Exchange:
    """One request and its reply, with everything that may happen in between."""

    def __init__(self, session: Session, request: dict[str, Any], output: Output, deadline: float) -> None:
        assert session._process is not None
        self.session = session
        self.output = output
        self.process = session._process
        self.deadline = deadline
        self.ending = ""
        self._id = secrets.token_hex(8)
        self._pending = bytearray(packed(request | {"id": self._id}))
        self._replies = Replies(session.limits.reply_mb * 2**20)
        self._looked = 0.0
        self._cpu_before = processes.usage(self.process.pid).cpu_s

    def until(self, kind: str) -> tuple[dict[str, Any] | None, Stop | None]:
        """The reply of a kind, or what came in its place. Nothing waits longer than the deadline."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.session._replies, selectors.EVENT_READ, "replies")
            selector.register(self.process.stdout, selectors.EVENT_READ, "out")
            selector.register(self.process.stderr, selectors.EVENT_READ, "err")
            selector.register(self.session._requests, selectors.EVENT_WRITE, "requests")
            closed = False
            while True:
                if not closed and not self._pending and self.session._requests in selector.get_map():
                    selector.unregister(self.session._requests)
                for key, _ in selector.select(_LOOK_S):
                    if key.data == "requests":
                        self._send(selector, key.fd)
                        continue
                    data = drain(key.fd)
                    if data is None:
                        selector.unregister(key.fileobj)
                        closed = closed or key.data == "replies"
                    elif key.data != "replies":
                        self.output.take(key.data, data)
                    else:
                        try:
                            reply = self._taken(data, kind, selector)
                        except ChannelBroken as error:
                            self.ending = str(error)
                            return None, Stop.CHANNEL
                        if reply is not None:
                            self._drain()
                            return reply, Stop.OUTPUT if self.output.full else None
                if stop := self._passed(closed):
                    self._drain()
                    return None, stop

    def _send(self, selector: selectors.BaseSelector, descriptor: int) -> None:
        try:
            sent = os.write(descriptor, self._pending[: 1 << 16])
            del self._pending[:sent]
        except BlockingIOError:
            pass
        except OSError:  # it reads no more; what comes of that is seen at the other end
            self._pending.clear()

    def _taken(self, data: bytes, kind: str, selector: selectors.BaseSelector) -> dict[str, Any] | None:
        found: dict[str, Any] | None = None
        for message in self._replies.take(data):
            if found is not None:
                raise ChannelBroken("more than one reply")
            if message["kind"] == "call" and kind == "result":
                if self._pending:  # it reads what it asked for before it asks again
                    raise ChannelBroken("a call before the last was answered")
                self._pending += self.session._called(message)
                if self.session._requests not in selector.get_map():
                    selector.register(self.session._requests, selectors.EVENT_WRITE, "requests")
            elif message["kind"] == kind and message.get("id") == self._id:
                found = message
            else:
                raise ChannelBroken("a reply to nothing that was asked")
        return found

    def _passed(self, closed: bool) -> Stop | None:
        """Which limit is passed, or that the process is gone."""
        now = time.monotonic()
        if self.output.full:
            return Stop.OUTPUT
        code = self.process.poll()
        if code is not None or closed:
            return self._died()
        if now >= self.deadline:
            return Stop.WALL
        if now - self._looked >= _LOOK_AT_FILES_S:
            self._looked = now
            return self._looked_at()
        return None

    def _looked_at(self) -> Stop | None:
        limits, folder = self.session.limits, self.session._folder
        assert folder is not None
        size, count = used(folder.work, limits.files)
        now = processes.usage(self.process.pid)
        if size + now.nameless > limits.disk_mb * 2**20 or count > limits.files:
            return Stop.DISK
        if now.threads > limits.threads + processes.KEEPERS:
            return Stop.THREADS
        if now.cpu_s - self._cpu_before > limits.cpu_s + 1:  # the kernel's own signal can be ignored
            return Stop.CPU
        return Stop.MEMORY if now.resident > limits.memory_mb * 2**20 else None

    def _died(self) -> Stop:
        try:
            code = self.process.wait(0.5)
        except subprocess.TimeoutExpired:
            self.ending = "it closed its channel"
            return Stop.CHANNEL
        number = -code if code < 0 else code - 128 if code > 128 else 0
        self.ending = f"signal {number}" if number else f"exit status {code}"
        if number == _XCPU:
            return Stop.CPU
        if number == _XFSZ:
            return Stop.FILE_SIZE
        return Stop.DIED

    def _drain(self) -> None:
        """Take what was printed before the end: it was written before the reply was."""
        for name, stream in (("out", self.process.stdout), ("err", self.process.stderr)):
            assert stream is not None
            while not self.output.full and (data := drain(stream.fileno())):
                self.output.take(name, data)


def _landlocked() -> bool:
    from nereus.tools.code.inside import landlock

    return landlock.version() > 0


def run_once(
    code: str,
    *,
    limits: Limits | None = None,
    least: Grade | str = Grade.CONFINED,
    layer: Layer | str | None = None,
    home: Path | None = None,
    functions: Mapping[str, Function] | None = None,
    files: Mapping[str, Path] | None = None,
    **options: Any,
) -> Outcome:
    """Run code in a sandbox of its own, which is gone afterwards. Options are those of `Session.run`."""
    with Session(limits, least=least, layer=layer, home=home, functions=functions, files=files) as session:
        return session.run(code, **options)


def settled(**changes: Any) -> Mapping[str, Any]:
    """`least`, `limits` and `home` as the settings name them, for `Session` and `run_once`; changes are of the limits."""
    from nereus.settings import load_settings

    settings = load_settings()
    return {
        "limits": Limits.of(settings, **changes),
        "least": settings.sandbox_grade,
        "home": settings.home / "sandboxes",
    }
