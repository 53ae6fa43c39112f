"""Prepare the matrix and judge its quality: asked before anything is inferred."""

from __future__ import annotations

from typing import Any

from nereus.agents.policies.base import (
    DecisionContext,
    Dropped,
    ObjectiveAssessment,
    ObjectiveDraft,
    WorkflowDraft,
)
from nereus.agents.policies.rules.questions.base import Calls, Inputs, Plan, Question
from nereus.agents.policies.rules.questions.design import PANEL_FEATURES, columns_of, main_factor
from nereus.memory.records import Objective, ObjectiveKind


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
    method = "none" if float(values.get("n_features") or 0) < PANEL_FEATURES else "median"
    current = (
        add(
            "normalise",
            "a panel is not shifted: few features may all change"
            if method == "none"
            else "take out loading differences between samples, by the median ratio to each protein's mean",
            method=method,
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
    return plan.draft("prepare", "the prepared matrix and its quality are known")


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
