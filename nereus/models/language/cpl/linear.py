"""The smallest policy that can be trained from search: a softmax of weighted features, with gradients in closed form.

It needs neither torch nor a language model, trains in a second, and is what the reasoner learns with by default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.linear_model import Ridge

from nereus.errors import InputError
from nereus.models.language.cpl.choices import Array, Choices, Comparison, Described, Imitation
from nereus.models.language.cpl.step_apo import StepApo, loss, pull

RIDGE = 1.0
"""Strength of the ridge of the value, on standardised features."""
EDGE = 0.95
"""Targets are pulled in to here before the inverse of tanh, which is infinite at 1."""


@dataclass
class LinearPolicy:
    """Softmax over the features of the steps that are possible.

    Attributes
    ----------
    weights
        One a feature, shape (features,).
    """

    weights: Array

    def scores(self, rows: Described) -> Array:
        """Score of each step, (rows,)."""
        made: Array = rows.features @ self.weights
        return made

    def log_probabilities(self, choices: Choices) -> Array:
        """log-probability of each step within its decision, (rows,)."""
        return choices.log_softmax(self.scores(choices.rows))

    def copy(self) -> LinearPolicy:
        """An independent copy, as a frozen reference must be."""
        return LinearPolicy(self.weights.copy())

    # ------------------------------------------------------------------------------------------------ training

    def imitate(self, data: Imitation, ridge: float = 1e-3) -> float:
        """Make the taken steps likely (SFT): cross-entropy with a small ridge around 0, by L-BFGS. Returns the mean loss."""
        choices, first = data.choices, data.choices.starts[:-1]
        taken = first + data.taken

        def objective(weights: Array) -> tuple[float, Array]:
            log_p = choices.log_softmax(choices.rows.features @ weights)
            expected = np.add.reduceat(np.exp(log_p)[:, None] * choices.rows.features, first)
            value = -log_p[taken].mean() + 0.5 * ridge * weights @ weights
            return float(value), (expected - choices.rows.features[taken]).mean(axis=0) + ridge * weights

        found = minimize(objective, self.weights, jac=True, method="L-BFGS-B", options={"maxiter": 500})
        self.weights = np.asarray(found.x)
        return float(found.fun)

    def preference_loss(
        self, data: Comparison, reference: LinearPolicy, options: StepApo, wins: Array | None = None
    ) -> tuple[float, Array]:
        """Mean Step-APO loss, and its gradient by the weights, (features,)."""
        _separate(self, reference)
        # Both steps share a prefix, so that the normalisers cancel in the difference of their log-ratios and its gradient.
        first, features = data.choices.starts[:-1], data.choices.rows.features
        difference = features[first + data.chosen] - features[first + data.rejected]
        ratio = difference @ (self.weights - reference.weights)
        zero = np.zeros_like(ratio)
        value = loss(ratio, zero, data.q_chosen, data.q_rejected, options, wins)
        slope = pull(ratio, zero, data.q_chosen, data.q_rejected, options, wins)
        return float(value.mean()), slope @ difference / len(data)

    def prefer(
        self,
        data: Comparison,
        options: StepApo,
        *,
        held_out: Comparison | None = None,
        rate: float = 0.1,
        steps: int = 300,
        patience: int = 20,
        wins: Array | None = None,
    ) -> list[tuple[float, float]]:
        """Follow the gradient of the Step-APO loss from here; the reference is the policy as it is now.

        Parameters
        ----------
        data
            Pairs to learn from.
        options
            beta, alpha, soft labels.
        held_out
            Pairs to stop by: after `patience` steps without a better loss the best weights are kept.
        rate, steps
            Step size and largest number of steps.
        patience
            See `held_out`.
        wins
            Probability that each chosen step wins, in place of that of the options.

        Returns
        -------
        list
            Loss on the pairs and on the held-out pairs (NaN without any) before each step.
        """
        if not len(data):
            raise InputError("there are 0 preference pairs", where="Step-APO", mend="search more problems")
        reference, course = self.copy(), []
        best, best_loss, since = self.weights.copy(), float("inf"), 0
        for _ in range(steps):
            value, gradient = self.preference_loss(data, reference, options, wins)
            aside = float("nan")
            if held_out is not None and len(held_out):
                aside = self.preference_loss(held_out, reference, options)[0]
                if aside < best_loss - 1e-6:
                    best, best_loss, since = self.weights.copy(), aside, 0
                else:
                    since += 1
            course.append((value, aside))
            if since >= patience:
                break
            self.weights = self.weights - rate * gradient
        if best_loss < float("inf"):
            self.weights = best
        return course


def _separate(policy: LinearPolicy, reference: LinearPolicy) -> None:
    if np.shares_memory(policy.weights, reference.weights):
        raise InputError(
            "the reference shares its weights with the policy, so that every ratio is 1",
            where="Step-APO",
            mend="take `policy.copy()` before training",
        )


@dataclass
class LinearValue:
    """Value of a prefix: tanh of weighted, standardised features; fitted by ridge on the inverse tanh of the targets."""

    mean: Array
    scale: Array
    weights: Array
    bias: float

    @classmethod
    def fit(cls, rows: Described, targets: Array) -> LinearValue:
        """Fit to mean rewards in [-1, 1], (rows,)."""
        if len(rows) < 2:
            raise InputError(
                f"{len(rows)} prefixes are too few to fit a value", where="value", mend="search more problems"
            )
        mean = rows.features.mean(axis=0)
        scale = rows.features.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        model = Ridge(alpha=RIDGE).fit(
            (rows.features - mean) / scale, np.arctanh(np.clip(targets, -EDGE, EDGE))
        )
        return cls(mean, scale, np.asarray(model.coef_, float), float(model.intercept_))

    def values(self, rows: Described) -> Array:
        """Values in (-1, 1), (rows,)."""
        made: Array = np.tanh((rows.features - self.mean) / self.scale @ self.weights + self.bias)
        return made


Scores = Callable[[Described], NDArray[np.float64]]
"""What a policy over described steps has to give: a score a step."""
