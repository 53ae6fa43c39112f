"""Which questions the data support, and what each promises: rules over the computed profile and what was found so far."""

from __future__ import annotations

from collections.abc import Iterable

from nereus.agents.policies.base import DecisionContext, Dropped, ObjectiveDraft, ObjectivesProposal
from nereus.agents.policies.rules.choice import gain, kinds_first
from nereus.agents.policies.rules.questions import QUESTIONS, quality
from nereus.agents.policies.rules.questions.priority import GIVEN
from nereus.memory.records import Objective, ObjectiveKind

PROPOSALS_A_TIME = 5
EXPERIENCE = 0.1
"""Weight in the priority of what earlier runs let a kind of question expect, against one half."""


def propose(context: DecisionContext) -> ObjectivesProposal:
    """First the preparation and what looks promising; later what the screen and the batch check say.

    After the most promising one, the first question of each kind goes before the second of any (`choice.kinds_first`).
    """
    dropped = [
        Dropped(subject=f"questions of kind {kind.value}", reason=f"{', '.join(lost)} is not installed")
        for kind, one in QUESTIONS.items()
        if (lost := one.missing_tools)
    ]
    drafts = quality.candidates(context, dropped)
    candidates = [
        draft
        for kind, one in QUESTIONS.items()
        if kind is not ObjectiveKind.QUALITY and one.fits(context)
        for draft in one.candidates(context, dropped)
    ]
    candidates = [_with_information(_with_experience(draft, context), context) for draft in candidates]
    candidates.sort(key=lambda draft: (-draft.priority, draft.statement))
    fresh = [draft for draft in candidates if _matching(draft, context.objectives) is None]
    repeated = [draft for draft in candidates if _matching(draft, context.objectives) is not None]
    known = {one.kind for one in context.objectives}
    fresh = fresh[:1] + kinds_first(fresh[1:], known | {one.kind for one in fresh[:1]})
    drafts += repeated + fresh[: PROPOSALS_A_TIME - len(drafts)]
    return ObjectivesProposal(
        objectives=tuple(drafts),
        dropped=tuple(dropped),
        rationale="candidates from the design, each kind of question first, ranked by screen, power, question and cost",
    )


def _with_experience(draft: ObjectiveDraft, context: DecisionContext) -> ObjectiveDraft:
    """A candidate ranked by what such questions gave in earlier runs; what the user asked for is left as it is."""
    expected, _ = context.experience.get(draft.kind.value, (0.5, 0))
    if expected == 0.5 or not draft.priority_parts or draft.priority >= GIVEN:
        return draft
    moved = min(1.0, max(0.0, draft.priority + EXPERIENCE * (expected - 0.5)))
    parts = {**draft.priority_parts, "experience": round(expected - 0.5, 4)}
    return draft.model_copy(update={"priority": round(moved, 4), "priority_parts": parts})


def _with_information(draft: ObjectiveDraft, context: DecisionContext) -> ObjectiveDraft:
    """A candidate with the bits that it is expected to tell beside its terms; they count when it is chosen."""
    if not draft.priority_parts:
        return draft
    bits = gain(draft, context).bits
    return draft.model_copy(update={"priority_parts": {**draft.priority_parts, "information": bits}})


def _matching(draft: ObjectiveDraft, known: Iterable[Objective]) -> Objective | None:
    for one in known:
        if (one.kind, one.variable, one.design) != (draft.kind, draft.variable, draft.design):
            continue
        if (one.contrast is None) == (draft.contrast is None) and (
            one.contrast is None or draft.contrast is None or one.contrast.asks_the_same(draft.contrast)
        ):
            return one
    return None
