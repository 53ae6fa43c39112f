"""Calibrated confidence by self-planting: the share of findings that look like this one and are true.

Effects are planted into copies of the user's own data under exchanged labels, the same test is run on every
copy, and a monotone logistic regression learns P(planted | -log10 q, stability, effect size). Applied to
the real findings it is a probability that can be checked: the reliability table compares it with the share
that was truly planted, on copies that the regression has not seen. It speaks of statistical truth in this
data set, not of biology.

Planted copies always hold true effects; a real data set may hold none. So the probability is multiplied by
the share of the findings that permutations do not produce, and what misses the stated error level is never
more than tentative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from anndata import AnnData
from pydantic import Field

from nereus.tools.base import Result, finite, tool
from nereus.tools.statistics.absence import absence_test, discrete_benjamini_hochberg
from nereus.tools.statistics.background import MIN_SPLITS
from nereus.tools.statistics.contrast_test import Comparison, ComparisonOptions, comparison
from nereus.tools.statistics.detection import exact_detection
from nereus.tools.statistics.moderated_t import benjamini_hochberg
from nereus.tools.statistics.monotone_logistic import MonotoneLogistic, fit_monotone_logistic
from nereus.tools.statistics.planting import plant, sizes_like
from nereus.tools.statistics.stability import subsample_stability

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

STRONG, LIKELY, TENTATIVE = 0.9, 0.7, 0.4
_TENTATIVE_AT_MOST = 0.69
_MOST = 0.995
"""Ten planted copies cannot tell more than this."""
_CANDIDATE_Q = 0.5
"""Findings above this q are not worth a probability: the regression looks at those below."""
_LOG_Q_CAP = 8.0
_MIN_EVENTS = 10
"""Planted findings among the candidates that a regression needs."""
_BINS = 10
_PLANTED_IN_ALL = 100
_MOST_COPIES = 40
"""A small table needs more copies before the regression stops depending on the seed."""


class CalibrationParams(ComparisonOptions):
    """Parameters of `calibrate_confidence`: those of the test, and how it is planted."""

    n_plantings: int = Field(default=10, ge=3, le=100)
    """Planted copies; more, up to 40, where a small table would hold fewer than 100 planted effects in all of them."""
    share: float = Field(default=0.05, gt=0.0, le=0.3)
    """Least share of features whose abundance is changed in a copy; more where the p-values show more."""
    n_subsamples: int = Field(default=10, ge=4, le=100)
    """Subsamples for the stability within a copy."""
    min_difference: float = Field(default=2 / 3, gt=0.0, le=1.0)
    """Least difference of detection rates, as in `detection_test`."""
    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """Stated error level of the findings."""


@tool(
    "calibrate_confidence",
    version="2",
    summary="Probability that a finding is true, learned from effects planted into the user's own data.",
    outputs=("table:confidence", "table:reliability"),
    seconds=6.0,
)
def calibrate_confidence(
    dataset: AnnData,
    differential: pd.DataFrame,
    detection: pd.DataFrame | None,
    stability: pd.DataFrame | None,
    null: pd.DataFrame | None,
    params: CalibrationParams,
    *,
    seed: int,
) -> Result:
    """Plant, test, learn, and give every finding its probability.

    Parameters
    ----------
    dataset
        log2 abundances, obs = samples, var = features: the data set of the test.
    differential
        Test table of the comparison (or association) under the same options.
    detection, stability, null
        Tables of `detection_test`, `stability` and `permutation_null` under the same options, where they
        were made. Without `null` no share of false findings is taken off.
    params
        See `CalibrationParams`.
    seed
        Of the planted copies.

    Returns
    -------
    Result
        Table ``confidence``: finding (``abundance|feature`` or ``detection|feature``), kind, feature,
        confidence, word (strong, likely, tentative, weak), q, stability, size (absolute effect in residual
        standard deviations); features without a test are left out. Table ``reliability``: bin, low, high,
        n, predicted, planted, on copies the regression has not seen. Values: ece (expected calibration
        error), brier, brier_skill, base_rate, n_candidates, n_planted_found, share_above_null,
        detection_share_above_null, n_plantings, calibrated.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> from nereus.tools.statistics.differential import differential_abundance
    >>> X = np.random.default_rng(1).normal(20, 0.5, size=(12, 200))
    >>> X[:6, :5] += 3
    >>> obs = pd.DataFrame({"group": list("aaaaaabbbbbb")}, index=[f"s{i}" for i in range(12)])
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(200)]))
    >>> contrast = {"factor": "group", "a": "a", "b": "b"}
    >>> tested = differential_abundance(data, contrast=contrast).table()
    >>> result = calibrate_confidence(data, tested, contrast=contrast, n_plantings=5)
    >>> table = result.table("confidence").set_index("feature")
    >>> bool(table.loc["P0", "confidence"] > 0.9), bool(table.loc["P150", "confidence"] < 0.4)
    (True, True)
    """
    compared = comparison(dataset, params)
    copies = _planted_copies(compared, params, detection is not None, stability is not None, seed)
    findings = _findings(differential, stability, "abundance")
    model, out_of_fold, y = _learn([copy.abundance for copy in copies])
    warnings = list(compared.design.warnings)
    if model is None:
        warnings.append("too few planted effects could be found: confidence is 1 - q, and tentative at most")
    findings["confidence"] = _probability(model, findings)
    above = _share_above_null(differential, null, params.level)
    findings["confidence"] = _limited(findings, above, params.level)
    detection_above = None
    if detection is not None and len(detection):
        absent = _findings(detection, None, "detection")
        learned, _, _ = _learn([copy.detection for copy in copies if copy.detection is not None])
        absent["confidence"] = _probability(learned, absent)
        n_found = int((detection["q"] <= params.level).sum())
        by_chance = [copy.null_detections for copy in copies]
        detection_above = _share_above([*by_chance], n_found)
        absent["confidence"] = _limited(absent, detection_above, params.level)
        findings = pd.concat([findings, absent], ignore_index=True)
    findings["word"] = [confidence_word(value) for value in findings["confidence"]]
    reliability, ece, brier, base = _reliability(out_of_fold, y)
    n_strong = int((findings["confidence"] >= STRONG).sum())
    n_likely = int((findings["confidence"] >= LIKELY).sum()) - n_strong
    skill = (
        None if base is None or brier is None or base in (0.0, 1.0) else 1.0 - brier / (base * (1.0 - base))
    )
    columns = ["finding", "kind", "feature", "confidence", "word", "q", "stability", "size"]
    return Result(
        summary=(
            f"{n_strong} strong and {n_likely} likely findings; calibrated on {len(copies)} planted copies"
            + (f" (calibration error {ece:.3f} out of fold)." if ece is not None else ".")
        ),
        values={
            "ece": finite(ece),
            "brier": finite(brier),
            "brier_skill": finite(skill),
            "base_rate": finite(base),
            "n_candidates": len(y),
            "n_planted_found": int(y.sum()),
            "share_above_null": finite(above),
            "detection_share_above_null": finite(detection_above),
            "n_plantings": len(copies),
            "calibrated": model is not None,
            "n_strong": n_strong,
            "n_likely": n_likely,
            "level": params.level,
        },
        tables={"confidence": findings[columns], "reliability": reliability},
        warnings=tuple(warnings),
        n_total=len(findings),
        n_returned=len(findings),
    )


def confidence_word(confidence: float) -> str:
    """Say a confidence in a word: strong, likely, tentative or weak."""
    if confidence >= STRONG:
        return "strong"
    if confidence >= LIKELY:
        return "likely"
    return "tentative" if confidence >= TENTATIVE else "weak"


# ------------------------------------------------------------------------------------------------- planted
# copies


@dataclass(frozen=True)
class _Candidates:
    """Findings of one planted copy: inputs, shape (rows, inputs), and whether each was planted."""

    x: FloatArray
    planted: BoolArray


@dataclass(frozen=True)
class _Copy:
    abundance: _Candidates
    detection: _Candidates | None
    null_detections: int


def _planted_copies(
    compared: Comparison, params: CalibrationParams, absences: bool, subsampled: bool, seed: int
) -> list[_Copy]:
    rng = np.random.default_rng(seed)
    fit, background = compared.test_with_background()
    per_copy = params.share * max(int(compared.testable().sum()), 1)
    n_copies = max(params.n_plantings, min(_MOST_COPIES, round(_PLANTED_IN_ALL / per_copy)))
    labellings = list(compared.labels.draws(n_copies, rng))
    sizes = sizes_like(compared, fit, labellings, least_share=params.share)
    copies = []
    for index in range(n_copies if labellings else 0):
        labels = labellings[index % len(labellings)]
        copy = plant(compared, labels, fit, background, sizes=sizes, absences=absences, rng=rng)
        tested = copy.compared.test()
        q = benjamini_hochberg(tested.p)
        rows = np.flatnonzero(q <= _CANDIDATE_Q)
        with np.errstate(invalid="ignore", divide="ignore"):
            size = np.abs(tested.effect) / np.sqrt(tested.variance)
        stable = None
        if subsampled:
            confirmed, _, _, n = subsample_stability(
                copy.compared,
                tested.effect,
                n_subsamples=params.n_subsamples,
                level=params.level,
                seed=seed + index,
            )
            stable = (confirmed / max(n, 1))[rows]
        x = _inputs(q[rows], stable, size[rows])
        right = (copy.sign[rows] != 0) & (np.sign(tested.effect[rows]) == copy.sign[rows])
        absent, n_null = None, 0
        if absences:
            found = _detection_q(copy.compared, params.min_difference)
            seen = np.flatnonzero(found <= _CANDIDATE_Q)
            absent = _Candidates(_inputs(found[seen], None, None), copy.absent[seen] != 0)
            under = compared.relabelled(labels)
            n_null = int((_detection_q(under, params.min_difference) <= params.level).sum())
        copies.append(_Copy(_Candidates(x, right), absent, n_null))
    return copies


def _detection_q(compared: Comparison, min_difference: float) -> FloatArray:
    """q-values of the detection test, shape (features,); NaN where there is none."""
    in_a = compared.design.group == 1.0
    if compared.labels.n_splits < MIN_SPLITS:
        tested = absence_test(compared.values, in_a, ~in_a, min_difference=min_difference)
        return np.full(len(compared.values), np.nan) if tested is None else tested.q
    p, attainable = exact_detection(np.isfinite(compared.values), in_a, None, min_difference)
    q = np.full(len(p), np.nan)
    known = np.isfinite(p)
    if known.any():
        q[known] = discrete_benjamini_hochberg(p[known], attainable[known])
    return q


def _inputs(q: FloatArray, stability: FloatArray | None, size: FloatArray | None) -> FloatArray:
    """Inputs of the regression: -log10 q, stability, log size; those that are not known are left out."""
    columns = [np.clip(-np.log10(np.maximum(q, 1e-300)), 0.0, _LOG_Q_CAP)]
    if stability is not None:
        columns.append(np.nan_to_num(stability))
    if size is not None:
        columns.append(np.log(np.clip(np.nan_to_num(size, nan=0.0, posinf=1e3), 1e-3, 1e3)))
    return np.column_stack(columns)


# ----------------------------------------------------------------------------------------------------
# learning


def _learn(copies: list[_Candidates]) -> tuple[MonotoneLogistic | None, FloatArray, BoolArray]:
    """Regression on all copies; probabilities of each copy from a regression on the others; the truth."""
    kept = [copy for copy in copies if len(copy.planted)]
    nothing = (None, np.empty(0), np.empty(0, dtype=bool))
    if len(kept) < 3:
        return nothing
    y = np.concatenate([copy.planted for copy in kept])
    if min(y.sum(), (~y).sum()) < 1 or y.sum() < _MIN_EVENTS:
        return nothing
    model = fit_monotone_logistic(np.concatenate([copy.x for copy in kept]), y)
    predicted = []
    for index, copy in enumerate(kept):
        others = kept[:index] + kept[index + 1 :]
        truth = np.concatenate([other.planted for other in others])
        if truth.all() or not truth.any():
            return model, np.empty(0), np.empty(0, dtype=bool)
        fold = fit_monotone_logistic(np.concatenate([other.x for other in others]), truth)
        predicted.append(np.minimum(fold.probability(copy.x), _MOST))
    return model, np.concatenate(predicted), y


def _findings(table: pd.DataFrame, stability: pd.DataFrame | None, kind: str) -> pd.DataFrame:
    """Tested features of a table with the inputs of the regression."""
    tested = table[np.isfinite(table["q"].to_numpy(dtype=np.float64))]
    feature = tested.iloc[:, 0].astype(str)
    stable = np.full(len(tested), np.nan)
    if stability is not None and kind == "abundance":
        stable = feature.map(stability.set_index("feature")["stability"]).to_numpy(dtype=np.float64)
    size = np.full(len(tested), np.nan)
    if kind == "abundance" and "sd" in tested:
        with np.errstate(divide="ignore", invalid="ignore"):
            size = np.abs(tested["effect"].to_numpy(dtype=np.float64)) / tested["sd"].to_numpy(
                dtype=np.float64
            )
    return pd.DataFrame(
        {
            "finding": [f"{kind}|{name}" for name in feature],
            "kind": kind,
            "feature": feature.to_numpy(),
            "q": tested["q"].to_numpy(dtype=np.float64),
            "stability": stable,
            "size": size,
        }
    )


def _probability(model: MonotoneLogistic | None, findings: pd.DataFrame) -> FloatArray:
    q = findings["q"].to_numpy(dtype=np.float64)
    if model is None:
        return np.asarray(np.clip(1.0 - q, 0.0, _TENTATIVE_AT_MOST))
    n_inputs = len(model.slopes)  # 1: q alone; 2: and size; 3: and stability
    x = _inputs(
        q,
        findings["stability"].to_numpy() if n_inputs == 3 else None,
        findings["size"].to_numpy() if n_inputs >= 2 else None,
    )
    return np.asarray(np.minimum(np.where(q <= _CANDIDATE_Q, model.probability(x), 0.0), _MOST))


def _share_above_null(differential: pd.DataFrame, null: pd.DataFrame | None, level: float) -> float | None:
    """Share of the findings at the stated level that exchanged labels do not produce."""
    if null is None or not len(null):
        return None
    n_found = int((differential["q"] <= level).sum())
    return _share_above(null["n_at_threshold"].to_list(), n_found)


def _share_above(by_chance: list[int], n_found: int) -> float | None:
    """Share of `n_found` findings above the mean null count, reckoned with one more than was seen."""
    if not n_found or not by_chance:
        return None
    expected = (1.0 + sum(by_chance)) / len(by_chance)
    return max(0.0, 1.0 - expected / n_found)


def _limited(findings: pd.DataFrame, above: float | None, level: float) -> FloatArray:
    confidence = findings["confidence"].to_numpy(dtype=np.float64) * (1.0 if above is None else above)
    missed = findings["q"].to_numpy(dtype=np.float64) > level
    return np.asarray(np.where(missed, np.minimum(confidence, _TENTATIVE_AT_MOST), confidence))


def _reliability(
    predicted: FloatArray, y: BoolArray
) -> tuple[pd.DataFrame, float | None, float | None, float | None]:
    """Reliability table, expected calibration error, Brier score and base rate."""
    edges = np.linspace(0.0, 1.0, _BINS + 1)
    rows, ece = [], 0.0
    of = np.minimum((predicted * _BINS).astype(int), _BINS - 1)
    for index in range(_BINS):
        here = of == index
        n = int(here.sum())
        mean_predicted = float(predicted[here].mean()) if n else np.nan
        share = float(y[: len(predicted)][here].mean()) if n else np.nan
        if n:
            ece += n / len(predicted) * abs(mean_predicted - share)
        low, high = edges[index], edges[index + 1]
        rows.append((f"{low:.1f}-{high:.1f}", low, high, n, mean_predicted, share))
    table = pd.DataFrame(rows, columns=["bin", "low", "high", "n", "predicted", "planted"])
    if not len(predicted):
        return table, None, None, None
    truth = y.astype(np.float64)
    return table, ece, float(np.mean((predicted - truth) ** 2)), float(truth.mean())
