"""Conversations of clients that send all that was said each time, recognised by it: the agent then knows what was meant.

A client names a thread, and it is kept with the server's checkpoints; or it does not, and what was said before is looked up
among the newest conversations in memory. One that is not found begins anew with what the client sent: nothing depends on it
but what "it" means in a question, and whether a yes answers something.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nereus.api.openai.said import Said

KEPT = 256


@dataclass(frozen=True)
class Place:
    """Where a conversation stands: checkpoints and the newest of them."""

    saver: Any
    config: dict[str, Any]


@dataclass
class Conversations:
    """The newest conversations of one server."""

    _places: OrderedDict[str, Place] = field(default_factory=OrderedDict)
    _locks: OrderedDict[str, asyncio.Lock] = field(default_factory=OrderedDict)

    def find(self, owner: str, messages: Sequence[Said]) -> tuple[Place | None, list[Said]]:
        """Where the conversation stands that went so up to its last answer, and what was said since."""
        for last in range(len(messages) - 1, -1, -1):
            if messages[last].role == "assistant":
                key = _digest(owner, messages[: last + 1])
                place = self._places.get(key)
                if place is None:
                    return None, list(messages)
                self._places.move_to_end(key)
                return place, list(messages[last + 1 :])
        return None, list(messages)

    def keep(self, owner: str, messages: Sequence[Said], answer: str, place: Place) -> None:
        """Where the conversation stands after an answer."""
        self._kept(_digest(owner, [*messages, Said("assistant", answer)]), place)

    def named(self, owner: str, name: str) -> Place | None:
        """A place that was kept under a name: the id of a response."""
        return self._places.get(f"{owner} {name}")

    def keep_named(self, owner: str, name: str, place: Place) -> None:
        """Keep a place under a name."""
        self._kept(f"{owner} {name}", place)

    def lock(self, thread: str) -> asyncio.Lock:
        """One answer at a time in a thread that has a name."""
        found = self._locks.setdefault(thread, asyncio.Lock())
        self._locks.move_to_end(thread)
        while len(self._locks) > KEPT and not next(iter(self._locks.values())).locked():
            self._locks.popitem(last=False)
        return found

    def _kept(self, key: str, place: Place) -> None:
        self._places[key] = place
        self._places.move_to_end(key)
        while len(self._places) > KEPT:
            self._places.popitem(last=False)


def _digest(owner: str, messages: Sequence[Said]) -> str:
    said = [[one.role, one.text.strip()] for one in messages if one.role in ("user", "assistant")]
    return hashlib.sha256(json.dumps([owner, said]).encode()).hexdigest()
