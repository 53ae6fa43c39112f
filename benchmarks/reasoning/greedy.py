"""Plans without any search: in every state the likeliest step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nereus.agents.reasoner.problem import Problem

Likeliest = Callable[[Sequence[Problem], Sequence[Any]], Sequence[str | None]]
"""The likeliest step of each problem in its state; None where there is none."""


def solved_greedily(problems: Sequence[Problem], likeliest: Likeliest) -> float:
    """Share of the problems that the likeliest steps solve; those that go on are asked together."""
    states = [problem.start() for problem in problems]
    going, right = list(range(len(problems))), 0
    while going:
        steps = likeliest([problems[i] for i in going], [states[i] for i in going])
        still = []
        for i, step in zip(going, steps, strict=True):
            if step is None:
                continue
            turn = problems[i].play(states[i], step)
            states[i] = turn.state
            right += turn.reward == 1.0
            if not turn.ended:
                still.append(i)
        going = still
    return right / len(problems)
