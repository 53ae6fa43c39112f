"""Two quantities of one search, averaged: raw intensity and label-free quantity err in different ways.

Summed intensities follow the strongest peptide and keep its outliers; label-free quantities (MaxLFQ) are
medians of peptide ratios and are lost where too few peptides are shared. Where both exist, their mean has
the smaller error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.matrix import abundance, derive, described

if TYPE_CHECKING:
    from anndata import AnnData

_LEAST_SHARED = 50
"""Features complete in both quantities that are needed to put the samples of one on the scale of the other.
"""


class CombineParams(Params):
    """Parameters of `combine_quantities`."""

    layer: Literal["auto", "intensity", "lfq"] = "auto"
    """The other quantity; ``auto`` takes whichever the data set has."""


@tool(
    "combine_quantities",
    version="1",
    summary="Average the raw and the label-free quantity of each protein where both exist.",
    outputs=("dataset:dataset", "table:features"),
)
def combine_quantities(dataset: AnnData, params: CombineParams, *, seed: int) -> Result:
    """Average two quantities of the same table, feature by feature.

    The other quantity is first put on the scale of the matrix: its samples by the median difference over
    features that are complete in both, its features by their mean difference. Whichever quantity has more
    values is the base; a feature is averaged only where both have values in the same samples, so that no
    missing value is invented or filled, and keeps the base otherwise. Call it after `normalise`, whose
    shifts it takes over.

    Parameters
    ----------
    dataset
        Log2 abundance with a layer ``intensity`` or ``lfq`` of the same shape, log2.
    params
        See `CombineParams`.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        ``dataset``; table ``features`` (feature, averaged). Values: n_averaged, n_features, layer, base,
        spread (robust standard deviation of the difference of the two quantities, log2). Without such a
        layer the data set comes back as it is, and a warning says why.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(22, 2, (1, 80)) + np.zeros((6, 1))
    >>> data = anndata.AnnData(truth + rng.normal(0, 0.3, (6, 80)))
    >>> data.layers["lfq"] = truth + rng.normal(0, 0.3, (6, 80)) + 1.5
    >>> result = combine_quantities(data)
    >>> result.values["n_averaged"], bool(result.dataset().X.std(axis=0).mean() < data.X.std(axis=0).mean())
    (80, True)
    """
    X = abundance(dataset)
    found = [name for name in ("intensity", "lfq") if name in dataset.layers]
    name = (found[0] if found else None) if params.layer == "auto" else params.layer
    features = [str(feature) for feature in dataset.var_names]
    quantity = str(described(dataset).get("quantity", "matrix"))

    def unchanged(why: str) -> Result:
        return Result(
            summary=f"Nothing was combined: {why}.",
            values={
                "n_averaged": 0,
                "n_features": len(features),
                "layer": "",
                "base": quantity,
                "spread": None,
            },
            tables={"features": pd.DataFrame({"feature": features, "averaged": False})},
            datasets={"dataset": derive(dataset, f"combine_quantities: nothing done, {why}")},
            warnings=(why,),
        )

    if name is None or name not in dataset.layers:
        return unchanged("the data set has one quantity only")
    other = np.array(dataset.layers[name], dtype=np.float64)
    other[~np.isfinite(other)] = np.nan
    complete = np.isfinite(X).all(axis=0) & np.isfinite(other).all(axis=0)
    if complete.sum() < _LEAST_SHARED:
        return unchanged(f"only {int(complete.sum())} features are complete in both quantities")
    away = other - X
    away_complete = away[:, complete] - away[:, complete].mean(axis=0)
    shift = np.median(away_complete, axis=1)
    other = other - shift[:, None]
    if np.isfinite(other).sum() > np.isfinite(X).sum():
        base, second, base_name = other, X, name
    else:
        base, second, base_name = X, other, quantity
    averaged = (np.isfinite(base) == np.isfinite(second)).all(axis=0) & np.isfinite(base).any(axis=0)
    difference = (second - base)[:, averaged]
    offset = np.nanmean(difference, axis=0)
    combined = base.copy()
    combined[:, averaged] = base[:, averaged] + (difference - offset) / 2.0
    spread = 1.4826 * float(np.nanmedian(np.abs(difference - offset)))
    n = int(averaged.sum())
    return Result(
        summary=f"{n} of {len(features)} features are a mean of two quantities; others keep {base_name}.",
        values={
            "n_averaged": n,
            "n_features": len(features),
            "layer": name,
            "base": base_name,
            "spread": finite(spread),
        },
        tables={"features": pd.DataFrame({"feature": features, "averaged": averaged})},
        datasets={
            "dataset": derive(dataset, f"combine_quantities: {n} features averaged with {name}", combined)
        },
        n_total=len(features),
        n_returned=len(features),
    )
