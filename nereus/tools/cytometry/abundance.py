"""Which populations are larger or smaller in one group of subjects than in another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Result, finite, tool
from nereus.tools.cytometry.cell_table import FloatArray, IntArray, Mask, cell_labels
from nereus.tools.cytometry.units import PopulationTestParams, comparison_units
from nereus.tools.proteomics.matrix import described
from nereus.tools.statistics.contrast_test import Comparison, compare
from nereus.tools.statistics.design import build_design
from nereus.tools.statistics.differential import only, variance_values
from nereus.tools.statistics.moderated_t import benjamini_hochberg
from nereus.tools.statistics.result_table import Estimates, result_table

if TYPE_CHECKING:
    from anndata import AnnData

_HALF = 0.5
"""Added to counts, so that an absent population has a finite log odds."""

_MOST_CANDIDATES = 12
"""Populations of smallest p among which the strongest is looked for."""

Transform = Literal["logit", "clr", "reference"]


class AbundanceParams(PopulationTestParams):
    """Parameters of `cell_abundance_test`."""

    transform: Transform = "logit"
    """``logit``: log2 odds of a population among all cells; ``clr``: log2 of its count over the geometric mean of all
    populations; ``reference``: over the population `reference`.
    """
    reference: str | None = None
    """Population that is taken as unchanged (``reference``)."""
    min_cells: int = Field(default=10, ge=1)
    """A population is tested when as many units as the smaller group has hold this many of its cells."""


@tool(
    "cell_abundance_test",
    version="2",
    summary="Which populations differ in abundance between groups of subjects: moderated t on log odds, pairs, covariates.",
    outputs=("table:abundance", "dataset:shares"),
    seconds=1.0,
)
def cell_abundance_test(dataset: AnnData, params: AbundanceParams, *, seed: int) -> Result:
    """Test every population for a difference in abundance between levels a and b of a factor.

    Cells are counted by population and unit (sample, or subject and level). The log odds of the counts are compared by
    the linear model with moderated variances of `differential_abundance`: the unit is the observation, however many
    cells it has. Shares add up to one, so a population that grows makes all others shrink: each test is repeated with
    the strongest population taken out of the total (the one without which the others differ least), and a finding that
    vanishes then is said to be explained by it.

    Parameters
    ----------
    dataset
        obs = cells with columns of samples and populations.
    params
        See `AbundanceParams`.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        Table ``abundance``: population, then the columns of every test table (feature = population; effect = log2 odds
        ratio a over b; n_a, n_b units), ``share_a``, ``share_b`` (means over units), ``n_cells``,
        ``effect_without_top``, ``p_without_top`` (NaN for the strongest population itself), ``explained_by``. Dataset
        ``shares``: units x populations with the tested values, layers ``n_cells`` and ``share``; permutation null,
        stability and figures take it. Values: n_populations, n_tested, n_significant, n_up, n_down, n_units_a, n_units_b,
        n_samples, top_population, n_explained, prior_df ...

    Raises
    ------
    InputError
        No column of samples or populations, a factor that differs within samples, fewer than two units in a level, and
        everything else that `build_design` refuses.

    Notes
    -----
    Of tests of proportions, the moderated t on their logits keeps its level where units differ in cells, which binomial
    models with one dispersion do not (compare Phipson et al. 2022, Bioinformatics 38:4720; Weber et al. 2019, Commun Biol
    2:183). Compositional effects: Buettner et al. 2021, Nat Commun 12:6876.

    Examples
    --------
    >>> import numpy as np, pandas as pd, anndata
    >>> rng = np.random.default_rng(0)
    >>> share = {"u": [0.7, 0.2, 0.1], "t": [0.4, 0.5, 0.1]}
    >>> rows = [(f"{g}{i}", g, p) for g in "ut" for i in range(4) for p in rng.choice(["A", "B", "C"], 300, p=share[g])]
    >>> obs = pd.DataFrame(rows, columns=["sample", "group", "population"]).rename(index=str)
    >>> cells = anndata.AnnData(np.zeros((len(obs), 1), dtype="float32"), obs=obs)
    >>> table = cell_abundance_test(cells, contrast={"factor": "group", "a": "t", "b": "u"}).table()
    >>> table.loc[table["q"] < 0.01, "population"].tolist()
    ['A', 'B']
    """
    units = comparison_units(dataset, params)
    populations = cell_labels(dataset, params.population)
    names = list(populations.names)
    if len(names) < 2:
        raise InputError(
            f"every cell is of population {names[0]!r}",
            where="cell_abundance_test",
            mend="cluster the cells first",
        )
    counts = count_cells(units.of, populations.codes, len(units.sheet), len(names))
    warnings = list(units.notes)
    nowhere = int(((populations.codes < 0) & (units.of >= 0)).sum())
    if nowhere:
        warnings.append(f"{nowhere} cells without a population were not counted")
    kept = counts.sum(axis=1) > 0
    if not kept.all():
        warnings.append(f"{int((~kept).sum())} units have no cell in a population and were left out")
    shares = _shares_dataset(dataset, units.sheet[kept], names, counts[kept], params)
    design = build_design(shares.obs, units.contrast, block_model=params.block_model)
    used = counts[kept][design.samples]
    enough = (used >= params.min_cells).sum(axis=0) >= min(design.n_a, design.n_b)
    if params.transform == "reference":
        enough[names.index(str(params.reference))] = False
    if not enough.any():
        raise InputError(
            f"no population has {params.min_cells} cells in enough units",
            where="cell_abundance_test",
            mend="lower min_cells, or merge populations",
        )
    shown = np.where(enough, np.asarray(shares.X, dtype=np.float64), np.nan)
    compared = compare(anndata.AnnData(shown, obs=shares.obs, var=shares.var), design, params)
    warnings += design.warnings
    fit = compared.test()
    tested = np.isfinite(fit.p)
    q = benjamini_hochberg(fit.p)
    low, high = fit.interval()
    n_a, n_b = compared.counts()
    group = design.group
    share = used / used.sum(axis=1, keepdims=True)
    top, without = (
        _without_top(compared, used, fit.p, q <= params.level) if params.transform == "logit" else (-1, None)
    )
    if top < 0 and tested.any():
        top = int(np.nanargmin(fit.p))
    explained = np.zeros(len(names), dtype=bool)
    if without is not None:
        explained = (q <= params.level) & np.isfinite(without[1]) & (without[1] > 0.05)
        explained[top] = False
    table = result_table(
        shares,
        only(tested, Estimates(fit.effect, fit.se, low, high, fit.statistic, fit.df, fit.p, q)),
        n_a,
        n_b,
        np.where(tested, shown[design.samples].mean(axis=0), np.nan),
        {
            "share_a": share[group == 1.0].mean(axis=0),
            "share_b": share[group == 0.0].mean(axis=0),
            "n_cells": used.sum(axis=0),
            "effect_without_top": np.full(len(names), np.nan) if without is None else without[0],
            "p_without_top": np.full(len(names), np.nan) if without is None else without[1],
            "explained_by": np.where(explained, names[top] if top >= 0 else "", ""),
        },
    )
    table.insert(0, "population", names)
    found = q <= params.level
    up, down = int((found & (fit.effect > 0)).sum()), int((found & (fit.effect < 0)).sum())
    missed = len(names) - int(tested.sum()) - (params.transform == "reference")
    if missed:
        warnings.append(f"{missed} populations were not tested: too few cells in too many units")
    if explained.any():
        warnings.append(
            f"the change of {', '.join(np.array(names)[explained][:6])} may only mirror that of {names[top]}: shares "
            f"add up to one"
        )
    contrast = units.contrast
    return Result(
        summary=(
            f"{contrast.label}: {up + down} of {int(tested.sum())} populations differ in abundance at q <= "
            f"{params.level:g} ({up} larger in {contrast.a}, {down} smaller); {design.n_a} vs {design.n_b} units."
        ),
        values={
            "n_populations": len(names),
            "n_tested": int(tested.sum()),
            "n_significant": up + down,
            "n_up": up,
            "n_down": down,
            "n_units_a": design.n_a,
            "n_units_b": design.n_b,
            "n_samples": units.n_samples,
            "n_cells": int(used.sum()),
            "median_cells": finite(float(np.median(used.sum(axis=1)))),
            "top_population": names[top] if top >= 0 and found[top] else None,
            "n_explained": int(explained.sum()),
            "transform": params.transform,
            "block_model": design.block_model if design.block is not None else "none",
            "level": params.level,
            **variance_values(fit, tested),
        },
        tables={"abundance": table},
        datasets={"shares": shares},
        warnings=tuple(dict.fromkeys(warnings)),
        n_total=len(names),
        n_returned=len(names),
    )


def count_cells(units: IntArray, populations: IntArray, n_units: int, n_populations: int) -> IntArray:
    """Cells of each population in each unit, shape (units, populations)."""
    known = (units >= 0) & (populations >= 0)
    flat = units[known] * n_populations + populations[known]
    return np.bincount(flat, minlength=n_units * n_populations).reshape(n_units, n_populations)


def log_shares(counts: npt.NDArray[np.generic], transform: Transform, reference: int = -1) -> FloatArray:
    """Abundances on the tested scale, log2, shape (units, populations)."""
    n = np.asarray(counts, dtype=np.float64)
    if transform == "logit":
        total = n.sum(axis=1, keepdims=True)
        return np.asarray(np.log2((n + _HALF) / (total - n + _HALF)))
    logs = np.log2(n + _HALF)
    return np.asarray(logs - (logs.mean(axis=1) if transform == "clr" else logs[:, reference])[:, None])


def _shares_dataset(
    dataset: AnnData, sheet: pd.DataFrame, names: list[str], counts: IntArray, params: AbundanceParams
) -> AnnData:
    reference = -1
    if params.transform == "reference":
        if params.reference not in names:
            raise InputError(
                f"there is no population {params.reference!r} to refer to",
                where="reference",
                mend=f"populations are {names[:12]}",
            )
        reference = names.index(str(params.reference))
    facts = described(dataset)
    line = f"cell_abundance_test: {counts.shape[0]} units x {counts.shape[1]} populations, {params.transform}"
    return anndata.AnnData(
        X=log_shares(counts, params.transform, reference),
        obs=sheet,
        var=pd.DataFrame({"gene": ""}, index=pd.Index(names, dtype=object)),
        layers={
            "n_cells": counts.astype(np.float64),
            "share": counts / np.maximum(counts.sum(axis=1, keepdims=True), 1),
        },
        uns={
            "nereus": {
                "level": "population",
                "quantity": f"{params.transform} of cell counts",
                "organism": facts.get("organism", "unknown"),
                "history": [*(str(entry) for entry in facts.get("history", [])), line],
            }
        },
    )


def _without_top(
    compared: Comparison, used: IntArray, p: FloatArray, found: Mask
) -> tuple[int, tuple[FloatArray, FloatArray] | None]:
    """The strongest population, and effects and p-values among the cells that are not of it.

    The strongest is the one without which the others differ least: where one population grows much, those that shrink for
    it may have smaller p-values than it has.
    """
    tested = np.flatnonzero(np.isfinite(p))
    if len(tested) < 3:
        return -1, None
    ranked = tested[np.argsort(p[tested], kind="stable")]
    candidates = [int(at) for at in ranked if found[at]][:_MOST_CANDIDATES] or [int(ranked[0])]
    best: tuple[float, int, tuple[FloatArray, FloatArray]] | None = None
    for top in candidates:
        rest = used.copy()
        rest[:, top] = 0
        values = np.where(np.isfinite(p)[:, None], log_shares(rest, "logit").T, np.nan)
        values[top] = np.nan
        fit = compared.with_values(values).test()
        left = float(np.nansum(fit.statistic**2))
        if best is None or left < best[0]:
            best = (left, top, (fit.effect, fit.p))
    return (-1, None) if best is None else best[1:]
