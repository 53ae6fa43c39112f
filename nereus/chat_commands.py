"""`nereus chat`: talk to it in a terminal, or through a pipe: one question a line, answers out."""

from __future__ import annotations

import html
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nereus.telling import told

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

    from nereus.agents.chat.local_desk import LocalDesk

_PROMPT = "you> "
_BYE = ("exit", "quit", "bye", ":q", "/quit", "/exit")
_WAIT_S = 0.1
_ANSWERS = "yes (y), no (n), a reason for no, or a change such as budget=objectives=2"


def chat(
    file: Annotated[
        Path | None, typer.Argument(help="A file to talk about: a table, or a folder of cells.")
    ] = None,
    samples: Annotated[Path | None, typer.Option(help="Sample sheet: one row a sample.")] = None,
    thread: Annotated[
        str | None, typer.Option(help="Go on with this conversation; `last` for the newest.")
    ] = None,
    figures: Annotated[Path, typer.Option(help="Folder in which figures are saved.")] = Path("nereus-chat"),
    no_open: Annotated[bool, typer.Option("--no-open", help="Save figures, but do not open them.")] = False,
    approval: Annotated[str | None, typer.Option(help="When to ask first: never, costly or always.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Approve everything.")] = False,
) -> None:
    """Talk to Nereus: ask, start runs, compute again, draw. Works without a language model.

    Piped in, questions are read a line each; what would be asked first is not done unless --yes says so.
    """
    with told("the conversation is kept; `nereus chat --thread last` goes on with it"):
        from nereus.agents.chat import chat_graph, open_local_desk
        from nereus.memory.checkpoints import open_checkpoints
        from nereus.models.llm import chat_model
        from nereus.settings import load_settings

        settings = load_settings(**({"chat_approval": approval} if approval else {}))
        with open_local_desk(settings) as desk, open_checkpoints(settings.checkpoint_url) as saver:
            graph = chat_graph(desk, model=chat_model(settings), checkpointer=saver)
            known = _thread(desk, thread)
            given = [desk.add_file(one).id for one in (file, samples) if one is not None]
            talk = Talk(desk, graph, known, figures, opens=not no_open and sys.stdout.isatty(), yes=yes)
            talk.run(given)


