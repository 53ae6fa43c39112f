"""Calibrated confidence by self-planting: the share of findings that look like this one and are true.

Effects are planted into copies of the user's own data under exchanged labels, the same test is run on every
copy, and a monotone logistic regression learns P(planted | test, stability, effect size). How many effects
there are and how large they are is read from the user's own statistics (`effect_prior`). Applied to
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
from nereus.tools.statistics.confidence import (
    CANDIDATE_Q,
    LIKELY,
    MOST,
    STRONG,
    TENTATIVE_AT_MOST,
    Candidates,
    Learned,
    confidence_word,
    cutoff,
    expected_slopes,
    inputs,
    learn,
    limited,
    reliability,
    share_above,
    skill,
    weights,
)
from nereus.tools.statistics.contrast_test import Comparison, ComparisonOptions, comparison
from nereus.tools.statistics.detection import exact_detection
from nereus.tools.statistics.effect_prior import EffectPrior, effect_prior
from nereus.tools.statistics.moderated_t import benjamini_hochberg
from nereus.tools.statistics.planting import plant
from nereus.tools.statistics.stability import subsample_stability

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_FEW_VALUES = 3
"""Values in a group on which no confident claim rests, unless they are most of it."""
_LOG_Q_CAP = 8.0
_LABELLINGS = 100
"""Exchanged labellings from which the correlation of the features is read."""
_PLANTED_IN_ALL = 200
_MOST_COPIES = 40
"""A small table needs more copies before the regression stops depending on the seed."""


class CalibrationParams(ComparisonOptions):
    """Parameters of `calibrate_confidence`: those of the test, and how it is planted."""

    n_plantings: int = Field(default=10, ge=3, le=100)
    """Planted copies; more, up to 40, where a small table would hold fewer than 200 planted effects in all of them."""
    share: float = Field(default=0.1, gt=0.0, le=0.3)
    """Share of features whose abundance is changed in a copy; weights bring it to what the p-values show."""
    n_subsamples: int = Field(default=10, ge=4, le=100)
    """Subsamples for the stability within a copy."""
    min_difference: float = Field(default=2 / 3, gt=0.0, le=1.0)
    """Least difference of detection rates, as in `detection_test`."""
    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """Stated error level of the findings."""


@tool(
    "calibrate_confidence",
    version="5",
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

    Findings that rest on two values in one of the groups, or on three where most of that group has none, are
    tentative at most, whatever the regression says: two values cannot be told from two outlying ones.

    Returns
    -------
    Result
        Table ``confidence``: finding (``abundance|feature`` or ``detection|feature``), kind, feature,
        confidence, word (strong, likely, tentative, weak), q, stability, size (absolute effect in residual
        standard deviations); features without a test are left out. Table ``reliability``: bin, low, high,
        n, predicted, planted, on copies the regression has not seen. Values: ece (expected calibration
        error), brier, brier_skill, base_rate, share_changed (expected share of
        changed features), design_effect (correlated features that count as one), n_candidates, n_planted_found, share_above_null,
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
    copies, prior = _planted_copies(compared, params, detection is not None, stability is not None, seed)
    findings = _findings(differential, stability, "abundance")
    learned = learn([copy.abundance for copy in copies], expected_slopes(2 + (stability is not None)))
    warnings = list(compared.design.warnings)
    if learned.model is None:
        warnings.append("too few planted effects could be found: confidence is 1 - q, and tentative at most")
    above = _share_above_null(differential, null, params.level)
    sure = _probability(learned, findings, prior)
    findings["confidence"] = limited(sure, findings["q"].to_numpy(), above, params.level)
    if not compared.continuous:
        few = _rests_on_few(differential, findings["feature"], compared)
        findings.loc[few, "confidence"] = findings.loc[few, "confidence"].clip(upper=TENTATIVE_AT_MOST)
    detection_above = None
    if detection is not None and len(detection):
        absent = _findings(detection, None, "detection")
        known = learn([copy.detection for copy in copies if copy.detection is not None], None)
        n_found = int((detection["q"] <= params.level).sum())
        detection_above = share_above([copy.null_detections for copy in copies], n_found)
        sure = _probability(known, absent, None)
        absent["confidence"] = limited(sure, absent["q"].to_numpy(), detection_above, params.level)
        findings = pd.concat([findings, absent], ignore_index=True)
    findings["word"] = [confidence_word(value) for value in findings["confidence"]]
    table, ece, brier, base = reliability(learned)
    n_strong = int((findings["confidence"] >= STRONG).sum())
    n_likely = int((findings["confidence"] >= LIKELY).sum()) - n_strong
    columns = ["finding", "kind", "feature", "confidence", "word", "q", "stability", "size"]
    return Result(
        summary=(
            f"{n_strong} strong and {n_likely} likely findings; calibrated on {len(copies)} planted copies"
            + (f" (calibration error {ece:.3f} out of fold)." if ece is not None else ".")
        ),
        values={
            "ece": finite(ece),
            "brier": finite(brier),
            "brier_skill": finite(skill(brier, base)),
            "base_rate": finite(base),
            "n_candidates": len(learned.right),
            "n_planted_found": int(learned.right.sum()),
            "share_changed": finite(prior.share),
            "design_effect": finite(prior.design_effect),
            "share_above_null": finite(above),
            "detection_share_above_null": finite(detection_above),
            "n_plantings": len(copies),
            "calibrated": learned.model is not None,
            "n_strong": n_strong,
            "n_likely": n_likely,
            "level": params.level,
        },
        tables={"confidence": findings[columns], "reliability": table},
        warnings=tuple(warnings),
        n_total=len(findings),
        n_returned=len(findings),
    )


# ------------------------------------------------------------------------------------------------- planted
# copies


@dataclass(frozen=True)
class _Copy:
    abundance: Candidates
    detection: Candidates | None
    null_detections: int


def _planted_copies(
    compared: Comparison, params: CalibrationParams, absences: bool, subsampled: bool, seed: int
) -> tuple[list[_Copy], EffectPrior]:
    rng = np.random.default_rng(seed)
    fit, background = compared.test_with_background()
    n_testable = max(int(compared.testable().sum()), 1)
    per_copy = params.share * n_testable
    n_copies = max(params.n_plantings, min(_MOST_COPIES, round(_PLANTED_IN_ALL / per_copy)))
    labellings = list(compared.labels.draws(max(n_copies, _LABELLINGS), rng))
    null = ((other.p, other.df) for other in compared.relabelled_tests(labellings))
    prior = effect_prior(fit.p, fit.df, null)
    worth = cutoff(fit.p, benjamini_hochberg(fit.p))
    copies = []
    for index in range(n_copies if labellings else 0):
        labels = labellings[index % len(labellings)]
        copy = plant(
            compared, labels, fit, background, share=params.share, prior=prior, absences=absences, rng=rng
        )
        tested = copy.compared.test()
        rows = np.flatnonzero(tested.p <= worth)
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
        x = inputs(prior.log_odds(tested.p[rows], tested.df[rows]), stable, size[rows])
        planted = copy.sign != 0
        right = planted[rows] & (np.sign(tested.effect[rows]) == copy.sign[rows])
        weight = weights(planted[rows], float(planted.sum()) / n_testable, prior)
        absent, n_null = None, 0
        if absences:
            found = _detection_q(copy.compared, params.min_difference)
            seen = np.flatnonzero(found <= CANDIDATE_Q)
            absent = Candidates(_log_q(found[seen])[:, None], copy.absent[seen] != 0, np.ones(len(seen)))
            under = compared.relabelled(labels)
            n_null = int((_detection_q(under, params.min_difference) <= params.level).sum())
        copies.append(_Copy(Candidates(x, right, weight), absent, n_null))
    return copies, prior


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


def _log_q(q: FloatArray) -> FloatArray:
    return np.asarray(np.clip(-np.log10(np.maximum(q, 1e-300)), 0.0, _LOG_Q_CAP))


# ----------------------------------------------------------------------------------------------------
# findings


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
            "p": tested["p"].to_numpy(dtype=np.float64),
            "df": tested["df"].to_numpy(dtype=np.float64) if "df" in tested else np.inf,
            "q": tested["q"].to_numpy(dtype=np.float64),
            "stability": stable,
            "size": size,
        }
    )


def _rests_on_few(table: pd.DataFrame, features: pd.Series, compared: Comparison) -> BoolArray:
    """Findings that rest on two values in a group, or on three where most of the group has none."""
    if not {"n_a", "n_b"} <= set(table.columns):
        return np.zeros(len(features), dtype=bool)
    rows = table.set_index(table.columns[0])[["n_a", "n_b"]].loc[features]
    n_a, n_b = compared.group_units()
    few = np.zeros(len(rows), dtype=bool)
    for n, size in ((rows["n_a"].to_numpy(), n_a), (rows["n_b"].to_numpy(), n_b)):
        few |= (n <= _FEW_VALUES - 1) | ((n == _FEW_VALUES) & (2 * n < size))
    return few


def _probability(learned: Learned, findings: pd.DataFrame, prior: EffectPrior | None) -> FloatArray:
    q = findings["q"].to_numpy(dtype=np.float64)
    model = learned.model
    if model is None:
        return np.asarray(np.clip(1.0 - q, 0.0, TENTATIVE_AT_MOST))
    n_inputs = len(model.slopes)  # 1: detection; 2: odds and size; 3: and stability
    if prior is None:
        x = _log_q(q)[:, None]
    else:
        odds = prior.log_odds(findings["p"].to_numpy(), findings["df"].to_numpy())
        stable = findings["stability"].to_numpy() if n_inputs == 3 else None
        x = inputs(odds, stable, findings["size"].to_numpy())
    return np.asarray(np.minimum(np.where(q <= CANDIDATE_Q, model.probability(x), 0.0), MOST))


def _share_above_null(differential: pd.DataFrame, null: pd.DataFrame | None, level: float) -> float | None:
    """Share of the findings at the stated level that exchanged labels do not produce."""
    if null is None or not len(null):
        return None
    n_found = int((differential["q"] <= level).sum())
    return share_above(null["n_at_threshold"].to_list(), n_found)
