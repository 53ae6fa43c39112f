"""What is told of a turn, as documents: messages without what only the graph needs, and events of runs in short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage


def message_document(message: BaseMessage) -> dict[str, Any]:
    """A message as it is told: without what only the graph needs."""
    told: dict[str, Any] = {
        "role": "ai"
        if isinstance(message, AIMessage)
        else "tool"
        if isinstance(message, ToolMessage)
        else "human",
        "id": message.id,
        "content": message.content if isinstance(message.content, str) else str(message.content),
    }
    nereus = message.additional_kwargs.get("nereus")
    if isinstance(nereus, dict):
        told["nereus"] = {
            name: nereus[name] for name in ("run_id", "evidence", "artifacts", "notices") if name in nereus
        }
    if isinstance(message, AIMessage) and message.tool_calls:
        told["calls"] = [
            {"id": one["id"], "action": one["name"], "args": one["args"]} for one in message.tool_calls
        ]
    if isinstance(message, ToolMessage):
        told |= {
            "call": message.tool_call_id,
            "action": message.name,
            "status": message.status,
            "content": "",
        }
    return told


def event_document(part: Mapping[str, Any]) -> dict[str, Any]:
    """An event of a run without what its own stream tells in full."""
    event = part.get("event")
    if not isinstance(event, Mapping):
        return {name: one for name, one in part.items() if name != "type"}
    payload = event.get("payload") or {}
    return {
        "run_id": part.get("run_id"),
        "seq": event.get("seq"),
        "event": event.get("type"),
        "subject": event.get("subject"),
        "text": str(payload.get("summary") or payload.get("statement") or payload.get("purpose") or "")[:300],
    }
