"""The table of activities that both activity tools give: scores, regulators that cannot be told apart, targets."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from pydantic import Field
from scipy import sparse, stats

from nereus.memory.records import Contrast
from nereus.tools.base import Params, Result
from nereus.tools.enrichment.activity_score import score
from nereus.tools.enrichment.tested_residuals import residuals_of_test

_SHARED = 0.5
"""Share of common targets (Jaccard) from which two regulators cannot be told apart."""
ACTIVITY_COLUMNS = (
    "feature", "gene", "name", "effect", "se", "ci_low", "ci_high", "statistic", "p", "q",
    "n_targets", "n_agreeing", "direction", "representative", "told_apart_from", "leading_targets",
)  # fmt: skip
TARGET_COLUMNS = ("target", "source", "feature", "gene", "site", "weight", "effect", "z", "p")


class ActivityParams(Params):
    """Parameters that both activity tools take."""

    method: Literal["weighted_mean", "ulm", "rank"] = "weighted_mean"
    """How targets are summed up: see `kinase_activity`."""
    correlation: float = Field(0.01, ge=0, lt=1)
    """Correlation between the targets of one regulator that the null allows for at least; 0 takes them as independent."""
    contrast: Contrast | None = None
    """Comparison that the table tests; with the data set it lets the correlation of targets be estimated."""
    n_permutations: int = Field(20_000, ge=100, le=1_000_000)
    """Exchanges of the statistics behind the p-values (``weighted_mean`` and ``rank``)."""
    level: float = Field(0.05, gt=0, lt=1)
    """Level of q at which regulators are counted as significant."""


def activities(
    tested: pd.DataFrame,
    edges: list[tuple[str, int, float]],
    params: ActivityParams,
    min_targets: int,
    names: dict[str, str],
    warnings: list[str],
    seed: int,
    *,
    dataset: AnnData | None = None,
    what: str,
    targets: str,
    extra: dict[str, str],
) -> Result:
    """Score the regulators of enough targets, and say what was found."""
    # Exchanges are drawn by name: a table in another order gets the same p-values.
    order = np.argsort(tested["feature"].to_numpy(dtype=str), kind="stable")
    place = np.argsort(order)
    tested = tested.iloc[order].reset_index(drop=True)
    edges = [(source, int(place[row]), weight) for source, row, weight in edges]
    n_of: dict[str, int] = {}
    for source, _, _ in edges:
        n_of[source] = n_of.get(source, 0) + 1
    sources = sorted(source for source, n in n_of.items() if n >= min_targets)
    n_matched = len({row for _, row, _ in edges})
    values: dict[str, str | int | float | bool | None] = {
        "correlation": None,
        "n_features": len(tested),
        "n_matched": n_matched,
        "match_rate": n_matched / len(tested) if len(tested) else 0.0,
        **extra,
    }
    if not sources or len(tested) < 10 or float(tested["z"].std(ddof=1)) == 0.0:
        text = (
            f"No activity was inferred: {n_matched} of {len(tested)} tested {targets} are targets, and no one of the "
            f"{what} has {min_targets} of them."
        )
        counts = {"n_sources": 0, "n_tested": None, "n_significant": 0, "n_up": 0, "n_down": 0}
        return Result(
            summary=text,
            values={**counts, "top": None, "top_direction": None, **values},
            tables={"activities": _no_activities(), "targets": _no_targets()},
            warnings=(*warnings, text),
            complete=False,
            n_total=0,
            n_returned=0,
        )
    row_of = {source: i for i, source in enumerate(sources)}
    used = [(row_of[source], column, weight) for source, column, weight in edges if source in row_of]
    weights = sparse.csr_matrix(
        (
            np.array([weight for _, _, weight in used]),
            (np.array([row for row, _, _ in used]), np.array([column for _, column, _ in used])),
        ),
        shape=(len(sources), len(tested)),
    )
    weights.sort_indices()
    effect, z = tested["effect"].to_numpy(float), tested["z"].to_numpy(float)
    left = residuals_of_test(
        dataset, tested["feature"].to_numpy(), params.contrast, where=f"activity of {what}"
    )
    values["correlation"] = "preset" if isinstance(left, str) else "estimated from residuals"
    if isinstance(left, str):
        # Without residuals a regulator whose targets vary together stands out in every comparison.
        warnings = [
            *warnings,
            "correlation of targets was not estimated from these samples: p may be too small",
        ]
    found = score(
        weights, effect, z, method=params.method, correlation=params.correlation,
        n_permutations=params.n_permutations, seed=seed, residuals=None if isinstance(left, str) else left,
    )  # fmt: skip
    order = np.lexsort((np.array(sources), -np.abs(found.z), found.p))
    q = stats.false_discovery_control(found.p)
    rows, parts = [], []
    leaders: list[tuple[str, frozenset[int]]] = []
    sets = {
        i: frozenset(weights.indices[weights.indptr[i] : weights.indptr[i + 1]]) for i in range(len(sources))
    }
    for i in order:
        members = weights.indices[weights.indptr[i] : weights.indptr[i + 1]]
        own = weights.data[weights.indptr[i] : weights.indptr[i + 1]]
        up = found.z[i] >= 0
        push = own * (z[members] - z.mean()) * (1 if up else -1)
        strongest = members[np.argsort(-push, kind="stable")][: min(10, int((push > 0).sum()))]
        shown = tested.iloc[strongest]
        same = [sources[j] for j in range(len(sources)) if j != i and _jaccard(sets[i], sets[j]) >= _SHARED]
        leads = not any(_jaccard(sets[i], other) >= _SHARED for _, other in leaders)
        if leads:
            leaders.append((sources[i], sets[i]))
        rows.append(
            (
                sources[i], sources[i] if not names else "", names.get(sources[i], sources[i]), found.effect[i],
                found.se[i], found.effect[i] - 1.96 * found.se[i], found.effect[i] + 1.96 * found.se[i],
                found.z[i], found.p[i], q[i], len(members), int((push > 0).sum()), "up" if up else "down", leads,
                "; ".join(same), "; ".join((shown["gene"] + " " + shown["site"]).str.strip()),
            )
        )  # fmt: skip
        part = tested.iloc[members]
        parts.append(
            part.assign(target=sources[i] + " | " + part["feature"], source=sources[i], weight=own)[
                list(TARGET_COLUMNS)
            ]
        )
    table = pd.DataFrame(rows, columns=list(ACTIVITY_COLUMNS))
    passing = table["q"] <= params.level
    up_n, down_n = (int((passing & (table["direction"] == side)).sum()) for side in ("up", "down"))
    first = table.iloc[0]
    text = f"{up_n + down_n} of {len(table)} {what} differ in activity at q <= {params.level:g}"
    text += f" ({up_n} up, {down_n} down); the clearest is {first['feature']} ({first['direction']})."
    return Result(
        summary=text,
        values={
            "n_sources": len(table),
            "n_tested": len(table),
            "n_significant": up_n + down_n,
            "n_up": up_n,
            "n_down": down_n,
            "top": str(first["feature"]),
            "top_direction": str(first["direction"]),
            **values,
        },
        tables={"activities": table, "targets": pd.concat(parts, ignore_index=True)},
        warnings=tuple(warnings),
        n_total=len(n_of),
        n_returned=len(table),
    )


def _jaccard(first: frozenset[int], second: frozenset[int]) -> float:
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared) if shared else 0.0


def _no_activities() -> pd.DataFrame:
    kinds = dict.fromkeys(ACTIVITY_COLUMNS, "object")
    kinds |= dict.fromkeys(("effect", "se", "ci_low", "ci_high", "statistic", "p", "q"), "float64")
    kinds |= {"n_targets": "int64", "n_agreeing": "int64", "representative": "bool"}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


def _no_targets() -> pd.DataFrame:
    kinds = dict.fromkeys(TARGET_COLUMNS, "object") | dict.fromkeys(("weight", "effect", "z", "p"), "float64")
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})
