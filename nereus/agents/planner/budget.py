"""What a run may use, and what it has used. A limit stops the run before it is exceeded, and the run still reports."""

from __future__ import annotations

import time
from collections.abc import Mapping

from nereus.errors import BudgetExceeded, InputError, ResumeRefused
from nereus.memory.records import Budget, RunHeader

STEPS_TO_READ = 3
"""Steps without which a run has nothing to report: load, annotate, profile."""


class BudgetKeeper:
    """Counts wall time across resumed processes and refuses what would exceed a limit.

    Counts of steps, tool calls and objectives live in the graph's state (they are part of the result and must not
    depend on timing); wall time and language-model use live here.
    """

    def __init__(self, limits: Budget, wall_used_s: float = 0.0) -> None:
        for name, limit in limits.model_dump().items():
            if limit < 0 or (
                limit == 0
                and name in ("wall_s", "steps", "tool_calls", "objectives", "workflows", "hypotheses")
            ):
                raise InputError(
                    f"budget {name} is {limit:g}", where="--budget", mend="give a positive number"
                )
        self.limits = limits
        self._before = wall_used_s
        self._start = time.monotonic()

    @property
    def wall_s(self) -> float:
        """Seconds used so far, over all processes that worked on the run."""
        return self._before + time.monotonic() - self._start

    def reserve(
        self, used: Mapping[str, float], kind: str, amount: float = 1.0, seconds: float = 0.0
    ) -> None:
        """Raise `BudgetExceeded` when `amount` more of `kind`, taking about `seconds`, would pass a limit."""
        limit = float(getattr(self.limits, kind))
        if used.get(kind, 0.0) + amount > limit:
            raise BudgetExceeded(
                f"the limit on {kind} is reached",
                where="budget",
                mend=f"raise it with --budget {kind}=N",
            )
        if self.wall_s + seconds > self.limits.wall_s:
            raise BudgetExceeded(
                "the limit on wall time is reached",
                where="budget",
                mend="start again with a larger --budget wall_s=N: steps that are finished are not computed again",
            )


def refuse_other_limits(header: RunHeader, budget: list[str] | Budget | None) -> Budget:
    """Limits with which a run may go on: its own, with another limit on wall time where one is given.

    Raises
    ------
    ResumeRefused
        A limit that decides what is found differs from the run's, or the run has ended and would not use the time.
    """
    limits = budget if isinstance(budget, Budget) else parse_budget(budget, header.budget)
    before, now = header.budget.model_dump(), limits.model_dump()
    changed = [name for name in before if before[name] != now[name]]
    other = [name for name in changed if name != "wall_s"]
    if other:
        told = "; ".join(f"{name} was {before[name]:g}, now {now[name]:g}" for name in other)
        raise ResumeRefused(
            f"the budget decides what is found: {told}",
            where=f"run {header.id}",
            mend="change wall_s only, or start again with `nereus discover --budget ...`: "
            "steps that are finished are not computed again",
        )
    if changed and header.status in ("finished", "stopped"):
        raise ResumeRefused(
            f"the run has ended as {header.status!r} and would not use more time",
            where=f"run {header.id}",
            mend=f"start again with `nereus discover --budget wall_s={limits.wall_s:g}`: "
            "steps that are finished are not computed again",
        )
    return limits


def parse_budget(items: list[str] | None, base: Budget | None = None) -> Budget:
    """A budget from ``name=value`` items; `InputError` names what is wrong and what is allowed."""
    base = base or Budget()
    allowed = base.model_dump()
    changes: dict[str, float] = {}
    for item in items or []:
        name, sign, text = item.partition("=")
        if not sign or name not in allowed:
            raise InputError(
                f"{item!r} is no budget",
                where="--budget",
                mend=f"write name=number with one of {sorted(allowed)}",
            )
        try:
            number = float(text)
        except ValueError:
            raise InputError(
                f"{text!r} is no number", where=f"--budget {name}", mend="write a number"
            ) from None
        if not 0 <= number < float("inf"):
            raise InputError(
                f"budget {name} is {text}", where="--budget", mend="give a positive, finite number"
            )
        changes[name] = number if isinstance(allowed[name], float) else int(number)
    for name in ("steps", "tool_calls"):
        if name in changes and changes[name] < STEPS_TO_READ:
            raise InputError(
                f"budget {name} is {changes[name]:g}, but reading and understanding the data alone takes {STEPS_TO_READ}",
                where="--budget",
                mend=f"give a positive number, {STEPS_TO_READ} or more",
            )
    budget = base.model_copy(update=changes)
    BudgetKeeper(budget)
    return budget
