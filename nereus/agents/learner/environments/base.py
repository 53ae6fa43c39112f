"""What an environment is: primitives that act on a state, with typed failures, snapshots and a check of success."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from nereus.errors import NereusError

Literal = tuple[str, ...]
"""A fact: predicate, then objects."""
Argument = str | tuple[str, ...]


class Failure(StrEnum):
    """Why a call came to nothing."""

    UNKNOWN_ACTION = "unknown action"
    WRONG_ARGUMENT = "wrong argument"
    PRECONDITION = "precondition"
    NO_CHANGE = "no change"
    NOT_APPLICABLE = "not applicable"
    """A learned action's own guard refused."""
    POSTCONDITION = "post-condition"
    CODE = "error in its code"
    STOPPED = "stopped by a limit"


class ActionFailed(NereusError):
    """A call that came to nothing, with its kind and what was missing.

    Parameters
    ----------
    kind
        Why.
    missing
        Facts that had to hold and did not.
    position
        Number of the argument that was wrong, from 0.
    """

    def __init__(
        self,
        what: str,
        *,
        kind: Failure = Failure.PRECONDITION,
        missing: tuple[Literal, ...] = (),
        position: int | None = None,
        where: str | None = None,
        mend: str | None = None,
    ) -> None:
        super().__init__(what, where=where, mend=mend)
        self.kind = kind
        self.missing = missing
        self.position = position

    def __reduce__(self) -> tuple[object, ...]:
        return (_failed_again, (self.what, self.kind, self.missing, self.position, self.where, self.mend))


def _failed_again(
    what: str,
    kind: Failure,
    missing: tuple[Literal, ...],
    position: int | None,
    where: str | None,
    mend: str | None,
) -> ActionFailed:
    return ActionFailed(what, kind=kind, missing=missing, position=position, where=where, mend=mend)


@dataclass(frozen=True)
class Call:
    """One call of a primitive or of a learned action."""

    name: str
    arguments: tuple[Argument, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(_shown(one) for one in self.arguments)})"


def _shown(argument: Argument) -> str:
    return argument if isinstance(argument, str) else f"[{', '.join(argument)}]"


@dataclass(frozen=True)
class Primitive:
    """A primitive action: what an agent may do without having learned anything."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    """Name and type of each argument."""
    doc: str = ""

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{name}: {kind}' for name, kind in self.parameters)})"


@dataclass(frozen=True)
class Observation:
    """What a call that went well changed."""

    text: str
    added: tuple[Literal, ...] = ()
    removed: tuple[Literal, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Environment(Protocol):
    """A task to act in.

    An environment whose `snapshots` is false cannot take a failed call back: learning is refused in it, unless partial
    effects are allowed.
    """

    name: str
    task: str
    snapshots: bool
    calls: int
    """Primitive calls so far, failed ones too: what a simulator is charged for."""

    @property
    def primitives(self) -> tuple[Primitive, ...]:
        """What can be done."""

    @property
    def objects(self) -> Mapping[str, str]:
        """Name of every object -> its type."""

    def act(self, call: Call) -> Observation:
        """Carry out one primitive; `ActionFailed` leaves the state as it was."""

    def holds(self, literal: Literal) -> bool:
        """Whether a fact is true now."""

    def snapshot(self) -> Any:
        """The state, to come back to."""

    def rollback(self, state: Any) -> None:
        """Come back to a state."""

    def progress(self) -> float:
        """Share of the goals that are reached."""

    def solved(self) -> bool:
        """Whether all goals are reached."""

    def state_hash(self) -> str:
        """SHA-256 of the state: equal states have equal hashes."""

    def goal_text(self) -> str:
        """The goals, as an agent reads them."""

    def state_text(self) -> str:
        """The state, as an agent reads it."""
