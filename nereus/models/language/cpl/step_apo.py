r"""Step-APO: preferences between next steps, with the advantage gap as the margin that the policy must reach.

For a pair of next steps after the same prefix, with reference policy :math:`\pi_{ref}` and values of the two prefixes that
they lead to, the loss is

.. math::

    L = -\log\sigma\big(\beta\,[\log\tfrac{\pi(a_w|s)}{\pi_{ref}(a_w|s)} - \log\tfrac{\pi(a_l|s)}{\pi_{ref}(a_l|s)}]
        - \alpha\,(Q_w - Q_l)\big).

It follows from entropy-regularised control of steps: the optimum satisfies
:math:`r(s,a) = \beta\log(\pi^*/\pi_{ref}) + V^*(s) - V^*(s')`, and in a Bradley-Terry model of rewards of two steps with the
same prefix :math:`V^*(s)` cancels while :math:`V^*(s')` does not. DPO is the case of an offset of 0. Log-probabilities are
sums over the tokens of a step, never means.

With hard labels ("the larger value wins") the loss has no finite minimum. With soft labels it has one, where
:math:`\beta\log(\pi/\pi_{ref}) = (\alpha + 1/\tau)\,Q` up to a constant of the prefix: margin and label both ask for the gap.
The optimum of the derivation, :math:`\pi_{ref}\exp(Q/\beta)`, is that of :math:`\alpha = 1, \tau = \infty`, whose labels are
even: steps before the end earn nothing themselves, so that their labels in the Bradley-Terry model of rewards are a toss-up
and the margin alone teaches.

Everything here is numpy and takes arrays, one entry a pair; `causal` and `training` use the same formula in torch, and a test
holds them together.

References
----------
Wang, Chen, Han, Bai: Critical Planning Step Learning, arXiv:2409.08642, 2024.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ConfigDict, Field

from nereus.errors import InputError
from nereus.explained import Explained

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

WHERE = "Step-APO"


class StepApo(Explained):
    """What is minimised.

    `alpha` = 0 is DPO on steps (Step-DPO); on whole solutions it is DPO.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    beta: float = Field(default=0.3, gt=0)
    """Strength of the pull to the reference: the temperature of the optimum."""
    alpha: float = Field(default=1.0, ge=0)
    """Share of the advantage gap that is demanded as margin; 0 for DPO."""
    soft_labels: bool = False
    """Take the winner to win with probability :math:`\\sigma((Q_w - Q_l)/\\tau)` instead of always."""
    tau: float = Field(default=1.0, gt=0)
    """Temperature of soft labels; infinite for even ones."""


def checked_options(**options: Any) -> StepApo:
    """`StepApo` with an error that says what to do; ``beta`` and ``tau`` must be positive."""
    for name in ("beta", "tau"):
        if name in options and not options[name] > 0:
            raise InputError(
                f"{name} = {options[name]!r} is not positive",
                where=WHERE,
                mend="the paper takes beta = 0.3; tau = 1 is mild",
            )
    if options.get("alpha", 0.0) < 0:
        raise InputError(
            f"alpha = {options['alpha']!r} is negative: larger gaps would need smaller margins",
            where=WHERE,
            mend="take 1 (Step-APO) or 0 (DPO)",
        )
    return StepApo(**options)


def checked_values(q: ArrayLike, name: str = "Q") -> NDArray[np.float64]:
    """Values of steps as an array; `InputError` where one lies outside [-1, 1] or is missing."""
    values = np.asarray(q, dtype=float)
    wrong = ~(np.abs(values) <= 1.0 + 1e-9)
    if wrong.any():
        at = int(np.flatnonzero(wrong.ravel())[0])
        raise InputError(
            f"{name} = {values.ravel()[at]:g} of pair {at} lies outside [-1, 1]",
            where=WHERE,
            mend="values are means of rewards in [-1, 1]; divide by the largest reward",
        )
    return values


def win_probability(q_chosen: ArrayLike, q_rejected: ArrayLike, options: StepApo) -> NDArray[np.float64]:
    """Probability that the chosen step is taken to win, (pairs,): 1, or that of soft labels."""
    gap = checked_values(q_chosen, "q_chosen") - checked_values(q_rejected, "q_rejected")
    return sigmoid(gap / options.tau) if options.soft_labels else np.ones_like(gap)


def margins(
    ratio_chosen: ArrayLike,
    ratio_rejected: ArrayLike,
    q_chosen: ArrayLike,
    q_rejected: ArrayLike,
    options: StepApo,
) -> NDArray[np.float64]:
    """What the sigmoid is taken of, (pairs,).

    Parameters
    ----------
    ratio_chosen, ratio_rejected
        log(pi/pi_ref) of the two steps, summed over their tokens, (pairs,).
    q_chosen, q_rejected
        Values of the two steps in [-1, 1], (pairs,).
    options
        beta and alpha.
    """
    gap = checked_values(q_chosen, "q_chosen") - checked_values(q_rejected, "q_rejected")
    made: NDArray[np.float64] = (
        options.beta * (np.asarray(ratio_chosen, float) - np.asarray(ratio_rejected, float))
        - options.alpha * gap
    )
    return made


def loss(
    ratio_chosen: ArrayLike,
    ratio_rejected: ArrayLike,
    q_chosen: ArrayLike,
    q_rejected: ArrayLike,
    options: StepApo,
    wins: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Loss of each pair, (pairs,). `wins` overrides the probability that the chosen step wins."""
    margin = margins(ratio_chosen, ratio_rejected, q_chosen, q_rejected, options)
    p = win_probability(q_chosen, q_rejected, options) if wins is None else np.asarray(wins, float)
    made: NDArray[np.float64] = p * np.logaddexp(0.0, -margin) + (1.0 - p) * np.logaddexp(0.0, margin)
    return made


def pull(
    ratio_chosen: ArrayLike,
    ratio_rejected: ArrayLike,
    q_chosen: ArrayLike,
    q_rejected: ArrayLike,
    options: StepApo,
    wins: ArrayLike | None = None,
) -> NDArray[np.float64]:
    r"""Derivative of each pair's loss by the log-probability of its chosen step, (pairs,).

    With hard labels it is :math:`-\beta\,\sigma(\hat r_l - \hat r_w + \alpha(Q_w - Q_l))`: pairs with a larger gap pull
    more. By that of the rejected step it is the negative.
    """
    margin = margins(ratio_chosen, ratio_rejected, q_chosen, q_rejected, options)
    p = win_probability(q_chosen, q_rejected, options) if wins is None else np.asarray(wins, float)
    made: NDArray[np.float64] = options.beta * (sigmoid(margin) - p)
    return made


def sigmoid(x: ArrayLike) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)) without overflow."""
    made: NDArray[np.float64] = np.exp(-np.logaddexp(0.0, -np.asarray(x, float)))
    return made
