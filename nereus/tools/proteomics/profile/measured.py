"""What the matrix itself says: features, scale, quantity, spread of the samples and of the residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from nereus.tools.base import finite
from nereus.tools.proteomics.profile.columns import COMPARED, Column

if TYPE_CHECKING:
    from anndata import AnnData


def feature_table(X: np.ndarray, dataset: AnnData) -> pd.DataFrame:
    """One row a feature: how often it is seen, its mean and spread."""
    seen = ~np.isnan(X)
    count = seen.sum(axis=0)
    mean, sd = np.full(X.shape[1], np.nan), np.full(X.shape[1], np.nan)
    mean[count > 0] = np.nanmean(X[:, count > 0], axis=0)
    sd[count > 1] = np.nanstd(X[:, count > 1], axis=0, ddof=1)
    genes = dataset.var["gene"].astype(str).to_numpy() if "gene" in dataset.var else np.full(X.shape[1], "")
    return pd.DataFrame(
        {
            "feature": list(map(str, dataset.var_names)),
            "gene": genes,
            "n_detected": count,
            "missing_rate": 1 - count / X.shape[0],
            "mean": mean,
            "sd": sd,
        }
    )


def recommended_quantity(X: np.ndarray, dataset: AnnData, quantity: str) -> str:
    """The quantity to compare: LFQ where it exists.

    Label-free quantities normalised over all pairs of samples are less biased by a changed composition than raw
    intensities; they are left only when they have fewer than half of the values that the intensities have.
    """
    layers = {
        name: int((~np.isnan(np.asarray(dataset.layers[name], dtype=float))).sum()) for name in dataset.layers
    }
    seen = int((~np.isnan(X)).sum())
    if quantity == "lfq" and layers.get("intensity", 0) > 2 * seen:
        return "intensity"
    if quantity == "intensity" and seen <= 2 * layers.get("lfq", 0):
        return "lfq"
    return quantity if quantity != "unknown" else "X"


def residual_kurtosis(X: np.ndarray, columns: list[Column], levels: dict[str, pd.Series]) -> float | None:
    """Excess kurtosis of pooled residuals around group means, each feature scaled to unit variance."""
    factor = next((c for c in columns if c.role in COMPARED and not c.composite and c.cue > 0), None)
    groups = levels[factor.name].fillna("") if factor is not None else pd.Series([""] * X.shape[0])
    residual = X.copy()
    for level in set(groups):
        rows = np.flatnonzero((groups == level).to_numpy())
        usable = (~np.isnan(X[rows])).sum(axis=0) >= 3
        residual[np.ix_(rows, ~usable)] = np.nan
        if usable.any():
            block = X[np.ix_(rows, usable)]
            residual[np.ix_(rows, usable)] = block - np.nanmean(block, axis=0)
    count = (~np.isnan(residual)).sum(axis=0)
    enough = count >= 6
    if not enough.any():
        return None
    spread = np.nanstd(residual[:, enough], axis=0)
    scaled = residual[:, enough][:, spread > 0] / spread[spread > 0]
    pooled = scaled[~np.isnan(scaled)]
    return finite(stats.kurtosis(pooled)) if pooled.size >= 100 else None


def gene_rate(dataset: AnnData) -> float | None:
    """Share of features whose gene is named; None where no genes are known at all."""
    if "gene" not in dataset.var:
        return None
    return finite((dataset.var["gene"].astype(str).str.len() > 0).mean())
