"""How good a library is: the share of learned calls that went well, how much of the work they did, and success."""

from __future__ import annotations

from collections.abc import Iterable

from nereus.agents.learner.traces import Rollout


def score(rollouts: Iterable[Rollout], *, quality: bool = True) -> float:
    """``s / c + s / T + r`` over the training rollouts (LearnAct, COLM 2024).

    c are calls of learned actions, s those that went well, T all decisions, r the mean reward. A library that is never
    called gets no more than its reward, so it cannot win on quality alone.

    Parameters
    ----------
    rollouts
        One a training task.
    quality
        Whether the first term counts; text games leave it out.
    """
    done = list(rollouts)
    if not done:
        return 0.0
    called = sum(one.learned_calls for one in done)
    well = sum(one.learned_ok for one in done)
    decisions = sum(len(one.decisions) for one in done)
    reward = sum(one.reward for one in done) / len(done)
    first = well / called if called and quality else 0.0
    return first + (well / decisions if decisions else 0.0) + reward


def failing(rollouts: Iterable[Rollout]) -> tuple[int, int] | None:
    """The first task, and the decision in it, at which a call of a learned action failed."""
    for task, one in enumerate(rollouts):
        place = one.failing()
        if place is not None:
            return task, place
    return None
