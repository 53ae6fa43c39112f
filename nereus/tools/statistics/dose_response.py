"""Dose-response: which features follow the dose along a sigmoid curve, at what dose, and how far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from anndata import AnnData
from pydantic import Field
from scipy import special

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.statistics.batch import corrected_notes
from nereus.tools.statistics.design import Design, build_variable_design
from nereus.tools.statistics.dose_curve import (
    CurveFit,
    Grid,
    GridFit,
    NullShares,
    curve_grid,
    curve_p_values,
    ec50_interval,
    fit_grid,
    refine,
    response,
)
from nereus.tools.statistics.moderated_t import benjamini_hochberg, t_quantile
from nereus.tools.statistics.resampling import Tested, drawn_units, null_values, stability_share
from nereus.tools.statistics.result_table import Estimates, feature_values, result_table
from nereus.tools.statistics.self_planting import planted_confidence

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_HUGE = 1e300
_SUBSAMPLE_DRAWS = (4_000, 500)
"""Draws of the null distributions of a subsample, whose p-values are only held against one threshold."""


class DoseResponseParams(Params):
    """Parameters of `dose_response`."""

    dose: str
    """Numeric column of the dose, 0 for none; any unit."""
    curve: Literal["four", "three"] = "four"
    """``four`` parameters (start, span, ec50, hill slope), or ``three`` with a hill slope of 1."""
    subset: dict[str, str] = Field(default_factory=dict)
    """Keep only samples whose column equals the value."""
    min_doses: int = Field(default=4, ge=3)
    """Least number of different doses with a value for a feature to be tested."""
    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """False discovery rate at which features are counted as significant."""
    n_permutations: int = Field(default=0, ge=0, le=10_000)
    """Times that the doses are exchanged between samples, for the null distribution of the number of findings."""
    n_subsamples: int = Field(default=0, ge=0, le=1000)
    """Subsamples of the replicates, for the column ``stability``."""
    n_plantings: int = Field(default=0, ge=0, le=100)
    """Copies with planted effects, for the column ``confidence``; see `planted_confidence`."""


@dataclass(frozen=True)
class DoseTest:
    """Arrays of a dose-response test.

    Attributes
    ----------
    values
        log2 abundances, shape (features, samples); NaN is missing.
    dose
        Shape (samples,).
    params
        How it is tested.
    nulls
        Null distributions of the design, made when first needed.
    """

    values: FloatArray
    dose: FloatArray
    params: DoseResponseParams
    nulls: NullShares = field(default_factory=NullShares)

    def grid(self) -> Grid:
        """Curves that are tried."""
        return curve_grid(self.dose, free_hill=self.params.curve == "four")

    def shown(self) -> FloatArray:
        """Values of the features that can be tested; the others are NaN throughout."""
        distinct, of = np.unique(self.dose, return_inverse=True)
        seen = np.isfinite(self.values).astype(np.float64)
        doses = (seen @ np.eye(len(distinct))[of] > 0).sum(axis=1)
        return np.where((doses >= self.params.min_doses)[:, None], self.values, np.nan)

    def best(self) -> tuple[Grid, FloatArray, GridFit, FloatArray]:
        """Curves, values that can be tested, their best curves and p-values."""
        grid, shown = self.grid(), self.shown()
        found = fit_grid(shown, grid)
        return grid, shown, found, curve_p_values(shown, grid, found, self.nulls)

    def tested(self) -> Tested:
        """Run the test."""
        grid, shown, found, p = self.best()
        seen = np.isfinite(shown)
        mean = np.where(seen, shown, 0.0).sum(axis=1, keepdims=True) / np.maximum(
            seen.sum(axis=1, keepdims=True), 1
        )
        sign = np.sign(np.einsum("fs,fs->f", np.where(seen, shown - mean, 0.0), grid.shape[found.best]))
        return Tested(sign, p)

    def null_draws(self, n: int, rng: np.random.Generator) -> Iterator[DoseTest]:
        """Doses exchanged between samples; all features of a sample move together."""
        for _ in range(n):
            yield replace(self, values=np.ascontiguousarray(self.values[:, rng.permutation(len(self.dose))]))

    def planted(self, rows: IntArray, size: FloatArray) -> DoseTest:
        """Log-logistic curves of slope one with middles over the doses, sized by their sum of squares."""
        positive = np.unique(self.dose[self.dose > 0])
        middle = np.geomspace(positive[0], positive[-1], len(rows) + 2)[1:-1]
        shape = self.dose / (self.dose + middle[:, None])
        values = self.values.copy()
        seen = np.isfinite(values[rows])
        shape = np.where(seen, shape, np.nan)
        shape = shape - np.nanmean(shape, axis=1, keepdims=True)
        length = np.sqrt(np.nansum(shape**2, axis=1))
        sd = np.nanstd(values[rows], axis=1, ddof=1)
        values[rows] += (size * sd / np.maximum(length, 1e-9))[:, None] * shape
        return replace(self, values=values)

    def subsamples(self, n: int, rng: np.random.Generator) -> Iterator[DoseTest]:
        """Part of the replicates of every dose that has several."""
        distinct, of, count = np.unique(self.dose, return_inverse=True, return_counts=True)
        if len(distinct) == len(self.dose):  # no replicates: any sample may be left out
            strata = np.zeros(len(self.dose), dtype=np.intp)
            always = np.empty(0, dtype=np.intp)
        else:
            strata, always = np.asarray(of, dtype=np.intp), np.flatnonzero(count[of] == 1)
        free = np.setdiff1d(np.arange(len(self.dose)), always)
        for units in drawn_units(strata[free], n, rng):
            rows = np.sort(np.concatenate([always, free[units]]))
            yield replace(
                self,
                values=np.ascontiguousarray(self.values[:, rows]),
                dose=self.dose[rows],
                nulls=NullShares(draws=_SUBSAMPLE_DRAWS),
            )


@tool(
    "dose_response",
    version="3",
    summary="Which features follow a dose along a log-logistic curve: F test against flat, ec50 with interval.",
    outputs=("table:dose_response",),
    seconds=2.0,
)
def dose_response(dataset: AnnData, params: DoseResponseParams, *, seed: int) -> Result:
    """Fit a monotone log-logistic curve of dose to every feature and test it against no response.

    Parameters
    ----------
    dataset
        log2 abundances, obs = samples, var = features.
    params
        See `DoseResponseParams`.
    seed
        Of permutations and subsamples; the p-values do not depend on it.

    Returns
    -------
    Result
        Table ``dose_response``: the columns of every test table with effect = fitted difference between the highest
        and the lowest dose (log2), statistic = F of the best curve, df = its residual degrees of freedom, n_a =
        samples with a value and n_b = 0; then ``ec50`` with ``ec50_low`` and ``ec50_high`` (95 % profile likelihood,
        NaN where open, unit of the dose), ``ec50_in_range`` (within the doses tried), ``hill``, ``start`` (log2
        without dose), ``span`` (full response, beyond the doses tried where ec50 is), ``r2``, ``residual_sd``,
        ``lack_of_fit_p`` (small: the dose means are not on the curve), ``stability`` and ``confidence``. Values: n_tested,
        n_significant, n_up, n_down, n_doses, median_ec50 (of the significant), null_mean, null_p95 ...

    Raises
    ------
    InputError
        An unknown or non-numeric dose, doses below 0, fewer than four (three with ``three``) doses above 0 or too few
        samples.

    Notes
    -----
    p-values are those of the best of a family of curves, simulated for the doses and missing values at hand under
    normal errors: the F distribution of the nominal degrees of freedom does not hold (Davies 1987), and its p is
    wrong in either direction. Weighted or robust errors and plates are not modelled.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> dose = np.repeat([0, 1, 10, 100, 1000, 10000], 3)
    >>> X = rng.normal(20, 0.2, size=(18, 40))
    >>> X[:, 2] += 2 * dose / (dose + 50)
    >>> obs = pd.DataFrame({"nM": dose}, index=[f"s{i}" for i in range(18)])
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(40)]))
    >>> table = dose_response(data, dose="nM").table().set_index("feature")
    >>> table["p"].idxmin(), bool(20 < table.loc["P2", "ec50"] < 120)
    ('P2', True)
    """
    design = dose_design(dataset.obs, params.dose, params.subset, 4 if params.curve == "four" else 3)
    # By dose and name, so that nothing that is simulated or drawn depends on the order of the rows.
    names = dataset.obs_names.astype(str).to_numpy()[design.samples]
    order = np.lexsort((names, design.group))
    test = DoseTest(feature_values(dataset, design)[:, order], design.group[order], params)
    grid, shown, found, p = test.best()
    fit = refine(shown, grid, found)
    tested = np.isfinite(p)
    df = np.where(tested, fit.n - grid.n_parameters, np.nan).astype(np.float64)
    effect, se = _effects(fit, df, test.dose, grid)
    q = benjamini_hochberg(p)
    reach = t_quantile(0.975, np.where(df > 0, df, np.nan)) * se
    with np.errstate(divide="ignore", invalid="ignore"):
        left = (1.0 - found.share) / df
        statistic = np.where(tested & (left > 0), found.share / (grid.n_parameters - 1) / left, np.nan)
        residual_sd = np.sqrt(fit.rss / df)
        r2 = 1.0 - fit.rss / found.total
    low, high = ec50_interval(grid, found, fit)
    share, n_subsamples = stability_share(test, Tested(np.sign(effect), p), params.n_subsamples, 0.05, seed)
    sure, planted = planted_confidence(
        test, Tested(np.sign(effect), p), share, params.n_plantings, params.level, seed
    )
    seen = np.isfinite(test.values)
    n = seen.sum(axis=1)
    mean = np.divide(
        np.where(seen, test.values, 0.0).sum(axis=1), n, out=np.full(len(n), np.nan), where=n > 0
    )
    positive = design.group[design.group > 0]
    inside = tested & (fit.ec50 >= positive.min()) & (fit.ec50 <= positive.max())

    def only(x: FloatArray) -> FloatArray:
        return np.where(tested, x, np.nan)

    table = result_table(
        dataset,
        Estimates(only(effect), only(se), only(effect - reach), only(effect + reach), statistic, df, p, q),
        n.astype(np.intp),
        np.zeros(len(n), dtype=np.intp),
        mean,
        {
            "ec50": only(fit.ec50),
            "ec50_low": only(low),
            "ec50_high": only(high),
            "ec50_in_range": inside,
            "hill": only(fit.hill),
            "start": only(fit.start),
            "span": only(fit.span),
            "r2": only(r2),
            "residual_sd": only(residual_sd),
            "lack_of_fit_p": only(lack_of_fit(shown, test.dose, fit.rss, grid.n_parameters)),
            "stability": share,
            "confidence": sure,
        },
    )
    significant = q <= params.level
    up, down = int((significant & (effect > 0)).sum()), int((significant & (effect < 0)).sum())
    middle = fit.ec50[significant]
    warnings = [*design.warnings, *corrected_notes(dataset)]
    if not tested.all():
        warnings.append(
            f"{int((~tested).sum())} of {len(n)} features were not tested: fewer than {params.min_doses} doses or "
            f"{grid.n_parameters + 1} samples with a value"
        )
    if not (design.group == 0).any():
        warnings.append("there is no sample without dose: the start of the curves is extrapolated")
    return Result(
        summary=(
            f"{params.dose}: {up + down} of {int(tested.sum())} tested features follow the dose at q <= "
            f"{params.level:g} ({up} up, {down} down); {len(np.unique(design.group))} doses, "
            f"{len(design.samples)} samples."
        ),
        values={
            "n_features": len(n),
            "n_tested": int(tested.sum()),
            "n_significant": up + down,
            "n_up": up,
            "n_down": down,
            "n_samples": len(design.samples),
            "n_dropped_samples": design.n_dropped,
            "n_doses": len(np.unique(design.group)),
            "least_dose": finite(float(positive.min())),
            "greatest_dose": finite(float(positive.max())),
            "median_ec50": finite(float(np.median(middle))) if len(middle) else None,
            "n_in_range": int((significant & inside).sum()),
            "curve": params.curve,
            "level": params.level,
            "n_subsamples": n_subsamples,
            **planted,
            **null_values(test, p, params.n_permutations, params.level, seed),
        },
        tables={"dose_response": table},
        warnings=tuple(warnings),
        n_total=len(n),
        n_returned=len(n),
    )


def dose_design(obs: pd.DataFrame, dose: str, subset: dict[str, str], least: int) -> Design:
    """Samples and doses of a dose-response question; `group` of the design is the dose.

    Raises
    ------
    InputError
        As `build_variable_design`; doses below 0; too few doses or samples.
    """
    where = f"response to dose {dose!r}"
    try:
        design = build_variable_design(obs, dose, (), None, subset)
    except InputError as error:
        raise InputError(error.what, where=where, mend=error.mend) from None
    doses = design.group
    if (doses < 0).any():
        worst = obs.index[design.samples[int(np.argmin(doses))]]
        raise InputError(
            f"{int((doses < 0).sum())} doses are below 0, such as that of {worst!s}",
            where=where,
            mend="give doses themselves, not their logarithms; 0 stands for no dose",
        )
    n_doses = len(np.unique(doses[doses > 0]))
    if n_doses < least:
        raise InputError(
            f"{n_doses} different doses above 0",
            where=where,
            mend=f"a curve needs {least} or more; compare the doses as groups, or use continuous_association",
        )
    if len(doses) < 7:
        raise InputError(
            f"{len(doses)} samples have a dose", where=where, mend="a curve and its error need seven or more"
        )
    return design


def lack_of_fit(values: FloatArray, dose: FloatArray, rss: FloatArray, n_parameters: int) -> FloatArray:
    """p-value of the dose means being off the curve, against the spread of replicates; NaN without replicates."""
    distinct, of = np.unique(dose, return_inverse=True)
    member = np.eye(len(distinct))[of]
    seen = np.isfinite(values)
    n = seen.astype(np.float64) @ member
    mean = np.where(seen, values, 0.0) @ member / np.maximum(n, 1.0)
    pure = (np.where(seen, values - mean[:, of], 0.0) ** 2).sum(axis=1)
    doses = (n > 0).sum(axis=1)
    first, second = doses - n_parameters, n.sum(axis=1) - doses
    known = np.isfinite(rss) & (first > 0) & (second > 0) & (pure > 0)
    result = np.full(len(values), np.nan)
    ratio = np.maximum(rss[known] - pure[known], 0.0) / first[known] / (pure[known] / second[known])
    result[known] = special.fdtrc(first[known], second[known], ratio)
    return result


def _effects(fit: CurveFit, df: FloatArray, dose: FloatArray, grid: Grid) -> tuple[FloatArray, FloatArray]:
    """Fitted difference between highest and lowest dose, and its standard error by the delta method."""
    low, high = float(dose.min()), float(dose.max())

    def slope(at: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        g = response(np.full(len(fit.ec50), at), fit.ec50, fit.hill)
        bend = g * (1.0 - g) * fit.hill
        away = np.log(at) - np.log(fit.ec50) if at > 0 else np.zeros(len(g))
        return g, -fit.span * bend, fit.span * bend * away

    g_low, place_low, steep_low = slope(low)
    g_high, place_high, steep_high = slope(high)
    effect = fit.span * (g_high - g_low)
    steep = steep_high - steep_low if grid.n_hills > 1 else np.zeros(len(effect))
    gradient = np.stack([np.zeros(len(effect)), g_high - g_low, place_high - place_low, steep], axis=1)
    known = np.isfinite(effect) & (df > 0)
    gradient = np.where(known[:, None], gradient, 0.0)
    spread = np.einsum("fi,fij,fj->f", gradient, np.nan_to_num(fit.covariance), gradient)
    with np.errstate(invalid="ignore", divide="ignore"):
        se = np.sqrt(np.maximum(spread, 0.0) * fit.rss / df)
    return effect, np.where(known & (se < _HUGE), se, np.nan)
