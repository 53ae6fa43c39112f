"""Which things of several runs are one.

A protein, a set or a variable has a name that means the same everywhere. A group of samples does not: ``AD`` does,
``yes``, ``control`` and ``2`` mean what their column asks, and ``group: control`` means nothing outside its data. What a
run makes itself (modules, clusters, panels, all its samples) is its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from nereus.memory.records import EntityKind, GraphNode

GROUPS: tuple[EntityKind, ...] = ("sample_group", "treatment")
_OF_A_RUN: tuple[EntityKind, ...] = ("module", "cluster", "panel")
_OF_A_DATA_SET: tuple[EntityKind, ...] = ("sample", "batch")
_ANSWERS = frozenset({
    "abnormal", "absent", "after", "before", "false", "high", "low", "medium", "mid", "neg", "negative",
    "no", "none", "normal", "off", "on", "pos", "positive", "present", "true", "unknown", "yes",
})  # fmt: skip
"""Levels that answer what their column asks."""
_ROLES = frozenset({
    "affected", "baseline", "case", "cases", "control", "controls", "ctl", "ctrl", "exposed", "group",
    "mock", "other", "others", "placebo", "post", "pre", "ref", "reference", "sample", "test", "treated",
    "treatment", "unaffected", "unexposed", "untreated", "vehicle",
})  # fmt: skip
"""Levels that say what part a sample plays in its study."""
_FACTOR_SAYS_NOTHING = frozenset({
    "arm", "category", "class", "classes", "cohort", "condition", "conditions", "diagnosis", "factor",
    "group", "groups", "label", "labels", "level", "outcome", "phenotype", "response", "sample", "samples",
    "set", "state", "status", "subgroup", "treatment", "type",
})  # fmt: skip
_BARE = re.compile(
    r"(?:[^\W\d_]{0,2}|(?:group|class|level|arm|cluster|set)[\s_.-]*[^\W\d_]?)[\s_.-]*[-+]?\d*(?:\.\d+)?"
)
"""A number, one or two letters, or a word for a group with either."""


def answers(level: str) -> bool:
    """Whether the name of a level is an answer or a code, which reads with the name of its column only.

    >>> [answers(one) for one in ("yes", "2", "A", "group 1", "Control", "AD", "tumour")]
    [True, True, True, True, False, False, False]
    """
    told = level.strip().casefold()
    if told in _ANSWERS:
        return True
    # Two letters alone may be an abbreviation (AD, WT); with digits, or one of them, they are a code.
    return bool(_BARE.fullmatch(told)) and not (len(told) == 2 and told.isalpha())


def says_nothing(level: str) -> bool:
    """Whether the name of a level does not say what its samples are, without the name of the column.

    >>> [says_nothing(one) for one in ("yes", "Control", "AD")]
    [True, True, False]
    """
    return answers(level) or level.strip().casefold() in _ROLES


def apart(nodes: Iterable[GraphNode]) -> frozenset[str]:
    """Names that are levels of more than one column of one run: they say nothing without their column."""
    columns: dict[str, set[str]] = {}
    for one in nodes:
        if one.kind in GROUPS:
            columns.setdefault(_level(one).casefold(), set()).add(_factor(one).casefold())
    return frozenset(level for level, found in columns.items() if len(found) > 1)


def across(node: GraphNode, run: str, dataset: str, ambiguous: frozenset[str]) -> tuple[str, str]:
    """What a thing is known by over several runs, and what it is called there.

    Parameters
    ----------
    node
        The thing.
    run, dataset
        Where it was found.
    ambiguous
        Names of levels that more than one column of a run has (`apart`).
    """
    own = f"{node.kind}|{node.name.casefold().strip()}"
    if node.kind in _OF_A_RUN:
        return f"{own}|{run}", f"{node.name} ({run})"
    if node.kind in _OF_A_DATA_SET or (node.kind in GROUPS and "=" not in node.entity):
        return f"{own}|{dataset}", f"{node.name} ({_short(dataset)})"
    if node.kind not in GROUPS:
        return own, node.name
    level, factor = _level(node), _factor(node)
    if not (says_nothing(level) or level.casefold() in ambiguous):
        return own, node.name
    key = f"{node.kind}|{node.entity.casefold()}"
    name = node.name if factor.casefold() in node.name.casefold() else f"{factor} {node.name}"
    if factor.strip().casefold() in _FACTOR_SAYS_NOTHING:
        return f"{key}|{dataset}", f"{name} ({_short(dataset)})"
    return key, name


def thing_id(key: str) -> str:
    """Id of a thing of several runs."""
    return "n" + hashlib.sha256(key.encode()).hexdigest()[:16]


def _short(dataset: str) -> str:
    return f"data {dataset[:8]}"


def _factor(node: GraphNode) -> str:
    return node.entity.partition("=")[0]


def _level(node: GraphNode) -> str:
    return node.entity.partition("=")[2].partition("; ")[0]


__all__ = ["GROUPS", "across", "answers", "apart", "says_nothing", "thing_id"]
