"""A support vector machine whose scores are probabilities: one temperature, fitted on held-out scores."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from scipy import optimize, special
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_GRID = {"svc__C": [1.0, 8.0, 64.0], "svc__gamma": [0.01, 0.05, 0.25]}
"""Inputs are standardised, so that gamma is about one over their number."""
_LOG_TEMPERATURES = (-3.0, 5.0)


class CalibratedMachine:
    """Radial support vector machine; cost and width are searched by cross-validation, then scores are calibrated.

    One temperature for all classes (Guo et al. 2017, ICML) keeps the order of the scores and needs few examples a class,
    where a sigmoid for each class against the rest (Platt) leaves small classes with too little probability.

    Parameters
    ----------
    seed
        Seed of the folds.

    Attributes
    ----------
    classes_
        Classes in the order of the probabilities.
    temperature_
        What scores are multiplied by.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1, 2], 20)
    >>> X = rng.normal(0, 0.3, (60, 4)) + np.eye(3, 4)[y] * 2
    >>> CalibratedMachine(0).fit(X, y).predict_proba(X).argmax(axis=1)[[0, 25, 50]].tolist()
    [0, 1, 2]
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: FloatArray, y: IntArray) -> CalibratedMachine:
        """Fit to inputs, shape (n, features), and classes, shape (n,), two or more of each."""
        self.classes_, codes = np.unique(y, return_inverse=True)
        smallest = int(np.bincount(codes).min())
        folds = StratifiedKFold(max(2, min(3, smallest)), shuffle=True, random_state=self.seed)
        machine: Pipeline = make_pipeline(StandardScaler(), SVC(class_weight="balanced"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a class may be smaller than the folds
            search = GridSearchCV(machine, _GRID, scoring="f1_macro", cv=folds, refit=False).fit(X, codes)
            machine.set_params(**search.best_params_)
            held_out = _scores(cross_val_predict(machine, X, codes, cv=folds, method="decision_function"))
        rows = np.arange(len(codes))

        def loss(log_temperature: float) -> float:
            return float(-special.log_softmax(held_out * np.exp(log_temperature), axis=1)[rows, codes].mean())

        found = optimize.minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded")
        self.temperature_ = float(np.exp(found.x))
        self.machine_ = machine.fit(X, codes)
        return self

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Probability of each class, shape (n, classes)."""
        scores = _scores(self.machine_.decision_function(X))
        return np.asarray(special.softmax(scores * self.temperature_, axis=1))


def _scores(decision: FloatArray) -> FloatArray:
    """Scores of all classes; two classes have one score, the second's."""
    return np.column_stack([-decision, decision]) if decision.ndim == 1 else decision
