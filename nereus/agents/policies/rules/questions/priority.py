"""How much a question promises: the terms of its priority.

``0.35 screen + 0.25 power + 0.20 question + 0.10 novelty + 0.10 directness - 0.10 cost``: ``screen`` is one minus the
permutation p with which the whole proteome follows the column (0.5 before it was screened), ``power`` the chance to see
a difference of 0.8 standard deviations at a strict level, ``question`` the words shared with the user's question,
``novelty`` falls with equal objectives of this run, ``directness`` prefers columns that are no composite of others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from statistics import NormalDist

from nereus.agents.policies.base import DecisionContext
from nereus.agents.policies.rules.questions.design import table
from nereus.memory.records import ObjectiveKind

WEIGHTS = {
    "screen": 0.35,
    "power": 0.25,
    "question": 0.20,
    "novelty": 0.10,
    "directness": 0.10,
    "cost": -0.10,
}
GIVEN = 0.95
"""Least priority of a question for which the user gave a file of its own: a second cohort, a layer."""
DIRECTNESS = {"main": 1.0, "covariate": 0.2, "composite": 0.0}
STRICT_ALPHA = 0.001
"""A question is asked at two-sided 0.001, about what Benjamini-Hochberg asks of a single protein among thousands."""
LARGE_EFFECT_SD = 0.8


def priority(parts: Mapping[str, float]) -> float:
    """The weighted sum of the terms, between 0 and 1."""
    return round(min(1.0, max(0.0, sum(WEIGHTS[name] * value for name, value in parts.items()))), 4)


def screen(context: DecisionContext, column: str) -> float:
    """One minus the p with which the whole proteome follows the column; a half before that is known."""
    screened = table(context, "screen")
    for row in screened:
        if str(row["column"]) == column and row.get("p") is not None:
            return round(1 - float(row["p"]), 4)
    return 0.5


def power(n_a: float, n_b: float) -> float:
    """Normal approximation of the power of a two-sample comparison for a large effect at a strict level."""
    if min(n_a, n_b) <= 0:
        return 0.0
    normal = NormalDist()
    shift = LARGE_EFFECT_SD * math.sqrt(n_a * n_b / (n_a + n_b))
    return round(1 - normal.cdf(normal.inv_cdf(1 - STRICT_ALPHA / 2) - shift), 4)


def survival_power(n_events: float) -> float:
    """The same for a log hazard ratio of 0.8 per standard deviation, which rests on the events."""
    normal = NormalDist()
    return round(
        1 - normal.cdf(normal.inv_cdf(1 - STRICT_ALPHA / 2) - LARGE_EFFECT_SD * math.sqrt(n_events)), 4
    )


def question_match(question: str | None, names: list[str]) -> float:
    """How far the user's words name these columns or levels."""
    if not question:
        return 0.0
    asked = set(re.findall(r"[a-z0-9]+", question.lower()))
    words = [word for name in names for word in re.findall(r"[a-z0-9]+", name.lower())]
    if any(name.lower() in question.lower() for name in names if len(name) > 2):
        return 1.0
    return round(sum(word in asked for word in words) / len(words), 4) if words else 0.0


def novelty(context: DecisionContext, kind: ObjectiveKind, column: str) -> float:
    """Falls with each objective of this kind about this column."""
    done = [
        one
        for one in context.objectives
        if one.kind is kind
        and one.status in ("done", "running")
        and column in ((one.contrast and one.contrast.factor), one.variable, *one.design.values())
    ]
    return round(1 / (1 + len(done)), 4)
