"""What can be compared: candidate contrasts and continuous variables, in the order of their promise."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from nereus.tools.proteomics.profile import words
from nereus.tools.proteomics.profile.columns import COMPARED, Column
from nereus.tools.proteomics.profile.confounding import eta_squared
from nereus.tools.proteomics.profile.unit import Unit
from nereus.tools.statistics.batch import COVARIATE_R2, REFUSE_V, cramers_v, inseparable
from nereus.tools.statistics.levels import as_numbers

MANY_LEVELS = 4
"""Above this, pairs with the reference come before all other pairs."""
_CROSSED_V = 0.3
"""Factors more associated than this measure one thing: adjusting one for the other would remove the effect."""
_MANY_SUBJECTS = 10
_KNOWN = 0.8
INFER = 3
"""Subjects per level below which nothing is inferred."""

COLUMNS = [
    "contrast",
    "rank",
    "factor",
    "a",
    "b",
    "n_a",
    "n_b",
    "samples_a",
    "samples_b",
    "kind",
    "paired",
    "n_pairs",
    "block",
    "reference",
    "reference_known",
    "descriptive",
    "refused",
    "cramers_v_batch",
    "batch",
    "covariates",
    "missing_a",
    "missing_b",
    "share_p05",
    "median_effect",
    "spread_effect",
    "why",
]


def contrast_table(
    X: np.ndarray,
    columns: list[Column],
    levels: dict[str, pd.Series],
    subjects: pd.Series,
    unit: Unit,
    obs: pd.DataFrame,
    variance: pd.DataFrame,
    max_contrasts: int,
) -> tuple[pd.DataFrame, int]:
    """All pairs of levels with two or more subjects each.

    ``a`` is the case and ``b`` the reference; numbers of a pair are counted in subjects. Order: what the
    experiment varies by its name, then other factors, usual covariates, combinations of factors last; within
    a factor, pairs with the reference first, then larger groups. With fewer than 3 subjects in a level a
    contrast is ``descriptive``. Channels without a sample are refused.
    ``block`` names the subject where it has rows in
    both levels (``paired``) or several rows in one. ``refused`` says why a contrast cannot be made (confounded with a batch over
    the two levels).

    Parameters
    ----------
    X
        Log2 abundance of the units (one row per subject and varying level), shape (n_units, n_features).
    columns
        Roles.
    levels
        Column -> level of each unit.
    subjects
        Subject of each unit.
    unit
        Unit of analysis.
    obs
        Sample sheet of the units.
    variance
        ``column, r2_adjusted, r2_beyond``: share of the principal components that each column explains.
    max_contrasts
        Upper limit of rows.

    Returns
    -------
    tuple
        The table, and how many contrasts there were before the limit.
    """
    batches = [column for column in columns if column.role == "batch"]
    factors = [column for column in columns if column.role in COMPARED]
    factors.sort(
        key=lambda column: (
            -column.cue,
            bool(column.composite),
            column.role == "ordered",
            not column.reference_known,
            column.n_levels,
            columns.index(column),
        )
    )
    rows: list[dict[str, object]] = []
    for place, column in enumerate(factors):
        values = levels[column.name]
        sizes = {level: subjects[(values == level).to_numpy()].nunique() for level in column.levels}
        usable = [level for level in column.levels if sizes[level] >= 2]
        pairs = [(b, a) for b, a in combinations(usable, 2)]  # levels come reference first, then ranked
        no_group = words.channels_without_sample(column.levels)
        for b, a in pairs:
            with_reference = b == column.reference
            rows.append(_row(X, column, a, b, values, subjects, unit, batches, levels))
            if no_group & {a, b}:
                named = " and ".join(repr(one) for one in (a, b) if one in no_group)
                rows[-1]["refused"] = f"no group of samples but a channel of the labelling: {named}"
            rows[-1]["covariates"] = ";".join(
                covariates_of(
                    column, a, b, columns, levels, obs, variance, subjects, bool(rows[-1]["paired"])
                )
            )
            rows[-1]["_order"] = (
                -column.cue if not column.composite else 9,
                place,
                not with_reference if len(usable) > MANY_LEVELS else False,
                not with_reference,
                -min(sizes[a], sizes[b]),
                column.levels.index(a),
                column.levels.index(b),
            )
    rows.sort(key=lambda row: (bool(row["refused"]), bool(row["descriptive"]), row["_order"]))
    table = pd.DataFrame(rows[:max_contrasts], columns=[*COLUMNS, "_order"])[COLUMNS]
    table["rank"] = np.arange(1, len(table) + 1)
    return table, len(rows)


def _row(
    X: np.ndarray,
    column: Column,
    a: str,
    b: str,
    values: pd.Series,
    subjects: pd.Series,
    unit: Unit,
    batches: list[Column],
    levels: dict[str, pd.Series],
) -> dict[str, object]:
    in_a, in_b = (values == a).to_numpy(), (values == b).to_numpy()
    both = in_a | in_b
    subjects_a, subjects_b = set(subjects[in_a].dropna()), set(subjects[in_b].dropna())
    shared = len(subjects_a & subjects_b) if unit.column is not None else 0
    paired = shared >= 2 and shared >= 0.5 * min(len(subjects_a), len(subjects_b))
    # Moments of one subject stay correlated when groups of subjects are compared.
    repeated = unit.column is not None and int(both.sum()) > len(subjects_a | subjects_b)
    worst, worst_batch, refused = None, "", ""
    for batch in batches:
        other = levels[batch.name][both]
        v = cramers_v(values[both], other)
        if v is None:
            continue
        if worst is None or v > worst:
            worst, worst_batch = v, batch.name
        # Two batch levels over very few samples agree by chance: what counts is whether a batch holds both.
        if v >= REFUSE_V or inseparable(values[both], other):
            refused = f"cannot separate from {batch.name!r}; Cramér's V = {v:.2f}"
    smallest = min(len(subjects_a), len(subjects_b))
    kind = "composite" if column.composite else "covariate" if column.usual_covariate else "main"
    why = f"{len(subjects_a)} vs {len(subjects_b)} {words.plural(unit.word)}"
    if paired:
        why += f", {shared} of them in both"
    elif repeated:
        why += ", several rows each: the subject is a block"
    if smallest < INFER:
        why += "; fewer than 3 in a group: description only"
    return {
        "contrast": f"{column.name}: {a} vs {b}",
        "factor": column.name,
        "a": a,
        "b": b,
        "n_a": len(subjects_a),
        "n_b": len(subjects_b),
        "samples_a": int(in_a.sum()),
        "samples_b": int(in_b.sum()),
        "kind": kind,
        "paired": paired,
        "n_pairs": shared if paired else 0,
        "block": unit.column if paired or repeated else "",
        "reference": column.reference,
        "reference_known": column.reference_known,
        "descriptive": smallest < INFER,
        "refused": refused,
        "cramers_v_batch": worst if worst is not None else np.nan,
        "batch": worst_batch,
        "missing_a": float(np.isnan(X[in_a]).mean()),
        "missing_b": float(np.isnan(X[in_b]).mean()),
        **_screen(X[in_a], X[in_b]),
        "why": why,
    }


def covariates_of(
    column: Column,
    a: str,
    b: str,
    columns: list[Column],
    levels: dict[str, pd.Series],
    obs: pd.DataFrame,
    variance: pd.DataFrame,
    subjects: pd.Series,
    paired: bool,
) -> list[str]:
    """Columns to adjust a contrast for, over its own samples.

    Batches that explain more than 5 % beyond the main factors; other factors crossed with this one (Cramér's V
    below 0.3) that explain more than 5 %; age, sex and other usual covariates with 10 or more subjects a group. Each
    must vary within the contrast, be known for 80 % of its samples and be no combination of what is compared; a
    column that is constant within subjects says nothing in a paired contrast. At least half of the degrees of
    freedom are kept.
    """
    both = levels[column.name].isin([a, b]).to_numpy()
    alone = dict(zip(variance["column"], variance["r2_adjusted"], strict=True))
    beyond = dict(zip(variance["column"], variance["r2_beyond"], strict=True))
    smallest = min(subjects[(levels[column.name] == level).to_numpy()].nunique() for level in (a, b))
    free = int(both.sum()) - 2
    wanted: list[tuple[int, float, Column]] = []
    for other in columns:
        if other.name == column.name or other.composite or other.name in column.composite:
            continue
        if other.role == "batch" and beyond.get(other.name, 0.0) > COVARIATE_R2:
            wanted.append((0, -beyond[other.name], other))
        elif other.usual_covariate and other.role in (*COMPARED, "continuous") and smallest >= _MANY_SUBJECTS:
            wanted.append((2, -alone.get(other.name, 0.0), other))
        elif (
            other.role in COMPARED and not other.usual_covariate and alone.get(other.name, 0.0) > COVARIATE_R2
        ):
            wanted.append((1, -alone[other.name], other))
    chosen: list[str] = []
    spent = 0
    for kind, _, other in sorted(wanted, key=lambda entry: (entry[0], entry[1], entry[2].name)):
        values = levels[other.name][both]
        known = values.notna()
        if known.mean() < _KNOWN or values[known].nunique() < 2:
            continue
        if paired and int(values[known].groupby(subjects[both][known]).nunique().max()) == 1:
            continue
        # Numbers with few values are coded as levels by the sheet, so they enter the design as numbers all the same.
        df = 1 if as_numbers(obs[other.name]) is not None else values[known].nunique() - 1
        if other.role != "continuous":
            v = cramers_v(levels[column.name][both], values)
            if v is not None and v >= (_CROSSED_V if kind == 1 else REFUSE_V):
                continue
            if inseparable(levels[column.name][both], values):
                continue
        if spent + df > free / 2:
            continue
        spent += df
        chosen.append(other.name)
    return chosen


def _screen(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Hints of a global shift: share of features at p <= 0.05, centre and robust spread of the effects.

    Welch's t on features with two values a side; a hint for planning, never a result.
    """
    usable = ((~np.isnan(a)).sum(axis=0) >= 2) & ((~np.isnan(b)).sum(axis=0) >= 2)
    if usable.sum() < 5:
        return {"share_p05": np.nan, "median_effect": np.nan, "spread_effect": np.nan}
    a, b = a[:, usable], b[:, usable]
    effect = np.nanmean(a, axis=0) - np.nanmean(b, axis=0)
    n_a, n_b = (~np.isnan(a)).sum(axis=0), (~np.isnan(b)).sum(axis=0)
    share_a, share_b = np.nanvar(a, axis=0, ddof=1) / n_a, np.nanvar(b, axis=0, ddof=1) / n_b
    error = share_a + share_b
    tested = error > 0
    df = error[tested] ** 2 / (
        share_a[tested] ** 2 / (n_a[tested] - 1) + share_b[tested] ** 2 / (n_b[tested] - 1)
    )
    p = 2 * stats.t.sf(np.abs(effect[tested]) / np.sqrt(error[tested]), df)
    centre = float(np.median(effect))
    return {
        "share_p05": float((p <= 0.05).mean()) if tested.any() else np.nan,
        "median_effect": centre,
        "spread_effect": float(1.4826 * np.median(np.abs(effect - centre))),
    }


