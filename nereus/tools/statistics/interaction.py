"""Interaction of two crossed factors: whether the difference between two levels depends on another factor."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from pydantic import Field

from nereus.errors import InputError
from nereus.memory.records import Contrast
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.statistics.batch import corrected_notes
from nereus.tools.statistics.design import (
    BlockChoice,
    Design,
    build_design,
    build_variable_design,
    require_columns,
)
from nereus.tools.statistics.differential import only, variance_values
from nereus.tools.statistics.levels import as_levels
from nereus.tools.statistics.linear_test import LinearTest, unit_cells
from nereus.tools.statistics.moderated_t import benjamini_hochberg
from nereus.tools.statistics.resampling import Tested, null_values, stability_share
from nereus.tools.statistics.result_table import Estimates, feature_values, result_table
from nereus.tools.statistics.self_planting import planted_confidence


class InteractionParams(Params):
    """Parameters of `interaction_test`."""

    contrast: Contrast
    """Levels a and b of the first factor, with covariates, block and subset."""
    by: str
    """Second factor: the one on which the difference between a and b may depend."""
    by_a: str
    """Level of `by` whose difference counts positively."""
    by_b: str
    """Level of `by` whose difference is subtracted."""
    method: Literal["moderated_t", "ordinary_t"] = "moderated_t"
    """``moderated_t`` shrinks the variances towards a common prior, ``ordinary_t`` takes each as it is."""
    trend: bool = False
    """Let the prior variance follow the mean abundance."""
    robust: bool = False
    """Moderate hypervariable features less."""
    block_model: BlockChoice = "auto"
    """How samples of one block are modelled; see `build_design`."""
    min_per_cell: int = Field(default=2, ge=2)
    """Least number of units with a value in each of the four cells for a feature to be tested."""
    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """False discovery rate at which features are counted as significant."""
    n_permutations: int = Field(default=0, ge=0, le=10_000)
    """Null data sets, for the null distribution of the number of findings."""
    n_subsamples: int = Field(default=0, ge=0, le=1000)
    """Half-samples of the units, for the column ``stability``."""
    n_plantings: int = Field(default=0, ge=0, le=100)
    """Copies with planted effects, for the column ``confidence``; see `planted_confidence`."""


@tool(
    "interaction_test",
    version="2",
    summary="Whether the difference between two levels depends on a second factor: moderated t of the interaction.",
    outputs=("table:interaction",),
    seconds=0.5,
)
def interaction_test(dataset: AnnData, params: InteractionParams, *, seed: int) -> Result:
    """Test every feature for an interaction of two crossed factors.

    A linear model with both factors, their product and the covariates is fitted to the samples of the four cells;
    the product is tested.

    Parameters
    ----------
    dataset
        log2 abundances, obs = samples, var = features.
    params
        See `InteractionParams`.
    seed
        Of null data sets and subsamples.

    Returns
    -------
    Result
        Table ``interaction``: the columns of every test table with effect = (a - b where `by` is `by_a`) minus
        (a - b where `by` is `by_b`), log2, n_a and n_b = units with a value in a and in b; then ``effect_by_a`` and
        ``effect_by_b`` (the two differences, least squares of the same model), ``n_least`` (units with a value in
        the smallest cell) ``stability`` and
        ``confidence`` (NaN unless asked for). Values: n_tested, n_significant, n_up, n_down,
        n_least_cell, null_mean, null_p95, null_p_value, n_permutations, n_subsamples ...

    Raises
    ------
    InputError
        Unknown columns or levels; a cell with fewer than two samples or subjects; factors that cannot be told apart
        from each other, a covariate or the blocks.

    Notes
    -----
    Null data sets exchange the residuals of the model without the product (Freedman & Lane 1983), so main effects
    stay where they are; with blocks, the signs of whole blocks are flipped. A block whose samples span the cells of
    one factor only (each patient before and after, in two arms) is modelled as a fixed effect where the product
    varies mostly within blocks, as correlated otherwise.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> obs = pd.DataFrame({"drug": list("ddccddcc") * 2, "cell": list("xxxxyyyy") * 2})
    >>> X = rng.normal(20, 0.3, size=(16, 50))
    >>> X[((obs["drug"] == "d") & (obs["cell"] == "x")).to_numpy(), 4] += 3
    >>> obs.index = [f"s{i}" for i in range(16)]
    >>> data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(50)]))
    >>> drug = {"factor": "drug", "a": "d", "b": "c"}
    >>> result = interaction_test(data, contrast=drug, by="cell", by_a="x", by_b="y")
    >>> result.values["n_significant"], round(float(result.table().loc[4, "effect"]))
    (1, 3)
    """
    test, design, arms = build_interaction(dataset, params)
    fit = test.fit()
    tested = np.isfinite(fit.p) & np.isfinite(fit.se)
    q = benjamini_hochberg(np.where(tested, fit.p, np.nan))
    low, high = fit.interval()
    values, seen = test.values, np.isfinite(test.values)
    by_a, by_b = _arm_effects(test)
    counts = test.cell_counts()
    share, n_subsamples = stability_share(
        test, Tested(fit.effect, np.where(tested, fit.p, np.nan)), params.n_subsamples, 0.05, seed
    )
    sure, planted = planted_confidence(
        test,
        Tested(fit.effect, np.where(tested, fit.p, np.nan)),
        share,
        params.n_plantings,
        params.level,
        seed,
    )
    n = seen.sum(axis=1)
    mean = np.divide(np.where(seen, values, 0.0).sum(axis=1), n, out=np.full(len(n), np.nan), where=n > 0)
    table = result_table(
        dataset,
        only(tested, Estimates(fit.effect, fit.se, low, high, fit.statistic, fit.df, fit.p, q)),
        (counts[:, 0] + counts[:, 2]),
        (counts[:, 1] + counts[:, 3]),
        mean,
        {
            "effect_by_a": np.where(tested, by_a, np.nan),
            "effect_by_b": np.where(tested, by_b, np.nan),
            "n_least": counts.min(axis=1).astype(np.int64),
            "stability": np.where(tested, share, np.nan),
            "confidence": sure,
        },
    )
    found = q <= params.level
    up, down = int((found & (fit.effect > 0)).sum()), int((found & (fit.effect < 0)).sum())
    warnings = [*design.warnings, *corrected_notes(dataset)]
    missed = int((~tested).sum())
    if missed:
        warnings.append(
            f"{missed} of {len(n)} features were not tested: fewer than {params.min_per_cell} units with a value in "
            "a cell, or no residual degrees of freedom"
        )
    contrast = params.contrast
    return Result(
        summary=(
            f"{contrast.label}: the difference of {up + down} of {int(tested.sum())} tested features depends on "
            f"{params.by} at q <= {params.level:g} ({up} larger in {params.by_a}, {down} larger in {params.by_b}); "
            f"{len(design.samples)} samples in four cells."
        ),
        values={
            "n_features": len(n),
            "n_tested": int(tested.sum()),
            "n_significant": up + down,
            "n_up": up,
            "n_down": down,
            "n_samples": len(design.samples),
            "n_least_cell": min(arms.values()),
            "n_dropped_samples": design.n_dropped,
            "block_model": design.block_model if design.block is not None else "none",
            "correlation": finite(fit.correlation),
            "level": params.level,
            "n_subsamples": n_subsamples,
            **variance_values(fit, tested),
            **planted,
            **null_values(test, np.where(tested, fit.p, np.nan), params.n_permutations, params.level, seed),
        },
        tables={"interaction": table},
        warnings=tuple(warnings),
        n_total=len(n),
        n_returned=len(n),
    )


def build_interaction(
    dataset: AnnData, params: InteractionParams
) -> tuple[LinearTest, Design, dict[str, int]]:
    """Arrays of an interaction test, its design, and the number of units in each cell."""
    contrast = params.contrast
    where = f"interaction of {contrast.label!r} with {params.by!r}"
    obs = dataset.obs
    require_columns(obs, [contrast.factor, params.by], where)
    if contrast.factor == params.by:
        raise InputError(f"both factors are {params.by!r}", where=where, mend="name two different columns")
    if params.by in contrast.covariates or params.by == contrast.block or params.by in contrast.subset:
        raise InputError(
            f"{params.by!r} is the second factor and also a covariate, block or subset",
            where=where,
            mend="name it as `by` only",
        )
    if params.by_a == params.by_b:
        raise InputError(
            f"both levels of {params.by!r} are {params.by_a!r}", where=where, mend="name two levels"
        )
    first, second = as_levels(obs[contrast.factor]), as_levels(obs[params.by])
    # Main effects have all checks of a comparison: unknown levels, subsets, too few samples.
    build_design(obs, contrast.model_copy(update={"covariates": (), "block": None}))
    build_design(
        obs,
        Contrast(factor=params.by, a=params.by_a, b=params.by_b, subset=contrast.subset),
    )
    kept = first.isin([contrast.a, contrast.b]) & second.isin([params.by_a, params.by_b])
    for column, level in contrast.subset.items():
        kept &= as_levels(obs[column]) == level
    in_a = (first == contrast.a).astype(float)
    in_by_a = (second == params.by_a).astype(float)
    _fill_cells(kept, in_a, in_by_a, params, where)
    product = f"{contrast.factor} x {params.by}"
    main = (f"{contrast.factor}: {contrast.a}", f"{params.by}: {params.by_a}")
    sheet = obs.assign(**{product: (in_a * in_by_a).where(kept), main[0]: in_a, main[1]: in_by_a})
    rows = np.flatnonzero(kept.to_numpy())
    design = build_variable_design(
        sheet.iloc[rows],
        product,
        (*main, *(c for c in contrast.covariates)),
        contrast.block,
        block_model=params.block_model,
    )
    chosen = rows[design.samples]
    a, by_a = in_a.to_numpy()[chosen] == 1.0, in_by_a.to_numpy()[chosen] == 1.0
    group = np.asarray(2 * ~by_a + ~a, dtype=np.intp)  # a|by_a, b|by_a, a|by_b, b|by_b
    unit = np.arange(len(chosen), dtype=np.intp) if design.block is None else design.block
    arms = _units_of_cells(group, unit, params, where)
    matrix = design.matrix.copy()
    matrix[:, 1] = design.group  # zero and one: the coefficient is the difference of differences
    design = replace(design, samples=chosen, matrix=matrix)
    test = LinearTest(
        values=feature_values(dataset, design),
        matrix=matrix,
        tested_columns=np.array([1], dtype=np.intp),
        contrast=design.contrast,
        unit=unit,
        cell=unit_cells(unit, group),
        cells_needed=group,
        least=params.min_per_cell,
        block=design.block,
        block_model=design.block_model,
        trend=params.trend,
        robust=params.robust,
        moderate=params.method == "moderated_t",
    )
    return test.with_correlation(), design, arms


def _fill_cells(
    kept: pd.Series, in_a: pd.Series, in_by_a: pd.Series, params: InteractionParams, where: str
) -> None:
    for a, level in ((1.0, params.contrast.a), (0.0, params.contrast.b)):
        for b, other in ((1.0, params.by_a), (0.0, params.by_b)):
            n = int((kept & (in_a == a) & (in_by_a == b)).sum())
            if n < 2:
                raise InputError(
                    f"cell {level!r} and {other!r} has {n} sample{'s' * (n != 1)}; the factors are not crossed there",
                    where=where,
                    mend="an interaction needs two or more samples in each of the four cells",
                )


def _units_of_cells(
    group: np.ndarray, unit: np.ndarray, params: InteractionParams, where: str
) -> dict[str, int]:
    names = [
        f"{level} / {other}"
        for other in (params.by_a, params.by_b)
        for level in (params.contrast.a, params.contrast.b)
    ]
    arms = {name: len(np.unique(unit[group == code])) for code, name in enumerate(names)}
    for name, n in arms.items():
        if n < 2:
            raise InputError(
                f"cell {name!r} has samples of {n} {params.contrast.block or 'sample'}",
                where=where,
                mend="two or more subjects in each of the four cells are needed, with values of every covariate",
            )
    return arms


def _arm_effects(test: LinearTest) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares difference a - b in each level of the second factor, of the same model."""
    # The product column is one in (a, by_a); a indicator of a may have been centred and scaled, so it is found again.
    group = test.cells_needed
    in_a, in_by_a = np.isin(group, (0, 2)).astype(float), np.isin(group, (0, 1)).astype(float)
    others = [
        column
        for column in test.matrix.T[2:]
        if abs(np.corrcoef(column, in_a)[0, 1]) < 1 - 1e-9
        and abs(np.corrcoef(column, in_by_a)[0, 1]) < 1 - 1e-9
    ]
    # One indicator of a in each level of the second factor: their coefficients are the two differences.
    matrix = np.column_stack([np.ones(len(group)), in_a * in_by_a, in_a * (1 - in_by_a), in_by_a, *others])
    effects = []
    for column in (1, 2):
        contrast = np.zeros(matrix.shape[1])
        contrast[column] = 1.0
        effects.append(replace(test, matrix=matrix, contrast=contrast, moderate=False).fit().effect)
    return effects[0], effects[1]
