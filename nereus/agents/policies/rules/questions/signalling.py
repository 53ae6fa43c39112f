"""Questions that ask which signalling pathways stand behind changed genes: asked after a comparison of them.

The genes that respond to fourteen pathways ship with the package, so it needs no file of the user's.
"""

from __future__ import annotations

from collections.abc import Iterable

from nereus.agents.policies.base import CallView, DecisionContext, Dropped, ObjectiveDraft, WorkflowDraft
from nereus.agents.policies.rules.questions.base import Plan, Question
from nereus.agents.policies.rules.questions.comparison import TEST_OPTIONS
from nereus.agents.policies.rules.questions.design import contrast_of, features_word
from nereus.agents.policies.rules.questions.priority import novelty, priority, question_match
from nereus.agents.policies.rules.questions.screens import MAPPED, conclude
from nereus.memory.records import Contrast, Objective, ObjectiveKind

LEAST_TESTED = 1000
"""Tested features below which hardly any pathway has five of its responsive genes among them."""
ORGANISMS = ("human", "mouse", "rat")
"""Organisms whose genes have the symbols of the human ones."""
EXCHANGES = 5_000
_GENES = ("proteins", "genes", "generic")
"""Kinds of data whose features stand for genes."""
_TEST = "differential_abundance"
_WORDS = ["signalling", "signaling", "pathway", "pathways", "activity", "active", "upstream", "mechanism"]


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """A comparison that is done and found something, in data that hold enough genes of a known organism."""
    known = [one.values for one in context.calls if one.tool == "annotate_genes"]
    mapped = any(
        one.get("organism") in ORGANISMS and float(one.get("set_mapping_rate") or 0) >= MAPPED
        for one in known
    )
    if not mapped or context.profile.values.get("data_kind") not in _GENES:
        return []
    drafts = []
    for one in context.objectives:
        if one.kind is not ObjectiveKind.DIFFERENTIAL or one.status != "done":
            continue
        call = _test_of(one, context.calls)
        if call is None or not float(call.values.get("n_significant") or 0) > 0:
            continue
        contrast = contrast_of(one)
        if float(call.values.get("n_tested") or 0) < LEAST_TESTED:
            dropped.append(
                Dropped(
                    subject=f"signalling pathways behind {contrast.label}",
                    reason="too few features were tested to hold the genes that respond to a pathway",
                )
            )
            continue
        parts = {
            "screen": one.priority_parts.get("screen", 0.5),
            "power": one.priority_parts.get("power", 0.0),
            "question": question_match(context.question, [contrast.factor, contrast.a, contrast.b, *_WORDS]),
            "novelty": novelty(context, ObjectiveKind.SIGNALLING, contrast.factor),
            "directness": one.priority_parts.get("directness", 0.5),
            "cost": 0.2,
        }
        drafts.append(
            ObjectiveDraft(
                kind=ObjectiveKind.SIGNALLING,
                statement=f"Which signalling pathways are more or less active in {contrast.label}?",
                contrast=contrast,
                rationale=f"{features_word(context)} differ; the genes that respond to a pathway tell whether it is behind them",
                cites=(call.step_id,),
                priority=priority(parts),
                priority_parts=parts,
            )
        )
    return drafts


def _test_of(objective: Objective, calls: Iterable[CallView]) -> CallView | None:
    """The first finished test of a comparison: reruns follow it."""
    return next(
        (
            one
            for one in calls
            if one.tool == _TEST
            and one.step_id.partition(".")[0] == objective.id
            and one.values.get("n_tested") is not None
        ),
        None,
    )


def _compared(context: DecisionContext, contrast: Contrast) -> str | None:
    """The finished comparison of the same groups whose table the run holds."""
    return next(
        (
            one.id
            for one in context.objectives
            if one.kind is ObjectiveKind.DIFFERENTIAL
            and one.contrast == contrast
            and f"{one.id}:differential" in context.run_outputs
        ),
        None,
    )


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """Sum up the genes that respond to each pathway, against what their correlation gives by chance."""
    plan = Plan()
    contrast = contrast_of(objective)
    described = contrast.model_dump(mode="json")
    compared = _compared(context, contrast)
    table = f"run/{compared}:differential"
    if compared is None:
        tested = plan.add(
            _TEST,
            f"test every feature between {contrast.a} and {contrast.b}: what pathways are read from",
            {"dataset": "run/prepared"},
            publishes_as="basis",
            contrast=described,
            **TEST_OPTIONS,
        )
        table = f"{tested}/differential"
    scored = plan.add(
        "factor_activity",
        "do the genes that respond to a pathway move together, beyond how they vary together in these samples?",
        {"table": table, "dataset": "run/prepared"},
        contrast=described,
        n_permutations=EXCHANGES,
    )
    plan.add(
        "plot_activities",
        "draw the pathways",
        {"table": f"{scored}/activities", "targets": f"{scored}/targets"},
        publishes_as="activities_drawn",
        contrast=described,
    )
    return plan.draft("signalling", "every pathway with enough measured genes was scored")


QUESTION = Question(
    ObjectiveKind.SIGNALLING,
    workflow,
    conclude,
    candidates,
    needs=("factor_activity", "plot_activities", _TEST),
    essential=("factor_activity",),
)
