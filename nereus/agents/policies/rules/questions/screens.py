"""What all questions share that test every feature: how the test is judged, and what follows from its table."""

from __future__ import annotations

from nereus.agents.planner.questions import TESTED
from nereus.agents.planner.relations import RELATIONS, said, words_of
from nereus.agents.policies.base import CallView, DecisionContext, ObjectiveAssessment, ObjectiveDraft
from nereus.agents.policies.rules.questions import validation
from nereus.agents.policies.rules.questions.base import Calls
from nereus.agents.policies.rules.questions.design import features_word
from nereus.memory.records import Objective, ObjectiveKind
from nereus.tools import registry

RANK_TEST_BELOW = 5
"""Subjects a group below which a rank test stands beside the moderated t (spec: n < 5)."""
HEAVY_TAILS = 7.0
"""Residual kurtosis above which a rank test stands beside the moderated t."""
SUBSAMPLES = 50
"""Half-samples of a stability."""
PERMUTATIONS = 50
"""Label permutations of a null (spec: at least 50); fewer where fewer distinct ones exist."""
PLANTINGS = 10
"""Copies with planted effects from which the confidence of a finding is learned (spec: ten)."""
MOST_CHILDREN = 2
ENOUGH_FOR_SETS = 100
"""Tested features below which sets are not asked for."""
MAPPED = 0.2
"""Share of features whose gene is known, below which sets are not asked for."""


def conclude(context: DecisionContext, objective: Objective, calls: Calls) -> ObjectiveAssessment:
    """How many features hold at the level of the table, and which questions follow."""
    asked = TESTED[objective.kind]
    call = calls.get(asked.tool)
    if call is None:
        return ObjectiveAssessment(verdict="abandon", summary="the test could not be carried out")
    step, plural = call.step_id, RELATIONS[asked.relation_of(objective)].plural
    counted = said(plural, words_of(objective, features=features_word(context)))
    summary = f"{{{{{step}.n_significant}}}} of {{{{{step}.n_tested}}}} {counted} at the level of this table"
    null = calls.get("permutation_null", call)
    if null.values.get("null_p95") is not None:
        summary += f"; shuffled labels give at most {{{{{null.step_id}.null_p95|.0f}}}} in ninety-five of a hundred cases"
    children = (
        *sets_of(context, objective, call),
        *activities_of(context, objective, call),
    )[:MOST_CHILDREN]
    again = validation.children(context, objective, call)
    # A cohort that was given is there to be asked; keeping subjects aside is one question among others.
    children = (*children, *again) if again and again[0].design else (*children, *again)[:MOST_CHILDREN]
    return ObjectiveAssessment(
        verdict="spawn_children" if children else "done",
        summary=summary,
        cites=(call.step_id,),
        children=children,
    )


def activities_of(context: DecisionContext, objective: Objective, call: CallView) -> list[ObjectiveDraft]:
    """The question which kinases stand behind changed sites."""
    sites = context.profile.values.get("data_kind") == "sites"
    found = float(call.values.get("n_significant") or 0) > 0
    if objective.kind is not ObjectiveKind.DIFFERENTIAL or not sites or not found:
        return []
    if not all(tool in registry.CATALOGUE for tool in ("kinase_activity", "plot_activities")):
        return []
    return [
        ObjectiveDraft(
            kind=ObjectiveKind.ACTIVITY,
            statement=f"Which kinases are more or less active in {objective.about}?",
            contrast=objective.contrast,
            rationale="sites differ; the kinases that phosphorylate them may stand behind it",
            cites=(call.step_id,),
            priority=objective.priority,
        )
    ]


def sets_of(context: DecisionContext, objective: Objective, call: CallView) -> list[ObjectiveDraft]:
    """The question whether sets of features move together, where their genes are known and there are enough."""
    if objective.kind is ObjectiveKind.MODULES or context.profile.values.get("data_kind") in (
        "cells",
        "fractions",
    ):
        return []
    rate = next(
        (one.values.get("set_mapping_rate") for one in context.calls if one.tool == "annotate_genes"), None
    )
    mappable = rate is None or float(rate) >= MAPPED
    if not mappable or float(call.values.get("n_tested") or 0) < ENOUGH_FOR_SETS:
        return []
    return [
        ObjectiveDraft(
            kind=ObjectiveKind.PATHWAY,
            statement=f"Which processes move together in {objective.about}?",
            contrast=objective.contrast,
            variable=objective.variable,
            design=objective.design,
            label=objective.label,
            covariates=objective.covariates,
            rationale="single features were tested; sets of them may move together",
            cites=(call.step_id,),
            priority=objective.priority,
        )
    ]
