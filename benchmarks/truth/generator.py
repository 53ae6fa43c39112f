"""Planted data sets with known truth: a real matrix under exchanged labels, changed on purpose.

Effects are planted together with what makes real comparisons hard: a composition shift (what is spiked in suppresses the
rest, more so at low abundance), shifts of every single feature between two preparations, and dropout below the limit of
detection. Everything is drawn from one seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import anndata
import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Scene:
    """A planted comparison of ``a vs b``.

    Attributes
    ----------
    dataset
        log2 abundances with obs column ``group``.
    effect
        Planted log2 effect by feature; features that are not in it do not change.
    """

    dataset: anndata.AnnData
    effect: dict[str, float]


@dataclass(frozen=True)
class Difficulty:
    """What a scene holds.

    Attributes
    ----------
    share
        Share of the features that change.
    fold
        Least and largest absolute log2 effect.
    one_sided
        All changes in one direction, as in a spike-in.
    suppression
        log2 shift of the unchanged features in group a, and its slope over abundance (log2 a log2 unit).
    background
        Standard deviation of the shifts of single unchanged features, in replicate standard deviations of the feature.
    tails
        Degrees of freedom of the distribution of these shifts; infinite for normal.
    """

    share: float = 0.05
    fold: tuple[float, float] = (1.0, 4.0)
    one_sided: bool = True
    suppression: tuple[float, float] = (0.0, 0.0)
    background: float = 0.0
    tails: float = float("inf")


def plant_scene(base: anndata.AnnData, in_a: np.ndarray, difficulty: Difficulty, seed: int) -> Scene:
    """Plant a scene into a real matrix.

    Parameters
    ----------
    base
        log2 abundances of samples that do not differ in what is planted.
    in_a
        Samples called group a, shape (samples,); exchange real labels, so that true differences are spread over both.
    difficulty
        What to plant.
    seed
        Of everything that is drawn.
    """
    rng = np.random.default_rng(seed)
    x = np.array(base.X, dtype=float)
    # Samples of the real conditions may differ: keep replicate noise only, on the feature's own level.
    level = np.nanmean(x, axis=0)
    sd = np.sqrt(
        np.nanmean([np.nanvar(x[in_a], axis=0, ddof=1), np.nanvar(x[~in_a], axis=0, ddof=1)], axis=0)
    )
    sd = np.where(np.isfinite(sd), sd, np.nanmedian(sd))
    usable = np.flatnonzero(np.isfinite(x).sum(axis=0) >= 4)
    chosen = rng.choice(usable, max(1, round(difficulty.share * len(usable))), replace=False)
    size = rng.uniform(*difficulty.fold, len(chosen))
    sign = np.ones(len(chosen)) if difficulty.one_sided else rng.choice([-1.0, 1.0], len(chosen))
    shift = np.zeros(x.shape[1])
    if difficulty.background:
        normal = rng.normal(size=x.shape[1])
        if np.isfinite(difficulty.tails):
            scale = np.sqrt(rng.chisquare(difficulty.tails, x.shape[1]) / difficulty.tails)
            normal = normal / scale
        # The typical replicate error at this abundance, so that shifts follow precision as they do in real tables.
        order = np.argsort(level)
        typical = pd.Series(sd[order]).rolling(101, center=True, min_periods=1).median().to_numpy()
        smooth = np.empty_like(typical)
        smooth[order] = typical
        shift += normal * difficulty.background * smooth
    constant, slope = difficulty.suppression
    shift -= constant + slope * (np.nanmedian(level) - level)
    shift[chosen] = sign * size
    x[in_a] += shift
    # Values that fall below what the table could see before are lost, with a soft limit.
    limit = np.nanquantile(np.array(base.X, dtype=float), 0.01)
    lost = rng.random(x.shape) < 1.0 / (1.0 + np.exp(np.clip(2.0 * (x - limit), -50, 50)))
    x[lost & in_a[:, None]] = np.nan
    names = [f"X{seed}_{i}" for i in range(x.shape[1])]
    obs = pd.DataFrame({"group": np.where(in_a, "a", "b")}, index=[f"s{i}" for i in range(len(x))])
    var = pd.DataFrame({"gene": ""}, index=names)
    if "n_peptides" in base.var:
        var["n_peptides"] = base.var["n_peptides"].to_numpy()
    made = anndata.AnnData(x, obs=obs, var=var)
    return Scene(made, {names[i]: float(s * m) for i, s, m in zip(chosen, sign, size, strict=True)})
