"""Which few features predict an outcome in subjects that no part of the fitting has seen."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from pydantic import Field

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.statistics.concordance import Concordance, gain
from nereus.tools.statistics.contrast_test import feature_columns
from nereus.tools.statistics.panel_calibration import calibration, curves
from nereus.tools.statistics.panel_cv import (
    Arm,
    IntArray,
    Problem,
    exchanged,
    judge,
    outer_folds,
    predict_out_of_fold,
    read_problem,
)
from nereus.tools.statistics.panel_model import Outcome, Panel, PanelOptions, fit_panel

PANEL, COVARIATES, BOTH = "panel", "covariates", "panel and covariates"


class PanelParams(Params):
    """Parameters of `biomarker_panel`."""

    contrast: Contrast | None = None
    """Two levels to tell apart; its covariates, block (as `subject`) and subset are used."""
    factor: str | None = None
    """Column all of whose levels are to be told apart; exclusive with `contrast`."""
    variable: str | None = None
    """Numeric column to predict; exclusive with both."""
    covariates: tuple[str, ...] = ()
    """Columns that are known anyway (age, site): what they alone predict is the bar."""
    subject: str | None = None
    """Column of the independent unit: a subject is never in training and test at once. None: every sample is one."""
    hold_out: str | None = None
    """Column whose levels are the outer folds (leave one site out), instead of random folds."""
    model: Literal["elastic_net", "random_forest"] = "elastic_net"
    """Linear panel, or a forest."""
    max_features: int = Field(default=10, ge=1, le=30)
    """Largest panel; the elastic net chooses its size up to here, inside the training folds."""
    screen: int = Field(default=100, ge=5, le=2000)
    """Features that pass the first screen, inside the training folds."""
    max_missing: float = Field(default=0.5, ge=0.0, lt=1.0)
    """Features with a larger share of missing values in the training samples are no candidates."""
    impute: Literal["median", "low"] = "median"
    """What stands in for a missing value: the training median or the training minimum of the feature."""
    n_folds: int = Field(default=5, ge=2, le=20)
    """Outer folds (fewer where a class has fewer subjects)."""
    n_repeats: int = Field(default=3, ge=1, le=50)
    """Times that the outer folds are drawn anew."""
    n_permutations: int = Field(default=50, ge=0, le=2000)
    """Runs with exchanged labels; 0 gives no p-value."""


@tool(
    "biomarker_panel",
    version="5",
    summary="A small panel that predicts an outcome: nested cross-validation by subject, AUROC, permutation p.",
    outputs=(
        "table:panel",
        "table:performance",
        "table:predictions",
        "table:calibration",
        "table:roc",
        "table:null",
        "table:decision",
    ),
    seconds=45.0,
)
def biomarker_panel(dataset: AnnData, params: PanelParams, *, seed: int) -> Result:
    """Choose and judge a panel by nested cross-validation.

    Outer folds keep subjects whole. Filling, scaling, screening, choice of features, choice of their number
    and the fit all happen on the training samples of a fold. Out-of-fold scores are compared within test folds
    only. With covariates there are three arms: features alone, covariates alone, and both, where features are
    chosen for what the covariates do not tell; the last one is then the arm that p, calibration and panel are
    about. Labels are exchanged between subjects within levels of the covariates (and of `hold_out`), together
    with the covariates that are numbers, and the whole nested procedure is run again: p asks whether features
    tell more than noise would beside the same covariates.

    Parameters
    ----------
    dataset
        Log2 abundance, samples x features; missing values are allowed.
    params
        See `PanelParams`.
    seed
        Of folds, forests and permutations.

    Returns
    -------
    Result
        ``panel`` (feature, gene, in_panel, rank, effect: coefficient per standard deviation in the model of
        all samples, the largest in size over classes; frequency: share of the outer models that chose it;
        sign_kept), chosen features first, then by frequency: not in the order of the data set. ``performance``
        (arm, measure, estimate, se, ci_low, ci_high, n_units, n_pairs, gain over the covariates with limits
        and p). ``predictions`` (sample, subject, outcome, prediction, n_predicted and one probability a
        class; means over repeats, primary arm). ``calibration`` (bin, predicted, observed, n). ``roc`` (point,
        arm, class, fpr, tpr: mean of the curves of the test folds). ``null`` (permutation, estimate). ``decision``, one
        row (feature: ``panel``; effect: performance beyond chance, p, q, n): the panel as one test among others, for
        `run_wide_fdr`; without permutations p is NaN.
        Values: performance, performance_low, performance_high, p_permutation, gain, calibration_slope, brier,
        panel_size, n_units ...

    Raises
    ------
    InputError
        As `read_problem`; no usable feature; folds in which nothing can be compared.

    Notes
    -----
    The measure is the AUROC for two classes, its mean over pairs of classes for several (Hand & Till 2001) and
    the concordance index for a number. Intervals are DeLong's, by subject. The p-value compares the first
    repetition with the same single repetition under exchanged labels, so that it is exact. Nested
    cross-validation: Varma & Simon 2006, BMC Bioinformatics 7:91; selection outside the folds: Ambroise &
    McLachlan 2002, PNAS 99:6562.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(20, 1, size=(40, 30))
    >>> X[:20, 4] += 4
    >>> obs = pd.DataFrame({"group": ["a"] * 20 + ["b"] * 20}, index=[f"s{i}" for i in range(40)])
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(30)]))
    >>> result = biomarker_panel(
    ...     data, contrast={"factor": "group", "a": "a", "b": "b"}, n_repeats=1, n_permutations=0
    ... )
    >>> result.table("panel")["feature"][0], result.values["performance"] > 0.95
    ('P4', True)
    """
    names, genes = feature_columns(dataset)
    genes = ["" if gene in ("nan", "None") else gene for gene in genes]
    problem = read_problem(
        dataset, params.contrast, params.factor, params.variable, params.covariates, params.subject,
        params.hold_out,
    )  # fmt: skip
    options = _options(problem, params)
    if not (np.isfinite(problem.x).mean(axis=0) > 0).any():
        raise InputError("no feature has a value in these samples", mend="check the outcome and the subset")
    n_folds = _n_folds(problem, params.n_folds)
    n_repeats = 1 if problem.site is not None else params.n_repeats
    folds = np.stack([outer_folds(problem, n_folds, options, seed + 7919 * r) for r in range(n_repeats)])
    if not (folds >= 0).any():
        raise InputError(
            f"no level of {params.hold_out!r} can be held out: the others lack a class",
            mend="leave hold_out out",
        )
    arms = {PANEL: predict_out_of_fold(problem, folds, options, seed, features=True, covariates=False)}
    if problem.covariates:
        arms[COVARIATES] = predict_out_of_fold(problem, folds, options, seed, features=False, covariates=True)
        arms[BOTH] = predict_out_of_fold(problem, folds, options, seed, features=True, covariates=True)
    primary = BOTH if problem.covariates else PANEL
    judged = {name: judge(problem, arm, folds) for name, arm in arms.items()}
    if not np.isfinite(judged[primary].estimate):
        raise InputError(
            "no test fold holds two outcomes to compare",
            mend="use fewer folds, or do not hold out a column that decides the outcome",
        )
    null, p = _permuted(problem, options, n_folds, params.n_permutations, seed, arms[primary], folds, primary)
    final = fit_panel(
        problem.x, problem.c if primary == BOTH else problem.c[:, :0], problem.y, problem.unit, options,
        len(problem.classes), seed,
    )  # fmt: skip
    panel = _panel_table(names, genes, final, arms[primary].panels)
    performance = _performance_table(judged, _measure(options.outcome), problem)
    calibrated, facts = calibration(problem, arms[primary])
    warnings = [*problem.notes, *_warnings(problem, params, n_folds, folds, judged, primary)]
    best = judged[primary]
    low, high = best.interval()
    row = performance.set_index("arm").loc[primary]
    chosen = panel[panel["in_panel"]]
    over = f"; covariates alone {judged[COVARIATES].estimate:.2f}" if COVARIATES in judged else ""
    units = "samples" if len(np.unique(problem.unit)) == len(problem.y) else "subjects"
    told = "" if p is None else f", p = {p:.3g} by {len(null)} permutations"
    return Result(
        summary=(
            f"{_measure(options.outcome)} {best.estimate:.2f} ({low:.2f} to {high:.2f}) out of fold over "
            f"{len(np.unique(problem.unit))} independent {units}{told}{over}; {_members(chosen)}."
        ),
        values={
            "measure": _measure(options.outcome),
            "primary_arm": primary,
            "performance": finite(best.estimate),
            "performance_low": finite(low),
            "performance_high": finite(high),
            "performance_covariates": finite(judged[COVARIATES].estimate) if COVARIATES in judged else None,
            "gain": finite(row["gain"]),
            "gain_low": finite(row["gain_low"]),
            "gain_high": finite(row["gain_high"]),
            "gain_p": finite(row["gain_p"]),
            "p_permutation": p,
            "null_mean": finite(null["estimate"].mean()) if len(null) else None,
            "null_p95": finite(null["estimate"].quantile(0.95)) if len(null) else None,
            "n_permutations": len(null),
            **{name: finite(value) for name, value in facts.items()},
            "panel_size": len(chosen),
            "panel_frequency": finite(chosen["frequency"].mean()) if len(chosen) else None,
            "n_samples": len(problem.y),
            "n_units": len(np.unique(problem.unit)),
            "n_classes": len(problem.classes),
            "n_features": dataset.n_vars,
            "n_folds": len(np.unique(folds[0][folds[0] >= 0])),
            "n_repeats": n_repeats,
            "subject": params.subject or (params.contrast.block if params.contrast else None) or "sample",
            "held_out": params.hold_out or "random folds of subjects",
            "model": params.model,
        },
        tables={
            "panel": panel,
            "performance": performance,
            "predictions": _prediction_table(dataset, problem, arms[primary], params),
            "calibration": calibrated,
            "roc": curves(problem, arms, folds),
            "null": null,
            "decision": _decision(best.estimate, p, len(np.unique(problem.unit))),
        },
        warnings=tuple(warnings),
        n_total=dataset.n_vars,
        n_returned=len(panel),
    )


def _decision(estimate: float, p: float | None, n: int) -> pd.DataFrame:
    """The panel as one test: it takes part in the error rate of a run like any table of tests."""
    found = np.nan if p is None else p
    return pd.DataFrame(
        {"feature": ["panel"], "gene": [""], "effect": [estimate - 0.5], "p": [found], "q": [found], "n": [n]}
    )


def _options(problem: Problem, params: PanelParams) -> PanelOptions:
    outcome: Outcome = "number"
    if problem.classes:
        outcome = "two" if len(problem.classes) == 2 else "several"
    return PanelOptions(
        outcome, params.model, params.max_features, params.screen, params.max_missing, params.impute
    )


def _n_folds(problem: Problem, wanted: int) -> int:
    """Folds such that each can hold a subject of each class."""
    if not problem.classes:
        return wanted
    smallest = min(len(np.unique(problem.unit[problem.y == code])) for code in range(len(problem.classes)))
    return max(2, min(wanted, smallest))


def _measure(outcome: Outcome) -> str:
    return {"two": "AUROC", "several": "mean pairwise AUROC", "number": "concordance"}[outcome]


def _permuted(
    problem: Problem,
    options: PanelOptions,
    n_folds: int,
    n: int,
    seed: int,
    arm: Arm,
    folds: IntArray,
    primary: str,
) -> tuple[pd.DataFrame, float | None]:
    """Estimates of one repetition under exchanged labels, and the p-value of the first observed repetition."""
    first = Arm(arm.scores[:1], arm.probabilities[:1], ())
    observed = judge(problem, first, folds[:1]).estimate
    found = []
    for at, other in enumerate(exchanged(problem, n, np.random.default_rng([seed, 1]))):
        again = seed + 104729 * (at + 1)
        drawn = outer_folds(other, n_folds, options, again)[None]
        if not (drawn >= 0).any():
            continue
        predicted = predict_out_of_fold(
            other, drawn, options, again, features=True, covariates=primary == BOTH
        )
        found.append(judge(other, predicted, drawn).estimate)
    estimates = np.array([one for one in found if np.isfinite(one)], dtype=np.float64)
    table = pd.DataFrame(
        {"permutation": [f"p{at + 1:04d}" for at in range(len(estimates))], "estimate": estimates}
    )
    if not len(estimates):
        return table, None
    return table, float((1 + np.sum(estimates >= observed - 1e-12)) / (1 + len(estimates)))


def _panel_table(names: list[str], genes: list[str], final: Panel, panels: tuple[Panel, ...]) -> pd.DataFrame:
    """Features of the final model, then those that outer models chose, by how often."""
    times = np.zeros(len(names))
    sums = np.zeros(len(names))
    rising = np.zeros(len(names))
    for panel in panels:
        strongest = _strongest(panel)
        times[panel.chosen] += 1
        sums[panel.chosen] += strongest
        rising[panel.chosen] += strongest > 0
    effect = np.full(len(names), np.nan)
    effect[final.chosen] = _strongest(final)
    rank = np.full(len(names), np.nan)
    rank[final.chosen] = np.arange(1, len(final.chosen) + 1)
    shown = np.flatnonzero((times > 0) | np.isfinite(rank))
    direction = np.where(np.isfinite(effect), effect, sums)
    kept = np.where(direction > 0, rising, times - rising)
    table = pd.DataFrame(
        {
            "feature": [names[at] for at in shown],
            "gene": [genes[at] for at in shown],
            "in_panel": np.isfinite(rank[shown]),
            "rank": rank[shown],
            "effect": effect[shown],
            "frequency": times[shown] / max(len(panels), 1),
            "mean_effect": np.divide(
                sums[shown], times[shown], out=np.full(len(shown), np.nan), where=times[shown] > 0
            ),
            "sign_kept": np.divide(
                kept[shown], times[shown], out=np.full(len(shown), np.nan), where=times[shown] > 0
            ),
        }
    )
    order = ["in_panel", "rank", "frequency", "feature"]
    return table.sort_values(order, ascending=[False, True, False, True], kind="stable").reset_index(
        drop=True
    )


def _members(chosen: pd.DataFrame) -> str:
    if chosen.empty:
        return "no feature was chosen"
    names = chosen["gene"].where(chosen["gene"] != "", chosen["feature"]).head(10)
    return f"panel of {len(chosen)}: {', '.join(names)}"


def _strongest(panel: Panel) -> np.ndarray:
    """Coefficient of each chosen feature; with several classes the one of largest size."""
    if not len(panel.chosen):
        return np.zeros(0)
    at = np.abs(panel.coefficients).argmax(axis=1)
    return np.asarray(panel.coefficients[np.arange(len(at)), at])


def _performance_table(judged: dict[str, Concordance], measure: str, problem: Problem) -> pd.DataFrame:
    rows = []
    for name, one in judged.items():
        low, high = one.interval()
        more = (
            gain(one, judged[COVARIATES])
            if COVARIATES in judged and name != COVARIATES
            else (np.nan, np.nan, np.nan, np.nan)
        )
        rows.append((name, measure, one.estimate, one.se, low, high, problem.n_units, one.n_pairs, *more))
    columns = ["arm", "measure", "estimate", "se", "ci_low", "ci_high", "n_units", "n_pairs"]
    return pd.DataFrame(rows, columns=[*columns, "gain", "gain_low", "gain_high", "gain_p"])


def _prediction_table(dataset: AnnData, problem: Problem, arm: Arm, params: PanelParams) -> pd.DataFrame:
    predicted = np.isfinite(arm.probabilities[:, :, 0])
    times = predicted.sum(axis=0)
    total = np.where(predicted[:, :, None], arm.probabilities, 0.0).sum(axis=0)
    mean = np.divide(total, times[:, None], out=np.full(total.shape, np.nan), where=times[:, None] > 0)
    subject = params.subject or (params.contrast.block if params.contrast else None)
    samples = dataset.obs_names.astype(str).to_numpy()[problem.samples]
    table = pd.DataFrame({"sample": samples})
    table["subject"] = (
        samples if subject is None else dataset.obs[subject].astype(str).to_numpy()[problem.samples]
    )
    if problem.classes:
        classes = np.array(problem.classes, dtype=object)
        table["outcome"] = classes[problem.y.astype(int)]
        best = np.where(times > 0, np.nan_to_num(mean).argmax(axis=1), 0)
        table["prediction"] = np.where(times > 0, classes[best], "")
        for at, name in enumerate(problem.classes):
            table[f"probability {name}"] = mean[:, at]
    else:
        table["outcome"], table["prediction"] = problem.y, mean[:, 0]
    table["n_predicted"] = times
    return table.iloc[np.argsort(problem.samples)].reset_index(drop=True)


def _warnings(
    problem: Problem,
    params: PanelParams,
    n_folds: int,
    folds: IntArray,
    judged: dict[str, Concordance],
    primary: str,
) -> list[str]:
    notes = []
    if problem.site is None and n_folds < params.n_folds:
        notes.append(f"{n_folds} folds: the smallest class has no more subjects")
    if problem.site is not None:
        compared = problem.classes and [
            problem.sites[level]
            for level in np.unique(problem.site)
            if len(np.unique(problem.y[problem.site == level])) < 2
        ]
        if compared:
            notes.append(f"levels with one outcome only were not judged: {', '.join(compared)}")
        if (folds < 0).any():
            notes.append("some levels were not predicted: the others lack a class")
    if COVARIATES in judged:
        low = gain(judged[primary], judged[COVARIATES])[1]
        if not low > 0:
            notes.append("the panel is not shown to add to what the covariates predict")
    return notes
