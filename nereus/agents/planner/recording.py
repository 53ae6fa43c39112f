"""How the nodes of the graphs record: one transaction a node, and a hash of what each decision was made on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any

from langgraph.runtime import Runtime
from langgraph.types import Command
from pydantic import BaseModel

from nereus.tools.steps import canonical_json

if TYPE_CHECKING:
    from nereus.agents.planner.services import Services
    from nereus.agents.policies.base import DecisionContext

_PARTS = ("calls", "objectives", "evidence", "groups", "drafts")


def recorded(node: Callable[[Any, Runtime[Services]], dict[str, Any]]) -> Callable[..., Any]:
    """Keep what a node decides, saves and emits in one transaction, before LangGraph hears that the node has ended.

    Where the node's answer has a ``route``, the graph goes there (without a look at the whole state, as a conditional
    edge would take).

    A process that is killed inside leaves nothing of the node, or all of it before a computation; the node then runs
    again and finds what was kept.
    """

    @wraps(node)
    def run(state: Any, runtime: Runtime[Services]) -> Any:
        with runtime.context.repository.database.unit():
            update = node(state, runtime)
        route = update.pop("route", None)
        return update if route is None else Command(update=update, goto=route)

    return run


class ContextHasher:
    """Hashes what decisions are made on. What many decisions see is hashed once: the profile, finished steps."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[BaseModel, str]] = {}
        """By identity; the object is held, so that its identity stays its own."""

    def hash(self, context: DecisionContext) -> str:
        """First 16 digits of the SHA-256 of everything in the context that the run itself made.

        What is recalled from earlier runs is left out: it changes when another run ends, and a decision that was made
        and paid for is never made again because of that.
        """
        rest = context.model_dump(mode="json", exclude={"profile", "memories", *_PARTS})
        parts = [self._one(context.profile), *(self._all(getattr(context, name)) for name in _PARTS)]
        return _digest([rest, parts])[:16]

    def _all(self, views: Iterable[BaseModel]) -> list[str]:
        return [self._one(view) for view in views]

    def _one(self, view: BaseModel) -> str:
        known = self._known.get(id(view))
        if known is None:
            known = self._known[id(view)] = (view, _digest(view.model_dump(mode="json")))
        return known[1]


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
