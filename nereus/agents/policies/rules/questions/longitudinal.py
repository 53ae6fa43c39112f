"""Questions that ask what changes over time within subjects, and whether groups change differently (template T4)."""

from __future__ import annotations

from typing import Any

from nereus.agents.policies.base import DecisionContext, Dropped, ObjectiveDraft, WorkflowDraft
from nereus.agents.policies.rules.questions.base import Inputs, Plan, Question
from nereus.agents.policies.rules.questions.design import features_word, refused_by_check, table
from nereus.agents.policies.rules.questions.priority import novelty, power, priority, question_match, screen
from nereus.agents.policies.rules.questions.screens import PERMUTATIONS, PLANTINGS, SUBSAMPLES, conclude
from nereus.memory.records import Contrast, Objective, ObjectiveKind

_WORDS = ["time", "course", "longitudinal", "change", "trajectory", "over"]


def candidates(context: DecisionContext, dropped: list[Dropped]) -> list[ObjectiveDraft]:
    """Courses of subjects that were seen repeatedly, alone and by group."""
    drafts = []
    for row in table(context, "courses"):
        if not row.get("testable") or not row.get("repeated"):
            continue
        time, group = str(row["time"]), str(row.get("group") or "")
        contrast = None
        if group:
            refused = refused_by_check(context, group)
            if refused:
                dropped.append(Dropped(subject=str(row["course"]), reason=refused, verdict="refused"))
                continue
            contrast = Contrast(factor=group, a=str(row["a"]), b=str(row["b"]))
        n = float(row["n_subjects"] or 0)
        parts = {
            "screen": screen(context, group or str(row["labels"])),
            "power": power(n / 2, n / 2),
            "question": question_match(context.question, [one for one in (time, group) if one] + _WORDS),
            "novelty": novelty(context, ObjectiveKind.LONGITUDINAL, group or time),
            "directness": 1.0 if group else 0.7,
            "cost": 0.2,
        }
        asked = (
            f"Which {features_word(context)} change differently over {time} in {contrast.a} and {contrast.b}?"
            if contrast is not None
            else f"Which {features_word(context)} change over {time}?"
        )
        drafts.append(
            ObjectiveDraft(
                kind=ObjectiveKind.LONGITUDINAL,
                statement=asked,
                contrast=contrast,
                design={"time": time, "subject": str(row["subject"])},
                label=f"{time}: {contrast.label}" if contrast is not None else time,
                rationale="the same subjects were seen at several times, so that each is compared with itself",
                cites=(f"profile:courses[{row['course']}]",),
                priority=priority(parts),
                priority_parts=parts,
            )
        )
    return drafts


def workflow(context: DecisionContext, objective: Objective) -> WorkflowDraft:
    """A model of each protein's course with subjects as blocks, and its own null and stability."""
    design = objective.design
    described: dict[str, Any] = {"time": design["time"], "subject": design["subject"]}
    if objective.contrast is not None:
        described["contrast"] = objective.contrast.model_dump(mode="json")
    data: Inputs = {"dataset": "run/prepared"}
    plan = Plan()
    test = plan.add(
        "longitudinal_test",
        "model every protein's course within subjects; repeat on half-samples and with exchanged subjects",
        data,
        **described,
        n_permutations=PERMUTATIONS,
        n_subsamples=SUBSAMPLES,
        n_plantings=PLANTINGS,
    )
    factors = [] if objective.contrast is None else [objective.contrast.factor]
    plan.add(
        "plot_heatmap",
        "draw the strongest proteins over all samples",
        {**data, "table": f"{test}/longitudinal"},
        factors=factors,
    )
    return plan.draft("course", "every protein's course was modelled")


QUESTION = Question(
    ObjectiveKind.LONGITUDINAL,
    workflow,
    conclude,
    candidates,
    needs=("longitudinal_test",),
    essential=("longitudinal_test",),
)
