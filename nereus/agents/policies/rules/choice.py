"""Which open questions are asked next.

In this order:

1. What a person gave: a file of its own (a second cohort, a layer), an answer at the gate, words that name what is
   compared. It is never held back by 2.
2. The first of each kind of question before the second of any kind. A first comparison is followed by its sets, its
   panel, modules, subtypes, an interaction and so on, as the design supports them, before another comparison.
3. Children of what was found before new directions.
4. The index: the priority (`questions.priority`, moved by what earlier runs taught), what its kind has yielded so far, a
   bonus for kinds that were tried less, and the bits that it is expected to tell (`graph.gain`).

Nothing was asked when the first choice is made, so the main comparison is the one of the best index. Surprises edit
the workflow of a question that is being answered (`assessment`) and do not take part in the choice.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TypeVar
from urllib.parse import quote

from nereus.agents.planner.graph.gain import Gain, expected_gain
from nereus.agents.planner.questions import TESTED
from nereus.agents.policies.base import DecisionContext, ObjectiveDraft, ObjectivesChoice
from nereus.agents.policies.rules.questions.priority import GIVEN
from nereus.memory.records import Objective, ObjectiveKind

AT_A_TIME = 2
EXPLORATION = 0.3
EXPLOITATION = 0.1
INFORMATION = 0.1
"""Weight in the choice of the bits that a question is expected to tell (`graph.gain`)."""
LITTLE = 0.3
"""Priority below which nothing is asked after two questions in a row that found nothing."""
NAMED = 1.0
"""Value of the term ``question`` of a priority where the user's words name what is asked about."""
_TESTS = frozenset(one.tool for one in TESTED.values())
_Asked = TypeVar("_Asked", Objective, ObjectiveDraft)


def choose(context: DecisionContext) -> ObjectivesChoice:
    """The two open objectives that come first in the order of this module.

    The reward of a finished objective is ``tanh(d / 5)``, d being its findings beyond what exchanged labels give in
    ninety-five of a hundred cases. What earlier runs taught of a kind counts as a few questions that were asked before.
    Of the bits most are told where a question completes a direction of which the run holds the other edges.
    """
    opened = [one for one in context.objectives if one.status == "open"]
    if not opened:
        return ObjectivesChoice(ids=(), reason="all objectives are closed")
    known = {one.kind for one in context.objectives if one.status in ("done", "running")}
    if (
        _barren_streak(context)
        and all(one.kind in known and one.priority < LITTLE for one in opened)
        and not any(one.depth for one in opened)
    ):
        return ObjectivesChoice(
            ids=(), reason="the last objectives found nothing and what is left promises little"
        )
    index = _index(context)
    # Children come from findings: they are taken up before new directions are opened.
    ranked = kinds_first(sorted(opened, key=lambda one: (-one.depth, -index[one.id], one.id)), known)
    promises = [text for one in ranked[:AT_A_TIME] if (text := _promise(one, context))]
    return ObjectivesChoice(
        ids=tuple(one.id for one in ranked[:AT_A_TIME]),
        reason="; ".join(
            ["each kind of question first, by priority, exploration and expected information", *promises]
        ),
    )


def kinds_first(ranked: Sequence[_Asked], known: Collection[ObjectiveKind]) -> list[_Asked]:
    """The same questions in the same order, but those last whose kind was asked and that nobody asked for.

    Parameters
    ----------
    ranked
        Questions, the best first.
    known
        Kinds that were asked already.

    Examples
    --------
    >>> kinds = ["differential", "differential", "modules", "panel"]
    >>> ranked = [Objective(id=f"O{i}", kind=kind, statement="?", priority=0.5) for i, kind in enumerate(kinds)]
    >>> [one.id for one in kinds_first(ranked, [ObjectiveKind.PANEL])]
    ['O0', 'O2', 'O1', 'O3']
    """
    asked = set(known)
    first: list[_Asked] = []
    later: list[_Asked] = []
    for one in ranked:
        (later if one.kind in asked and not _wanted(one) else first).append(one)
        asked.add(one.kind)
    return first + later


def _wanted(one: Objective | ObjectiveDraft) -> bool:
    """Whether a person asked for it: by a file, at the gate, or in words."""
    edited = isinstance(one, Objective) and bool(one.by_person)
    return edited or one.priority >= GIVEN or one.priority_parts.get("question", 0.0) >= NAMED


def gain(asked: ObjectiveDraft | Objective, context: DecisionContext) -> Gain:
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
    told = gain(one, context)
    if told.direction is None or "information" not in one.priority_parts:
        return ""
    text = f"{one.id} adds to the direction “{told.direction.name}”: {{{{field:part/{one.id}/information|.2f}}}} bits an edge"
    column = one.contrast.factor if one.contrast is not None else one.variable
    step = context.run_outputs.get("screen", "").partition("/")[0]
    screened = {
        str(row["column"]) for row in context.profile.tables.get("screen", []) if row.get("p") is not None
    }
    if step and column in screened and "/" not in column:
        text += f", screen p {{{{cell:{step}/screen/{quote(column, safe=' ;,+()=')}/p|p}}}}"
    return text


def _index(context: DecisionContext) -> dict[str, float]:
    """Index of each open objective."""
    done = [one for one in context.objectives if one.status == "done"]
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

    return {one.id: index(one) for one in context.objectives if one.status == "open"}


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
