"""How a run is asked for: the assistant's configuration and the request's together, in a thread that there is or is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nereus.api.langgraph.requests import RunBody
from nereus.api.langgraph.service import GraphService
from nereus.errors import NotFound
from nereus.memory.langgraph.runs import Asked, Run

KEPT_S = 600.0
"""How long the thread of a run without one can be asked for its end, when it is not to be kept."""
_OURS = "graph_id", "assistant_id"


def ask(graphs: GraphService, owner: str, thread_id: str | None, given: RunBody) -> Run:
    """Ask for a run; `NotFound` where there is no such thread or assistant."""
    assistant = graphs.kept.assistants.get(given.assistant_id, owner)
    request = given.kept()
    request["config"] = _merged(assistant.config, given.config)
    request["context"] = {**assistant.context, **(given.context or {})} or None
    names = dict(zip(_OURS, (assistant.graph_id, assistant.assistant_id), strict=True))
    asked = Asked(
        assistant_id=assistant.assistant_id,
        graph_id=assistant.graph_id,
        request=request,
        metadata={**assistant.metadata, **given.metadata, **names},
        strategy=given.multitask_strategy,
        after_s=given.after_seconds,
    )
    if thread_id is None:
        hidden = given.on_completion == "delete"
        lifetime = KEPT_S + given.after_seconds if hidden else None
        made = graphs.kept.threads.create(owner, metadata=names, lifetime_s=lifetime, hidden=hidden)
        return graphs.ask(owner, made.thread_id, asked)
    try:
        return graphs.ask(owner, thread_id, asked)
    except NotFound:
        if given.if_not_exists != "create":
            raise
        graphs.kept.threads.create(owner, thread_id, metadata=names, if_exists="do_nothing")
        return graphs.ask(owner, thread_id, asked)


def _merged(own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    inner = {**(own.get("configurable") or {}), **(given.get("configurable") or {})}
    return {**own, **given, "configurable": inner}
