"""Fill missing values in, marked as such.

Model-based tests need none of this: the default leaves the matrix alone. Tests of detection count marked values as
missing.
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
from nereus.tools.proteomics.dropout_model import fit_dropout_model, judge
from nereus.tools.proteomics.left_censored import censored_normal, down_shifted, lowest_probable
from nereus.tools.proteomics.matrix import abundance, by_name, derive, obs_column
from nereus.tools.statistics.levels import as_levels

if TYPE_CHECKING:
    from anndata import AnnData


_MANY_FEATURES = 3000
"""Distances between more features than this take minutes and gigabytes."""


_MIN_MODELLED = 50
"""Features that the detection model of ``mixed`` is fitted on at least."""


class ImputeParams(Params):
    """Parameters of `impute`."""

    method: Literal["none", "down_shift", "min_prob", "qrilc", "knn", "mean", "mixed"] = "none"
    """``none``: nothing is filled in. See `impute` for the others."""
    shift: float = Field(default=1.8, ge=0, le=5)
    """``down_shift``: how many standard deviations below a sample's mean the drawn values lie."""
    width: float = Field(default=0.3, gt=0, le=2)
    """``down_shift``: standard deviation of the drawn values, in units of the sample's own."""
    n_neighbors: int = Field(default=10, ge=1, le=100)
    """``knn`` and ``mixed``: number of nearest neighbours."""
    neighbors: Literal["auto", "features", "samples"] = "auto"
    """``knn``: whether features or samples are neighbours; ``auto`` takes features up to 3,000 of them."""
    factor: str | None = None
    """``mixed``: column of the groups within which a feature has one abundance. It lets a group lack a feature that others
    have. Filled values then follow the labels, so that a test of the same groups counts a difference twice."""


