"""Fill missing values in, marked as such.

Model-based tests need none of this: the default leaves the matrix alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from pydantic import Field
from sklearn import config_context
from sklearn.impute import KNNImputer

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.proteomics.matrix import abundance, derive

if TYPE_CHECKING:
    from anndata import AnnData


_MANY_FEATURES = 3000
"""Distances between more features than this take minutes and gigabytes."""


class ImputeParams(Params):
    """Parameters of `impute`."""

    method: Literal["none", "min_prob", "knn", "mean"] = "none"
    """``none``: nothing is filled in. See `impute` for the others."""
    shift: float = Field(default=1.8, ge=0, le=5)
    """``min_prob``: how many standard deviations below a sample's mean the drawn values lie."""
    width: float = Field(default=0.3, gt=0, le=2)
    """``min_prob``: standard deviation of the drawn values, in units of the sample's own."""
    n_neighbors: int = Field(default=10, ge=1, le=100)
    """``knn``: number of nearest neighbours."""
    neighbors: Literal["auto", "features", "samples"] = "auto"
    """``knn``: whether features or samples are neighbours; ``auto`` takes features up to 3,000 of them."""


@tool(
    "impute",
    version="1",
    summary="Fill missing values in, and mark them in the layer `imputed`.",
    outputs=("dataset:dataset", "table:features"),
)
def impute(dataset: AnnData, params: ImputeParams, *, seed: int) -> Result:
    """Impute missing values.

    - ``min_prob``: values missing because they are low. Drawn for each sample from a normal distribution with
      mean ``mean - shift * sd`` and standard deviation ``width * sd`` of that sample's values (Tyanova et al.
      2016, Nat Methods 13:731, defaults 1.8 and 0.3).
    - ``knn``: values missing at random. Mean of the value in the same sample over the ``n_neighbors``
      features whose profiles are nearest (Troyanskaya et al. 2001, Bioinformatics 17:520), or of the same feature
      over the nearest samples; by scikit-learn.
    - ``mean``: the feature's mean. For display only: it shrinks variances.

    Parameters
    ----------
    dataset
        Log2 abundance, samples x features.
    params
        See `ImputeParams`.
    seed
        Seed of the draws of ``min_prob``.

    Returns
    -------
    Result
        ``dataset`` with the layer ``imputed`` (1.0 where a value was filled in); table ``features`` (feature,
        n_imputed, share_imputed) of the features concerned.

    Raises
    ------
    InputError
        A sample (``min_prob``) or a feature (``mean``, ``knn``) has no value to start from.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> X = np.random.default_rng(0).normal(20, 1, (4, 30)); X[0, 0] = np.nan
    >>> result = impute(anndata.AnnData(X), method="min_prob", seed=1)
    >>> result.values["n_imputed"], bool(result.dataset().X[0, 0] < 20)
    (1, True)
    """
    X = abundance(dataset)
    missing = np.isnan(X)
    neighbors = params.neighbors
    if neighbors == "auto":
        neighbors = "features" if X.shape[1] <= _MANY_FEATURES else "samples"
    made = X.copy()
    if params.method == "min_prob":
        known = (~missing).sum(axis=1)
        if (known < 2).any():
            lost = [str(dataset.obs_names[i]) for i in np.flatnonzero(known < 2)]
            raise InputError(
                f"samples {lost[:3]} have fewer than 2 values", mend="leave them out (tool remove_samples)"
            )
        rng = np.random.default_rng(seed)
        draws = rng.standard_normal(X.shape)
        mean, sd = np.nanmean(X, axis=1)[:, None], np.nanstd(X, axis=1, ddof=1)[:, None]
        made[missing] = (mean + sd * (params.width * draws - params.shift))[missing]
    elif params.method != "none":
        empty = np.flatnonzero(missing.all(axis=0))
        if empty.size:
            raise InputError(
                f"{empty.size} features have no value: {[str(dataset.var_names[i]) for i in empty[:3]]}",
                mend="leave them out first (tool filter_features)",
            )
        if params.method == "mean":
            made = np.where(missing, np.nanmean(X, axis=0), X)
        else:
            with config_context(working_memory=64):
                imputer = KNNImputer(n_neighbors=params.n_neighbors)
                made = imputer.fit_transform(X.T).T if neighbors == "features" else imputer.fit_transform(X)
    filled = missing & ~np.isnan(made)
    per_feature = filled.sum(axis=0)
    touched = np.flatnonzero(per_feature)
    features = pd.DataFrame(
        {
            "feature": [str(dataset.var_names[i]) for i in touched],
            "n_imputed": per_feature[touched],
            "share_imputed": per_feature[touched] / X.shape[0],
        }
    )
    count = int(filled.sum())
    derived = derive(dataset, f"impute: {params.method}, {count} values filled in", made)
    derived.layers["imputed"] = filled.astype(float)
    share = count / X.size
    warnings = (f"{share:.0%} of all values were filled in",) if share > 0.3 else ()
    return Result(
        summary=f"Filled {count} of {int(missing.sum())} missing values in by {params.method}.",
        values={
            "method": params.method,
            "neighbors": neighbors if params.method == "knn" else None,
            "n_missing": int(missing.sum()),
            "n_imputed": count,
            "share_imputed": finite(share),
            "n_features_imputed": int(touched.size),
        },
        tables={"features": features},
        datasets={"dataset": derived},
        warnings=warnings,
    )
