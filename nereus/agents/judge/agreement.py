"""Agreement between judges: Cohen's kappa with quadratic weights, and what must be talked over.

References
----------
Cohen J. Weighted kappa: nominal scale agreement with provision for scaled disagreement or partial credit. Psychological
Bulletin 70:213-220 (1968).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.metrics import cohen_kappa_score

from nereus.agents.judge.metrics import HIGHEST, LOWEST
from nereus.agents.judge.review import METRICS
from nereus.errors import InputError

GAP = 2
"""Levels between two judges from which an item is talked over."""
LEVELS = list(range(LOWEST, HIGHEST + 1))


def weighted_kappa(first: pd.Series, second: pd.Series) -> tuple[float, int]:
    """Kappa with quadratic weights over the items that both judged, and their number; NaN where it is not defined.

    Kappa is not defined for fewer than two items, nor where both judges gave one and the same level throughout.

    Examples
    --------
    >>> weighted_kappa(pd.Series([1, 2, 3, 4]), pd.Series([1, 2, 3, 4]))
    (1.0, 4)
    """
    both = pd.DataFrame({"a": first, "b": second}).dropna()
    if len(both) < 2 or len({*both["a"], *both["b"]}) < 2:
        return float("nan"), len(both)
    kappa = cohen_kappa_score(
        both["a"].astype(int).to_numpy(), both["b"].astype(int).to_numpy(), labels=LEVELS, weights="quadratic"
    )
    return float(kappa), len(both)


def agreement_table(reviews: pd.DataFrame, judged: Mapping[str, pd.DataFrame] | None = None) -> pd.DataFrame:
    """Agreement of every pair of judges, and of each reviewer with himself.

    Parameters
    ----------
    reviews
        What `review.read_sheets` read.
    judged
        Tables of `nereus judge` by name, to compare people with them.

    Returns
    -------
    pandas.DataFrame
        One row a pair and metric: ``pair, metric, n, kappa, exact, gaps, mean_first, mean_second``; `exact` is the
        share of equal levels, `gaps` counts items two or more levels apart. The pair of a reviewer with himself is
        over the items that came twice.
    """
    judges: dict[str, pd.DataFrame] = {}
    rows = []
    for name, table in reviews.groupby("reviewer", sort=True):
        first = table[table["again"] == ""]
        judges[str(name)] = first.set_index("key")
        again = table[table["again"] != ""].set_index("again")
        once = first.set_index("item")
        rows += _compared(f"{name} ~ {name} again", once.loc[once.index.isin(again.index)], again)
    for name, table in (judged or {}).items():
        if name in judges:
            raise InputError(
                f"a reviewer and a judge are both called {name!r}",
                where=name,
                mend="name the sheet after its reviewer",
            )
        judges[name] = _by_key(table, name)
    for one, other in combinations(judges, 2):
        rows += _compared(f"{one} ~ {other}", judges[one], judges[other])
    columns = ["pair", "metric", "n", "kappa", "exact", "gaps", "mean_first", "mean_second"]
    return pd.DataFrame(rows, columns=columns)


def _by_key(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """A judge's table by hypothesis, after a look at whether it is one."""
    if table["key"].duplicated().any():
        twice = table.loc[table["key"].duplicated(), "key"].iloc[0]
        raise InputError(
            f"{twice} is there twice", where=name, mend="write the table anew with `nereus judge`"
        )
    for metric in METRICS:
        given = pd.to_numeric(table[metric], errors="coerce")
        wrong = (given.isna() & table[metric].notna()) | (given.notna() & ~given.isin(LEVELS))
        if wrong.any():
            raise InputError(
                f"{metric} of {table.loc[wrong, 'key'].iloc[0]} is {table.loc[wrong, metric].iloc[0]!r}",
                where=name,
                mend=f"levels are {LOWEST} to {HIGHEST}, or nothing: write the table anew with `nereus judge`",
            )
    return table.set_index("key")


def _compared(pair: str, first: pd.DataFrame, second: pd.DataFrame) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for metric in METRICS:
        a, b = first[metric].astype("Float64"), second[metric].astype("Float64")
        both = pd.DataFrame({"a": a, "b": b}).dropna().astype(float)
        kappa, n = weighted_kappa(both["a"], both["b"])
        apart = np.abs(both["a"] - both["b"])
        rows.append(
            {
                "pair": pair,
                "metric": metric,
                "n": n,
                "kappa": kappa,
                "exact": float((apart == 0).mean()) if n else float("nan"),
                "gaps": int((apart >= GAP).sum()),
                "mean_first": float(both["a"].mean()) if n else float("nan"),
                "mean_second": float(both["b"].mean()) if n else float("nan"),
            }
        )
    return rows


def to_talk_over(reviews: pd.DataFrame) -> pd.DataFrame:
    """Items on which reviewers are two or more levels apart: ``key, metric, lowest, highest, reviewers``."""
    first = reviews[reviews["again"] == ""]
    rows = []
    for key, table in first.groupby("key", sort=True):
        for metric in METRICS:
            given = table.dropna(subset=[metric])
            if len(given) > 1 and int(given[metric].max() - given[metric].min()) >= GAP:
                rows.append(
                    {
                        "key": key,
                        "metric": metric,
                        "lowest": int(given[metric].min()),
                        "highest": int(given[metric].max()),
                        "reviewers": ";".join(
                            f"{r.reviewer}={getattr(r, metric)}" for r in given.itertuples()
                        ),
                    }
                )
    return pd.DataFrame(rows, columns=["key", "metric", "lowest", "highest", "reviewers"])
