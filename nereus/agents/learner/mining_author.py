"""Makes actions by mining and mends them by rules: the author that needs no model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nereus.agents.learner.environments.planning import Domain, PlanningTask
from nereus.agents.learner.learning import Failing
from nereus.agents.learner.mining import Macro, Mining, chosen, lifted, mine
from nereus.agents.learner.preconditions import attempts, preconditions
from nereus.agents.learner.repair import repaired
from nereus.agents.learner.source import written
from nereus.agents.learner.traces import Rollout, Trace
from nereus.memory.actions import LearnedAction

OPTIONS = (
    (Mining(longest=5, keep=4), "complementing"),
    (Mining(longest=5, keep=4, loops=True), "complementing"),
    (Mining(longest=8, keep=6, loops=True, data_flow=True), "complementing"),
    (Mining(longest=5, keep=2), "complementing"),
)
"""How each candidate library is mined, and how its macros are chosen."""


class MiningAuthor:
    """Mines macros.

    Parameters
    ----------
    domain
        The domain.
    """

    id = "mining"

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.faults: list[str] = []

    def create(
        self, variant: int, traces: Sequence[Trace], tasks: Sequence[PlanningTask], seed: int
    ) -> list[LearnedAction]:
        """See `Author`."""
        options, way = OPTIONS[variant % len(OPTIONS)]
        macros = mine(traces, options)
        kept = chosen(macros, traces, options.keep) if way == "complementing" else macros[: options.keep]
        return named(kept, self.domain, traces, author=self.id, variant=variant, seed=seed)

    def revise(
        self,
        actions: Sequence[LearnedAction],
        rollouts: Sequence[Rollout],
        failing: Failing,
        variant: int,
        seed: int,
    ) -> list[LearnedAction]:
        """See `Author`. Variant 0 mends all that failed, 1 only what failed first, 2 leaves that out."""
        first = failing.call.partition("(")[0]
        found: list[LearnedAction] = []
        for action in actions:
            calls = [
                one
                for done in rollouts
                for one in done.decisions
                if one.learned and one.call.name == action.name
            ]
            if all(one.ok for one in calls) or (variant > 0 and action.name != first):
                found.append(action)
            elif variant < 2:
                found += repaired(action, calls, self.domain)
        return found


def named(
    macros: Sequence[Macro], domain: Domain, traces: Sequence[Trace], **provenance: Any
) -> list[LearnedAction]:
    """Macros as actions with different names, and the conditions that the traces show as guards.

    What their steps need is known of every domain; what was mined beside it is checked, too, where it is no more than that.
    """
    found: list[LearnedAction] = []
    good = [one for one in traces if one.solved]
    for macro in macros:
        mined = preconditions(attempts(macro, good)) if not macro.loop else ()
        made = written(macro, domain, taken=[one.name for one in found], **provenance)
        told = made.provenance | {"mined_preconditions": [list(one) for one in mined]}
        found.append(made.model_copy(update={"provenance": told, "usage": _usage(made, macro, good)}))
    return found


def _usage(action: LearnedAction, macro: Macro, traces: Sequence[Trace]) -> str:
    """An example from a trace: the call, and what it does."""
    for trace in traces:
        calls = trace.calls
        for start in range(len(calls) - len(macro.steps) + 1):
            window = calls[start : start + len(macro.steps)]
            if lifted(window, trace.task)[0] != macro.steps:
                continue
            names = {
                str(term): str(value)
                for step, call in zip(macro.steps, window, strict=True)
                for term, value in zip(step.arguments, call.arguments, strict=True)
            }
            given = [
                f"[{names[f'?{i}']}]" if f"?{i}" == macro.loop else names[f"?{i}"]
                for i in range(len(macro.kinds))
            ]
            return f"{action.name}({', '.join(given)})\n-> " + "; ".join(map(str, window))
    return ""
