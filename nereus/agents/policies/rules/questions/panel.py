"""Questions that ask whether a few proteins can predict: asked after a comparison that found something."""

from __future__ import annotations

from nereus.agents.policies.base import (
    DecisionContext,
    Dropped,
    ObjectiveAssessment,
    ObjectiveDraft,
    WorkflowDraft,
)
from nereus.agents.policies.rules.questions.base import Calls, Plan, Question
from nereus.agents.policies.rules.questions.design import contrast_of, features_word, smallest_group
from nereus.agents.policies.rules.questions.priority import novelty, priority, question_match
from nereus.memory.records import Contrast, Objective, ObjectiveKind

SMALLEST_GROUP = 8
"""Subjects in the smaller group below which nothing is learned that could be judged out of fold."""
PERMUTATIONS = 99
"""Exchanged labellings: their p reaches one in a hundred, which the error level over several questions asks for."""
MOST_PANELS = 2
"""Panels a run, those of the first comparisons that found something: each costs many fits."""
_WORDS = [
    "biomarker",
    "marker",
    "markers",
    "predict",
    "panel",
    "diagnosis",
    "diagnostic",
    "classify",
    "signature",
]


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """A comparison that is done, found something, and has subjects enough to hold some out."""
    found = {
        call.step_id.partition(".")[0]
        for call in context.calls
        if call.tool == "differential_abundance" and float(call.values.get("n_significant") or 0) > 0
    }
    drafts = []
    for one in context.objectives:
        if one.kind is not ObjectiveKind.DIFFERENTIAL or one.status != "done" or one.id not in found:
            continue
        contrast = contrast_of(one)
        if smallest_group(context, contrast) < SMALLEST_GROUP or contrast.block is not None:
            continue
        parts = {
            "screen": one.priority_parts.get("screen", 0.5),
            "power": one.priority_parts.get("power", 0.0),
            "question": question_match(context.question, [contrast.factor, contrast.a, contrast.b, *_WORDS]),
            "novelty": novelty(context, ObjectiveKind.PANEL, contrast.factor),
            "directness": one.priority_parts.get("directness", 0.5),
            "cost": 1.0,
        }
        plain = Contrast(factor=contrast.factor, a=contrast.a, b=contrast.b, subset=contrast.subset)
        drafts.append(
            ObjectiveDraft(
                kind=ObjectiveKind.PANEL,
                statement=f"Can a few {features_word(context)} tell {contrast.a} from {contrast.b} ({contrast.factor})?",
                contrast=plain,
                covariates=contrast.covariates,
                rationale="single features differ; whether a few of them predict must be judged on subjects that "
                "were not used to choose them",
                cites=(one.id,),
                priority=priority(parts),
                priority_parts=parts,
            )
        )
    drafts.sort(key=lambda draft: (-draft.priority, draft.statement))
    return drafts[:MOST_PANELS]


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Nested cross-validation by subject, beside what the covariates alone predict."""
    plan = Plan()
    judged = plan.add(
        "biomarker_panel",
        "choose a panel inside the training folds, judge it on the subjects left out, and exchange labels",
        {"dataset": "run/prepared"},
        contrast=contrast_of(objective).model_dump(mode="json"),
        covariates=list(objective.covariates),
        n_permutations=PERMUTATIONS,
    )
    plan.add(
        "plot_roc",
        "draw how well it tells them apart",
        {
            "roc": f"{judged}/roc",
            "performance": f"{judged}/performance",
            "calibration": f"{judged}/calibration",
        },
    )
    return plan.draft("panel", "the panel was judged on subjects that did not choose it")


def conclude(context: DecisionContext, objective: Objective, calls: Calls) -> ObjectiveAssessment:
    """How well it predicts out of fold."""
    call = calls.get("biomarker_panel")
    if call is None:
        return ObjectiveAssessment(verdict="abandon", summary="no panel could be judged")
    summary = f"performance out of fold {{{{{call.step_id}.performance|.2f}}}}"
    if call.values.get("p_permutation") is not None:
        summary += f", permutation p {{{{{call.step_id}.p_permutation|p}}}}"
    return ObjectiveAssessment(verdict="done", summary=summary, cites=(call.step_id,))


QUESTION = Question(
    ObjectiveKind.PANEL, workflow, conclude, candidates, needs=("biomarker_panel", "plot_roc")
)
