"""Questions that ask which kinases stand behind changed sites: a child of a comparison of sites."""

from __future__ import annotations

from typing import Any

from nereus.agents.policies.base import DecisionContext, WorkflowDraft
from nereus.agents.policies.rules.questions.base import Inputs, Plan, Question
from nereus.agents.policies.rules.questions.screens import conclude
from nereus.memory.records import Objective, ObjectiveKind


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Sum up each kinase's sites: by known sites where the run holds a network, else by sequence motifs."""
    plan = Plan()
    inputs: Inputs = {"table": f"run/{objective.parent_id}:differential", "dataset": "run/prepared"}
    if "network" in context.run_outputs:
        inputs["network"] = "run/network"
    tested: dict[str, Any] = {}
    if objective.contrast is not None:  # its residuals tell how sites vary together
        tested["contrast"] = objective.contrast.model_dump(mode="json")
    scored = plan.add(
        "kinase_activity",
        "do the sites of a kinase move together, beyond what all sites do?",
        inputs,
        **tested,
    )
    # The drawing has the name of the table; it is shared under another one.
    plan.add(
        "plot_activities",
        "draw the kinases",
        {"table": f"{scored}/activities"},
        publishes_as="activities_drawn",
    )
    return plan.draft("kinases", "every kinase with enough sites was scored")


QUESTION = Question(
    ObjectiveKind.ACTIVITY,
    workflow,
    conclude,
    needs=("kinase_activity", "plot_activities"),
    essential=("kinase_activity",),
)
