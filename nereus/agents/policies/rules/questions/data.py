"""Read and understand the data: always the first question, opened by the graph."""

from __future__ import annotations

from typing import Any

from nereus.agents.planner.companions import COHORT, LAYER, LOADED, companions, reader_params, sheet_of
from nereus.agents.policies.base import DecisionContext, ObjectiveAssessment, WorkflowDraft
from nereus.agents.policies.rules.questions.base import Calls, Inputs, Plan, Question
from nereus.memory.records import Objective, ObjectiveKind

READ: dict[str, Any] = {"drop": {"blank_channel": True}}
"""How a table is read: a reporter channel that was left empty is no sample, and would be compared as one."""


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Load, name the genes, profile, and draw what is missing."""
    inputs: Inputs = {"data": "run/data"}
    if context.limits.get("has_samples"):
        inputs["samples"] = "run/samples"
    plan = Plan()
    roles = [name.removeprefix("has:") for name in context.limits if name.startswith("has:")]
    plan.add(
        "load_dataset",
        "read the table, recognise its software, remove contaminants, decoys and empty channels",
        inputs,
        **READ,
        **reader_params("data", roles),
    )
    plan.add("annotate_genes", "name the genes of accessions, and the organism", {"dataset": "#1/dataset"})
    plan.add(
        "profile_dataset",
        "find the unit of analysis, factors, batches, pairs and missingness",
        {"dataset": "#2/dataset"},
    )
    plan.add("plot_missingness", "show what was measured in each sample", {"dataset": "#3/dataset"})
    for role in companions(roles):
        _beside(plan, role, roles, bool(inputs.get("samples")))
    return plan.draft("understand", "the profile is complete, or the data are refused")


def _beside(plan: Plan, role: str, roles: list[str], sheet: bool) -> None:
    """Read the cohort or a layer in the same way; the newest data set of it is shared under one name."""
    shared = f"{role}:{LOADED}"
    what = "the second cohort" if role == COHORT else f"the layer {role.removeprefix(LAYER)}"
    inputs: Inputs = {"data": f"run/{role}"}
    if sheet_of(role) in roles or (sheet and sheet_of(role) == "samples"):
        inputs["samples"] = f"run/{sheet_of(role)}"
    params = {**READ, **reader_params(role, roles)}
    read = plan.add("load_dataset", f"read {what}", inputs, publishes_as=shared, **params)
    named = plan.add(
        "annotate_genes",
        f"name the genes of {what}",
        {"dataset": f"{read}/dataset"},
        publishes_as=shared,
    )
    plan.add(
        "profile_dataset",
        f"understand {what}: its unit of analysis, and what it can answer",
        {"dataset": f"{named}/dataset"},
        publishes_as=shared,
    )


def conclude(context: DecisionContext, objective: Objective, calls: Calls) -> ObjectiveAssessment:
    """How much there is."""
    profiled = context.run_outputs.get("profile", "").partition("/")[0]
    step = next((call.step_id for call in context.calls if call.step_id == profiled), "")
    if not step:
        return ObjectiveAssessment(verdict="abandon", summary="the data could not be profiled")
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
