"""Ways through a graph, the surest first: found best first, so that a question with millions of ways is answered, too.

How little a way can be trusted is that of its weakest edge. The least that the rest of a way can have is computed
backwards first; ways that cannot end are never begun, and the first that are complete are the surest.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count
from typing import Any, TypeVar

E = TypeVar("E")
"""An edge."""
Around = Mapping[str, Sequence[tuple[str, E]]]
"""Thing -> the things beside it, and the edge to each."""
_MOST_STEPS = 300_000
"""Beginnings of ways that are looked at. What was found until then is given: the surest come first."""


def surest(
    around: Around[E],
    slots: Sequence[Collection[str]],
    fits: Sequence[Callable[[E], bool]],
    doubt: Callable[[E], float],
    order: Callable[[str, E | None], tuple[str, str]],
    most: int,
) -> list[tuple[tuple[str, ...], tuple[E, ...]]]:
    """Ways along the slots that pass nothing twice, by the doubt of their weakest edge, then by their order.

    Parameters
    ----------
    around
        Thing -> what is beside it.
    slots
        What may stand at each place.
    fits
        Which edges may join each two places.
    doubt
        How little an edge can be trusted.
    order
        Decides between equally sure ways: of a thing and the edge that led to it, its name and the edge's.
    most
        Ways.

    Examples
    --------
    >>> around = {"a": [("b", 0.2), ("c", 0.1)], "b": [("d", 0.0)], "c": [("d", 0.3)]}
    >>> surest(around, [{"a"}, {"b", "c"}, {"d"}], [bool, lambda e: True], float, lambda key, edge: (key, ""), 1)
    [(('a', 'b', 'd'), (0.2, 0.0))]
    """
    least = _least(around, slots, fits, doubt)
    number = count()
    waiting: list[tuple[Any, ...]] = [
        (least[0][key], (order(key, None),), next(number), (key,), (), 0.0)
        for key in sorted(slots[0])
        if key in least[0]
    ]
    heapq.heapify(waiting)
    found: list[tuple[tuple[str, ...], tuple[E, ...]]] = []
    while waiting and len(found) < most:
        _, names, _, keys, edges, worst = heapq.heappop(waiting)
        place = len(edges)
        if place == len(fits):
            found.append((keys, edges))
            continue
        if next(number) > _MOST_STEPS:
            break
        for other, edge in around.get(keys[-1], ()):
            if other in least[place + 1] and other not in keys and fits[place](edge):
                weakest = max(worst, doubt(edge))
                bound = max(weakest, least[place + 1][other])
                told = (*names, order(other, edge))
                heapq.heappush(waiting, (bound, told, next(number), (*keys, other), (*edges, edge), weakest))
    return found


def _least(
    around: Around[E],
    slots: Sequence[Collection[str]],
    fits: Sequence[Callable[[E], bool]],
    doubt: Callable[[E], float],
) -> list[dict[str, float]]:
    """For each place and thing the least doubt of the rest of a way; things from which there is none are left out."""
    rest: dict[str, float] = dict.fromkeys(slots[-1], 0.0)
    found = [rest]
    for place in range(len(fits) - 1, -1, -1):
        here: dict[str, float] = {}
        for key in slots[place]:
            ends = [
                max(doubt(edge), rest[other])
                for other, edge in around.get(key, ())
                if other in rest and other != key and fits[place](edge)
            ]
            if ends:
                here[key] = min(ends)
        found.append(here)
        rest = here
    return found[::-1]
