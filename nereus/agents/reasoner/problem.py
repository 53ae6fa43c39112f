"""What the reasoner searches in: a question, the steps that may follow a prefix, and what they lead to.

A problem is stepped by its own rules (arithmetic, tools, a checker of texts) and knows nothing of trees or policies. States are
its own: anything hashable that holds all that matters after a prefix.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from nereus.errors import InputError
from nereus.models.language.cpl.choices import Described

State = Hashable


@dataclass(frozen=True)
class Turn:
    """Where a step leads.

    Attributes
    ----------
    state
        The state after it.
    ended
        Whether nothing can follow.
    reward
        Reward of the end in [-1, 1]; None where the problem has no checker, or nothing has ended.
    violation
        What was wrong with the form of the step or plan, where it ended because of that; such ends teach nothing.
    solution
        Whether the step was a whole solution, not a step of a plan.
    """

    state: State
    ended: bool = False
    reward: float | None = None
    violation: str = ""
    solution: bool = False


class Problem(ABC):
    """One question to reason about."""

    name: ClassVar[str]
    """Kind of problem, as records name it."""
    max_depth: int = 6
    """Steps after which a path is given up with -1."""
    graded: bool = False
    """Whether rewards are grades without a full mark: then the best path above 0 is what is imitated."""

    @property
    @abstractmethod
    def question(self) -> str:
        """The question in words."""

    @abstractmethod
    def start(self) -> State:
        """The state before any step."""

    @abstractmethod
    def play(self, state: State, step: str) -> Turn:
        """Take a step. A pure function of both: what a tool computes is found again by its key."""

    @abstractmethod
    def prompt(self, state: State) -> str:
        """Question and steps so far as text: what rows of training data call the prompt."""

    def moves(self, state: State) -> Sequence[str]:
        """All steps that may follow, in a fixed order; empty where steps are free text."""
        return ()

    def describe(self, state: State, moves: Sequence[str]) -> Described:
        """What a policy without a language model sees of some next steps, one row each."""
        raise InputError(
            f"problems of the kind {self.name!r} describe no steps",
            where="reasoner",
            mend="use a policy that reads text, or write `describe` and `describe_state`",
        )

    def describe_state(self, state: State) -> Described:
        """What a value without a language model sees of a prefix, one row."""
        raise InputError(
            f"problems of the kind {self.name!r} describe no prefixes",
            where="reasoner",
            mend="write `describe_state`",
        )

    def dump(self, state: State) -> Any:
        """The state as JSON, for the database."""
        return state

    def restore(self, kept: Any) -> State:
        """The state from what `dump` gave."""
        state: State = _tuples(kept)
        return state


def _tuples(value: Any) -> Any:
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value
