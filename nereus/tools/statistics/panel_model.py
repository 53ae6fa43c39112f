"""A small panel of features that predicts an outcome, fitted on training samples and nothing else.

Everything that looks at data happens in `fit_panel`: what stands in for a missing value, scales, the removal
of covariates, the screen, the choice of features and of their number, and the final model. A test sample only
ever meets `Panel.predict`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn import config_context
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge, enet_path
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

Outcome = Literal["two", "several", "number"]

_SIZES = (1, 2, 3, 5, 8, 10, 15, 20, 30)
"""Panel sizes that are tried, up to the largest allowed."""
_INNER_FOLDS = 3
_ALPHAS = np.geomspace(1.0, 0.05, 25)
"""Penalties of the path, as shares of the one that leaves nothing in."""
_MIX = 0.5
"""Share of the absolute penalty in the elastic net."""
_RIDGE = 1.0
_TREES = 100
_LEAF = 2


@dataclass(frozen=True)
class PanelOptions:
    """How panels are fitted; see `nereus.tools.statistics.panel.PanelParams`."""

    outcome: Outcome
    model: Literal["elastic_net", "random_forest"]
    max_size: int
    screen: int
    max_missing: float
    impute: Literal["median", "low"]


@dataclass(frozen=True)
class Preparation:
    """What training samples say about how features and covariates enter: learned once, applied to any sample.

    Attributes
    ----------
    kept
        Features used, positions among all.
    fill
        What stands in for a missing value, shape (kept,).
    on_covariates
        Coefficients of the features on intercept and covariates, shape (1 + covariates, kept).
    sd
        Standard deviations after that, shape (kept,).
    covariate_mean, covariate_sd
        Of the covariates, shape (covariates,).
    """

    kept: IntArray
    fill: FloatArray
    on_covariates: FloatArray
    sd: FloatArray
    covariate_mean: FloatArray
    covariate_sd: FloatArray

    def covariates(self, c: FloatArray) -> FloatArray:
        """Covariates on the scale of the training samples; a missing number is the training mean."""
        return np.asarray(
            np.where(np.isfinite(c), (c - self.covariate_mean) / self.covariate_sd, 0.0), dtype=np.float64
        )

    def features(self, x: FloatArray, c: FloatArray, columns: IntArray) -> FloatArray:
        """Some of the kept features, filled, freed of covariates and scaled: shape (samples, columns)."""
        some = x[:, self.kept[columns]]
        values = np.where(np.isnan(some), self.fill[columns], some)
        design = np.column_stack([np.ones(len(values)), self.covariates(c)])
        return np.asarray((values - design @ self.on_covariates[:, columns]) / self.sd[columns])


def prepare(x: FloatArray, c: FloatArray, options: PanelOptions) -> tuple[Preparation, FloatArray]:
    """Learn fills, scales and covariate effects from training samples, shapes (samples, features | covariates).

    Returns
    -------
    tuple
        What was learned, and the training samples under it, shape (samples, kept).
    """
    known = np.isfinite(x)
    enough = known.mean(axis=0) >= max(1.0 - options.max_missing, 2.0 / max(len(x), 1))
    kept = np.flatnonzero(enough)
    some = x[:, kept]
    fill = _medians(some) if options.impute == "median" else np.sort(some, axis=0)[0]
    values = np.where(np.isnan(some), fill, some)
    with np.errstate(invalid="ignore"):
        counts = np.isfinite(c).sum(axis=0)
        mean = np.divide(np.nansum(c, axis=0), counts, out=np.zeros(c.shape[1]), where=counts > 0)
        spread = np.sqrt(np.nansum((c - mean) ** 2, axis=0) / np.maximum(counts, 1))
    spread = np.where(spread > 1e-12, spread, 1.0)
    scaled = np.where(np.isfinite(c), (c - mean) / spread, 0.0)
    design = np.column_stack([np.ones(len(values)), scaled])
    coefficients = np.linalg.pinv(design) @ values
    left = values - design @ coefficients
    sd = np.sqrt(np.einsum("ij,ij->j", left, left) / len(left))
    largest = np.maximum(values.max(axis=0, initial=0.0), -values.min(axis=0, initial=0.0))
    varies = sd > 1e-9 * np.maximum(1.0, largest)
    preparation = Preparation(kept[varies], fill[varies], coefficients[:, varies], sd[varies], mean, spread)
    return preparation, (left if varies.all() else left[:, varies]) / sd[varies]


def _medians(values: FloatArray) -> FloatArray:
    """Median of the known values of each column; every column has one."""
    ordered = np.sort(values, axis=0)  # NaN sorts to the end
    n = np.isfinite(ordered).sum(axis=0)
    columns = np.arange(values.shape[1])
    return np.asarray(0.5 * (ordered[(n - 1) // 2, columns] + ordered[n // 2, columns]))


@dataclass(frozen=True)
class Panel:
    """A fitted panel.

    Attributes
    ----------
    chosen
        Features in the panel, positions among all, in the order in which they were chosen.
    coefficients
        Of the chosen features per training standard deviation, shape (chosen, outcome columns); importances
        for a forest.
    """

    options: PanelOptions
    preparation: Preparation
    chosen: IntArray
    coefficients: FloatArray
    model: Any
    columns: IntArray
    n_classes: int

    def predict(self, x: FloatArray, c: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Scores and probabilities of samples.

        Returns
        -------
        scores
            Shape (samples, columns): one column for two classes (logit or vote) or a number, else one a class.
        probabilities
            Shape (samples, classes); for a number the prediction itself, one column.
        """
        inputs = _inputs(self.preparation, x, c, self.columns)
        if self.options.outcome == "number":
            predicted = np.asarray(self.model.predict(inputs), dtype=np.float64)[:, None]
            return predicted, predicted
        probabilities = np.zeros((len(x), self.n_classes))
        probabilities[:, self.model.classes_] = self.model.predict_proba(inputs)
        if self.options.outcome == "two":
            if hasattr(self.model, "decision_function"):
                return np.asarray(self.model.decision_function(inputs), dtype=np.float64)[
                    :, None
                ], probabilities
            return probabilities[:, 1:], probabilities
        return probabilities, probabilities


