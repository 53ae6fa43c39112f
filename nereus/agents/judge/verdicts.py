"""What a judge says about a hypothesis, and the table of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from nereus.agents.judge.metrics import Metric


@dataclass(frozen=True)
class Score:
    """One score with its reason."""

    level: int | None
    """1 to 5; None where nothing known speaks to it."""
    reason: str
    cites: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """Five scores of one hypothesis."""

    run_id: str
    hypothesis_id: str
    statement: str
    judge: str
    """``proxy``: computed, not the paper's scores; else the name of the model."""
    scores: dict[Metric, Score]
    spread: float = 0.0
    """Mean over the metrics of the range between passes; 0 for proxies, which have one."""


def verdict_table(judgements: Iterable[Judgement]) -> pd.DataFrame:
    """One row a hypothesis: ``key, run, hypothesis, judge``, five levels, their mean, and a cited reason each."""
    rows = []
    for one in judgements:
        levels = {metric.value: one.scores[metric].level for metric in Metric}
        known = [level for level in levels.values() if level is not None]
        reasons = {f"{metric.value}_reason": one.scores[metric].reason for metric in Metric}
        cites = {f"{metric.value}_cites": ";".join(one.scores[metric].cites) for metric in Metric}
        rows.append(
            {
                "key": f"{one.run_id}/{one.hypothesis_id}",
                "run": one.run_id,
                "hypothesis": one.hypothesis_id,
                "judge": one.judge,
                **levels,
                "mean": round(sum(known) / len(known), 3) if known else None,
                "spread": round(one.spread, 3),
                **reasons,
                **cites,
                "statement": one.statement,
            }
        )
    table = pd.DataFrame(rows)
    if rows:
        table = table.astype({metric.value: "Int64" for metric in Metric})
    return table
