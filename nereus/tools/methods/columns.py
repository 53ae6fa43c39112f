"""The columns of a table that the parameters of a method's tool name."""

from __future__ import annotations

from nereus.models.card import Card
from nereus.tools.base import Params


def roles(card: Card, params: Params) -> dict[str, str | tuple[str, ...]]:
    """Role to column or columns, of those that are named."""
    return {one.name: named for one in card.inputs if (named := getattr(params, one.name))}