def fit_panel(
    x: FloatArray,
    c: FloatArray,
    y: FloatArray,
    unit: IntArray,
    options: PanelOptions,
    n_classes: int,
    seed: int,
    *,
    features: bool = True,
) -> Panel:
    """Fit a panel on training samples.

    Features are freed of the covariates, screened by their correlation with the outcome, ordered by where an
    elastic net path lets them in (Zou & Hastie 2005, J R Stat Soc B 67:301; all classes jointly where there
    are several) or by the importances of a random forest (Breiman 2001), and the number is the one with the
    least squared error over inner folds that keep units together. The chosen features are fitted again
    without the absolute penalty, which would shrink them (Meinshausen 2007), with ridge-penalised (logistic)
    regression. Covariates always stay in.

    Parameters
    ----------
    x, c
        Features with NaN for missing, shape (samples, features), and covariates, (samples, covariates).
    y
        Class codes, or the number; shape (samples,).
    unit
        Independent unit of each sample.
    n_classes
        Classes of the whole outcome; 0 for a number.
    features
        False fits the covariates alone.
    """
    preparation, z = prepare(x, c, options)
    ordered = np.zeros(0, dtype=np.intp)
    if features and len(preparation.kept):
        target = _target(y, preparation.covariates(c), options.outcome, n_classes)
        ordered = _ordered(z, y, target, options, seed)
        if options.model == "elastic_net":
            ordered = ordered[: _best_size(x, c, y, unit, options, n_classes, seed)]
        ordered = ordered[: options.max_size]
    inputs = _inputs(preparation, x, c, ordered)
    model = _fitted(inputs, y, options, seed)
    coefficients = _effects(model, len(ordered))
    return Panel(options, preparation, preparation.kept[ordered], coefficients, model, ordered, n_classes)


def _inputs(preparation: Preparation, x: FloatArray, c: FloatArray, columns: IntArray) -> FloatArray:
    """Chosen features, then covariates; a column of zeros where there is neither."""
    chosen = preparation.features(x, c, columns)
    inputs = np.column_stack([chosen, preparation.covariates(c)])
    return inputs if inputs.shape[1] else np.zeros((len(x), 1))


def _target(y: FloatArray, c: FloatArray, outcome: Outcome, n_classes: int) -> FloatArray:
    """Outcome as centred columns of unit size, freed of covariates: shape (samples, columns)."""
    columns = y.astype(np.float64)[:, None]
    if outcome == "several":
        columns = (y[:, None] == np.arange(n_classes)).astype(np.float64)
    design = np.column_stack([np.ones(len(y)), c])
    left = columns - design @ np.linalg.lstsq(design, columns, rcond=None)[0]
    size = np.sqrt((left**2).mean(axis=0))
    return np.asarray(left[:, size > 1e-9] / size[size > 1e-9])


def _ordered(z: FloatArray, y: FloatArray, target: FloatArray, options: PanelOptions, seed: int) -> IntArray:
    """Candidate columns of z, best first, at most `max_size`."""
    if not target.shape[1]:
        return np.zeros(0, dtype=np.intp)
    strength = ((z.T @ target / len(z)) ** 2).sum(axis=1)
    screened = np.sort(np.argsort(-strength, kind="stable")[: options.screen])
    if options.model == "random_forest":
        forest = _fitted(z[:, screened], y, options, seed)
        order = np.argsort(-forest.feature_importances_, kind="stable")
        return np.asarray(screened[order[: options.max_size]], dtype=np.intp)
    part = np.asfortranarray(z[:, screened])
    single = target.shape[1] == 1
    goal = target[:, 0] if single else target
    products = part.T @ goal / len(part)
    largest = float(np.abs(products).max() if single else np.sqrt((products**2).sum(axis=1)).max()) / _MIX
    if largest <= 0:
        return np.zeros(0, dtype=np.intp)
    entered: list[int] = []
    start = None
    for alpha in _ALPHAS * largest:
        with warnings.catch_warnings(), config_context(skip_parameter_validation=True):
            warnings.simplefilter("ignore", ConvergenceWarning)
            _, path, _ = enet_path(
                part, goal, l1_ratio=_MIX, alphas=np.array([alpha]), coef_init=start, check_input=not single
            )
        now = np.asarray(path)[..., 0]
        start = np.asfortranarray(now)
        size = np.abs(now) if single else np.sqrt((now**2).sum(axis=0))
        fresh = [int(at) for at in np.argsort(-size, kind="stable") if size[at] > 0 and at not in entered]
        entered += fresh
        if len(entered) >= options.max_size:
            break
    return np.asarray(screened[entered[: options.max_size]], dtype=np.intp)


