"""A drawing of the evidence graph: few things, in columns from what acts to what was compared.

What the first hypotheses say is drawn, inferred paths with all their legs before anything else; refuted edges are left to
the table. The layout is computed without chance (columns by kind, rows by the mean place of the neighbours), so equal
graphs give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from nereus.memory.records import GraphEdge, GraphNode, Hypothesis

WIDTH = 600
_ROW = 22.0
_BOX = 15.0
_TEXT = 8.0
_SMALL = 7.2
_TOP = 26.0
_MARGIN = 6.0
_SWEEPS = 6
_COMPARED = frozenset({"sample_group", "treatment", "variable", "sample", "batch"})
_MEASURED = frozenset({"protein", "gene", "peptide", "site", "marker", "panel", "cluster"})


@dataclass(frozen=True)
class _Column:
    """A column of the drawing: its title, how many things it holds at most, how wide it is, and its colour."""

    title: str
    most: int
    width: float
    fill: str


_COLUMNS = (
    _Column("what was compared", 5, 132.0, "#f6f1e7"),
    _Column("what was measured", 10, 92.0, "#ffffff"),
    _Column("what stands behind it", 8, 176.0, "#eef4ee"),
)
_FAR = WIDTH - _MARGIN - _COLUMNS[2].width
"""Left side of the last column."""
_UP, _DOWN, _KNOWN, _INFERRED = "#b2182b", "#2166ac", "#8a8f98", "#6a3d9a"


@dataclass(frozen=True)
class Chosen:
    """What is drawn."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    again: frozenset[tuple[str, str]]
    """Ends of edges that hold again in other subjects."""


def choose(
    nodes: Iterable[GraphNode], edges: Sequence[GraphEdge], hypotheses: Sequence[Hypothesis] = ()
) -> Chosen:
    """What of a graph is drawn: the edges of the first hypotheses, or the surest where there are none.

    Parameters
    ----------
    nodes, edges
        The graph.
    hypotheses
        In rank order.
    """
    known = {one.id: one for one in nodes}
    drawn = [
        one
        for one in edges
        if one.status in ("supported", "known", "inferred")
        and one.split == "discovery"
        and one.kind not in ("differs_from", "varies_with")
    ]
    rank = {one.id: one.rank for one in hypotheses}
    said = {one.id: min((rank.get(h, 10_000) for h in one.hypotheses), default=10_000) for one in drawn}
    inferred = [one for one in drawn if one.status == "inferred"]
    by_evidence: dict[str, list[GraphEdge]] = {}
    for one in drawn:
        if one.status != "inferred":
            by_evidence.setdefault(one.evidence_ids[0], []).append(one)
    first: list[GraphEdge] = []
    for one in sorted(inferred, key=lambda edge: (said[edge.id], edge.id)):
        first += [leg for cited in one.evidence_ids for leg in by_evidence.get(cited, ())] + [one]
    rest = sorted(
        (one for one in drawn if one.status == "supported"),
        key=lambda edge: (said[edge.id], 1.0 if edge.q is None else edge.q, edge.id),
    )
    kept: dict[str, None] = {}
    counts: dict[int, int] = {}
    for one in [*first, *rest]:
        fresh = [end for end in dict.fromkeys((one.source, one.target)) if end not in kept]
        columns = [_column(known[end]) for end in fresh]
        if any(counts.get(place, 0) + columns.count(place) > _COLUMNS[place].most for place in columns):
            continue
        for end, place in zip(fresh, columns, strict=True):
            kept[end] = None
            counts[place] = counts.get(place, 0) + 1
    shown = [one for one in drawn if one.source in kept and one.target in kept]
    again = frozenset(
        (one.source, one.target) for one in edges if one.split != "discovery" and one.status == "supported"
    )
    return Chosen(tuple(known[one] for one in sorted(kept)), tuple(_once(shown)), again)


def _once(edges: Iterable[GraphEdge]) -> list[GraphEdge]:
    """One edge between two things of each sign and status."""
    found: dict[tuple[str, str, int, str], GraphEdge] = {}
    for one in sorted(edges, key=lambda edge: (1.0 if edge.q is None else edge.q, edge.id)):
        found.setdefault((one.source, one.target, one.sign, one.status), one)
    return sorted(found.values(), key=lambda edge: edge.id)


def draw(chosen: Chosen) -> str:
    """The drawing as SVG, at most 600 wide; empty where there is nothing to draw."""
    if not chosen.edges:
        return ""
    columns = _ordered(chosen)
    rows = max(len(column) for column in columns)
    height = _TOP + rows * _ROW + 36
    gap = (WIDTH - 2 * _MARGIN - sum(one.width for one in _COLUMNS)) / (len(_COLUMNS) - 1)
    lefts = [_MARGIN + sum(one.width + gap for one in _COLUMNS[:place]) for place in range(len(_COLUMNS))]
    place_of: dict[str, tuple[float, float, float]] = {}
    for place, column in enumerate(columns):
        apart = min(2 * _ROW, rows * _ROW / max(1, len(column)))
        start = _TOP + (rows * _ROW - len(column) * apart) / 2
        for row, one in enumerate(column):
            place_of[one.id] = (lefts[place], start + (row + 0.5) * apart, _COLUMNS[place].width)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" font-family="Helvetica, Arial, sans-serif">',
        f'<rect x="0" y="0" width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>',
    ]
    order = {"known": 0, "supported": 1, "inferred": 2}
    for edge in sorted(chosen.edges, key=lambda one: (order[one.status], one.id)):
        parts.append(_line(edge, place_of, (edge.source, edge.target) in chosen.again))
    for place, column in enumerate(columns):
        if column:
            middle = lefts[place] + _COLUMNS[place].width / 2
            parts.append(_words(middle, 14, _COLUMNS[place].title, _SMALL, "#5b616b"))
        same = {one.name for one in column if sum(other.name == one.name for other in column) > 1}
        for one in column:
            name = f"{one.name} {one.entity.split(';')[0]}" if one.name in same else one.name
            parts.append(_box(name, *place_of[one.id], _COLUMNS[place].fill))
    parts += _legend(height - 14)
    return "".join(parts) + "</svg>"


