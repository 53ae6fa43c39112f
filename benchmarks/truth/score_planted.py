"""Scores of a run on a planted study: what was found among the first k, what was made up, and which traps were seen.

A planted item counts once, matched on entity, what it is about, and direction. A claim about a module or set is true when
half of its members or more were changed in that direction; a claim about a feature that is a member of a planted module or
set is true but counts neither as found nor as false, and so does a repetition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmarks.truth.planting.truth import PlantedClaim, Trap, Truth
from benchmarks.truth.run_folder import RunView, Said

Verdict = Literal["found", "true", "false"]
OVERLAP = 0.5
CONFIDENT = 0.7
FALSE_SHARE = 0.1
_SETS = ("module", "enrichment", "state")


@dataclass(frozen=True)
class Judged:
    """A claim and what is true of it: it tells of a planted item, it is true besides, or it is false."""

    said: Said
    verdict: Verdict
    item: int | None = None


def orientation(said: dict[str, str], planted: dict[str, str]) -> int:
    """1 where both are about the same, -1 where the two groups are exchanged, 0 where they are about different things."""
    if "variable" in planted:
        return int(said.get("variable") == planted["variable"])
    if "time" in planted:
        return int(all(said.get(role) == planted[role] for role in ("time", "event")))
    if "first" in planted:
        for one, other in (("first", "second"), ("second", "first")):
            if said.get("first") == planted[one] and said.get("second") == planted[other]:
                return _side(said, "first", planted, one) * _side(said, "second", planted, other)
        return 0
    if said.get("first") or said.get("factor") != planted["factor"]:
        return 0
    pair = (said.get("a"), said.get("b"))
    same, exchanged = (planted["a"], planted["b"]), (planted["b"], planted["a"])
    return 1 if pair == same else -1 if pair == exchanged else 0


def _side(said: dict[str, str], mine: str, planted: dict[str, str], theirs: str) -> int:
    pair = (said.get(f"a_{mine}"), said.get(f"b_{mine}"))
    a, b = planted[f"a_{theirs}"], planted[f"b_{theirs}"]
    return 1 if pair == (a, b) else -1 if pair == (b, a) else 0


def judge(said: Said, truth: Truth) -> Judged:
    """What is true of one claim; of a test without a direction, whether there is anything to find."""
    features: set[str] = set()
    for index, one in enumerate(truth.claims):
        turned = orientation(said.about, one.about)
        if turned == 0 or (said.sign and said.sign * turned != one.direction):
            continue
        if said.relation in one.relations and _same_entity(said, one):
            return Judged(said, "found", index)
        if one.relations[0] in ("abundance", "module", "enrichment"):
            features |= set(one.members) or {one.entity}
    if said.relation == "abundance" and said.entity in features:
        return Judged(said, "true")
    many = bool(said.members) and said.relation in ("module", "enrichment")
    if many and len(said.members & features) >= OVERLAP * len(said.members):
        return Judged(said, "true")
    return Judged(said, "false")


def _same_entity(said: Said, planted: PlantedClaim) -> bool:
    if said.relation not in _SETS:
        return said.entity == planted.entity
    if said.relation == "state" and said.entity.rpartition("|")[2] != planted.entity:
        return False
    return bool(said.members) and len(said.members & set(planted.members)) >= OVERLAP * len(said.members)


def judged(claims: Sequence[Said], truth: Truth) -> list[Judged]:
    """Judge claims in order; a planted item that was told of before is true, no more."""
    seen: set[int] = set()
    made = []
    for said in claims:
        one = judge(said, truth)
        if one.item is not None and one.item in seen:
            one = Judged(said, "true", None)
        if one.item is not None:
            seen.add(one.item)
        made.append(one)
    return made


def score_top(run: RunView, truth: Truth) -> dict[str, object]:
    """Recall and precision among the first k, k being the number of planted items that can be told of."""
    items = truth.testable()
    counted = [one for one in judged(run.top, truth) if one.verdict != "true"][: len(items)]
    found = {one.item for one in counted if one.verdict == "found"}
    told = {index: truth.claims[index] in items for index in range(len(truth.claims))}
    wrong = sum(one.verdict == "false" or not told.get(one.item or 0, True) for one in counted)
    plants: dict[str, list[int]] = {}
    sizes: dict[str, list[int]] = {"large": [0, 0], "small": [0, 0]}
    for index, one in enumerate(truth.claims):
        if not told[index]:
            continue
        hit = int(index in found)
        name = "large" if one.large else "small"
        for counts in (sizes[name], plants.setdefault(f"{one.plant} {name}", [0, 0])):
            counts[0] += hit
            counts[1] += 1
    return {
        "k": len(items),
        "shown": len(counted),
        "found": len(found),
        "wrong": wrong,
        "sizes": sizes,
        "plants": plants,
    }


def score_claims(claims: Sequence[Said], truth: Truth) -> list[dict[str, object]]:
    """Claims, or tests, with confidence, q and whether they are true."""
    return [
        {
            "relation": one.said.relation,
            "confidence": one.said.confidence,
            "q": one.said.q,
            "true": one.verdict != "false",
        }
        for one in judged(claims, truth)
    ]


def handled(trap: Trap, run: RunView, truth: Truth) -> bool:
    """Whether a run did not fall for a trap.

    A batch that can be separated is adjusted for, and one that cannot makes the run refuse the comparison aloud; repeats
    are counted as the subjects that they are; an outlier is named; nothing confident is said about a decoy. And whatever
    disturbs a comparison, at most a tenth of what is said of it (or one hypothesis) is false.
    """
    if trap.name == "batch_full":
        about = [one for one in (*run.claims, *run.top) if _about(one, trap.of)]
        return not about and any("refused" in one and trap.of in one for one in run.notices)
    if trap.name == "decoy":
        return not [
            one
            for one in run.top
            if _about(one, trap.column) and (one.confidence is None or one.confidence >= CONFIDENT)
        ]
    if trap.name == "replicates":
        return run.values.get("n_subjects") == trap.n and _mostly_true(run, truth, "condition")
    if trap.name == "outlier":
        return bool(set(trap.samples) <= run.failed_samples) and _mostly_true(run, truth, "condition")
    if trap.name in ("batch_balanced", "batch_partly"):
        return trap.column in run.covariates.get(trap.of, ()) and _mostly_true(run, truth, trap.of)
    return _mostly_true(run, truth, trap.of)


def _about(said: Said, factor: str) -> bool:
    return factor in (said.about.get("factor"), said.about.get("first"), said.about.get("second"))


def _mostly_true(run: RunView, truth: Truth, factor: str) -> bool:
    verdicts = [one.verdict for one in judged(run.top, truth) if _about(one.said, factor)]
    return verdicts.count("false") <= max(1.0, FALSE_SHARE * len(verdicts))


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and its 95 % interval over data sets by the normal approximation."""
    x = np.asarray(values, dtype=float)
    half = 1.96 * float(x.std(ddof=1)) / np.sqrt(len(x)) if len(x) > 1 else float("nan")
    return float(x.mean()), float(x.mean() - half), float(x.mean() + half)
