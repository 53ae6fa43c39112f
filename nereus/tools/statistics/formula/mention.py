"""Which columns a question speaks of: words of a column's name that stand together in it, rare words counting more."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

_LEAST_STEM = 5
"""Words that begin with the same so many letters, and part late enough, are taken for the same word."""
_LATE = 0.54
_MATCHED = 0.6
"""Share of a name from which a column takes its words out of the question."""
_SLACK = 4
"""Words that may stand between the words of a name."""
_SHARED = 0.5
"""Worth of a word of the question that a better matching column has already used."""
_IDLE_TEXT = (
    "a an and are as at be between by can do does for from have how if in into is it its of on or that the their "
    "there these this to what when whether which with within not no than then was were has had may might such"
)
_IDLE = frozenset(re.findall(r"[a-z]+", _IDLE_TEXT))
"""Words of grammar: they tell nothing about a column."""
_STATE_TEXT = "score index level status rate available present presence occurred majority ha"
_STATES = frozenset(re.findall(r"[a-z]+", _STATE_TEXT))
"""Words for how something is told, not for what: questions leave them out."""
_OF_STATE = 0.5


def words(text: str) -> list[str]:
    """Words of a text in small letters without plural endings; words of grammar are left out."""
    found = re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower())
    return [_singular(word) for word in found if word not in _IDLE]


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        return word[:-1]
    return word


def same_word(one: str, other: str) -> bool:
    """Whether two words are forms of one: they part late."""
    if one == other:
        return True
    common = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    length = min(len(one), len(other)) if common is None else common
    return length >= _LEAST_STEM and length >= _LATE * max(len(one), len(other))


def mentions(question: str, columns: Sequence[str], target: str = "") -> dict[str, float]:
    """How much of each column's name a question says.

    Parameters
    ----------
    question
        The question, any text; empty gives 0 throughout.
    columns
        Names of the columns.
    target
        The column that is asked about: its words are taken out of the question first.

    Returns
    -------
    dict
        Share from 0 to 1 of the name's words that stand close together in the question, by column. Words are weighted
        by how rare they are among the columns (inverse document frequency, Sparck Jones 1972). A word that a better
        matching name has used counts half.
    """
    said = words(question)
    named = {column: list(dict.fromkeys(words(column))) or [column.lower()] for column in columns}
    count = Counter(word for name in named.values() for word in name)
    weight = {
        word: (math.log((1 + len(columns)) / n) + 0.2) * (_OF_STATE if word in _STATES else 1.0)
        for word, n in count.items()
    }
    worth = [1.0] * len(said)
    found: dict[str, float] = {}
    waiting = list(columns)
    while waiting:
        scored = [(*_best_window(named[c], weight, said, worth), c) for c in waiting]
        first = [one for one in scored if one[2] == target and one[0] >= _MATCHED]
        share, at, column = first[0] if first else max(scored, key=lambda one: (one[0], len(named[one[2]])))
        found[column] = share
        waiting.remove(column)
        if share < _MATCHED:
            found |= {c: s for s, _, c in scored if c != column}
            break
        for position in at:
            worth[position] = min(worth[position], _SHARED)
    return {column: found[column] for column in columns}


def _best_window(
    name: Sequence[str], weight: Mapping[str, float], said: Sequence[str], worth: Sequence[float]
) -> tuple[float, list[int]]:
    """Greatest share of a name's words within a stretch of the question, and where they stand."""
    hits = {word: [i for i, other in enumerate(said) if same_word(word, other)] for word in name}
    total, reach = sum(weight[word] for word in name), len(name) + _SLACK
    best: tuple[float, list[int]] = (0.0, [])
    for start in sorted({i for places in hits.values() for i in places}):
        share, used = 0.0, []
        for word in name:
            near = [i for i in hits[word] if start <= i < start + reach]
            if near:
                place = max(near, key=lambda i: (worth[i], -i))
                share += weight[word] * worth[place]
                used.append(place)
        if share / total > best[0]:
            best = (share / total, used)
    return best
