"""Read and understand the data: always the first question, opened by the graph."""

from __future__ import annotations

from nereus.agents.policies.base import DecisionContext, ObjectiveAssessment, WorkflowDraft
from nereus.agents.policies.rules.questions.base import Calls, Inputs, Plan, Question
from nereus.memory.records import Objective, ObjectiveKind


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Load, name the genes, profile, and draw what is missing."""
    inputs: Inputs = {"data": "run/data"}
    if context.limits.get("has_samples"):
        inputs["samples"] = "run/samples"
    plan = Plan()
    plan.add("load_dataset", "read the table, recognise its software, remove contaminants and decoys", inputs)
    plan.add("annotate_genes", "name the genes of accessions, and the organism", {"dataset": "#1/dataset"})
    plan.add(
        "profile_dataset",
        "find the unit of analysis, factors, batches, pairs and missingness",
        {"dataset": "#2/dataset"},
    )
    plan.add("plot_missingness", "show what was measured in each sample", {"dataset": "#3/dataset"})
    return plan.draft("understand", "the profile is complete, or the data are refused")


def conclude(context: DecisionContext, objective: Objective, calls: Calls) -> ObjectiveAssessment:
    """How much there is."""
    if "profile_dataset" not in calls:
        return ObjectiveAssessment(verdict="abandon", summary="the data could not be profiled")
    step = calls["profile_dataset"].step_id
    counted = [
        f"{{{{{step}.{name}}}}} {word}"
        for name, word in (("n_features", "features"), ("n_samples", "samples"), ("n_subjects", "subjects"))
    ]
    return ObjectiveAssessment(verdict="done", summary=", ".join(counted))


QUESTION = Question(
    ObjectiveKind.DATA,
    workflow,
    conclude,
    needs=("load_dataset", "profile_dataset"),
    essential=("load_dataset", "profile_dataset"),
)
