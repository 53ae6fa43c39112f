"""Prepare the matrix and judge its quality: asked before anything is inferred."""

from __future__ import annotations

import math
from typing import Any

from nereus.agents.planner.companions import COHORT, LAYER, LOADED, PREPARED, companions, owner
from nereus.agents.policies.base import (
    DecisionContext,
    Dropped,
    ObjectiveAssessment,
    ObjectiveDraft,
    WorkflowDraft,
)
from nereus.agents.policies.rules.questions.base import Calls, Inputs, Plan, Question
from nereus.agents.policies.rules.questions.design import PANEL_FEATURES, columns_of, main_factor, table
from nereus.memory.records import Objective, ObjectiveKind
from nereus.tools import registry

GLOBAL_SHIFT = 0.1
"""Median log2 difference of all features between two groups from which their levels are said to be shifted."""
SHIFT_ERRORS = 2.0
"""Standard errors that it must be beyond zero; the shift itself is part of the spread that they are made of."""


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """Once a run."""
    if any(one.kind is ObjectiveKind.QUALITY for one in context.objectives):
        return []
    return [
        ObjectiveDraft(
            kind=ObjectiveKind.QUALITY,
            statement="Prepare the matrix and judge its quality",
            rationale="Nothing is inferred before the unit of analysis, batches and outliers are known.",
            cites=("profile:unit_of_analysis", "profile:missing_rate"),
            priority=1.0,
        )
    ]


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Judge the samples, aggregate repeats, normalise, filter, and see what the largest differences follow."""
    values = context.profile.values
    if values.get("data_kind") == "cells":
        return _cells(context)
    plan = Plan()
    current = "run/loaded"

    def add(tool: str, purpose: str, inputs: Inputs | None = None, **params: Any) -> str:
        return plan.add(tool, purpose, inputs or {"dataset": current}, **params)

    # Judged before aggregation, so that a bad technical row is seen.
    add("quality_control", "pass or fail each sample, before anything is changed")
    if values.get("aggregate_by"):
        current = (
            add(
                "aggregate_replicates",
                "technical replicates are not subjects: one row a subject from here on",
                by=values["aggregate_by"],
                keep_apart=[one for one in str(values.get("keep_apart") or "").split(";") if one],
            )
            + "/dataset"
        )
    # Fractions differ in what they hold: to shift them would remove the profiles that tell organelles apart.
    fractions = values.get("data_kind") == "fractions"
    few = float(values.get("n_features") or 0) < PANEL_FEATURES
    shifted = _shifted_group(context)
    method = "none" if few or fractions else "stable_subset" if shifted else "median"
    current = (
        add(
            "normalise",
            "fractions are not shifted: they differ in what they hold"
            if fractions
            else "a panel is not shifted: few features may all change"
            if method == "none"
            else f"{shifted}: this is more of the sample or a change of most of it, which values alone cannot tell apart; "
            "the shift is read from the features that vary least, not from all"
            if shifted
            else "take out loading differences between samples, by the median ratio to each protein's mean",
            method=method,
        )
        + "/dataset"
    )
    plex = _plexes(context)
    if plex is not None:
        current = (
            add(
                "internal_reference_scaling",
                "samples of different plexes are not comparable: put each protein on one scale by the references"
                if plex["reference_samples"]
                else "samples of different plexes are not comparable: put each protein on one scale by the mean of a plex",
                **plex,
            )
            + "/dataset"
        )
    if values.get("alternative_quantities"):
        current = (
            add(
                "combine_quantities",
                "average the two quantities of the file, which err for different reasons",
            )
            + "/dataset"
        )
    # After the quantities are combined: one of them may hold features that the other lacks.
    current = (
        add(
            "filter_features",
            "leave out features seen too rarely to say anything about",
            factor=main_factor(context),
            min_present_per_group=2,
        )
        + "/dataset"
    )
    principal = add("pca_variance", "see which columns the largest differences follow", {"dataset": current})
    batches, factors = columns_of(context, "batch"), columns_of(context, "factor", "ordered")
    if batches:
        add(
            "batch_check",
            "do batches explain variance, and can they be told from the factors?",
            {"dataset": current},
            batch=batches,
            factors=factors,
        )
    if len(batches) == 1 and "batch_effect" in context.anticipated:
        plan.add(
            "plot_pca",
            f"draw the samples by {batches[0]}: in earlier data of this kind a batch explained much",
            {"scores": f"{principal}/scores", "variance": f"{principal}/variance", "dataset": current},
            publishes_as="pca_by_batch",
            factor=batches[0],
        )
    variables = [str(row["variable"]) for row in context.profile.tables.get("associations", [])]
    if factors or variables:
        add(
            "screen_factors",
            "which columns does the whole proteome follow?",
            {"dataset": current},
            factors=[*factors, *batches],
            variables=variables,
            subject=values.get("subject_column") if current == "run/loaded" else None,
        )
    add(
        "plot_pca",
        "draw the samples",
        {"scores": f"{principal}/scores", "variance": f"{principal}/variance", "dataset": current},
    )
    for role in companions(name.partition(f":{LOADED}")[0] for name in context.run_outputs if owner(name)):
        _beside(context, plan, role)
    return plan.draft("prepare", "the prepared matrix and its quality are known")


def _shifted_group(context: DecisionContext) -> str:
    """What is said of a comparison whose groups differ as a whole before anything is shifted; empty where they do not.

    A shift of the group is told from loading noise by the standard error of the difference of two means of shifts.
    """
    values = context.profile.values
    rows = [row for row in table(context, "contrasts") if row["contrast"] == values.get("main_contrast")]
    shift = abs(float(values.get("global_shift_median") or 0))
    if not rows or shift <= GLOBAL_SHIFT:
        return ""
    n_a, n_b = float(rows[0]["n_a"] or 0), float(rows[0]["n_b"] or 0)
    noise = float(values.get("sd_of_shifts") or 0)
    if min(n_a, n_b) < 1 or shift <= SHIFT_ERRORS * noise * math.sqrt(1 / n_a + 1 / n_b):
        return ""
    return (
        f"all features are shifted together between {rows[0]['a']} and {rows[0]['b']} ({rows[0]['factor']})"
    )


def _beside(context: DecisionContext, plan: Plan, role: str) -> None:
    """Prepare the cohort or a layer as the data are prepared; the newest data set of it is shared under one name."""
    values = {
        name.removeprefix(f"{role}:"): value
        for name, value in context.profile.values.items()
        if name.startswith(f"{role}:")
    }
    if f"{role}:{LOADED}" not in context.run_outputs or values.get("data_kind") in ("cells", "fractions"):
        return
    what = "the second cohort" if role == COHORT else f"the layer {role.removeprefix(LAYER)}"
    current = f"run/{role}:{LOADED}"

    def add(tool: str, purpose: str, **params: Any) -> str:
        made = plan.add(tool, purpose, {"dataset": current}, publishes_as=f"{role}:{PREPARED}", **params)
        return f"{made}/dataset"

    if values.get("aggregate_by"):
        current = add(
            "aggregate_replicates",
            f"one row a subject of {what}",
            by=values["aggregate_by"],
            keep_apart=[one for one in str(values.get("keep_apart") or "").split(";") if one],
        )
    few = float(values.get("n_features") or 0) < PANEL_FEATURES
    current = add(
        "normalise",
        f"{what} is a panel: it is not shifted" if few else f"take out loading differences of {what}",
        method="none" if few else "median",
    )
    plex = _plexes(context, f"{role}:")
    if plex is not None:
        current = add("internal_reference_scaling", f"put the plexes of {what} on one scale", **plex)
    if values.get("alternative_quantities"):
        current = add("combine_quantities", f"average the two quantities of {what}")
    compared = table(context, f"{role}:contrasts")
    add(
        "filter_features",
        f"leave out features seen too rarely in {what}",
        factor=str(compared[0]["factor"]) if compared else None,
        min_present_per_group=2,
    )


def _cells(context: DecisionContext) -> WorkflowDraft:
    """Transform, leave out what is no single cell, find populations and name them."""
    plan = Plan()
    made = plan.add(
        "transform_cells",
        "bring the channels to a scale on which populations are round, and tell lineage from state",
        {"dataset": "run/loaded"},
    )
    good = plan.add(
        "cell_quality",
        "leave out doublets, debris and limits; judge the samples",
        {"dataset": f"{made}/dataset"},
    )
    found = plan.add(
        "cluster_cells",
        "find populations by their lineage markers, as many as subsamples agree on",
        {"dataset": f"{good}/dataset"},
    )
    plan.add("annotate_clusters", "name them by what they have and lack", {"dataset": f"{found}/dataset"})
    return plan.draft("prepare cells", "every cell belongs to a population whose stability is known")


def _plexes(context: DecisionContext, of: str = "") -> dict[str, Any] | None:
    """How several plexes of labelled samples are put on one scale; None where there are none, or where it cannot be done.

    By reference channels where every plex has one; by the mean of each plex where every plex holds the same mixture of
    what is compared.
    """
    if "internal_reference_scaling" not in registry.CATALOGUE:
        return None
    rows = table(context, f"{of}plexes")
    names = {str(row["column"]) for row in rows}
    if len(rows) < 2 or len(names) != 1 or not context.profile.values.get(f"{of}isobaric"):
        return None
    factors = [
        str(row["column"])
        for row in table(context, f"{of}columns")
        if row.get("role") in ("factor", "ordered")
    ]
    references = [one for row in rows for one in str(row.get("references") or "").split(";") if one]
    if all(float(row.get("n_references") or 0) > 0 for row in rows):
        return {
            "plex": names.pop(),
            "method": "reference",
            "reference_samples": references,
            "factors": factors,
        }
    column = next(iter(names))
    tied = any(
        column in (row.get("first"), row.get("second")) and float(row.get("cramers_v") or 0) > 0.3
        for row in table(context, f"{of}confounding")
        if row.get("kind") == "factor-batch"
    )
    if tied:
        return None
    return {"plex": column, "method": "plex_mean", "reference_samples": [], "factors": factors}


def conclude(context: DecisionContext, objective: Objective, calls: Calls) -> ObjectiveAssessment:
    """Nothing to say beyond its tables."""
    return ObjectiveAssessment(verdict="done", summary="done")


QUESTION = Question(
    ObjectiveKind.QUALITY,
    workflow,
    conclude,
    candidates,
    needs=("normalise", "filter_features"),
    essential=("normalise", "filter_features"),
)
