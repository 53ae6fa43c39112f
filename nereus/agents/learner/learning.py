"""What the learner is made of: who makes and revises actions, who acts with them, and the shape of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from nereus.agents.learner.traces import Rollout
from nereus.memory.actions import Actions, ActionTest, LearnedAction

VARIANTS = 4
"""Candidate libraries of a round."""
EVALUATIONS = 3
"""Times that libraries are carried out; at most two revisions lie between."""


@dataclass(frozen=True)
class Failing:
    """A failed call of a learned action, with what led to it: what a revision is made from."""

    task: str
    goal: str
    call: str
    text: str
    trace: tuple[str, ...]
    """Decisions before it, and what came of them."""
    subtrace: tuple[str, ...]
    """What happened inside, call by call."""


@dataclass(frozen=True)
class Validation:
    """What carrying actions out on tasks that were not learned from showed."""

    rollouts: tuple[Rollout, ...]
    tests: dict[str, tuple[ActionTest, ...]]
    """Name of the action -> its calls."""
    solved: float
    baseline: float
    """Share solved without learned actions."""
    cost: float = 1.0
    """Decisions and simulator calls, over those without learned actions (geometric mean)."""
    faults: dict[str, str] = field(default_factory=dict)
    """Name of an action -> why it is not accepted."""


class Agent(Protocol):
    """Who acts in tasks, with a library or without."""

    domain: str
    primitives: tuple[str, ...]

    def demonstrate(self, task: Any) -> tuple[bool, Any]:
        """Act without learned actions: whether the task was solved, and the trace."""

    def rollout(self, task: Any, actions: Sequence[LearnedAction]) -> Rollout:
        """Act with a library."""

    def validate(self, tasks: Sequence[Any], actions: Sequence[LearnedAction]) -> Validation:
        """Carry a library out on tasks that were not learned from, and compare each call with what it must lead to."""

    def objects(self, tasks: Sequence[Any]) -> frozenset[str]:
        """Names that belong to single tasks: an action must not hold one."""

    def name(self, task: Any) -> str:
        """What a task is called."""

    def goal(self, task: Any) -> str:
        """Its goals in words."""


class Author(Protocol):
    """Who makes actions of traces, and revises them."""

    id: str
    faults: list[str]
    """What was wrong with what did not come through, for whoever looks."""

    def create(
        self, variant: int, traces: Sequence[Any], tasks: Sequence[Any], seed: int
    ) -> list[LearnedAction]:
        """A candidate library; empty where nothing came of it."""

    def revise(
        self,
        actions: Sequence[LearnedAction],
        rollouts: Sequence[Rollout],
        failing: Failing,
        variant: int,
        seed: int,
    ) -> list[LearnedAction]:
        """The library with what failed changed, or with a note."""


@dataclass
class LearnServices:
    """Dependencies of `learn_graph`, handed to its nodes as LangGraph's runtime context."""

    author: Author
    agent: Agent
    training: Sequence[Any]
    held_out: Sequence[Any]
    seed: int = 0
    approval: str = "costly"
    """``never`` publishes what was validated; ``costly`` and ``always`` ask before an action becomes active."""
    repository: Actions | None = None
    decisions: int = 10
    provenance: dict[str, Any] = field(default_factory=dict)
