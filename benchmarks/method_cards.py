"""The page `docs/method_cards.md`: what each method is for, what was measured and where it ends, made from the cards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.truth.results import RESULTS
from nereus.models import registry
from nereus.models.card import Card

PAGE = Path(__file__).parents[1] / "docs" / "method_cards.md"
_HEAD = """# Method cards

Made from the cards and from `benchmarks/results/methods` by `python -m benchmarks.run`; a test compares. How to use the methods:
[methods](methods.md), [tutorial](tutorial_molecules.md). What was asked, and what is missed: [acceptance](method_acceptance.md).

`reproduced`: the paper's headline figure was reached on the paper's data. `partial`: the effect that the paper claims was
measured, on less data or at a smaller scale. `mechanism shown`: every component works as described; the claimed effect was not
measured, or not seen.
"""
_COLUMNS = ("method", "figure", "ours", "beside it", "data", "seeds", "scale", "status")


def cards() -> list[Card]:
    """All cards, in the order of the registry."""
    return [registry.card(name) for name in registry.names()]


def rows() -> list[dict[str, Any]]:
    """One row a figure; a method without figures has one row that says so."""
    found = []
    for card in cards():
        empty = {"figure": "none yet", "ours": None, "beside it": None, "data": None}
        for one in card.figures or (None,):
            told = (
                empty
                if one is None
                else {
                    "figure": one.metric,
                    "ours": one.value,
                    "beside it": one.baseline,
                    "data": one.data,
                }
            )
            stored = {} if one is None else _stored(one.result.partition(":")[0])
            seeds, scale = stored.get("seeds"), stored.get("scale")
            found.append(
                {
                    "method": card.name,
                    **told,
                    "seeds": len(seeds) if isinstance(seeds, list) else seeds,
                    "scale": scale.get("name") if isinstance(scale, dict) else scale,
                    "status": card.status.value,
                }
            )
    return found


def table() -> str:
    """The rows as a table of Markdown."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    for row in rows():
        lines.append("| " + " | ".join(_cell(row[one]) for one in _COLUMNS) + " |")
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, table(), "", _throughput(), *(_section(card) for card in cards())])


def _section(card: Card) -> str:
    paper = card.paper
    parts = [
        f"## {card.name}\n",
        f"{paper.title}. {paper.venue} {paper.year}, {paper.link}.\n",
        f"- **For:** {card.purpose}",
        f"- **Can:** {', '.join(card.verbs)}",
        f"- **Status:** {card.status.value}",
        f"- **The paper says:** {paper.headline}",
        *(f"- **Limit:** {one}" for one in card.limits),
    ]
    return "\n".join(parts) + "\n"


def _throughput() -> str:
    """How fast molecules are read and trained on, where that was measured."""
    figures = _stored("throughput.json").get("figures")
    if not figures:
        return ""
    lines = [
        "## Throughput\n",
        "Molecules in a processor second of one thread, networks of equal size (`benchmarks/methods/throughput.py`).\n",
        "| | reading | an epoch | parameters |",
        "|---|---|---|---|",
    ]
    for arm, name in (
        ("nereus", "this library"),
        ("torch_geometric", "torch-geometric"),
        ("chemprop", "chemprop"),
    ):
        if arm in figures:
            rates = [
                round(figures[arm][what]["molecules_per_processor_second"])
                for what in ("featurising", "epoch")
            ]
            lines.append(f"| {name} | {rates[0]:,} | {rates[1]:,} | {figures[arm]['parameters']:,} |")
    return "\n".join(lines) + "\n"


def _stored(file: str) -> dict[str, Any]:
    path = RESULTS / "methods" / file
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value).replace("|", "\\|")
