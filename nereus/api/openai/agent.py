"""One turn of the chat graph for a client of OpenAI's interface: what it is doing, then its answer.

An answer is sent when it is whole: its numbers are filled in from evidence after it is written, and what has none is left out.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from nereus.api.access import Caller
from nereus.api.openai.conversations import Conversations, Place
from nereus.api.openai.said import Said
from nereus.api.state import ServerState

if TYPE_CHECKING:
    from langchain_core.messages import AnyMessage

PATIENCE_S = 240.0
"""Longest that an answer waits for a run; clients give up after ten minutes."""
_YES = frozenset(
    [
        "yes",
        "y",
        "yep",
        "yeah",
        "ok",
        "okay",
        "sure",
        "go",
        "ahead",
        "approve",
        "approved",
        "accept",
        "do",
        "proceed",
        "confirm",
        "confirmed",
        "continue",
        "ja",
        "oui",
        "si",
    ]
)
_NO = frozenset(["no", "n", "nope", "stop", "reject", "ignore", "don't", "not", "cancel", "nein", "non"])
_BESIDE = frozenset({"it", "please"})
_WORD = re.compile(r"[\w']+")


@dataclass(frozen=True)
class Doing:
    """What the agent is doing."""

    text: str


@dataclass(frozen=True)
class Answered:
    """The answer."""

    text: str
    nereus: dict[str, Any] = field(default_factory=dict)
    """Run, evidence, artifacts, notices, and what waits for a yes."""
    tool_calls: tuple[dict[str, Any], ...] = ()
    """Calls of the client's own tools, in OpenAI's form."""
    place: Place | None = None
    usage: Mapping[str, int] | None = None
    """Tokens as the model told them."""


Event = Doing | Answered


@dataclass(frozen=True)
class Asking:
    """Who asks what, and where it was talked about.

    Parameters
    ----------
    app
        The application, whose stores are open.
    caller
        Who asks.
    model
        Name of the model that the client chose.
    messages
        All that the client sent.
    thread
        A name that the client gave to the conversation; empty for none.
    place
        Where the conversation stands, if the client named a response to go on from.
    """

    app: FastAPI
    caller: Caller
    rules: bool
    messages: Sequence[Said]
    thread: str = ""
    place: Place | None = None

    @property
    def state(self) -> ServerState:
        """Open stores."""
        return cast(ServerState, self.app.state.nereus)


def conversations_of(app: FastAPI) -> Conversations:
    """The conversations of a server."""
    found = getattr(app.state, "openai", None)
    if found is None:
        found = app.state.openai = Conversations()
    return cast(Conversations, found)


async def turn(asking: Asking) -> AsyncIterator[Event]:
    """Let the agent answer.

    Raises
    ------
    NereusError
        It cannot.
    """
    kept = conversations_of(asking.app)
    owner = asking.caller.owner
    async with AsyncExitStack() as stack:
        place, new = asking.place, list(asking.messages)
        if asking.thread:
            await stack.enter_async_context(kept.lock(f"{owner} {asking.thread}"))
            place, new = await _thread(asking)
        elif place is None:
            place, new = kept.find(owner, asking.messages)
        if place is None:
            place = Place(_memory(), {"configurable": {"thread_id": f"openai-{uuid.uuid4().hex}"}})
        stopped = threading.Event()
        stack.callback(stopped.set)  # a client that has gone ends what was waited for
        told = {"owner": owner, "patience_s": PATIENCE_S, "stopped": stopped.is_set}
        config = {"configurable": {**place.config["configurable"], **told}}
        graph = await run_in_threadpool(_graph, asking, place.saver)
        given = await _input(graph, config, new)
        async for mode, part in graph.astream(given, config, stream_mode=["custom", "updates"]):
            doing = _doing(mode, part)
            if doing:
                yield Doing(doing)
        # The newest checkpoint of the thread, whatever it was begun from.
        latest = {
            "configurable": {"thread_id": place.config["configurable"]["thread_id"], "checkpoint_ns": ""}
        }
        found = await graph.aget_state(latest)
        after = Place(place.saver, {"configurable": dict(found.config["configurable"])})
        answer = _answer(found, after, asking.thread)
        if not asking.thread:
            kept.keep(owner, asking.messages, answer.text, after)
        yield answer


def desk_of(state: ServerState, owner: str) -> Any:
    """What the agent may do for an owner."""
    from nereus.api.chat_desk import ServerDesk

    return ServerDesk(state, owner)


def _graph(asking: Asking, saver: Any) -> Any:
    from nereus.agents.chat import chat_graph
    from nereus.models.llm import chat_model

    model = None if asking.rules else chat_model(asking.state.settings)
    return chat_graph(desk_of(asking.state, asking.caller.owner), model=model, checkpointer=saver)


def _memory() -> Any:
    from langgraph.checkpoint.memory import InMemorySaver

    return InMemorySaver()


async def _thread(asking: Asking) -> tuple[Place, list[Said]]:
    """A thread that the client named: what it said before is kept here, so only what is new counts."""
    saver = await run_in_threadpool(lambda: asking.app.state.graphs.shelf.saver)
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"openai:{asking.caller.owner}:{asking.thread}")
    place = Place(saver, {"configurable": {"thread_id": f"openai-{name.hex}"}})
    last = max((n for n, one in enumerate(asking.messages) if one.role == "assistant"), default=-1)
    return place, list(asking.messages[last + 1 :])


async def _input(graph: Any, config: dict[str, Any], new: Sequence[Said]) -> Any:
    """What the graph is given: messages, or the answer to what it asked."""
    from langgraph.types import Command

    state = await graph.aget_state(config)
    requests = [one for asked in state.interrupts for one in asked.value]
    if not requests:
        return {"messages": [_message(one) for one in new if one.role != "tool"]}
    text = next((one.text for one in reversed(new) if one.role == "user"), "")
    kind = meaning(text)
    return Command(resume=[{"type": kind, "args": text if kind == "response" else None} for _ in requests])


def meaning(text: str) -> str:
    """What an answer to a request means: ``accept``, ``ignore``, or ``response`` where it says more than yes or no.

    Examples
    --------
    >>> [meaning(one) for one in ("Yes, please.", "OK - go ahead!", "No, don't.", "stop", "yes, but without age", "it")]
    ['accept', 'accept', 'ignore', 'ignore', 'response', 'response']
    """
    words = set(_WORD.findall(text.lower().replace("\u2019", "'"))) - _BESIDE
    if words and words <= _YES:
        return "accept"
    return "ignore" if words & _NO and words <= _NO | {"do"} else "response"


def _message(said: Said) -> AnyMessage:
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

    if said.role == "assistant":
        return AIMessage(said.text)
    if said.role == "system":
        return SystemMessage(said.text)
    return HumanMessage(
        said.text, additional_kwargs={"nereus": {"datasets": list(said.datasets)}} if said.datasets else {}
    )


def _doing(mode: str, part: Any) -> str:
    if mode != "custom" or not isinstance(part, Mapping):
        return ""
    if part.get("type") == "progress":
        return str(part.get("text", ""))
    if part.get("type") == "run_event":
        event = part.get("event", part)
        kind = event.get("type") if isinstance(event, Mapping) else None
        return str(kind or "").replace("_", " ") if kind != "run_event" else "a run goes on"
    return ""


def _answer(state: Any, place: Place, thread: str) -> Answered:
    requests = [one for asked in state.interrupts for one in asked.value]
    if requests:
        return Answered(_asked(requests), {"approval": requests, "thread": thread or None}, place=place)
    last = next((one for one in reversed(state.values.get("messages", [])) if one.type == "ai"), None)
    text = "" if last is None else _text(last.content)
    told = {} if last is None else dict(last.additional_kwargs.get("nereus", {}))
    return Answered(text, {**told, "thread": thread or None}, place=place)


def _asked(requests: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"- `{one['action_request']['action']}`: {one['description']}" for one in requests]
    return "\n".join(["This needs your yes:", *lines, "", "Answer `yes` or `no`, or say what to do instead."])


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(one if isinstance(one, str) else str(one.get("text", "")) for one in content)