@tool(
    "impute",
    version="3",
    summary="Fill missing values in, and mark them in the layer `imputed`.",
    outputs=("dataset:dataset", "table:features"),
    seconds=3.0,
)
def impute(dataset: AnnData, params: ImputeParams, *, seed: int) -> Result:
    """Impute missing values.

    For values that are missing because they are low:

    - ``down_shift``: drawn for each sample from a normal distribution with mean ``mean - shift * sd`` and standard
      deviation ``width * sd`` of that sample's values (Tyanova et al. 2016, Nat Methods 13:731, defaults 1.8 and
      0.3).
    - ``min_prob``: drawn around the lowest hundredth of each sample, with the spread of a typical feature.
    - ``qrilc``: drawn from the part below the detection limit of a normal distribution fitted to each sample's
      quantiles (both Lazar et al. 2016, J Proteome Res 15:1116).

    For values that are missing at random:

    - ``knn``: mean of the value in the same sample over the ``n_neighbors`` features whose profiles are nearest
      (Troyanskaya et al. 2001, Bioinformatics 17:520), or of the same feature over the nearest samples; by
      scikit-learn.
    - ``mean``: the feature's mean. For display only: it shrinks variances.

    For both, decided feature by feature:

    - ``mixed``: a detection curve, the rate of random misses and the features' distribution are estimated from all values
      (`fit_dropout_model`). A feature whose misses are mostly ``random`` is filled by ``knn``; one that is ``weak`` by
      draws from its own distribution given that it was missed; one that is ``absent`` from some samples, beyond what both
      explain, by draws at the detection limit.

    Parameters
    ----------
    dataset
        Log2 abundance, samples x features.
    params
        See `ImputeParams`.
    seed
        Seed of the draws.

    Returns
    -------
    Result
        ``dataset`` with the layer ``imputed`` (1.0 where a value was filled in, now or before); table ``features``
        (feature, n_imputed, share_imputed, reason: random, weak or absent with ``mixed`` and empty otherwise,
        share_weak: expected share of its misses that are not random) of the features concerned. Values: n_missing,
        n_imputed, n_random, n_weak, n_absent (features), detection_limit and random_rate of ``mixed``.

    Raises
    ------
    InputError
        A sample or (``mean``, ``knn``, ``mixed``) a feature has no value to start from.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> X = np.random.default_rng(0).normal(20, 1, (4, 30)); X[0, 0] = np.nan
    >>> result = impute(anndata.AnnData(X), method="down_shift", seed=1)
    >>> result.values["n_imputed"], bool(result.dataset().X[0, 0] < 20)
    (1, True)
    """
    # Draws belong to names, not to places: a table in another order gets the same values.
    rows, columns = by_name(dataset)
    place = np.argsort(rows), np.argsort(columns)
    given, dataset = dataset, dataset[rows][:, columns]
    X = abundance(dataset)
    missing = np.isnan(X)
    neighbors = params.neighbors
    if neighbors == "auto":
        neighbors = "features" if X.shape[1] <= _MANY_FEATURES else "samples"
    if params.factor is not None and params.method != "mixed":
        raise InputError(
            f"factor={params.factor!r} does not go with method {params.method!r}", mend="use method=mixed"
        )
    rng = np.random.default_rng(seed)
    made = X.copy()
    reason = np.full(X.shape[1], "", dtype=object)
    share_weak = np.full(X.shape[1], np.nan)
    limit = random_rate = None
    if params.method in ("down_shift", "min_prob", "qrilc"):
        _require_samples(dataset, missing)
        if params.method == "down_shift":
            drawn = down_shifted(X, rng, shift=params.shift, width=params.width)
        else:
            drawn = lowest_probable(X, rng) if params.method == "min_prob" else censored_normal(X, rng)
        made[missing] = drawn[missing]
    elif params.method != "none":
        _require_samples(dataset, missing, least=1)
        empty = np.flatnonzero(missing.all(axis=0))
        if empty.size:
            raise InputError(
                f"{empty.size} features have no value: {[str(dataset.var_names[i]) for i in empty[:3]]}",
                mend="leave them out first (tool filter_features)",
            )
        if params.method == "mean":
            made = np.where(missing, np.nanmean(X, axis=0), X)
        elif params.method == "knn":
            made = _from_neighbours(X, np.arange(X.shape[1]), params.n_neighbors, neighbors)
        elif missing.any():
            if X.shape[1] < _MIN_MODELLED:
                raise InputError(
                    f"{X.shape[1]} features cannot tell why values are missing",
                    mend=f"mixed needs {_MIN_MODELLED} or more; use knn or down_shift",
                )
            groups = _groups(dataset, params.factor)
            model = fit_dropout_model(X, groups)
            verdict = judge(X, groups, model, rng)
            reason, share_weak = verdict.kind, verdict.share_weak
            limit, random_rate = model.limit, model.random
            made = np.where(missing, verdict.draw, X)
            by_chance = np.flatnonzero(reason == "random")
            if by_chance.size:
                made[:, by_chance] = _from_neighbours(X, by_chance, params.n_neighbors, neighbors)
    dataset, made, missing = given, made[np.ix_(*place)], missing[np.ix_(*place)]
    reason, share_weak = reason[place[1]], share_weak[place[1]]
    filled = missing & ~np.isnan(made)
    per_feature = filled.sum(axis=0)
    touched = np.flatnonzero(per_feature)
    features = pd.DataFrame(
        {
            "feature": [str(dataset.var_names[i]) for i in touched],
            "n_imputed": per_feature[touched],
            "share_imputed": per_feature[touched] / X.shape[0],
            "reason": reason[touched],
            "share_weak": share_weak[touched],
        }
    )
    count = int(filled.sum())
    derived = derive(dataset, f"impute: {params.method}, {count} values filled in", made)
    before = np.asarray(dataset.layers["imputed"], dtype=float) > 0 if "imputed" in dataset.layers else False
    derived.layers["imputed"] = (filled | before).astype(float)
    share = count / X.size
    warnings = [f"{share:.0%} of all values were filled in"] if share > 0.3 else []
    if params.factor is not None:
        warnings.append(
            f"filled values follow the levels of {params.factor!r}: do not test these levels on the filled matrix"
        )
    return Result(
        summary=f"Filled {count} of {int(missing.sum())} missing values in by {params.method}{_told(reason)}.",
        values={
            "method": params.method,
            "neighbors": neighbors if params.method in ("knn", "mixed") else None,
            "n_missing": int(missing.sum()),
            "n_imputed": count,
            "share_imputed": finite(share),
            "n_features_imputed": int(touched.size),
            **{f"n_{kind}": int((reason == kind).sum()) for kind in ("random", "weak", "absent")},
            "detection_limit": finite(limit),
            "random_rate": finite(random_rate),
        },
        tables={"features": features},
        datasets={"dataset": derived},
        warnings=tuple(warnings),
    )


def _require_samples(dataset: AnnData, missing: np.ndarray, least: int = 2) -> None:
    known = (~missing).sum(axis=1)
    if (known < least).any():
        lost = [str(dataset.obs_names[i]) for i in np.flatnonzero(known < least)]
        what = f"fewer than {least} values" if least > 1 else "no value"
        raise InputError(f"samples {lost[:3]} have {what}", mend="leave them out (tool remove_samples)")


def _groups(dataset: AnnData, factor: str | None) -> np.ndarray:
    """Integer code of each sample's group; one group without a factor, and one more for unknown levels."""
    if factor is None:
        return np.zeros(dataset.n_obs, dtype=np.intp)
    levels = as_levels(obs_column(dataset, factor)).map(lambda level: "" if level is None else level)
    return np.asarray(np.unique(levels.to_numpy(dtype=str), return_inverse=True)[1], dtype=np.intp)


def _from_neighbours(X: np.ndarray, chosen: np.ndarray, n_neighbors: int, neighbors: str) -> np.ndarray:
    """Filled columns `chosen` of the matrix, shape (n_samples, n_chosen)."""
    with config_context(working_memory=64):
        imputer = KNNImputer(n_neighbors=n_neighbors)
        if neighbors == "features":
            return np.asarray(imputer.fit(X.T).transform(X.T[chosen]).T)
        return np.asarray(imputer.fit_transform(X)[:, chosen])


def _told(reason: np.ndarray) -> str:
    counts = [(kind, int((reason == kind).sum())) for kind in ("random", "weak", "absent")]
    told = [f"{n} {kind}" for kind, n in counts if n]
    return f" (features: {', '.join(told)})" if told else ""
