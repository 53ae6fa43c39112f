"""The run in short: each question with its answer, before the findings are listed one by one.

A list that is ranked by confidence alone may open with twenty rows about one comparison; a reader first wants to know
what was asked, and what came of each question, nothing included.
"""

from __future__ import annotations

from dataclasses import dataclass

from nereus.agents.planner.questions import FIXED_KINDS, TESTED, WHOLE
from nereus.agents.reporter.claims import COLUMNS
from nereus.agents.reporter.sources import Sources, path
from nereus.memory.records import Hypothesis, Objective, ObjectiveKind

BEST = 3
"""Hypotheses that are named for each question."""
_OTHERS = {ObjectiveKind.PATHWAY: "enrichment"}


@dataclass(frozen=True)
class Answer:
    """What came of one question.

    Attributes
    ----------
    objective
        The question.
    claims
        Source path of the number of claims about it; None where there are none, or where they are counted together with
        those of another question about the same comparison.
    best
        The first hypotheses about it that hold.
    more
        Whether further ones hold.
    """

    objective: Objective
    claims: str | None
    best: tuple[Hypothesis, ...]
    more: bool


def answers(sources: Sources) -> list[Answer]:
    """Every question that was carried through, in the order of the plan."""
    counted = _claims(sources)
    live = sorted(
        (one for one in sources.record.hypotheses if one.status in ("supported", "tentative")),
        key=lambda one: (one.rank, one.id),
    )
    tested = [one.about for one in sources.record.objectives if one.kind in TESTED and one.status == "done"]
    found = []
    for objective in sources.record.objectives:
        relations = relations_of(objective)
        if objective.status != "done" or objective.kind in FIXED_KINDS or not relations:
            continue
        about = [
            one
            for one in live
            if one.claim.relation in relations
            and one.grain != "cross"
            and (
                one.claim.contrast == objective.about or one.claim.contrast.startswith(f"{objective.about}: ")
            )
        ]
        found.append(
            Answer(
                objective,
                counted.get(objective.about)
                if objective.kind in TESTED and tested.count(objective.about) == 1
                else None,
                tuple(about[:BEST]),
                len(about) > BEST,
            )
        )
    return found


def relations_of(objective: Objective) -> frozenset[str]:
    """What the claims of a question say; empty where it makes none."""
    asked, whole = TESTED.get(objective.kind), WHOLE.get(objective.kind)
    if asked is not None:
        return frozenset({asked.relation_of(objective), *asked.also.values()})
    if whole is not None:
        return frozenset({whole.relation})
    return frozenset({_OTHERS[objective.kind]} if objective.kind in _OTHERS else ())


def _claims(sources: Sources) -> dict[str, str]:
    """What is asked about -> source path of the number of claims, where there are any."""
    where = sources.output("claims")
    if where is None:
        return {}
    table = sources.table(sources.call(where[0]), where[1])
    if not set(COLUMNS) <= set(table.columns):
        return {}
    return {
        str(contrast): path("matches", *where, "contrast", contrast)
        for contrast in table["contrast"].dropna().unique()
    }
