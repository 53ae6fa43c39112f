"""Numbers of replicates that may be names: a donor, a day or a run that every group shares.

A sheet that numbers the replicates of each group from one on says nothing about pairs. But where the third sample of
one group resembles the third of the others more than chance allows, the number names something that was the same for
them, and a comparison within it would be sharper. Only the person who made the samples knows what it is.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from nereus.tools.proteomics.profile import words
from nereus.tools.proteomics.profile.columns import COMPARED, Column
from nereus.tools.proteomics.profile.notices import Notice
from nereus.tools.proteomics.profile.unit import Unit
from nereus.tools.statistics.levels import as_levels

_EXCHANGES = 999
_TOLD, _WARNED = 0.05, 0.01
"""p from which on a reader is told, and is warned: four pairs cannot give less than one in twenty-four."""
_MOST_FEATURES = 3000
"""Features that are looked at, the most complete first: the resemblance of samples needs no more."""


def notice_shared_numbers(
    notices: list[Notice], X: np.ndarray, obs: pd.DataFrame, columns: list[Column], unit: Unit, seed: int
) -> None:
    """Tell where equal numbers of replicates go with resemblance across the groups.

    Parameters
    ----------
    notices
        Gets one more for each such column.
    X
        log2 abundances, shape (samples, features), NaN where missing.
    obs
        The sheet, one row a sample.
    columns
        What is known of its columns.
    unit
        The unit of analysis: nothing is asked where subjects are known already.
    seed
        Of the exchanges of numbers within groups.
    """
    if unit.column is not None:
        return
    numbered = [
        c.name for c in columns if c.role == "identifier" and set(words.tokens(c.name)) & words.REPLICATE
    ]
    factors = [c for c in columns if c.role in COMPARED and not c.composite]
    for name in numbered:
        number = as_levels(obs[name])
        for factor in factors:
            group = as_levels(obs[factor.name])
            known = (number.notna() & group.notna()).to_numpy()
            if not _crossed(number[known], group[known]):
                continue
            rest = _residuals(X[known], pd.factorize(group[known])[0])
            if rest is None:
                continue
            alike, p = _resemblance(rest, pd.factorize(number[known])[0], pd.factorize(group[known])[0], seed)
            if p <= _TOLD:
                notices.append(
                    (
                        f"shared_number: {name}",
                        "warning" if p <= _WARNED else "info",
                        name,
                        f"samples with the same {name!r} resemble each other across the groups of {factor.name!r} "
                        f"(correlation of what the groups leave {alike:.2f}, p = {p:.2g} by exchange): it may name a "
                        "donor, a day or a run",
                        f"if it does, name it as the subject (--load subject={name}), and the groups are compared within it",
                    )
                )
                break


def _crossed(number: pd.Series, group: pd.Series) -> bool:
    """Whether every number stands once in every group, with three numbers or more."""
    table = pd.crosstab(number, group)
    return bool(table.shape[0] >= 3 and table.shape[1] >= 2 and (table.to_numpy() == 1).all())


def _residuals(X: np.ndarray, group: np.ndarray) -> np.ndarray | None:
    """What is left of each feature without its means by group and each sample's median, scaled; None with few features."""
    X = X - np.nanmedian(X, axis=1, keepdims=True)
    seen = np.isfinite(X)
    counts = np.stack([seen[group == one].sum(axis=0) for one in np.unique(group)])
    usable = np.flatnonzero((counts >= 2).all(axis=0))
    if len(usable) < 50:
        return None
    usable = usable[np.argsort(-seen[:, usable].sum(axis=0), kind="stable")][:_MOST_FEATURES]
    rest = X[:, usable]
    for one in np.unique(group):
        rest[group == one] -= np.nanmean(rest[group == one], axis=0)
    spread = np.sqrt(np.nanmean(rest**2, axis=0))
    rest = np.where(np.isfinite(rest), rest, 0.0)[:, spread > 0] / spread[spread > 0]
    return np.asarray(rest / np.maximum(np.linalg.norm(rest, axis=1, keepdims=True), 1e-12))


def _resemblance(rest: np.ndarray, number: np.ndarray, group: np.ndarray, seed: int) -> tuple[float, float]:
    """Mean correlation of samples of equal number in different groups, and its p by exchanging numbers within groups."""
    alike = rest @ rest.T
    apart = group[:, None] != group[None, :]

    def mean(labels: np.ndarray) -> float:
        return float(alike[apart & (labels[:, None] == labels[None, :])].mean())

    rng = np.random.default_rng([seed, len(number)])
    seen = mean(number)
    places = [np.flatnonzero(group == one) for one in np.unique(group)]
    as_good = 1
    for _ in range(_EXCHANGES):
        shuffled = number.copy()
        for place in places:
            shuffled[place] = rng.permutation(number[place])
        as_good += mean(shuffled) >= seen - 1e-12
    return seen, as_good / (_EXCHANGES + 1)
