"""What was done: calls, states and failures of an agent in one task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nereus.agents.learner.environments.base import Call, Failure, Literal
from nereus.agents.learner.environments.operators import State, apply
from nereus.agents.learner.environments.planning import PlanningTask


@dataclass(frozen=True)
class TraceStep:
    """One primitive that was carried out."""

    call: Call
    before: State
    after: State


@dataclass(frozen=True)
class Trace:
    """Primitives that were carried out in one task, from its first state on."""

    task: PlanningTask
    steps: tuple[TraceStep, ...]
    solved: bool

    @property
    def calls(self) -> tuple[Call, ...]:
        """What was done."""
        return tuple(one.call for one in self.steps)


def replayed(task: PlanningTask, calls: Sequence[Call]) -> Trace:
    """The trace of a plan."""
    state = task.initial
    steps = []
    for call in calls:
        binding = tuple(str(one) for one in call.arguments)
        after = apply(task.domain.operators[call.name], binding, state)
        steps.append(TraceStep(call, state, after))
        state = after
    return Trace(task, tuple(steps), task.unmet(state) == 0)


@dataclass(frozen=True)
class Decision:
    """One decision of an agent: a call of a primitive or of a learned action, and what came of it."""

    call: Call
    learned: bool
    ok: bool
    text: str
    """What the agent was told."""
    failure: Failure | None = None
    missing: tuple[Literal, ...] = ()
    inner: tuple[str, ...] = ()
    """Of a learned action, what happened inside, call by call: the sub-trace."""
    position: int | None = None
    """Step inside the learned action at which it failed, from 1."""


@dataclass(frozen=True)
class Rollout:
    """What an agent did with a library in one training task."""

    task: str
    solved: bool
    reward: float
    """Share of goals that were reached."""
    decisions: tuple[Decision, ...]

    @property
    def learned_calls(self) -> int:
        """Calls of learned actions."""
        return sum(one.learned for one in self.decisions)

    @property
    def learned_ok(self) -> int:
        """Those that went well."""
        return sum(one.learned and one.ok for one in self.decisions)

    def failing(self) -> int | None:
        """Position of the first failed call of a learned action."""
        return next((i for i, one in enumerate(self.decisions) if one.learned and not one.ok), None)