def _column(node: GraphNode) -> int:
    return 0 if node.kind in _COMPARED else 1 if node.kind in _MEASURED else 2


def _ordered(chosen: Chosen) -> list[list[GraphNode]]:
    """Nodes in columns, each placed near its neighbours."""
    columns: list[list[GraphNode]] = [[] for _ in _COLUMNS]
    for one in sorted(chosen.nodes, key=lambda node: (node.name.casefold(), node.id)):
        columns[_column(one)].append(one)
    around: dict[str, list[str]] = {}
    for edge in chosen.edges:
        around.setdefault(edge.source, []).append(edge.target)
        around.setdefault(edge.target, []).append(edge.source)
    for sweep in range(_SWEEPS):
        rank = {one.id: (row + 0.5) / len(column) for column in columns for row, one in enumerate(column)}
        places = range(len(columns)) if sweep % 2 == 0 else reversed(range(len(columns)))
        for place in places:
            columns[place].sort(
                key=lambda node: (_mean(node.id, around, rank), node.name.casefold(), node.id)
            )
            rank.update({one.id: (row + 0.5) / len(columns[place]) for row, one in enumerate(columns[place])})
    return columns


def _mean(identity: str, around: Mapping[str, list[str]], rank: Mapping[str, float]) -> float:
    others = [rank[one] for one in around.get(identity, ())]
    return round(sum(others) / len(others), 6) if others else 0.5


def _line(edge: GraphEdge, place_of: Mapping[str, tuple[float, float, float]], again: bool) -> str:
    left, right = sorted((place_of[edge.source], place_of[edge.target]))
    x1, y1, x2, y2 = left[0] + left[2], left[1], right[0], right[1]
    if left[0] == right[0]:  # within a column: a bow on its right side
        x2, bend = x1, x1 + 30
        bends = (bend, bend)
    else:
        bends = (x1 + 0.45 * (x2 - x1), x2 - 0.45 * (x2 - x1))
    negative = edge.sign < 0 or edge.kind in ("down_in", "absent_in", "inactive_in")
    colour = {"known": _KNOWN, "inferred": _INFERRED}.get(edge.status, _DOWN if negative else _UP)
    dash = {"inferred": ' stroke-dasharray="5 3"', "known": ' stroke-dasharray="1.5 2.5"'}.get(
        edge.status, ""
    )
    thick = 2.2 if again else 1.8 if edge.status == "inferred" else 1.0
    # What passes behind the middle column is faint, so that it does not look like an edge of what stands there.
    faint = 0.35 if {left[0], right[0]} == {_MARGIN, _FAR} else 0.85
    return (
        f'<path d="M{x1:.1f} {y1:.1f}C{bends[0]:.1f} {y1:.1f} {bends[1]:.1f} {y2:.1f} {x2:.1f} {y2:.1f}" fill="none" '
        f'stroke="{colour}" stroke-width="{thick}" stroke-opacity="{faint}"{dash}/>'
    )


def _box(name: str, left: float, middle: float, width: float, fill: str) -> str:
    most = int((width - 6) / (_TEXT * 0.53))
    shown = name if len(name) <= most else name[: most - 1] + "…"
    return (
        f'<rect x="{left:.1f}" y="{middle - _BOX / 2:.1f}" width="{width:.1f}" height="{_BOX}" rx="3" '
        f'fill="{fill}" stroke="#5b616b" stroke-width="0.7"/>'
        + _words(left + width / 2, middle + _TEXT * 0.35, shown, _TEXT, "#1c1f24")
    )


def _words(x: float, y: float, text: str, size: float, colour: str, anchor: str = "middle") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )


def _legend(y: float) -> list[str]:
    told = (
        ("higher, positive", _UP, 1.1, ""),
        ("lower, negative", _DOWN, 1.1, ""),
        ("holds again in other subjects", "#5b616b", 2.4, ""),
        ("known", _KNOWN, 1.1, "1.5 2.5"),
        ("inferred, not tested", _INFERRED, 1.8, "5 3"),
    )
    parts, x = [], 14.0
    for text, colour, thick, dash in told:
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(
            f'<line x1="{x:.1f}" x2="{x + 20:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}" '
            f'stroke-width="{thick}"{dashes}/>'
        )
        parts.append(_words(x + 25, y + 2.6, text, _SMALL, "#3a3f47", "start"))
        x += 45 + len(text) * _SMALL * 0.5
    return parts
