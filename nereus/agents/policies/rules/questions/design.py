"""Reading the design of the study from the computed profile: columns, contrasts, batches and what may be adjusted for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from nereus.agents.planner.relations import features_of
from nereus.agents.policies.base import DecisionContext
from nereus.memory.records import Contrast, Objective

MIN_SUBJECTS = 3
"""Subjects a group below which nothing is inferred."""
MAX_COVARIATES = 4
_STRUCTURES = re.compile(
    r"\b(lip|lip-ms|limited proteolysis|proteolytic|structur\w*|conformation\w*|target\w*)\b", re.IGNORECASE
)
PANEL_FEATURES = 200
"""Below this many features a matrix is a panel: sample-wise normalisation would remove what is looked for."""


def asks_for_structures(question: str | None) -> bool:
    """Whether the user speaks of structures, which only peptides can tell: then they are not rolled up to proteins."""
    return bool(question) and _STRUCTURES.search(question or "") is not None


def structures_of_peptides(context: DecisionContext) -> bool:
    """Whether peptides are at hand and the user asks for structures: then proteins are judged, by their peptides."""
    return context.profile.values.get("data_kind") == "peptides" and asks_for_structures(context.question)


def features_word(context: DecisionContext) -> str:
    """What the features of the data set are called: proteins, sites, genes ..."""
    return features_of(context.profile.values.get("data_kind"))[0]


def table(context: DecisionContext, name: str) -> list[dict[str, Any]]:
    """Rows of a profile table, or of a later one that refines it; none where it was not made."""
    return context.profile.tables.get(name, [])


def columns_of(context: DecisionContext, *roles: str) -> list[str]:
    """Names of the columns with one of the roles."""
    return [
        str(row["column"]) for row in context.profile.tables.get("columns", []) if row.get("role") in roles
    ]


def contrast_of(objective: Objective) -> Contrast:
    """The objective's contrast."""
    if objective.contrast is None:
        raise ValueError(f"objective {objective.id} has no contrast")
    return objective.contrast


def main_factor(context: DecisionContext) -> str | None:
    """Factor of the first candidate contrast."""
    rows = context.profile.tables.get("contrasts", [])
    return str(rows[0]["factor"]) if rows else None


def smallest_group(context: DecisionContext, contrast: Contrast) -> float:
    """Subjects in the smaller group, as the profile counts them."""
    for row in context.profile.tables.get("contrasts", []):
        if (row["factor"], row["a"], row["b"]) == (contrast.factor, contrast.a, contrast.b):
            return min(float(row["n_a"] or 0), float(row["n_b"] or 0))
    return 0.0


def refused_by_check(context: DecisionContext, factor: str) -> str:
    """Why the batch check refuses a factor; empty where it does not."""
    for pair in table(context, "batch"):
        if str(pair["factor"]) == factor and pair["verdict"] == "refuse":
            return f"cannot be separated from {pair['batch']}"
    return ""


def entangled(context: DecisionContext, one: str, other: str) -> bool:
    """Whether two columns cannot be told apart."""
    for row in context.profile.tables.get("confounding", []):
        pair = {str(row.get("first")), str(row.get("second"))}
        if pair == {one, other} and row.get("verdict") == "cannot separate":
            return True
    return False


def batches_that_matter(context: DecisionContext) -> list[str]:
    """Batches that explain variance beyond the factors."""
    found = []
    for row in table(context, "batch"):
        name = str(row["batch"])
        if row.get("verdict") == "covariate" and name not in found:
            found.append(name)
    return found


def covariates_for(context: DecisionContext, target: str, among: Iterable[str] = ()) -> tuple[str, ...]:
    """Columns to adjust for: usual covariates of the sample sheet, and batches that the batch check found to matter.

    A column is left out when it cannot be told apart from the target (Cramér's V of 0.9 or more), is a recoding of
    it, or would leave too few samples.
    """
    chosen: list[str] = []
    n = float(context.profile.values.get("n_subjects") or context.profile.values.get("n_samples") or 0)
    most = min(MAX_COVARIATES, int(n // 10))
    samples = float(context.profile.values.get("n_samples") or 0)
    for row in context.profile.tables.get("columns", []):
        name = str(row["column"])
        usual = bool(row.get("usual_covariate")) and float(row.get("n_missing") or 0) <= 0.05 * samples
        if name != target and usual and not entangled(context, name, target):
            chosen.append(name)
    chosen += [name for name in among if name not in chosen and name != target]
    batches = [name for name in batches_that_matter(context) if name not in chosen and name != target]
    chosen = [name for name in batches if not entangled(context, name, target)] + chosen
    return tuple(chosen[:most])


def covariates_of(context: DecisionContext, row: Mapping[str, Any]) -> tuple[str, ...]:
    """What the profile says its samples allow, and batches that the batch check found to matter."""
    factor = str(row["factor"])
    named = [one for one in str(row.get("covariates") or "").split(";") if one]
    found = [
        one
        for one in batches_that_matter(context)
        if one not in named and not entangled(context, one, factor)
    ]
    room = min(MAX_COVARIATES, int(min(float(row["n_a"] or 0), float(row["n_b"] or 0)) // MIN_SUBJECTS))
    return tuple((found + named)[: max(room, 0)])
