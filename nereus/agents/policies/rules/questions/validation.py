"""Questions that ask whether findings hold again in subjects that had no say in them (template T10).

Where a second cohort is given that can answer the question, the findings are tested there, and only there. Else the
subjects are split: six of ten discover, four of ten confirm.
"""

from __future__ import annotations

from nereus.agents.planner.companions import COHORT, PREPARED
from nereus.agents.planner.questions import TESTED
from nereus.agents.policies.base import (
    CallView,
    DecisionContext,
    Dropped,
    ObjectiveAssessment,
    ObjectiveDraft,
    WorkflowDraft,
)
from nereus.agents.policies.rules.questions import second_cohort
from nereus.agents.policies.rules.questions.base import Calls, Plan, Question
from nereus.agents.policies.rules.questions.comparison import TEST_OPTIONS
from nereus.agents.policies.rules.questions.design import contrast_of, smallest_group
from nereus.agents.policies.rules.questions.priority import GIVEN, question_match
from nereus.errors import PlanError
from nereus.memory.records import Objective, ObjectiveKind
from nereus.tools import registry

SMALLEST_GROUP = 30
"""Subjects in the smaller group from which on some can be kept aside."""
SHARE = 0.6
_WORDS = ["validate", "validation", "replicate", "replication", "confirm", "confirmed", "hold"]
NEEDS = ("split_cohort", "differential_abundance", "replicate_externally")


_CARRIED = (ObjectiveKind.DIFFERENTIAL, ObjectiveKind.ASSOCIATION)
"""Questions whose findings can be carried over to another cohort."""


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """None: it follows from a question with findings. What the cohort cannot test is told."""
    cohort = second_cohort.name(context)
    for one in context.objectives if cohort else ():
        if one.kind in _CARRIED and one.status == "done" and (why := second_cohort.why_not(context, one)):
            dropped.append(Dropped(subject=f"{one.about} in the cohort {cohort}", reason=why))
    return []


def in_cohort(context: DecisionContext, objective: Objective, call: CallView) -> list[ObjectiveDraft]:
    """The question whether the findings are replicated in the second cohort, where there are any and it can be asked."""
    cohort = second_cohort.name(context)
    if (
        not cohort
        or objective.kind not in _CARRIED
        or float(call.values.get("n_significant") or 0) == 0
        or "replicate_externally" not in registry.CATALOGUE
        or second_cohort.why_not(context, objective)
    ):
        return []
    return [
        ObjectiveDraft(
            kind=ObjectiveKind.VALIDATION,
            statement=f"Is what was found in {objective.about} replicated in {cohort}?",
            contrast=objective.contrast,
            variable=objective.variable,
            covariates=objective.covariates,
            design={COHORT: cohort},
            label=objective.label,
            rationale="a second cohort was given that had no say in the findings",
            cites=(call.step_id,),
            priority=max(GIVEN, objective.priority),
        )
    ]


def children(context: DecisionContext, objective: Objective, call: CallView) -> list[ObjectiveDraft]:
    """After a question with findings: in the second cohort; else, among subjects enough, in some that are kept aside.

    Of the latter only the first comparison is asked, or all where the user asks for it.
    """
    if external := in_cohort(context, objective, call):
        return external
    known = any(one.kind is ObjectiveKind.VALIDATION for one in context.objectives)
    if known and not question_match(context.question, _WORDS):
        return []
    if (
        objective.kind is not ObjectiveKind.DIFFERENTIAL
        or objective.contrast is None
        or objective.contrast.block is not None
        or float(call.values.get("n_significant") or 0) == 0
        or smallest_group(context, objective.contrast) < SMALLEST_GROUP
        or not all(tool in registry.CATALOGUE for tool in NEEDS)
    ):
        return []
    return [
        ObjectiveDraft(
            kind=ObjectiveKind.VALIDATION,
            statement=f"Does what differs in {objective.about} hold again in subjects that were kept aside?",
            contrast=objective.contrast,
            rationale="with thirty or more subjects a group, some of them can be kept aside",
            cites=(call.step_id,),
            priority=objective.priority,
        )
    ]


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Test the findings in the cohort; without one split, discover in one part and test in the other."""
    if COHORT in objective.design:
        return _external(context, objective)
    contrast = contrast_of(objective)
    described = contrast.model_dump(mode="json")
    plan = Plan()
    split = plan.add(
        "split_cohort",
        "divide the subjects into those that discover and those that confirm",
        {"dataset": "run/prepared"},
        by=[contrast.factor, *contrast.covariates[:1]],
        share=SHARE,
    )
    found = plan.add(
        "differential_abundance",
        "find what differs among those that discover",
        {"dataset": f"{split}/discovery"},
        publishes_as="discovered",
        contrast=described,
        **TEST_OPTIONS,
    )
    plan.add(
        "replicate_externally",
        "test the findings, and only them, among those that confirm",
        {"table": f"{found}/differential", "dataset": f"{split}/confirmation"},
        contrast=described,
        **TEST_OPTIONS,
    )
    return plan.draft("validation", "every finding was tested again in other subjects")


def _external(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Carry the findings of the question that it follows from to the second cohort."""
    parent = next(one for one in context.objectives if one.id == objective.parent_id)
    asked = second_cohort.described(context, objective)
    if isinstance(asked, str):
        raise PlanError(
            asked, where=f"objective {objective.id}", mend="drop it, or compare what the cohort holds"
        )
    plan = Plan()
    plan.add(
        "replicate_externally",
        "test the findings, and only them, in the second cohort",
        {"table": f"run/{parent.id}:{TESTED[parent.kind].main}", "dataset": f"run/{COHORT}:{PREPARED}"},
        **asked,
        **(TEST_OPTIONS if objective.contrast is not None else {}),
    )
    return plan.draft("validation in a second cohort", "every finding was tested again in the second cohort")


def conclude(context: DecisionContext, objective: Objective, calls: Calls) -> ObjectiveAssessment:
    """How many findings hold again."""
    call = calls.get("replicate_externally")
    if call is None:
        return ObjectiveAssessment(verdict="abandon", summary="nothing could be tested again")
    step = call.step_id
    where = objective.design.get(COHORT)
    held = f"are replicated in {where}" if where else "hold again in other subjects"
    return ObjectiveAssessment(
        verdict="done",
        summary=f"{{{{{step}.n_replicated}}}} of {{{{{step}.n_carried}}}} findings {held}",
        cites=(step,),
    )


QUESTION = Question(
    ObjectiveKind.VALIDATION, workflow, conclude, candidates, needs=NEEDS, essential=("replicate_externally",)
)
