"""What several data sets say of the same statement, and whether their signs agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nereus.memory.records import GraphEdge, GraphNode

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "statement", "kind", "entity", "relation", "target", "n_datasets", "n_tests", "n_positive", "n_negative",
    "n_refuted", "agree", "datasets", "comparisons",
)  # fmt: skip


def compared(
    statements: Iterable[tuple[str, GraphNode, str, GraphNode, Sequence[GraphEdge]]],
) -> pd.DataFrame:
    """A row a statement; several runs on the same subjects count once.

    Parameters
    ----------
    statements
        Key, first thing, relation, last thing, and every supported or refuted edge with a sign.
    """
    import pandas as pd

    return pd.DataFrame([_row(*one) for one in statements], columns=list(COLUMNS))


def _row(
    statement: str, first: GraphNode, relation: str, last: GraphNode, edges: Sequence[GraphEdge]
) -> dict[str, Any]:
    held = [one for one in edges if one.status == "supported"]
    positive = [one for one in held if one.sign > 0]
    negative = [one for one in held if one.sign < 0]
    return {
        "statement": statement,
        "kind": first.kind,
        "entity": first.name,
        "relation": relation,
        "target": last.name,
        "n_datasets": len({one.dataset for one in edges}),
        "n_tests": len(_tests(edges)),
        "n_positive": len(_tests(positive)),
        "n_negative": len(_tests(negative)),
        "n_refuted": len(_tests(one for one in edges if one.status == "refuted")),
        "agree": _agree(positive, negative),
        "datasets": ";".join(sorted({f"{one.dataset[:12]} {one.split}" for one in edges})),
        "comparisons": "; ".join(sorted({one.about for one in edges if one.about})),
    }


def _tests(edges: Iterable[GraphEdge]) -> set[tuple[str, str]]:
    """The same subjects are one test, however many runs looked at them."""
    return {(one.dataset, one.split) for one in edges}


def _agree(positive: Sequence[GraphEdge], negative: Sequence[GraphEdge]) -> bool | None:
    """Whether all signs are equal; None where nothing can be compared.

    Within one data set a thing may be higher than in one group and lower than in another: only signs of the same
    comparison contradict each other there.
    """
    if len(_tests([*positive, *negative])) < 2:
        return None
    if not (positive and negative):
        return True
    if any(
        one.dataset != other.dataset or one.about == other.about for one in positive for other in negative
    ):
        return False
    return None
