"""What runs stream, as events of the thread protocol that the SDK's ``threads.stream`` reads (package langchain-protocol).

Events are made anew from what is kept, the same each time, and numbered: a client that was cut off names the number of the
last one that it has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nereus.memory.langgraph.runs import Run, RunStatus
from nereus.memory.langgraph.streamed import RunEvent

CHANNELS = ("values", "updates", "messages", "tools", "lifecycle", "input", "checkpoints", "tasks", "custom")
MODES = ["values", "updates", "messages-tuple", "tasks", "checkpoints", "custom"]
"""What a run streams that is begun over this protocol."""
_ROLES = {"ai": "ai", "human": "human", "system": "system"}
_SINCE = datetime(2026, 1, 1, tzinfo=UTC)
_TICKS = 100
"""A second."""
_ROOM = 16
"""Bits of a number that count the events since a run began; the others say when it did. Runs of a thread take turns."""
_ENDS: dict[str, str] = {
    "success": "completed",
    "error": "failed",
    "timeout": "failed",
    "interrupted": "failed",
}


@dataclass(frozen=True)
class Wanted:
    """Which events a client wants."""

    channels: Sequence[str]
    namespaces: Sequence[Sequence[str]] | None = None
    depth: int | None = None

    def has(self, event: Mapping[str, Any]) -> bool:
        """Whether an event is wanted."""
        method, params = event["method"], event["params"]
        channel = "input" if method == "input.requested" else method
        name = params["data"].get("name") if method == "custom" else None
        if channel not in self.channels and (not name or f"custom:{name}" not in self.channels):
            return False
        return not self.namespaces or any(self._under(params["namespace"], one) for one in self.namespaces)

    def _under(self, space: Sequence[str], prefix: Sequence[str]) -> bool:
        if len(space) < len(prefix) or (self.depth is not None and len(space) - len(prefix) > self.depth):
            return False
        return all(
            one == wanted or one.split(":")[0] == wanted for one, wanted in zip(space, prefix, strict=False)
        )


def number_at(moment: str) -> int:
    """The number below those of all events of runs that begin from a moment on."""
    seconds = (datetime.fromisoformat(moment) - _SINCE).total_seconds()
    return int(seconds * _TICKS) << _ROOM


def moment_of(number: int) -> str:
    """A moment until which every run began that has events up to a number."""
    began = _SINCE.timestamp() + ((number >> _ROOM) + 1) / _TICKS
    return datetime.fromtimestamp(began, UTC).isoformat(timespec="microseconds")


class Teller:
    """Makes the events of one run.

    Parameters
    ----------
    run
        The run, which has begun.
    graph_name
        How its root is called.
    """

    def __init__(self, run: Run, graph_name: str) -> None:
        self._run = run
        self._graph_name = graph_name
        self._number = number_at(run.started_at or run.created_at)
        self._count = 0
        self._begun = False
        self._spaces: dict[tuple[str, ...], None] = {}
        self._messages: dict[str, _Message] = {}
        self._asked: dict[str, None] = {}
        self._error = ""

    def of(self, event: RunEvent) -> Iterator[dict[str, Any]]:
        """The events that a kept one makes."""
        name, *space = event.name.split("|")
        data = json.loads(event.data)
        if name == "metadata":
            if not self._begun:
                self._begun = True
                yield self._lifecycle([], "started", graph_name=self._graph_name)
            return
        if name == "error":
            self._error = str(data.get("message") or data.get("error") or "")
            return
        yield from self._opened(space)
        if name == "messages":
            yield from self._message(space, *data)
        elif name in ("values", "updates"):
            yield from self._interrupts(space, data)
            yield from self._state(name, space, data)
        elif name == "tasks":
            yield self._made("tasks", space, data)
        elif name == "checkpoints":
            yield self._made("checkpoints", space, _checkpoint(data))
        elif name == "custom":
            yield self._made("custom", space, _custom(data))

    def ended(self, status: RunStatus) -> Iterator[dict[str, Any]]:
        """The events that tell how the run ended."""
        for open_one in list(self._messages.values()):
            yield from self._finished(open_one)
        how = _ENDS.get(status, "failed")
        if how == "completed" and self._asked:
            how = "interrupted"
        for space in reversed(self._spaces):
            yield self._lifecycle(space, how)
        more = {}
        if how == "failed":
            more["error"] = self._error or (
                "the run was ended" if status == "interrupted" else "the run failed"
            )
        yield self._lifecycle([], how, graph_name=self._graph_name, **more)

    # ------------------------------------------------------------------ kinds

    def _opened(self, space: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Tell of subgraphs that were not heard of before."""
        for length in range(1, len(space) + 1):
            inner = tuple(space[:length])
            if inner not in self._spaces:
                self._spaces[inner] = None
                yield self._lifecycle(inner, "started", graph_name=inner[-1].split(":")[0])

    def _lifecycle(self, space: Sequence[str], event: str, **more: str) -> dict[str, Any]:
        return self._made("lifecycle", space, {"event": event, **more})

    def _interrupts(self, space: Sequence[str], data: Any) -> Iterator[dict[str, Any]]:
        asked = data.get("__interrupt__") if isinstance(data, dict) else None
        for one in asked or ():
            if one["id"] in self._asked:  # told by the graph and by the subgraph that it is from
                continue
            self._asked[one["id"]] = None
            told = {"interrupt_id": one["id"], "payload": one["value"], "value": one["value"]}
            yield self._made("input.requested", space, told)

    def _state(self, name: str, space: Sequence[str], data: Any) -> Iterator[dict[str, Any]]:
        if isinstance(data, dict) and "__interrupt__" in data:
            data = {key: one for key, one in data.items() if key != "__interrupt__"}
            if not data:
                return
        if name == "values":
            yield self._made("values", space, data)
            return
        for node, values in data.items() if isinstance(data, dict) else ():
            yield self._made("updates", space, {"node": node, "values": values})

    def _message(self, space: Sequence[str], said: Any, about: Any) -> Iterator[dict[str, Any]]:
        kind = str(said.get("type", ""))
        if kind == "tool":
            yield from self._tool(space, said)
            return
        role = _ROLES.get(kind.removesuffix("MessageChunk").lower())
        identity = str(said.get("id") or "")
        if role is None:
            return
        if identity not in self._messages:
            node = about.get("langgraph_node") if isinstance(about, dict) else None
            self._messages[identity] = _Message(identity, tuple(space))
            metadata = {"run_id": self._run.run_id, "langgraph_node": node}
            start = {"event": "message-start", "role": role, "id": identity, "metadata": metadata}
            yield self._made("messages", space, start)
        message = self._messages[identity]
        for part in message.parts(said):
            yield self._made("messages", space, {**part, "message_id": identity})
        in_parts = kind.endswith("Chunk")
        if not in_parts or said.get("chunk_position") == "last":
            yield from self._finished(message)

    def _finished(self, message: _Message) -> Iterator[dict[str, Any]]:
        self._messages.pop(message.identity, None)
        for part in message.rest():
            yield self._made("messages", message.space, {**part, "message_id": message.identity})

    def _tool(self, space: Sequence[str], said: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        call = str(said.get("tool_call_id") or "")
        begun = {"event": "tool-started", "tool_call_id": call, "tool_name": str(said.get("name") or "")}
        yield self._made("tools", space, begun)
        if said.get("status") == "error":
            ended: dict[str, Any] = {
                "event": "tool-error",
                "tool_call_id": call,
                "message": str(said.get("content")),
            }
        else:
            ended = {"event": "tool-finished", "tool_call_id": call, "output": said.get("content")}
        yield self._made("tools", space, ended)

    def _made(self, method: str, space: Sequence[str], data: Any) -> dict[str, Any]:
        self._count += 1
        return {
            "type": "event",
            "event_id": f"{self._run.run_id}/{self._count}",
            "seq": self._number + self._count,
            "method": method,
            "params": {"namespace": list(space), "data": data},
        }


@dataclass
class _Message:
    """A message as it comes about: one block of text, then its calls of tools."""

    identity: str
    space: tuple[str, ...]
    text: str = ""
    begun: bool = False
    calls: tuple[Mapping[str, Any], ...] = ()
    usage: Any = None
    pieces: dict[int, dict[str, str]] | None = None

    def parts(self, said: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Events of what came."""
        piece = _text(said.get("content"))
        if piece:
            if not self.begun:
                self.begun = True
                yield {"event": "content-block-start", "index": 0, "content": {"type": "text", "text": ""}}
            self.text += piece
            delta = {"type": "text-delta", "text": piece}
            yield {"event": "content-block-delta", "index": 0, "delta": delta}
        if said.get("tool_call_chunks"):
            self.pieces = self.pieces or {}
            for one in said["tool_call_chunks"]:
                known = self.pieces.setdefault(int(one.get("index") or 0), {"id": "", "name": "", "args": ""})
                for key in known:
                    known[key] += one.get(key) or ""
        elif said.get("tool_calls"):
            self.calls = tuple(said["tool_calls"])
        self.usage = said.get("usage_metadata") or self.usage

    def rest(self) -> Iterator[dict[str, Any]]:
        """Events of its end."""
        if self.begun:
            whole = {"type": "text", "text": self.text}
            yield {"event": "content-block-finish", "index": 0, "content": whole}
        calls = [*self.calls, *(_call(one) for one in (self.pieces or {}).values())]
        for index, one in enumerate(calls, start=int(self.begun)):
            call = {
                "type": "tool_call",
                "id": one.get("id"),
                "name": one.get("name"),
                "args": one.get("args"),
            }
            yield {"event": "content-block-start", "index": index, "content": call}
            yield {"event": "content-block-finish", "index": index, "content": call}
        yield {"event": "message-finish", **({"usage": self.usage} if self.usage else {})}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "".join(
        one if isinstance(one, str) else str(one.get("text", ""))
        for one in parts
        if isinstance(one, str) or (isinstance(one, dict) and one.get("type") == "text")
    )


def _call(pieces: Mapping[str, str]) -> dict[str, Any]:
    try:
        args = json.loads(pieces["args"] or "{}")
    except ValueError:
        args = {}
    return {"id": pieces["id"], "name": pieces["name"], "args": args}


def _checkpoint(data: Mapping[str, Any]) -> dict[str, Any]:
    def named(config: Any) -> str | None:
        found = (config or {}).get("configurable", {}).get("checkpoint_id")
        return None if found is None else str(found)

    about = data.get("metadata") or {}
    told = {"id": named(data.get("config")), "step": about.get("step"), "source": about.get("source")}
    parent = named(data.get("parent_config"))
    return told if parent is None else {**told, "parent_id": parent}


def _custom(data: Any) -> dict[str, Any]:
    """Something that a node told: under its name, where it has one."""
    name = data.get("name", data.get("type")) if isinstance(data, dict) else None
    return {"name": name, "payload": data} if isinstance(name, str) and name else {"payload": data}
