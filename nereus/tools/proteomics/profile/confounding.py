"""Which columns of the sample sheet go together, and which can therefore not be told apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from nereus.tools.proteomics.profile.columns import COMPARED, Column
from nereus.tools.statistics.batch import REFUSE_V, cramers_v, inseparable
from nereus.tools.statistics.levels import as_numbers

COLUMNS = ["pair", "first", "second", "kind", "n", "cramers_v", "eta2", "correlation", "verdict", "why"]


def eta_squared(values: pd.Series, levels: pd.Series) -> float | None:
    """Share of a number's variance that lies between the levels; None with too few values or levels."""
    known = values.notna() & levels.notna()
    groups = [part.to_numpy() for _, part in values[known].groupby(levels[known])]
    if len(groups) < 2 or known.sum() < 4:
        return None
    everything = values[known].to_numpy()
    total = float(((everything - everything.mean()) ** 2).sum())
    within = float(sum(((part - part.mean()) ** 2).sum() for part in groups))
    return 1 - within / total if total > 0 else None


def confounding_table(obs: pd.DataFrame, columns: list[Column], levels: dict[str, pd.Series]) -> pd.DataFrame:
    """Pairwise association of factors, batches and numbers over the units of analysis.

    Cramér's V without bias correction for two columns with levels, eta squared for levels against numbers,
    Pearson correlation for two numbers. A factor with a batch at V >= 0.9, or whose levels never share a
    batch, cannot be separated; two factors of which one refines the other are ``nested``.

    Returns
    -------
    pandas.DataFrame
        ``pair`` (first | second), ``first``, ``second``, ``kind`` (factor-batch, factor-factor,
        factor-number, batch-number, number-number, batch-batch), ``n``, ``cramers_v``, ``eta2``,
        ``correlation``, ``verdict`` (cannot separate, nested, strong, weak), ``why``; the strongest first.
    """
    used = [c for c in columns if c.role in (*COMPARED, "batch", "continuous", "event") and not c.composite]
    rows: list[tuple[object, ...]] = []
    for first, second in combinations(used, 2):
        kinds = {_kind(first), _kind(second)}
        if kinds == {"batch", "factor"} and _kind(first) == "batch":
            first, second = second, first
        if kinds != {"number"} and _kind(first) == "number":  # levels come before numbers
            first, second = second, first
        v = eta2 = correlation = None
        verdict, why = "weak", ""
        known = levels[first.name].notna() & levels[second.name].notna()
        if kinds == {"number"}:
            one, two = as_numbers(obs[first.name]), as_numbers(obs[second.name])
            assert one is not None
            assert two is not None
            both = one.notna() & two.notna()
            if both.sum() >= 4 and one[both].std() > 0 and two[both].std() > 0:
                correlation = float(np.corrcoef(one[both], two[both])[0, 1])
                verdict = "strong" if abs(correlation) >= 0.8 else "weak"
        elif "number" in kinds:
            numbers = as_numbers(obs[second.name])
            assert numbers is not None
            eta2 = eta_squared(numbers, levels[first.name])
            verdict = "strong" if eta2 is not None and eta2 >= 0.5 else "weak"
        else:
            v = cramers_v(levels[first.name], levels[second.name])
            if v is not None and "batch" in kinds and "factor" in kinds:
                if v >= REFUSE_V:
                    verdict, why = "cannot separate", f"cannot separate; Cramér's V = {v:.2f}"
                elif inseparable(levels[first.name], levels[second.name]):
                    verdict, why = "cannot separate", "no batch holds two levels of the factor"
                elif v >= 0.5:
                    verdict = "strong"
            elif v is not None and v >= 0.999:
                verdict, why = "nested", "each level of one goes with one level of the other"
            elif v is not None and v >= 0.5:
                verdict = "strong"
        if v is None and eta2 is None and correlation is None:
            continue
        kind = "-".join(
            ("factor", "batch", "number", "event")[i] for i in sorted((_rank(first), _rank(second)))
        )
        rows.append(
            (
                f"{first.name} | {second.name}", first.name, second.name, kind, int(known.sum()),
                v if v is not None else np.nan, eta2 if eta2 is not None else np.nan,
                correlation if correlation is not None else np.nan, verdict, why,
            )
        )  # fmt: skip
    table = pd.DataFrame(rows, columns=COLUMNS)
    strength = table[["cramers_v", "eta2"]].max(axis=1).fillna(table["correlation"].abs())
    order = table["verdict"].map({"cannot separate": 0, "nested": 1, "strong": 2, "weak": 3})
    table = table.assign(order=order, strength=-strength).sort_values(["order", "strength", "pair"])
    return table[COLUMNS].reset_index(drop=True)


def _kind(column: Column) -> str:
    if column.role in COMPARED:
        return "factor"
    return "number" if column.role == "continuous" else column.role


def _rank(column: Column) -> int:
    return ("factor", "batch", "number", "event").index(_kind(column))
