"""A conversation at a terminal, or through a pipe: questions in, answers, progress, approvals and figures out."""

from __future__ import annotations

import html
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

    from nereus.agents.chat.local_desk import LocalDesk

PROMPT = "you> "
_BYE = ("exit", "quit", "bye", ":q", "/quit", "/exit")
_WAIT_S = 0.1
_LEFT_S = 5.0
"""How long a second Ctrl-C waits for what is at work before it is left behind."""
_SHOWN_BEFORE = 3
"""Questions of before, with their answers, that are shown where a conversation is gone on with."""
_ANSWERS = "yes (y), no (n), a reason for no, or a change such as {example}"


class Talk:
    """A conversation at a terminal, or through a pipe.

    Parameters
    ----------
    desk, graph, thread
        With what it is held.
    figures
        Folder in which figures are saved.
    opens
        Whether they are also opened.
    yes
        Whether everything is approved.
    """

    def __init__(
        self,
        desk: LocalDesk,
        graph: CompiledStateGraph[Any, Any, Any, Any],
        thread: str,
        figures: Path,
        opens: bool = False,
        yes: bool = False,
    ) -> None:
        from nereus.memory.threads import Threads

        self._desk, self._graph, self._thread = desk, graph, thread
        self._figures, self._opens, self._yes = figures, opens, yes
        self._tty = sys.stdin.isatty()
        self._said: set[str] = set()
        self._threads = Threads(desk.workspace.database)
        self._worker: threading.Thread | None = None

    def run(self, datasets: list[str]) -> bool:
        """Talk until the end of input; whether every question was answered without a fault of ours."""
        from nereus.errors import NereusError

        fine = True
        if self._tty:
            typer.echo(
                f"conversation {self._thread}; say `help`, or `exit` to leave. Ctrl-C stops the work at hand."
            )
            _history(self._desk.settings.home)
        self._before()
        self._kept_from_stopping(self._pending)
        for text in self._questions():
            try:
                self._kept_from_stopping(self.say, text, datasets)
            except NereusError as error:  # the conversation goes on
                typer.echo(f"error: {error}", err=True)
                fine = False
            datasets = []
        if self._tty:
            typer.echo(f"kept: nereus chat --thread {self._thread}")
        return fine

    def say(self, text: str, datasets: list[str]) -> None:
        """One question with its answer, approvals included."""
        from langchain_core.messages import HumanMessage

        named = {"nereus": {"datasets": datasets}} if datasets else {}
        with self._at_work(text):
            self._threads.append(
                self._thread, "message", {"role": "human", "content": text, "datasets": datasets}
            )
            self._go({"messages": [HumanMessage(text, additional_kwargs=named)]})

    def _kept_from_stopping(self, do: Callable[..., None], *given: Any) -> None:
        try:
            do(*given)
        except KeyboardInterrupt:
            typer.echo("\nstopped", err=True)

    def _before(self) -> None:
        """What was said before the conversation was left."""
        from langchain_core.messages import AIMessage, HumanMessage

        state = self._graph.get_state({"configurable": {"thread_id": self._thread}})
        said = [
            one
            for one in state.values.get("messages", [])
            if isinstance(one, HumanMessage) or (isinstance(one, AIMessage) and not one.tool_calls)
        ]
        asked = [place for place, one in enumerate(said) if isinstance(one, HumanMessage)]
        if not asked or not self._tty:
            return
        if len(asked) > _SHOWN_BEFORE:
            typer.echo(f"({len(asked) - _SHOWN_BEFORE} earlier questions are not shown)")
        for one in said[asked[-_SHOWN_BEFORE:][0] :]:
            text = _plain(html.unescape(str(one.content)))
            typer.echo(f"{PROMPT}{text[:300]}" if isinstance(one, HumanMessage) else text)

    def _pending(self) -> None:
        """What was asked before the conversation was left, is asked again."""
        state = self._graph.get_state({"configurable": {"thread_id": self._thread}})
        waiting = [request for one in state.interrupts for request in one.value]
        if waiting:
            from langgraph.types import Command

            with self._at_work(""):
                self._go(Command(resume=self._approve(waiting)))

    @contextmanager
    def _at_work(self, title: str) -> Iterator[None]:
        """Hold the conversation, so that nobody else answers in it meanwhile, on the page or in another terminal."""
        from nereus.memory.checkpoints import prune
        from nereus.memory.threads import BUSY_S

        self._threads.take(self._thread, self._desk.owner, ("idle", "interrupted"))
        over = threading.Event()

        def live() -> None:
            while not over.wait(BUSY_S / 4):
                self._threads.renew([self._thread])

        threading.Thread(target=live, daemon=True).start()
        try:
            yield
        finally:
            over.set()
            state = self._graph.get_state({"configurable": {"thread_id": self._thread}})
            status: Any = "interrupted" if state.interrupts else "idle"
            self._threads.append(self._thread, "end", {"status": status})
            self._threads.release(self._thread, status, title)
            if status == "idle" and self._graph.checkpointer not in (None, True, False):
                prune(self._graph.checkpointer, self._thread)  # type: ignore[arg-type]

    def _go(self, given: Any) -> None:
        from langgraph.types import Command

        while given is not None:
            requests = self._stream(given)
            given = Command(resume=self._approve(requests)) if requests else None

    def _stream(self, given: Any) -> list[dict[str, Any]]:
        """Run the graph beside the terminal, show what comes, and give what waits for an answer."""
        if self._worker is not None and self._worker.is_alive():
            typer.echo("the step that was stopped is still ending ...", err=True)
            self._worker.join()
        news: queue.Queue[tuple[str, Any]] = queue.Queue()
        stop = threading.Event()
        config: Any = {
            "configurable": {"thread_id": self._thread, "stopped": stop.is_set},
            "recursion_limit": 60,
        }

        def work() -> None:
            try:
                for mode, part in self._graph.stream(given, config, stream_mode=["updates", "custom"]):
                    news.put((mode, part))
            except BaseException as error:  # noqa: BLE001 - told in the thread that waits
                news.put(("error", error))
            news.put(("end", None))

        self._worker = threading.Thread(target=work, daemon=True)
        self._worker.start()
        requests: list[dict[str, Any]] = []
        with _presses() as pressed, _Written(self._tty and sys.stdout.isatty()) as written:
            while True:
                if pressed and not stop.is_set():
                    stop.set()
                    typer.echo("\nstopping ... (Ctrl-C again leaves it behind)", err=True)
                if len(pressed) > 1:
                    self._worker.join(_LEFT_S)
                    raise KeyboardInterrupt
                try:
                    mode, part = news.get(timeout=_WAIT_S)
                except queue.Empty:
                    continue
                if mode == "end":
                    return requests
                if mode == "error":
                    raise part
                if mode == "custom":
                    self._progress(part, written)
                elif "__interrupt__" in part:
                    requests = [request for one in part["__interrupt__"] for request in one.value]
                    self._threads.append(self._thread, "approval", {"requests": requests})
                else:
                    for update in part.values():
                        for message in (update or {}).get("messages", ()):
                            self._show(message, written)

    def _progress(self, part: dict[str, Any], written: _Written) -> None:
        from nereus.agents.chat.spoken import ANSWER_PART
        from nereus.agents.chat.told import event_document
        from nereus.memory.records import Event
        from nereus.terminal import plain_line

        if part.get("type") == ANSWER_PART:
            written.more(part)
            return
        self._threads.append(self._thread, str(part.get("type", "progress")), event_document(part))
        line = ""
        if part.get("type") == "run_event":
            line = plain_line(Event.model_validate(part["event"]))
        elif part.get("text") and self._tty:
            line = f"  {part['text']} ..."
        if line:
            typer.echo(_plain(line), err=True)

    def _show(self, message: Any, written: _Written) -> None:
        from langchain_core.messages import AIMessage

        from nereus.agents.chat.told import message_document

        if message.id in self._said:
            return
        self._said.add(str(message.id))
        self._threads.append(self._thread, "message", message_document(message))
        if not isinstance(message, AIMessage) or message.tool_calls:
            return
        written.clear()
        text = html.unescape(str(message.content)).replace("]\\(", "](")
        if sys.stdout.isatty():
            from rich.console import Console
            from rich.markdown import Markdown

            Console().print(Markdown(_plain(text)))
        else:
            typer.echo(_plain(text))
        nereus = message.additional_kwargs.get("nereus", {})
        for notice in nereus.get("notices", ()):
            typer.echo(f"note: {_plain(notice)}")
        for shown in nereus.get("artifacts", ()):
            self._save(shown)

    def _save(self, shown: dict[str, Any]) -> None:
        from nereus.errors import NereusError
        from nereus.memory.records import ArtifactKind, ArtifactRef

        if shown["kind"] != "figure":
            return
        ref = ArtifactRef(id=shown["id"], kind=ArtifactKind.FIGURE, name=shown["title"] or "figure", size=0)
        name = "".join(one if one.isalnum() or one in "-_" else "_" for one in ref.name)[:80].strip("_")
        file = self._figures / f"{name or 'figure'}-{shown['id'][:8]}.svg"
        try:
            drawn = self._desk.figure(ref)
            self._figures.mkdir(parents=True, exist_ok=True)
            file.write_bytes(drawn)
        except NereusError:
            typer.echo(f"figure: {_plain(ref.name)} is no longer kept; ask for it again to draw it anew")
            return
        except OSError as error:
            typer.echo(
                f"figure: it cannot be saved as {file}: {error.strerror}; --figures names a folder", err=True
            )
            return
        typer.echo(f"figure: {file}")
        if self._opens:
            typer.launch(str(file))

    def _approve(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Ask a person about each request."""
        answers = []
        for number, request in enumerate(requests, start=1):
            place = f"({number} of {len(requests)}) " if len(requests) > 1 else ""
            typer.echo(place + _plain(request["description"]))
            if self._yes:
                answers.append({"type": "accept"})
            elif not self._tty:
                typer.echo("not approved: nobody can be asked here; start with --yes to approve")
                answers.append({"type": "ignore"})
            else:
                answers.append(self._asked(request))
        self._threads.append(self._thread, "approval_given", {"answers": answers})
        return answers

    def _asked(self, request: dict[str, Any]) -> dict[str, Any]:
        from nereus.agents.chat.approving import checked_answers
        from nereus.errors import NereusError

        args = request["action_request"]["args"]
        for name, value in args.items():
            typer.echo(_plain(f"  {name} = {_written(value)}")[:300])
        example = "budget=objectives=2" if "budget" in args else f"{next(iter(args), 'name')}=..."
        while True:
            typer.echo(f"  {_ANSWERS.format(example=example)}")
            try:
                said = input("approve? ").strip()
            except (EOFError, KeyboardInterrupt):
                typer.echo("")
                return {"type": "ignore"}
            if not said:  # an empty line is neither a yes nor a no
                continue
            _not_in_history()
            answer = answer_in(said, request)
            try:
                return checked_answers([request], [answer])[0]
            except NereusError as error:
                typer.echo(f"error: {error}", err=True)

    def _questions(self) -> Iterator[str]:
        while True:
            try:
                line = input(PROMPT) if self._tty else sys.stdin.buffer.readline().decode()
            except EOFError:
                return
            except KeyboardInterrupt:
                typer.echo("")
                return
            except UnicodeDecodeError:
                typer.echo("error: a line is not UTF-8, and was not read", err=True)
                continue
            if not self._tty and line == "":
                return
            text = line.strip()
            if text.lower() in _BYE:
                return
            if text:
                if not self._tty:
                    typer.echo(f"{PROMPT}{_plain(text[:200])}")
                yield text


@contextmanager
def _presses() -> Iterator[list[int]]:
    """Ctrl-C, counted while work goes on: raised anywhere, it would end what shows the work and not the work."""
    pressed: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


class _Written:
    """What is shown of an answer while it is written; it goes when the answer is complete.

    Parameters
    ----------
    shows
        Whether there is a terminal to show it on.
    """

    def __init__(self, shows: bool) -> None:
        self._shows = shows
        self._text = ""
        self._live: Any = None

    def __enter__(self) -> _Written:
        return self

    def __exit__(self, *told: object) -> None:
        self.clear()

    def more(self, part: dict[str, Any]) -> None:
        """Show a further piece."""
        if not self._shows:
            return
        from rich.live import Live
        from rich.markdown import Markdown

        self._text = self._text[: part["start"]] + part["text"]
        if self._live is None:
            self._live = Live(transient=True, refresh_per_second=12)
            self._live.start()
        self._live.update(Markdown(_plain(html.unescape(self._text))))

    def clear(self) -> None:
        """Take it away."""
        self._text = ""
        if self._live is not None:
            self._live.stop()
            self._live = None


def answer_in(said: str, request: dict[str, Any]) -> dict[str, Any]:
    """What a person typed, as an answer to a request."""
    lowered = said.lower()
    if lowered in ("y", "yes", "ok", "accept"):
        return {"type": "accept"}
    if lowered in ("n", "no", "reject", "ignore"):
        return {"type": "ignore"}
    name, equals, value = said.partition("=")
    known = request["action_request"]["args"]
    if equals and name.strip() in known:
        before = known[name.strip()]
        given: Any = value.strip()
        if isinstance(before, list):
            given = [one.strip() for one in given.split(",") if one.strip()]
        elif not isinstance(before, str):
            try:
                given = json.loads(given)
            except json.JSONDecodeError:
                given = value.strip()
        return {"type": "edit", "args": {"args": {name.strip(): given}}}
    return {"type": "response", "args": said}


def _written(value: Any) -> str:
    """A value as it may be typed in an answer."""
    return (
        value
        if isinstance(value, str)
        else ",".join(map(str, value))
        if isinstance(value, list)
        else json.dumps(value)
    )


def _plain(text: str) -> str:
    """A text without letters that steer a terminal."""
    return "".join(one for one in text if one in "\n\t" or (one.isprintable() and one != "\x9b"))


def _history(home: Path) -> None:
    """Keep what was typed, where the terminal can."""
    try:
        import atexit
        import readline
    except ImportError:
        return
    file = home / "chat_history"
    save: Callable[[], None] = lambda: readline.write_history_file(file)  # noqa: E731
    try:
        if file.exists():
            readline.read_history_file(file)
        else:
            home.mkdir(parents=True, exist_ok=True)
            os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
        readline.set_history_length(1000)
        atexit.register(save)
    except OSError:
        return


def _not_in_history() -> None:
    """Answers to approvals are no questions that one looks for again."""
    try:
        import readline

        if last := readline.get_current_history_length():
            readline.remove_history_item(last - 1)
    except (ImportError, ValueError):
        return
