"""What goes with clusters: sample columns, which were not used to find them, and features, which were."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from nereus.tools.statistics.levels import as_levels, as_numbers
from nereus.tools.statistics.moderated_t import benjamini_hochberg

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_LEAST = 6
_MANY_VALUES = 6
_DRAWS = 2000
_COLUMNS = ["column", "kind", "n", "statistic", "p", "effect", "note"]


def cluster_associations(
    obs: pd.DataFrame,
    unit: IntArray,
    labels: npt.NDArray[np.object_],
    leave_out: tuple[str, ...],
    subject: str | None,
    seed: int,
) -> pd.DataFrame:
    """Compare clusters of units with the columns that are constant within units.

    Columns with levels: chi-squared, by exchanged labels where expected counts are below five; numbers with
    more than six values: Kruskal and Wallis. Effects are Cramér's V and epsilon squared.

    Parameters
    ----------
    obs
        Sample sheet.
    unit
        Unit of each sample, -1 for none.
    labels
        Cluster of each unit.
    """
    first = [int(np.flatnonzero(unit == one)[0]) for one in range(len(labels))]
    clusters = pd.Series(labels, dtype=object)
    rows: list[tuple[str, str, int, float, float, float, str]] = []
    for at, name in enumerate(map(str, obs.columns)):
        if name in leave_out or name == subject:
            continue
        column = obs.iloc[:, at]
        if len(first) < len(obs) and _varies_within(as_levels(column), unit):
            continue
        ours = column.iloc[first].reset_index(drop=True)
        numbers, levels = as_numbers(ours), as_levels(ours)
        known = levels.notna()
        if known.sum() < _LEAST or levels[known].nunique() < 2 or clusters[known].nunique() < 2:
            continue
        if numbers is not None and numbers.nunique() > _MANY_VALUES:
            groups = [part.to_numpy() for _, part in numbers[known].groupby(clusters[known])]
            statistic, p = stats.kruskal(*groups)
            n = int(known.sum())
            effect = float(statistic) / (n - 1)
            rows.append((name, "number", n, float(statistic), float(p), min(effect, 1.0), ""))
        elif levels[known].nunique() <= known.sum() / 2:
            rows.append(_levels_row(name, clusters[known], levels[known], seed))
    table = pd.DataFrame(rows, columns=_COLUMNS)
    table.insert(5, "q", benjamini_hochberg(table["p"].to_numpy(dtype=np.float64)))
    return table.sort_values(["p", "column"], kind="stable").reset_index(drop=True)


def _varies_within(levels: pd.Series, unit: IntArray) -> bool:
    used = unit >= 0
    texts = levels.fillna("").to_numpy()[used]
    return bool((pd.Series(texts).groupby(unit[used]).nunique() > 1).any())


def _levels_row(
    name: str, clusters: pd.Series, levels: pd.Series, seed: int
) -> tuple[str, str, int, float, float, float, str]:
    counts = pd.crosstab(clusters, levels).to_numpy()
    tested = stats.chi2_contingency(counts, correction=False)
    v = float(stats.contingency.association(counts, method="cramer"))
    statistic, p, note = float(tested.statistic), float(tested.pvalue), ""
    if (tested.expected_freq < 5).any():
        rng = np.random.default_rng([seed, *name.encode()])
        rows, columns = pd.factorize(clusters, sort=True)[0], pd.factorize(levels, sort=True)[0]
        shape, expected = counts.shape, tested.expected_freq
        at_least = 0
        for _ in range(_DRAWS):
            drawn = np.bincount(rng.permutation(rows) * shape[1] + columns, minlength=shape[0] * shape[1])
            at_least += np.sum((drawn.reshape(shape) - expected) ** 2 / expected) >= statistic - 1e-9
        p, note = (1 + at_least) / (1 + _DRAWS), "small counts: labels were exchanged"
    return (name, "levels", len(levels), statistic, float(p), v, note)


def cluster_markers(
    values: FloatArray, labels: npt.NDArray[np.object_], features: list[str], genes: list[str]
) -> pd.DataFrame:
    """How features differ between clusters, in the order of the data set; no p-value, for it would be circular.

    Parameters
    ----------
    values
        Shape (units, features), NaN missing.
    labels
        Cluster of each unit.

    Returns
    -------
    DataFrame
        ``feature, gene, cluster`` (the one that differs most from the rest), ``effect`` (its mean minus that of
        the rest, log2), ``d`` (over the standard deviation within), ``eta_squared``, ``n`` (units with a value).
    """
    names = sorted(set(labels), key=lambda name: int(name[1:]))
    member = np.array([labels == name for name in names], dtype=np.float64)
    seen = np.isfinite(values)
    filled = np.where(seen, values, 0.0)
    count, total = member @ seen, member @ filled
    n, whole = count.sum(axis=0), total.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means, rest = total / count, (whole - total) / (n - count)
        square = np.where(seen, (values - whole / n) ** 2, 0.0).sum(axis=0)
        between = np.nansum(count * (means - whole / n) ** 2, axis=0)
        within = np.sqrt(np.maximum(square - between, 0.0) / np.maximum(n - len(names), 1))
        effect = means - rest
        d = np.where(within > 0, effect / within, np.nan)
        eta = np.where(square > 0, np.clip(between / square, 0.0, 1.0), np.nan)
    ranked = np.where(np.isfinite(d), np.abs(d), -1.0)
    # Of two clusters each differs as much as the other: the first is named, whatever the rounding.
    best = (ranked >= ranked.max(axis=0) * (1.0 - 1e-9)).argmax(axis=0)
    at = np.arange(values.shape[1])
    known = ranked[best, at] >= 0
    return pd.DataFrame(
        {
            "feature": features,
            "gene": ["" if gene in ("nan", "None") else gene for gene in genes],
            "cluster": np.where(known, np.array(names, dtype=object)[best], ""),
            "effect": np.where(known, effect[best, at], np.nan),
            "d": np.where(known, d[best, at], np.nan),
            "eta_squared": np.where(known, eta, np.nan),
            "n": n.astype(np.int64),
        }
    )