def _thread(desk: LocalDesk, asked: str | None) -> str:
    """Id of the conversation, which is begun where none is asked for."""
    from nereus.errors import NotFound
    from nereus.memory.threads import Threads

    threads = Threads(desk.workspace.database)
    if asked is None:
        return threads.create(desk.owner).id
    if asked == "last":
        newest = threads.list(desk.owner, 1)
        if not newest:
            raise NotFound("there is no conversation yet", mend="leave --thread out to begin one")
        return newest[0].id
    return threads.get(asked, desk.owner).id


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
        self._desk, self._graph, self._thread = desk, graph, thread
        self._figures, self._opens, self._yes = figures, opens, yes
        self._tty = sys.stdin.isatty()
        self._said: set[str] = set()

    def run(self, datasets: list[str]) -> None:
        """Talk until the end of input."""
        if self._tty:
            typer.echo(
                f"conversation {self._thread}; say `help`, or `exit` to leave. Ctrl-C stops the work at hand."
            )
            _history(self._desk.settings.home)
        self._pending()
        for text in self._questions():
            try:
                self.say(text, datasets)
            except KeyboardInterrupt:
                typer.echo("\nstopped", err=True)
            datasets = []
        if self._tty:
            typer.echo(f"kept: nereus chat --thread {self._thread}")

    def say(self, text: str, datasets: list[str]) -> None:
        """One question with its answer, approvals included."""
        from langchain_core.messages import HumanMessage

        from nereus.memory.threads import Threads

        named = {"nereus": {"datasets": datasets}} if datasets else {}
        Threads(self._desk.workspace.database).release(self._thread, "idle", text)
        self._go({"messages": [HumanMessage(text, additional_kwargs=named)]})

    def _pending(self) -> None:
        """What was asked before the conversation was left, is asked again."""
        state = self._graph.get_state({"configurable": {"thread_id": self._thread}})
        waiting = [request for one in state.interrupts for request in one.value]
        if waiting:
            from langgraph.types import Command

            self._go(Command(resume=self._approve(waiting)))

    def _go(self, given: Any) -> None:
        from langgraph.types import Command

        while given is not None:
            requests = self._stream(given)
            given = Command(resume=self._approve(requests)) if requests else None

    def _stream(self, given: Any) -> list[dict[str, Any]]:
        """Run the graph beside the terminal, show what comes, and give what waits for an answer."""
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

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        requests: list[dict[str, Any]] = []
        while True:
            try:
                mode, part = news.get(timeout=_WAIT_S)
            except queue.Empty:
                continue
            except KeyboardInterrupt:
                if stop.is_set():
                    raise
                stop.set()
                typer.echo("\nstopping ...", err=True)
                continue
            if mode == "end":
                return requests
            if mode == "error":
                raise part
            if mode == "custom":
                self._progress(part)
            elif "__interrupt__" in part:
                requests = [request for one in part["__interrupt__"] for request in one.value]
            else:
                for update in part.values():
                    for message in (update or {}).get("messages", ()):
                        self._show(message)

    def _progress(self, part: dict[str, Any]) -> None:
        from nereus.memory.records import Event
        from nereus.terminal import plain_line

        line = ""
        if part.get("type") == "run_event":
            line = plain_line(Event.model_validate(part["event"]))
        elif part.get("text") and self._tty:
            line = f"  {part['text']} ..."
        if line:
            typer.echo(line, err=True)

    def _show(self, message: Any) -> None:
        from langchain_core.messages import AIMessage

        if not isinstance(message, AIMessage) or message.tool_calls or message.id in self._said:
            return
        self._said.add(str(message.id))
        text = html.unescape(str(message.content)).replace("]\\(", "](")
        if sys.stdout.isatty():
            from rich.console import Console
            from rich.markdown import Markdown

            Console().print(Markdown(text))
        else:
            typer.echo(_plain(text))
        nereus = message.additional_kwargs.get("nereus", {})
        for notice in nereus.get("notices", ()):
            typer.echo(f"note: {_plain(notice)}")
        for shown in nereus.get("artifacts", ()):
            self._save(shown)

    def _save(self, shown: dict[str, Any]) -> None:
        from nereus.memory.records import ArtifactKind, ArtifactRef

        if shown["kind"] != "figure":
            return
        ref = ArtifactRef(id=shown["id"], kind=ArtifactKind.FIGURE, name=shown["title"] or "figure", size=0)
        name = "".join(one if one.isalnum() or one in "-_" else "_" for one in ref.name)[:80].strip("_")
        self._figures.mkdir(parents=True, exist_ok=True)
        file = self._figures / f"{name or 'figure'}-{shown['id'][:8]}.svg"
        file.write_bytes(self._desk.figure(ref))
        typer.echo(f"figure: {file}")
        if self._opens:
            typer.launch(str(file))

    def _approve(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Ask a person about each request."""
        answers = []
        for request in requests:
            typer.echo(f"{request['description']}")
            if self._yes:
                answers.append({"type": "accept"})
            elif not self._tty:
                typer.echo("not approved: nobody can be asked here; start with --yes to approve")
                answers.append({"type": "ignore"})
            else:
                answers.append(self._asked(request))
        return answers

    def _asked(self, request: dict[str, Any]) -> dict[str, Any]:
        from nereus.agents.chat.approving import checked_answers
        from nereus.errors import NereusError

        while True:
            typer.echo(f"  {_ANSWERS}")
            try:
                said = input("approve? ").strip()
            except (EOFError, KeyboardInterrupt):
                return {"type": "ignore"}
            answer = answer_in(said, request)
            try:
                return checked_answers([request], [answer])[0]
            except NereusError as error:
                typer.echo(f"error: {error}", err=True)

    def _questions(self) -> Iterator[str]:
        while True:
            try:
                line = input(_PROMPT) if self._tty else sys.stdin.readline()
            except EOFError:
                return
            except KeyboardInterrupt:
                typer.echo("")
                return
            if not self._tty and line == "":
                return
            text = line.strip()
            if text.lower() in _BYE:
                return
            if text:
                if not self._tty:
                    typer.echo(f"{_PROMPT}{_plain(text[:200])}")
                yield text


def answer_in(said: str, request: dict[str, Any]) -> dict[str, Any]:
    """What a person typed, as an answer to a request."""
    import json

    lowered = said.lower()
    if lowered in ("y", "yes", "ok", "accept", ""):
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
