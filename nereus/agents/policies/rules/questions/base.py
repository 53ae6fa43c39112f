"""What a kind of question is to the rules: when the data can answer it, which steps do, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nereus.agents.policies.base import (
    CallView,
    DecisionContext,
    Dropped,
    ObjectiveAssessment,
    ObjectiveDraft,
    StepDraft,
    WorkflowDraft,
)
from nereus.memory.records import Objective, ObjectiveKind
from nereus.tools import registry

Inputs = dict[str, str | dict[str, str]]
"""Input -> reference: ``run/<name>`` is a result that the run holds, ``#2/<output>`` the second step of the plan."""

Calls = dict[str, CallView]
"""Tool -> its last finished call within the objective."""


def no_candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """For questions that the graph opens itself, or that follow from another one."""
    return []


@dataclass(frozen=True)
class Question:
    """One kind of question.

    Attributes
    ----------
    kind
        The kind of objective.
    workflow
        The steps that answer it. A template is a start, not a recipe: each edit is made for a reason that the profile
        states, and the reason is the step's purpose in the report.
    conclude
        What was found, in a sentence with references, and the questions that follow from it.
    candidates
        Questions of this kind that the data can answer; what they cannot answer goes to the list with the reason.
    needs
        Tools without which it is not asked.
    essential
        Tools whose failure leaves nothing to go on with.
    of_cells
        Whether it is asked of tables of cells; all others are asked of tables of samples.
    """

    kind: ObjectiveKind
    workflow: Callable[[DecisionContext, Objective], WorkflowDraft]
    conclude: Callable[[DecisionContext, Objective, Calls], ObjectiveAssessment]
    candidates: Callable[[DecisionContext, list[Dropped]], list[ObjectiveDraft]] = no_candidates
    needs: tuple[str, ...] = ()
    essential: tuple[str, ...] = ()
    of_cells: bool = False

    def fits(self, context: DecisionContext) -> bool:
        """Whether its tools are there and the rows are what it asks about."""
        cells = context.profile.values.get("data_kind") == "cells"
        return self.possible and self.of_cells == cells

    @property
    def possible(self) -> bool:
        """Whether all tools that it needs are there."""
        return not self.missing_tools

    @property
    def missing_tools(self) -> list[str]:
        """Tools that it needs and that are not there."""
        return [tool for tool in self.needs if tool not in registry.CATALOGUE]


class Plan:
    """Steps under construction."""

    def __init__(self) -> None:
        self.steps: list[StepDraft] = []

    def add(
        self, tool: str, purpose: str, inputs: Inputs, /, *, publishes_as: str = "", **params: Any
    ) -> str:
        """Add a step; gives ``#<its position>``, to be followed by ``/<output>``."""
        self.steps.append(
            StepDraft(tool=tool, purpose=purpose, inputs=inputs, params=params, publishes=publishes_as)
        )
        return f"#{len(self.steps)}"

    def draft(self, template: str, stop_rule: str) -> WorkflowDraft:
        """The finished workflow."""
        return WorkflowDraft(template=template, steps=tuple(self.steps), stop_rule=stop_rule)
