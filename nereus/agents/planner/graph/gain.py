"""What asking a question would teach: expected information about edges, and the direction that it would complete.

For a question with screen evidence ``s`` (one minus the permutation p with which the whole proteome follows its column;
0.5 before that is known) and power ``w``::

    pi     = SHARE * s                                    prior that one thing it tests has an edge
    bits   = H(pi w + (1 - pi) a) - pi H(w) - (1 - pi) H(a)     what one test tells about it, a = STRICT_ALPHA
    gain   = max over directions of completion * bits / (1 + t)

``H`` is the binary entropy, so ``bits`` is the mutual information between an edge and the verdict of its test: it grows
with the uncertainty that is left and with the power to remove it. ``completion`` is the share of a direction's legs that
the run holds already or that the question adds (0 where it adds none), and ``t`` counts questions of the kind that were
answered, whose edges are there. A leg is held where an answered question that adds such edges found something.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from nereus.agents.planner.graph.directions import DIRECTIONS, Direction, kinds_of
from nereus.memory.records import ObjectiveKind

SHARE = 0.2
"""Share of all things that have an edge where the whole proteome follows a column."""
STRICT_ALPHA = 0.001
"""Error of one test among thousands, as `priority` has it."""
UNKNOWN = 0.5


@dataclass(frozen=True)
class Gain:
    """Expected information of a question, and the direction that it would complete."""

    bits: float
    direction: Direction | None


def expected_gain(
    kind: ObjectiveKind,
    parts: Mapping[str, float],
    answered: Collection[ObjectiveKind],
    found: Collection[ObjectiveKind],
) -> Gain:
    """What a question of a kind would teach.

    Parameters
    ----------
    kind
        The kind of question.
    parts
        Terms of its priority: ``screen`` and ``power``.
    answered
        Kinds of the answered questions, one entry each.
    found
        Kinds of those that found something.

    Examples
    --------
    >>> known = expected_gain(ObjectiveKind.ASSOCIATION, {"screen": 0.99, "power": 0.9}, [], [ObjectiveKind.DIFFERENTIAL])
    >>> known.direction.name, known.bits > expected_gain(ObjectiveKind.ASSOCIATION, {"screen": 0.99, "power": 0.9}, [], []).bits
    ('protein between a group and a variable', True)
    """
    adds = kinds_of(kind)
    held = frozenset(edge for one in found for edge in kinds_of(one))
    best, which = 0.0, None
    for direction in DIRECTIONS:
        added = [not adds.isdisjoint(leg.kinds) for leg in direction.legs]
        if not any(added):
            continue
        known = [not held.isdisjoint(leg.kinds) for leg in direction.legs]
        completion = sum(a or k for a, k in zip(added, known, strict=True)) / len(direction.legs)
        if completion > best:
            best, which = completion, direction
    told = information(parts.get("screen", UNKNOWN), parts.get("power", UNKNOWN))
    times = sum(one is kind for one in answered)
    return Gain(round(best * told / (1 + times), 4), which)


def information(screen: float, power: float) -> float:
    """Bits that one test tells about one edge.

    >>> round(information(1.0, 1.0), 2), information(0.0, 1.0) < 0.01, information(1.0, STRICT_ALPHA) < 1e-9
    (0.71, True, True)
    """
    prior = SHARE * min(1.0, max(0.0, screen))
    power = min(1.0, max(STRICT_ALPHA, power))
    positive = prior * power + (1 - prior) * STRICT_ALPHA
    told = _entropy(positive) - prior * _entropy(power) - (1 - prior) * _entropy(STRICT_ALPHA)
    return max(0.0, told)


def _entropy(share: float) -> float:
    if share <= 0.0 or share >= 1.0:
        return 0.0
    return -share * math.log2(share) - (1 - share) * math.log2(1 - share)
