"""Records of the graph's state, parsed once: many nodes look at one objective or workflow.

The state holds JSON. Nodes never change it in place, they return new values; so a value that was parsed before is known
by its identity, and gives the same record.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from nereus.memory.records import Objective, Record, Workflow

R = TypeVar("R", bound=Record)
Made = TypeVar("Made")

_MOST = 512


class Parsed:
    """Remembers which record a value of the state is."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Record]] = {}
        """By identity; the value is held, so that its identity stays its own."""
        self._made: dict[str, tuple[Hashable, Any]] = {}

    def once(self, name: str, mark: Hashable, make: Callable[[], Made]) -> Made:
        """What is made of the state and costs more than a look at it, made again when its mark is another."""
        known = self._made.get(name)
        if known is not None and known[0] == mark:
            return known[1]  # type: ignore[no-any-return]
        made = make()
        self._made[name] = (mark, made)
        return made

    def objective(self, value: Any) -> Objective:
        """The objective behind its JSON."""
        return self._parse(value, Objective)

    def workflow(self, value: Any) -> Workflow:
        """The workflow behind its JSON."""
        return self._parse(value, Workflow)

    def _parse(self, value: Any, kind: type[R]) -> R:
        known = self._known.get(id(value))
        if known is not None and isinstance(known[1], kind):
            return known[1]
        record = kind.model_validate(value)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[id(value)] = (value, record)
        return record
