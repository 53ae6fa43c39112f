"""Which markers change within a population: medians of its cells by subject, then a moderated t."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import anndata
import numpy as np
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Result, finite, tool
from nereus.tools.cytometry.abundance import count_cells
from nereus.tools.cytometry.cell_table import (
    FloatArray,
    cell_labels,
    choose_markers,
    group_means,
    group_medians,
    marker_values,
)
from nereus.tools.cytometry.marker_classes import LINEAGE, STATE, marker_classes
from nereus.tools.cytometry.units import PopulationTestParams, comparison_units
from nereus.tools.proteomics.matrix import described
from nereus.tools.statistics.contrast_test import compare
from nereus.tools.statistics.design import build_design
from nereus.tools.statistics.differential import only, variance_values
from nereus.tools.statistics.moderated_t import benjamini_hochberg
from nereus.tools.statistics.result_table import Estimates, result_table

if TYPE_CHECKING:
    from anndata import AnnData


class StateParams(PopulationTestParams):
    """Parameters of `cell_state_test`."""

    markers: tuple[str, ...] = ()
    """Markers to test; none means all state markers, or all markers where the panel has no state marker."""
    summary: Literal["median", "mean"] = "median"
    """How the cells of a unit are summarised; ``mean`` for counts of genes, most of which are zero."""
    min_cells: int = Field(default=10, ge=1)
    """Cells of a population below which a unit has no value for it."""


@tool(
    "cell_state_test",
    version="2",
    summary="Which markers change within populations between groups of subjects: medians by subject, moderated t, pairs.",
    outputs=("table:state", "dataset:states"),
    seconds=2.0,
)
def cell_state_test(dataset: AnnData, params: StateParams, *, seed: int) -> Result:
    """Test every marker in every population for a difference between levels a and b of a factor.

    The cells of a population in a unit (sample, or subject and level) are summarised by their median; the medians are
    compared by the linear model with moderated variances of `differential_abundance`. The unit is the observation,
    however many cells it has.

    Parameters
    ----------
    dataset
        Transformed values, obs = cells with columns of samples and populations.
    params
        See `StateParams`.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        Table ``state``: the columns of every test table (feature = ``population|marker``; gene; effect = difference of
        medians on the transformed scale; n_a, n_b units), then ``population``, ``marker``, ``n_cells``. Dataset
        ``states``: units x ``population|marker`` with the tested values; permutation null, stability and figures take
        it. Values: n_populations, n_markers, n_tested, n_significant, n_up, n_down, n_units_a, n_units_b, n_samples,
        prior_df ...

    Raises
    ------
    InputError
        No column of samples or populations, an unknown marker, a factor that differs within samples, fewer than two
        units in a level, and everything else that `build_design` refuses.

    Notes
    -----
    Weber et al. 2019, Commun Biol 2:183 (medians of clusters, moderated tests); Nowicka et al. 2017, F1000Research 6:748.

    Examples
    --------
    >>> import numpy as np, pandas as pd, anndata
    >>> rng = np.random.default_rng(0)
    >>> group = np.repeat(["stim", "ref"], 400)
    >>> obs = pd.DataFrame({"sample": [f"{g}{i % 4}" for i, g in enumerate(group)], "donor": [f"d{i % 4}" for i in range(800)],
    ...                     "group": group, "population": "B cells"}, index=map(str, range(800)))
    >>> X = rng.normal(1, 0.5, (800, 2)); X[:400, 0] += 1
    >>> cells = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=["pS6", "pErk"]))
    >>> table = cell_state_test(cells, contrast={"factor": "group", "a": "stim", "b": "ref"}, unit="donor").table()
    >>> table.loc[table["q"] < 0.01, "feature"].tolist()
    ['B cells|pS6']
    """
    units = comparison_units(dataset, params)
    populations = cell_labels(dataset, params.population)
    warnings = list(units.notes)
    classes: tuple[str, ...] = (STATE,)
    if not params.markers and STATE not in marker_classes(dataset):
        classes = (LINEAGE,)
        warnings.append(
            "the panel has no state marker: all markers were tested, also those that define populations"
        )
    columns, notes = choose_markers(dataset, params.markers, classes, "cell_state_test")
    warnings += notes
    values = marker_values(dataset, columns)
    n_units, n_populations = len(units.sheet), len(populations.names)
    known = (units.of >= 0) & (populations.codes >= 0)
    group = np.where(known, units.of * n_populations + populations.codes, n_units * n_populations)
    summarise = group_medians if params.summary == "median" else group_means
    level = summarise(values, group, n_units * n_populations).reshape(n_units, n_populations, len(columns))
    counts = count_cells(units.of, populations.codes, n_units, n_populations)
    level[counts < params.min_cells] = np.nan
    markers = [str(dataset.var_names[column]) for column in columns]
    genes = _genes(dataset, columns)
    states = _states_dataset(dataset, units.sheet, list(populations.names), markers, genes, level, params)
    if not np.isfinite(np.asarray(states.X)).any():
        raise InputError(
            f"no population has {params.min_cells} cells in any unit",
            where="cell_state_test",
            mend="lower min_cells, or merge populations",
        )
    design = build_design(states.obs, units.contrast, block_model=params.block_model)
    warnings += design.warnings
    shown = np.asarray(states.X, dtype=np.float64)
    used = shown[design.samples]
    # A median that is one number in all units says that the marker is off there; its variance says nothing.
    still = np.fmax.reduce(used, axis=0) - np.fmin.reduce(used, axis=0) <= 1e-6
    shown = np.where(still, np.nan, shown)
    if not np.isfinite(shown[design.samples]).any():
        raise InputError(
            "no marker varies between units",
            where="cell_state_test",
            mend="use summary='mean', or check the scale",
        )
    compared = compare(anndata.AnnData(shown, obs=states.obs, var=states.var), design, params)
    fit = compared.test()
    tested = np.isfinite(fit.p)
    q = benjamini_hochberg(fit.p)
    low, high = fit.interval()
    n_a, n_b = compared.counts()
    seen = np.isfinite(shown[design.samples])
    n = seen.sum(axis=0)
    mean = np.where(seen, shown[design.samples], 0.0).sum(axis=0) / np.maximum(n, 1)
    cells = counts[design.samples].sum(axis=0)
    table = result_table(
        states,
        only(tested, Estimates(fit.effect, fit.se, low, high, fit.statistic, fit.df, fit.p, q)),
        n_a,
        n_b,
        np.where(n > 0, mean, np.nan),
        {
            "population": states.var["population"].to_numpy(dtype=object),
            "marker": states.var["marker"].to_numpy(dtype=object),
            "n_cells": np.repeat(cells, len(markers)),
        },
    )
    found = q <= params.level
    up, down = int((found & (fit.effect > 0)).sum()), int((found & (fit.effect < 0)).sum())
    if still.any():
        more = "; summary='mean' may tell more" if params.summary == "median" else ""
        warnings.append(
            f"{int(still.sum())} markers of populations are the same in all units and were not tested{more}"
        )
    few = int((~tested & ~still).sum())
    if few:
        warnings.append(f"{few} markers of populations were not tested: too few cells in too many units")
    contrast = units.contrast
    return Result(
        summary=(
            f"{contrast.label}: {up + down} of {int(tested.sum())} markers of populations differ at q <= "
            f"{params.level:g} ({up} higher in {contrast.a}, {down} lower); {design.n_a} vs {design.n_b} units."
        ),
        values={
            "n_populations": n_populations,
            "n_markers": len(markers),
            "n_tested": int(tested.sum()),
            "n_significant": up + down,
            "n_up": up,
            "n_down": down,
            "n_units_a": design.n_a,
            "n_units_b": design.n_b,
            "n_samples": units.n_samples,
            "n_populations_changed": len(set(table.loc[found, "population"])),
            "summary": params.summary,
            "block_model": design.block_model if design.block is not None else "none",
            "correlation": finite(fit.correlation),
            "level": params.level,
            **variance_values(fit, tested),
        },
        tables={"state": table},
        datasets={"states": states},
        warnings=tuple(dict.fromkeys(warnings)),
        n_total=len(table),
        n_returned=len(table),
    )


def _genes(dataset: AnnData, columns: np.ndarray) -> list[str]:
    if "gene" not in dataset.var.columns:
        return [""] * len(columns)
    genes = dataset.var["gene"].astype(str).to_numpy()[columns]
    return ["" if gene in ("nan", "None") else str(gene) for gene in genes]


def _states_dataset(
    dataset: AnnData,
    sheet: pd.DataFrame,
    populations: list[str],
    markers: list[str],
    genes: list[str],
    level: FloatArray,
    params: StateParams,
) -> AnnData:
    var = pd.DataFrame(
        {
            "gene": genes * len(populations),
            "population": np.repeat(populations, len(markers)),
            "marker": markers * len(populations),
        },
        index=pd.Index([f"{one}|{marker}" for one in populations for marker in markers], dtype=object),
    )
    facts = described(dataset)
    line = f"cell_state_test: {params.summary} of {len(markers)} markers in {len(populations)} populations"
    return anndata.AnnData(
        X=level.reshape(len(sheet), -1),
        obs=sheet,
        var=var,
        uns={
            "nereus": {
                "level": "population marker",
                "quantity": f"{params.summary} of cells",
                "organism": facts.get("organism", "unknown"),
                "history": [*(str(entry) for entry in facts.get("history", [])), line],
            }
        },
    )
