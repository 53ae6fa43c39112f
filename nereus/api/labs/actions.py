"""Learned actions: what was learned to do, tested, and with a track record."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from nereus.api.labs.asking import Ask, Asks, Awaits, Waits, verb
from nereus.api.labs.shown import Listing


class Action(BaseModel):
    """A learned action, and how it fared."""

    name: str
    version: int
    status: str
    """``candidate``, ``active``, ``deprecated`` ...: only active ones are used."""
    domain: str
    signature: str
    description: str
    usage: str
    notes: list[str]
    source: str
    """Its Python. It runs in the sandbox alone."""
    n_tests: int
    tests_passed: int
    standing: dict[str, Any]


class ActionVerbs:
    """The learned actions."""

    @verb
    def list(self) -> Asks[Listing[Action]]:
        """The newest version of each learned action."""
        answer = yield Ask("GET", "/api/actions")
        columns = ("name", "version", "status", "domain", "description", "tests_passed", "n_tests")
        return Listing(map(Action.model_validate, answer.json()), columns, "learned actions")


class Actions(ActionVerbs, Waits):
    """The learned actions."""


class AsyncActions(ActionVerbs, Awaits):
    """The learned actions, with verbs that are awaited."""
