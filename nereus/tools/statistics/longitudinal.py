"""Change over time within subjects, and whether it differs between groups of subjects."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from anndata import AnnData
from pydantic import Field

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.statistics.batch import corrected_notes
from nereus.tools.statistics.differential import only, variance_values
from nereus.tools.statistics.linear_test import LinearTest
from nereus.tools.statistics.mixed_model import MixedTest
from nereus.tools.statistics.moderated_t import ContrastFit, benjamini_hochberg
from nereus.tools.statistics.repeated import Course, Slopes, read_course, subject_slopes
from nereus.tools.statistics.resampling import Tested, null_values, stability_share
from nereus.tools.statistics.result_table import Estimates, feature_values, result_table
from nereus.tools.statistics.self_planting import planted_confidence

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_HETEROGENEOUS = 1.25
"""Median Q over its degrees of freedom from which a random intercept alone calls too much significant."""


class LongitudinalParams(Params):
    """Parameters of `longitudinal_test`."""

    time: str
    """Column of the time of a sample: numbers, or levels that can be put in order."""
    subject: str
    """Column of the subject that was sampled repeatedly: the unit of analysis."""
    contrast: Contrast | None = None
    """Two groups of subjects: tests whether their changes differ (group x time). None tests for change."""
    time_scale: Literal["linear", "ordered"] = "linear"
    """``linear`` tests one slope, ``ordered`` any difference between the time points (F test)."""
    order: tuple[str, ...] = ()
    """Time points from first to last, where they are no numbers."""
    method: Literal["blocked", "mixed", "slopes"] = "blocked"
    """``blocked``: random intercepts with one correlation within subjects for all features and moderated variances;
    ``mixed``: a mixed model by feature (REML); ``slopes``: each subject's own slope is one observation, which holds
    where subjects differ in their slopes, too (`slope_heterogeneity` well above 1).
    """
    covariates: tuple[str, ...] = ()
    """Columns to adjust for."""
    subset: dict[str, str] = Field(default_factory=dict)
    """Keep only samples whose column equals the value."""
    trend: bool = False
    """Let the prior variance follow the mean abundance."""
    robust: bool = False
    """Moderate hypervariable features less."""
    min_subjects: int = Field(default=3, ge=3)
    """Least number of subjects with values at two or more times (in each group) for a feature to be tested."""
    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """False discovery rate at which features are counted as significant."""
    n_permutations: int = Field(default=0, ge=0, le=10_000)
    """Null data sets, for the null distribution of the number of findings."""
    n_subsamples: int = Field(default=0, ge=0, le=1000)
    """Half-samples of the subjects, for the column ``stability``."""
    n_plantings: int = Field(default=0, ge=0, le=100)
    """Copies with planted effects, for the column ``confidence``; see `planted_confidence`."""


@tool(
    "longitudinal_test",
    version="3",
    summary="Change over time within subjects, or its difference between groups: blocked or mixed models, or slopes.",
    outputs=("table:longitudinal",),
    seconds=1.0,
)
def longitudinal_test(dataset: AnnData, params: LongitudinalParams, *, seed: int) -> Result:
    """Test every feature for change over time in repeatedly sampled subjects.

    Subjects may have different numbers of samples at different times. All samples are used; what is independent are
    the subjects.

    Parameters
    ----------
    dataset
        log2 abundances, obs = samples, var = features.
    params
        See `LongitudinalParams`.
    seed
        Of null data sets and subsamples.

    Returns
    -------
    Result
        Table ``longitudinal``: the columns of every test table with effect = modelled change from the first to the
        last time (log2), or with groups the change in a minus the change in b (ordered
        time: between the first and last time at which both were sampled); statistic is t, or F for ordered time
        (df is then the second one); n_a and n_b = subjects with values at two or more times in a and b (or: all, 0);
        then ``slope`` (effect per unit of time; NaN for ordered time), ``correlation`` (within subjects),
        ``peak_time`` and ``peak_effect`` (ordered time: the time point that differs most from the first) and
        ``stability`` and
        ``confidence`` (NaN unless asked for). Values: n_tested, n_significant, n_up, n_down, n_subjects, n_samples,
        span, correlation, slope_heterogeneity, slope_spread, null_mean, null_p95, null_p_value ...

    Raises
    ------
    InputError
        As `read_course`; ``slopes`` with ordered time or with covariates.

    Notes
    -----
    Blocks: Smyth, Michaud & Scott 2005, Bioinformatics 21:2067. Mixed: Laird & Ware 1982. Slopes: Matthews et al.
    1990, BMJ 300:230, weighted by their precision. Null data sets flip the signs of all residuals of a subject.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> obs = pd.DataFrame({"week": [0, 1, 2, 4] * 8, "mouse": np.repeat(list("abcdefgh"), 4)})
    >>> X = rng.normal(20, 0.3, size=(32, 50)) + np.repeat(rng.normal(0, 1, size=(8, 50)), 4, axis=0)
    >>> X[:, 7] += 0.5 * obs["week"]
    >>> obs.index = [f"s{i}" for i in range(32)]
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(50)]))
    >>> result = longitudinal_test(data, time="week", subject="mouse")
    >>> result.values["n_significant"], round(float(result.table().loc[7, "slope"]), 1)
    (1, 0.5)
    """
    if params.method == "slopes" and (params.time_scale == "ordered" or params.covariates):
        raise InputError(
            "method='slopes' summarises each subject by one slope",
            where="longitudinal_test",
            mend="leave covariates out (constant ones cancel within subjects) and take time_scale='linear'",
        )
    course = read_course(
        dataset.obs,
        params.time,
        params.subject,
        ordered=params.time_scale == "ordered",
        order=params.order,
        contrast=params.contrast,
        covariates=params.covariates,
        subset=params.subset,
    )
    values = feature_values(dataset, course.design)
    slopes = subject_slopes(values, course.time, course.subject, course.group)
    n_a, n_b = _followed(slopes, course)
    enough = n_a >= params.min_subjects
    if course.group is not None:
        enough &= n_b >= params.min_subjects
    test = build_test(values, course, slopes, enough, params)
    fit = test.fit()
    joint = len(test.tested_columns) > 1
    statistic, p = fit.statistic, fit.p
    if joint:
        statistic, _, p = test.joint(fit)
    tested = np.isfinite(p) & np.isfinite(fit.se)
    p = np.where(tested, p, np.nan)
    q = benjamini_hochberg(p)
    low, high = fit.interval()
    share, n_subsamples = stability_share(test, Tested(fit.effect, p), params.n_subsamples, 0.05, seed)
    sure, planted = planted_confidence(
        test, Tested(fit.effect, p), share, params.n_plantings, params.level, seed
    )
    seen = np.isfinite(values)
    n = seen.sum(axis=1)
    mean = np.divide(np.where(seen, values, 0.0).sum(axis=1), n, out=np.full(len(n), np.nan), where=n > 0)
    peak_time, peak_effect = _peaks(test, course, fit)
    slope = np.full(len(n), np.nan) if course.levels else fit.effect / course.span
    table = result_table(
        dataset,
        only(tested, Estimates(fit.effect, fit.se, low, high, statistic, fit.df, p, q)),
        n_a,
        n_b,
        mean,
        {
            "slope": np.where(tested, slope, np.nan),
            "correlation": np.where(tested, _correlations(test, fit), np.nan),
            "peak_time": np.where(tested, peak_time, ""),
            "peak_effect": np.where(tested, peak_effect, np.nan),
            "stability": np.where(tested, share, np.nan),
            "confidence": sure,
        },
    )
    found = q <= params.level
    up, down = int((found & (fit.effect > 0)).sum()), int((found & (fit.effect < 0)).sum())
    groups = f" differently in {params.contrast.label}" if params.contrast else ""
    return Result(
        summary=(
            f"{up + down} of {int(tested.sum())} tested features change over {params.time}{groups} at q <= "
            f"{params.level:g} ({up} up, {down} down); {course.n_subjects} subjects, "
            f"{len(course.design.samples)} samples."
        ),
        values={
            "n_features": len(n),
            "n_tested": int(tested.sum()),
            "n_significant": up + down,
            "n_up": up,
            "n_down": down,
            "n_samples": len(course.design.samples),
            "n_subjects": course.n_subjects,
            "n_times": len(np.unique(course.time)),
            "n_dropped_samples": course.design.n_dropped,
            "span": finite(course.span),
            "method": params.method,
            "question": "change" if course.group is None else "group_by_time",
            "correlation": finite(fit.correlation),
            "slope_heterogeneity": finite(slopes.heterogeneity),
            "slope_spread": finite(slopes.spread),
            "level": params.level,
            "n_subsamples": n_subsamples,
            **variance_values(fit, tested),
            **planted,
            **null_values(test, p, params.n_permutations, params.level, seed),
        },
        tables={"longitudinal": table},
        warnings=(*course.warnings, *corrected_notes(dataset), *_notes(tested, slopes, params)),
        n_total=len(n),
        n_returned=len(n),
    )


def build_test(
    values: FloatArray,
    course: Course,
    slopes: Slopes,
    enough: npt.NDArray[np.bool_],
    params: LongitudinalParams,
) -> LinearTest:
    """Arrays of the test that a method makes of a course."""
    group = np.zeros(len(course.time)) if course.group is None else course.group
    if params.method == "slopes":
        n_subjects = course.n_subjects
        arm = np.array([group[course.subject == code][0] for code in range(n_subjects)])
        with np.errstate(divide="ignore"):
            weights = np.where(slopes.weight > 0, 1.0 / (slopes.spread + 1.0 / slopes.weight), 0.0)
        unit = np.arange(n_subjects, dtype=np.intp)
        grouped = course.group is not None
        return LinearTest(
            values=np.where(enough[:, None], slopes.slope * course.span, np.nan),
            matrix=np.column_stack([np.ones(n_subjects), arm]) if grouped else np.ones((n_subjects, 1)),
            tested_columns=np.array([int(grouped)], dtype=np.intp),
            contrast=np.array([0.0, 1.0]) if grouped else np.ones(1),
            unit=unit,
            cell=arm.astype(np.intp),
            cells_needed=arm.astype(np.intp),
            least=2,
            weights=weights,
            trend=params.trend,
            robust=params.robust,
            flip=True,
        )
    kind = MixedTest if params.method == "mixed" else LinearTest
    arms = np.array([group[course.subject == code][0] for code in range(course.n_subjects)])
    test = kind(
        values=np.where(enough[:, None], values, np.nan),
        matrix=course.matrix,
        tested_columns=course.tested_columns,
        contrast=course.contrast,
        unit=course.subject,
        cell=arms.astype(np.intp),
        cells_needed=group.astype(np.intp),
        least=2,
        block=course.subject,
        block_model="correlated",
        trend=params.trend,
        robust=params.robust,
        moderate=params.method == "blocked",
    )
    return test if params.method == "mixed" else test.with_correlation()


def _followed(slopes: Slopes, course: Course) -> tuple[IntArray, IntArray]:
    """Subjects with values at two or more times in a and in b (or: all, 0), shape (features,)."""
    known = slopes.weight > 0
    if course.group is None:
        n = known.sum(axis=1)
        return n, np.zeros_like(n)
    arm = np.array([course.group[course.subject == code][0] for code in range(course.n_subjects)])
    return known[:, arm == 1.0].sum(axis=1), known[:, arm == 0.0].sum(axis=1)


def _correlations(test: LinearTest, fit: ContrastFit) -> FloatArray:
    if isinstance(test, MixedTest):
        return test.mixed.correlation
    return np.full(len(fit.effect), np.nan if fit.correlation is None else fit.correlation)


def _peaks(test: LinearTest, course: Course, fit: ContrastFit) -> tuple[npt.NDArray[np.object_], FloatArray]:
    """Time point whose change from the first is largest, and that change; empty and NaN where time is continuous."""
    n = len(fit.effect)
    if not course.levels or len(test.tested_columns) < 1:
        return np.full(n, "", dtype=object), np.full(n, np.nan)
    if isinstance(test, MixedTest):
        stacked = test.mixed.coefficients[:, test.tested_columns]
    else:
        contrasts = np.eye(test.matrix.shape[1])[test.tested_columns]
        stacked = np.stack([replace(test, contrast=row).fit().effect for row in contrasts], axis=1)
    best = np.argmax(np.where(np.isfinite(stacked), np.abs(stacked), -1.0), axis=1)
    names = np.array(course.levels[1:], dtype=object)
    return names[best], stacked[np.arange(n), best]


def _notes(tested: npt.NDArray[np.bool_], slopes: Slopes, params: LongitudinalParams) -> list[str]:
    notes = []
    missed = int((~tested).sum())
    if missed:
        notes.append(
            f"{missed} of {len(tested)} features were not tested: fewer than {params.min_subjects} subjects with "
            "values at two or more times, or a time point without values"
        )
    if params.method != "slopes" and slopes.heterogeneity > _HETEROGENEOUS:
        notes.append(
            "subjects differ in their slopes by more than noise, which a random intercept does not allow for: "
            "p-values are too small; method='slopes' takes each subject's slope as one observation"
        )
    return notes
