"""Which questions are asked, and in which order: rules over the computed profile and what was found so far."""

from __future__ import annotations

import math
from collections.abc import Iterable
from urllib.parse import quote

from nereus.agents.planner.graph.gain import Gain, expected_gain
from nereus.agents.planner.questions import TESTED
from nereus.agents.policies.base import (
    DecisionContext,
    Dropped,
    ObjectiveDraft,
    ObjectivesChoice,
    ObjectivesProposal,
)
from nereus.agents.policies.rules.questions import QUESTIONS, quality
from nereus.agents.policies.rules.questions.priority import GIVEN
from nereus.memory.records import Objective, ObjectiveKind

PROPOSALS_A_TIME = 5
EXPLORATION = 0.3
EXPLOITATION = 0.1
EXPERIENCE = 0.1
"""Weight in the priority of what earlier runs let a kind of question expect, against one half."""
INFORMATION = 0.1
"""Weight in the choice of the bits that a question is expected to tell (`graph.gain`)."""
_TESTS = frozenset(one.tool for one in TESTED.values())


def propose(context: DecisionContext) -> ObjectivesProposal:
    """First the preparation and what looks promising; later what the screen and the batch check say."""
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
    drafts += repeated + fresh[: PROPOSALS_A_TIME - len(drafts)]
    return ObjectivesProposal(
        objectives=tuple(drafts),
        dropped=tuple(dropped),
        rationale="candidates from the design, ranked by screen, power, question and cost",
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
    bits = _gain(draft, context).bits
    return draft.model_copy(update={"priority_parts": {**draft.priority_parts, "information": bits}})


def _gain(asked: ObjectiveDraft | Objective, context: DecisionContext) -> Gain:
    """What a question would teach, from what is answered and found so far."""
    done = [one for one in context.objectives if one.status == "done"]
    counted = {
        call.step_id.partition(".")[0]
        for call in context.calls
        if float(call.values.get("n_significant") or 0) > 0
    }
    found = [one.kind for one in done if one.id in counted]
    return expected_gain(asked.kind, asked.priority_parts, [one.kind for one in done], found)


def _promise(one: Objective, context: DecisionContext) -> str:
    """What a chosen question is expected to tell, each number by reference."""
    gain = _gain(one, context)
    if gain.direction is None or "information" not in one.priority_parts:
        return ""
    text = f"{one.id} adds to the direction “{gain.direction.name}”: {{{{field:part/{one.id}/information|.2f}}}} bits an edge"
    column = one.contrast.factor if one.contrast is not None else one.variable
    step = context.run_outputs.get("screen", "").partition("/")[0]
    screened = {
        str(row["column"]) for row in context.profile.tables.get("screen", []) if row.get("p") is not None
    }
    if step and column in screened and "/" not in column:
        text += f", screen p {{{{cell:{step}/screen/{quote(column, safe=' ;,+()=')}/p|p}}}}"
    return text


def choose(context: DecisionContext) -> ObjectivesChoice:
    """The two open objectives with the best index.

    The index is the priority, plus what questions of the kind have yielded so far (the mean of their rewards), plus a
    bonus for kinds that were tried less. The reward of a finished objective is ``tanh(d / 5)``, d being its findings
    beyond what exchanged labels give in ninety-five of a hundred cases. What earlier runs taught of a kind counts as a
    few questions that were asked before. Last, the bits count that a question is expected to tell about edges of the
    evidence graph: most where it completes a direction of which the run holds the other edges.
    """
    done = [one for one in context.objectives if one.status == "done"]
    opened = [one for one in context.objectives if one.status == "open"]
    barren = _barren_streak(context)
    if not opened:
        return ObjectivesChoice(ids=(), reason="all objectives are closed")
    tried = {kind: sum(one.kind is kind for one in done) for kind in ObjectiveKind}
    rewards = _rewards(context)
    before = {ObjectiveKind(kind): known for kind, known in context.experience.items()}
    total = len(done) + sum(times for _, times in before.values())

    def index(one: Objective) -> float:
        expected, times = before.get(one.kind, (0.0, 0))
        own = rewards.get(one.kind, [])
        weight = len(own) + times
        yielded = (sum(own) + times * expected) / weight if weight else 0.0
        bonus = EXPLORATION * math.sqrt(math.log(1 + total) / (1 + tried[one.kind] + times))
        told = INFORMATION * one.priority_parts.get("information", 0.0)
        return one.priority + EXPLOITATION * yielded + bonus + told

    # Children come from findings: they are taken up before new directions are opened.
    ranked = sorted(opened, key=lambda one: (-one.depth, -index(one), one.id))
    if barren and not any(one.depth for one in opened) and all(one.priority < 0.3 for one in opened):
        return ObjectivesChoice(
            ids=(), reason="the last objectives found nothing and what is left promises little"
        )
    promises = [text for one in ranked[:2] if (text := _promise(one, context))]
    return ObjectivesChoice(
        ids=tuple(one.id for one in ranked[:2]),
        reason="; ".join(["highest index of priority, exploration and expected information", *promises]),
    )


def _rewards(context: DecisionContext) -> dict[ObjectiveKind, list[float]]:
    """Rewards of the finished objectives of each kind that tests entities."""
    found: dict[str, float] = {}
    chance: dict[str, float] = {}
    for call in context.calls:
        owner = call.step_id.partition(".")[0]
        if call.tool in _TESTS:
            found[owner] = float(call.values.get("n_significant") or 0)
        if call.values.get("null_p95") is not None:
            chance[owner] = float(call.values["null_p95"] or 0)
    rewards: dict[ObjectiveKind, list[float]] = {}
    for one in context.objectives:
        if one.status == "done" and one.kind in TESTED and one.id in found:
            beyond = max(0.0, found[one.id] - chance.get(one.id, 0.0))
            rewards.setdefault(one.kind, []).append(math.tanh(beyond / 5))
    return rewards


def _barren_streak(context: DecisionContext) -> bool:
    """Whether the last two tested objectives found nothing."""
    tested = [one for one in context.objectives if one.status == "done" and one.kind in TESTED]
    found = {
        call.step_id.partition(".")[0]: call.values.get("n_significant")
        for call in context.calls
        if call.tool in _TESTS
    }
    last = [found.get(one.id) for one in tested[-2:]]
    return len(last) == 2 and all(count == 0 for count in last)


def _matching(draft: ObjectiveDraft, known: Iterable[Objective]) -> Objective | None:
    for one in known:
        if (one.kind, one.variable, one.design) != (draft.kind, draft.variable, draft.design):
            continue
        if (one.contrast is None) == (draft.contrast is None) and (
            one.contrast is None or draft.contrast is None or one.contrast.asks_the_same(draft.contrast)
        ):
            return one
    return None
