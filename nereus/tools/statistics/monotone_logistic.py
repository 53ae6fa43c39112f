"""Logistic regression whose probability can only rise with each of its inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

FloatArray = npt.NDArray[np.float64]

_RIDGE = 1.0
"""Penalty of the squared slopes, in observations: keeps slopes finite when the classes separate."""


@dataclass(frozen=True)
class MonotoneLogistic:
    """``P(y = 1 | x) = logistic(intercept + slopes . x)`` with slopes >= 0, shape (inputs,)."""

    intercept: float
    slopes: FloatArray

    def probability(self, x: FloatArray) -> FloatArray:
        """Probabilities of rows of `x`, shape (rows, inputs)."""
        return np.asarray(special.expit(self.intercept + x @ self.slopes))


def fit_monotone_logistic(
    x: FloatArray,
    y: npt.NDArray[np.bool_],
    *,
    weight: FloatArray | None = None,
    expected: FloatArray | None = None,
    ridge: float = _RIDGE,
) -> MonotoneLogistic:
    """Fit by penalised maximum likelihood.

    Parameters
    ----------
    x
        Inputs, shape (rows, inputs), finite.
    y
        Outcomes, shape (rows,); both must occur.
    weight
        Weights of the rows, shape (rows,); None weighs all alike.
    expected
        Slopes towards which the fit is drawn, shape (inputs,); None draws towards 0.
    ridge
        How strongly, in observations.
    """
    spread = np.std(x, axis=0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    z = x / scale
    outcome = y.astype(np.float64)
    counts = np.ones(len(y)) if weight is None else weight
    middle = np.zeros(x.shape[1]) if expected is None else expected * scale

    def loss(theta: FloatArray) -> tuple[float, FloatArray]:
        line = theta[0] + z @ theta[1:]
        miss = special.expit(line) - outcome
        off = theta[1:] - middle
        value = float(np.sum(counts * (np.logaddexp(0.0, line) - outcome * line)) + 0.5 * ridge * off @ off)
        return value, np.concatenate([[np.sum(counts * miss)], z.T @ (counts * miss) + ridge * off])

    start = np.zeros(x.shape[1] + 1)
    start[0] = special.logit(np.clip(np.average(outcome, weights=counts), 1e-6, 1 - 1e-6))
    start[1:] = middle
    bounds = [(None, None), *[(0.0, None)] * x.shape[1]]
    best = optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500}
    )
    return MonotoneLogistic(float(best.x[0]), np.asarray(best.x[1:] / scale))
