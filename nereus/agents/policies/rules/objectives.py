"""Which questions are asked, and in which order: rules over the computed profile and what was found so far."""

from __future__ import annotations

import math
from collections.abc import Iterable

from nereus.agents.planner.questions import TESTED
from nereus.agents.policies.base import (
    DecisionContext,
    Dropped,
    ObjectiveDraft,
    ObjectivesChoice,
    ObjectivesProposal,
)
from nereus.agents.policies.rules.questions import QUESTIONS, quality
from nereus.memory.records import Objective, ObjectiveKind

PROPOSALS_A_TIME = 5
EXPLORATION = 0.3


def propose(context: DecisionContext) -> ObjectivesProposal:
    """First the preparation and what looks promising; later what the screen and the batch check say."""
    first_time = all(one.kind is not ObjectiveKind.QUALITY for one in context.objectives)
    dropped: list[Dropped] = []
    drafts = quality.candidates(context, dropped)
    candidates = [
        draft
        for kind, one in QUESTIONS.items()
        if kind is not ObjectiveKind.QUALITY and one.possible
        for draft in one.candidates(context, dropped)
    ]
    candidates.sort(key=lambda draft: (-draft.priority, draft.statement))
    fresh = [draft for draft in candidates if _matching(draft, context.objectives) is None]
    repeated = [draft for draft in candidates if _matching(draft, context.objectives) is not None]
    drafts += repeated + fresh[: PROPOSALS_A_TIME - len(drafts)]
    return ObjectivesProposal(
        objectives=tuple(drafts),
        dropped=tuple(dropped) if first_time else (),
        rationale="candidates from the design, ranked by screen, power, question and cost",
    )


def choose(context: DecisionContext) -> ObjectivesChoice:
    """The two open objectives with the best index: priority plus a bonus for kinds that were tried less."""
    done = [one for one in context.objectives if one.status == "done"]
    opened = [one for one in context.objectives if one.status == "open"]
    barren = _barren_streak(context)
    if not opened:
        return ObjectivesChoice(ids=(), reason="all objectives are closed")
    tried = {kind: sum(one.kind is kind for one in done) for kind in ObjectiveKind}

    def index(one: Objective) -> float:
        return one.priority + EXPLORATION * math.sqrt(math.log(1 + len(done)) / (1 + tried[one.kind]))

    # Children come from findings: they are taken up before new directions are opened.
    ranked = sorted(opened, key=lambda one: (-one.depth, -index(one), one.id))
    if barren and not any(one.depth for one in opened) and all(one.priority < 0.3 for one in opened):
        return ObjectivesChoice(
            ids=(), reason="the last objectives found nothing and what is left promises little"
        )
    return ObjectivesChoice(
        ids=tuple(one.id for one in ranked[:2]), reason="highest index of priority and exploration"
    )


def _barren_streak(context: DecisionContext) -> bool:
    """Whether the last two tested objectives found nothing."""
    tested = [one for one in context.objectives if one.status == "done" and one.kind in TESTED]
    found = {
        call.step_id.partition(".")[0]: call.values.get("n_significant")
        for call in context.calls
        if "n_significant" in call.values
    }
    last = [found.get(one.id) for one in tested[-2:]]
    return len(last) == 2 and all(count == 0 for count in last)


def _matching(draft: ObjectiveDraft, known: Iterable[Objective]) -> Objective | None:
    for one in known:
        if one.kind is not draft.kind or one.variable != draft.variable:
            continue
        if (one.contrast is None) == (draft.contrast is None) and (
            one.contrast is None or draft.contrast is None or one.contrast.asks_the_same(draft.contrast)
        ):
            return one
    return None