def _best_size(
    x: FloatArray,
    c: FloatArray,
    y: FloatArray,
    unit: IntArray,
    options: PanelOptions,
    n_classes: int,
    seed: int,
) -> int:
    """Panel size of least squared error over inner folds; the smaller of equals."""
    sizes = [size for size in _SIZES if size < options.max_size] + [options.max_size]
    if len(sizes) == 1:
        return sizes[0]
    losses = np.zeros(len(sizes))
    whole = _columns(y, options.outcome, n_classes)
    for train, test in folds_of(y, unit, _INNER_FOLDS, options.outcome, seed):
        preparation, z = prepare(x[train], c[train], options)
        target = _target(y[train], preparation.covariates(c[train]), options.outcome, n_classes)
        ordered = _ordered(z, y[train], target, options, seed)
        held = preparation.features(x[test], c[test], ordered)
        own, other = preparation.covariates(c[train]), preparation.covariates(c[test])
        level = whole[train].mean(axis=0)
        for at, size in enumerate(sizes):
            columns = ordered[:size]
            inside, outside = (
                np.column_stack([z[:, columns], own]),
                np.column_stack([held[:, :size], other]),
            )
            gram = inside.T @ inside + _RIDGE * np.eye(inside.shape[1])
            weights = np.linalg.solve(gram, inside.T @ (whole[train] - level))
            losses[at] += np.sum((whole[test] - level - outside @ weights) ** 2)
    return sizes[int(np.argmin(np.round(losses, 9)))]


def _columns(y: FloatArray, outcome: Outcome, n_classes: int) -> FloatArray:
    if outcome == "number":
        return y.astype(np.float64)[:, None]
    return np.asarray(y[:, None] == np.arange(1, n_classes), dtype=np.float64)


def _fitted(inputs: FloatArray, y: FloatArray, options: PanelOptions, seed: int) -> Any:
    if options.model == "random_forest":
        forest = RandomForestRegressor if options.outcome == "number" else RandomForestClassifier
        target = y if options.outcome == "number" else y.astype(np.intp)
        return forest(
            _TREES, min_samples_leaf=_LEAF, max_features="sqrt", random_state=seed % 2**31, n_jobs=1
        ).fit(inputs, target)
    if options.outcome == "number":
        return Ridge(alpha=_RIDGE).fit(inputs, y)
    return LogisticRegression(C=1.0 / _RIDGE, max_iter=500).fit(inputs, y.astype(np.intp))


def _effects(model: Any, n_chosen: int) -> FloatArray:
    if hasattr(model, "feature_importances_"):
        return np.asarray(model.feature_importances_[:n_chosen], dtype=np.float64)[:, None]
    return np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))[:, :n_chosen].T


def folds_of(
    y: FloatArray, unit: IntArray, n_folds: int, outcome: Outcome, seed: int
) -> list[tuple[IntArray, IntArray]]:
    """Training and test samples of each fold: units stay together, outcomes are spread evenly."""
    strata = y.astype(np.intp)
    if outcome == "number":  # fifths of the outcome are spread evenly
        strata = np.searchsorted(np.quantile(y, [0.2, 0.4, 0.6, 0.8]), y)
    # Where every sample is a unit of its own the plain splitter does the same, and faster.
    alone = len(np.unique(unit)) == len(unit)
    kind = StratifiedKFold if alone else StratifiedGroupKFold
    splitter = kind(n_folds, shuffle=True, random_state=seed % 2**31)
    spread = _spreadable(strata, n_folds)
    return [
        (np.asarray(train, dtype=np.intp), np.asarray(test, dtype=np.intp))
        for train, test in splitter.split(np.zeros((len(y), 1)), spread, None if alone else unit)
        if len(test) and (outcome == "number" or len(np.unique(strata[train])) > 1)
    ]


def _spreadable(strata: IntArray, n_folds: int) -> IntArray:
    """Strata that reach every fold: rarer ones are spread together, with the next rarest where that is not enough."""
    found, of, count = np.unique(strata, return_inverse=True, return_counts=True)
    order = np.argsort(count, kind="stable")
    together = int((count < n_folds).sum())
    while 0 < together < len(found) and count[order[:together]].sum() < n_folds:
        together += 1
    merged = np.arange(len(found))
    merged[order[:together]] = order[0]
    return np.asarray(merged[np.asarray(of).ravel()], dtype=np.intp)
