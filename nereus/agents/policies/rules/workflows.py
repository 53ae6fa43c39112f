"""Which steps answer an objective: the template of its kind of question."""

from __future__ import annotations

from nereus.agents.policies.base import DecisionContext, WorkflowDraft
from nereus.agents.policies.rules.questions import question


def plan(context: DecisionContext) -> WorkflowDraft:
    """The workflow for the objective of the context."""
    if context.objective is None:
        raise ValueError("planning a workflow needs an objective")
    return question(context.objective.kind).workflow(context, context.objective)
