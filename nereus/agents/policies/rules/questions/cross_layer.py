"""Questions that ask whether features follow their own of another layer of the same samples."""

from __future__ import annotations

from typing import Any

from nereus.agents.planner.companions import LAYER, PREPARED, companions, owner
from nereus.agents.policies.base import (
    DecisionContext,
    Dropped,
    ObjectiveAssessment,
    ObjectiveDraft,
    WorkflowDraft,
)
from nereus.agents.policies.rules.questions.base import Calls, Plan, Question
from nereus.agents.policies.rules.questions.design import features_word
from nereus.agents.policies.rules.questions.priority import GIVEN, power, priority, question_match
from nereus.agents.policies.rules.questions.screens import PERMUTATIONS, PLANTINGS, SUBSAMPLES
from nereus.memory.records import Objective, ObjectiveKind

LEAST_SUBJECTS = 8
"""Subjects below which a correlation says nothing."""
_WORDS = [
    "layer",
    "layers",
    "correlation",
    "correlate",
    "agree",
    "concordant",
    "rna",
    "transcript",
    "discordant",
]


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """Each layer that was prepared, once."""
    shared = {owner(name) for name in context.run_outputs if name.endswith(f":{PREPARED}")}
    drafts = []
    for role in companions(shared):
        if not role.startswith(LAYER) or "prepared" not in context.run_outputs:
            continue
        layer = role.removeprefix(LAYER)
        n = min(float(context.profile.values.get(name) or 0) for name in ("n_subjects", f"{role}:n_subjects"))
        if n < LEAST_SUBJECTS:
            dropped.append(
                Dropped(
                    subject=f"agreement with the layer {layer}", reason="fewer than eight subjects have both"
                )
            )
            continue
        word = features_word(context)
        parts = {
            "screen": 0.5,
            "power": power(n / 2, n / 2),
            "question": max(0.5, question_match(context.question, [layer, *_WORDS])),
            "novelty": 1.0,
            "directness": 1.0,
            "cost": 0.3,
        }
        drafts.append(
            ObjectiveDraft(
                kind=ObjectiveKind.CROSS_LAYER,
                statement=f"Which {word} follow their own of the layer {layer}?",
                design={"layer": layer},
                label=f"{word} and {layer}",
                rationale="a second layer of the same samples was given",
                cites=(f"profile:{role}:n_samples",),
                priority=max(GIVEN, priority(parts)),
                priority_parts=parts,
            )
        )
    return drafts


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """The correlation of each feature with its own, and of what exchanged subjects give."""
    values = context.profile.values
    layer = objective.design["layer"]
    subject = values.get("subject_column")
    repeated = float(values.get("n_subjects") or 0) < float(values.get("n_samples") or 0)
    params: dict[str, Any] = {
        "n_permutations": PERMUTATIONS,
        "n_subsamples": SUBSAMPLES,
        "n_plantings": PLANTINGS,
    }
    if subject and repeated and values.get(f"{LAYER}{layer}:subject_column") == subject:
        params["subject"] = subject
    plan = Plan()
    test = plan.add(
        "cross_layer_correlation",
        f"correlate each feature with its own of the layer {layer}, and with exchanged subjects",
        {"dataset": "run/prepared", "other": f"run/{LAYER}{layer}:{PREPARED}"},
        **params,
    )
    plan.add("plot_volcano", "draw correlation against significance", {"table": f"{test}/cross_layer"})
    return plan.draft("layers", "every feature with a counterpart was correlated")


def conclude(context: DecisionContext, objective: Objective, calls: Calls) -> ObjectiveAssessment:
    """How many agree, how much on the whole, and how many less than is typical."""
    call = calls.get("cross_layer_correlation")
    if call is None:
        return ObjectiveAssessment(verdict="abandon", summary="the layers could not be correlated")
    step = call.step_id
    return ObjectiveAssessment(
        verdict="done",
        summary=(
            f"{{{{{step}.n_positive}}}} of {{{{{step}.n_tested}}}} agree at the level of this table, "
            f"{{{{{step}.n_negative}}}} run against each other; median correlation {{{{{step}.median|.2f}}}}; "
            f"{{{{{step}.n_discordant}}}} agree less than is typical"
        ),
        cites=(step,),
    )


QUESTION = Question(
    ObjectiveKind.CROSS_LAYER,
    workflow,
    conclude,
    candidates,
    needs=("cross_layer_correlation",),
    essential=("cross_layer_correlation",),
)
