"""The kinds of question that the rules know, one file each.

A question whose tools are not registered is neither proposed nor planned.
"""

from __future__ import annotations

from nereus.agents.policies.rules.questions import (
    activity,
    association,
    cells,
    cross_layer,
    data,
    describe,
    differential,
    dose_response,
    dose_targets,
    interaction,
    interactome,
    localisation,
    longitudinal,
    markers,
    modules,
    panel,
    pathway,
    quality,
    signalling,
    subtypes,
    survival,
    synthesis,
    targets,
    validation,
)
from nereus.agents.policies.rules.questions.base import Question
from nereus.errors import PlanError
from nereus.memory.records import ObjectiveKind

_ALL = (
    data.QUESTION,
    quality.QUESTION,
    differential.QUESTION,
    association.QUESTION,
    interaction.QUESTION,
    longitudinal.QUESTION,
    survival.QUESTION,
    dose_response.QUESTION,
    targets.QUESTION,
    dose_targets.QUESTION,
    interactome.QUESTION,
    cells.POPULATIONS,
    cells.STATES,
    markers.QUESTION,
    activity.QUESTION,
    signalling.QUESTION,
    panel.QUESTION,
    subtypes.QUESTION,
    modules.QUESTION,
    localisation.QUESTION,
    cross_layer.QUESTION,
    validation.QUESTION,
    describe.QUESTION,
    pathway.QUESTION,
    synthesis.QUESTION,
)
QUESTIONS: dict[ObjectiveKind, Question] = {one.kind: one for one in _ALL}
"""Every kind of question."""

ESSENTIAL = frozenset(tool for one in _ALL for tool in one.essential)
"""Tools whose failure leaves nothing to go on with."""


def question(kind: ObjectiveKind) -> Question:
    """The rules for a kind of objective."""
    if kind not in QUESTIONS:
        raise PlanError(f"the rules know no question of kind {kind.value!r}", where="policy 'rules'")
    return QUESTIONS[kind]


__all__ = ["ESSENTIAL", "QUESTIONS", "Question", "question"]