def association_table(obs: pd.DataFrame, columns: list[Column], levels: dict[str, pd.Series]) -> pd.DataFrame:
    """Continuous variables whose association with each feature can be tested.

    Returns
    -------
    pandas.DataFrame
        ``variable, rank, kind`` (measurement, usual covariate, ordered levels, follow-up time), ``n`` (units
        with a value), ``n_missing``, ``minimum``, ``median``, ``maximum``, ``skewness``, ``factor`` and
        ``eta2`` (the factor that explains most of it), ``testable`` (6 or more values), ``why``.
    """
    rows = []
    for column in columns:
        if column.role not in ("continuous", "time", "ordered"):
            continue
        numbers = as_numbers(obs[column.name])
        if numbers is None:
            continue
        known = numbers.dropna()
        best, best_eta2 = "", np.nan
        for other in columns:
            if other.role in COMPARED and other.name != column.name and not other.composite:
                eta2 = eta_squared(numbers, levels[other.name])
                if eta2 is not None and not eta2 <= best_eta2:
                    best, best_eta2 = other.name, eta2
        kind = "measurement"
        if column.role == "time":
            kind = "follow-up time"
        elif column.role == "ordered":
            kind = "ordered levels"
        elif column.usual_covariate:
            kind = "usual covariate"
        why = f"{len(known)} values"
        if kind == "follow-up time":
            why += "; may be censored"
        if best_eta2 >= 0.5:
            why += f"; {best!r} explains {best_eta2:.0%} of it"
        rows.append(
            {
                "variable": column.name,
                "rank": 0,
                "kind": kind,
                "n": len(known),
                "n_missing": int(numbers.isna().sum()),
                "minimum": float(known.min()),
                "median": float(known.median()),
                "maximum": float(known.max()),
                "skewness": float(stats.skew(known)) if known.nunique() > 2 else 0.0,
                "factor": best,
                "eta2": best_eta2,
                "testable": len(known) >= 6,
                "why": why,
            }
        )
    order = ["measurement", "ordered levels", "follow-up time", "usual covariate"]
    rows.sort(
        key=lambda row: (
            not row["testable"],
            order.index(str(row["kind"])),
            -int(str(row["n"])),
            str(row["variable"]),
        )
    )
    for place, row in enumerate(rows, 1):
        row["rank"] = place
    names = [
        "variable", "rank", "kind", "n", "n_missing", "minimum", "median", "maximum", "skewness", "factor", "eta2",
        "testable", "why",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def ranked_levels(column: Column) -> dict[str, float]:
    """Number of each level where levels are amounts; empty otherwise."""
    found = words.amounts(column.levels)
    return {} if found is None else found[0]
