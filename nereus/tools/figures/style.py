"""The look that all figures share, and how they become SVG.

Figures are drawn with matplotlib's object-oriented interface, without pyplot. Equal input gives equal
bytes: ids come from a fixed salt, no date is written, and text is laid out with the metrics of DejaVu Sans,
which matplotlib ships, then shown in the reader's own sans-serif.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure as Drawing
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath

UP = "#C0492B"
"""Higher in a; Okabe and Ito's vermilion, calmed."""
DOWN = "#2C6DAA"
"""Lower in a; blue, told from `UP` by all common kinds of colour vision."""
INK = "#1F2A36"
MUTED = "#66727F"
FAINT = "#C3CAD2"
GRID = "#E8EBEF"
MISSING = "#EDEFF2"
MISSING_LINE = "#BFC7CF"

LEVELS = (
    "#3B6FA8",
    "#DE8F2E",
    "#2F9B83",
    "#B5527F",
    "#7768AE",
    "#8A9099",
    "#C2A83E",
    "#58A6D3",
    "#A0522D",
    "#4B5563",
)
"""Colours of levels, in order; neighbours differ in lightness as well as in hue."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")

DIVERGING = LinearSegmentedColormap.from_list(
    "nereus_diverging", ["#1E4E7F", DOWN, "#9FC1DE", "#F7F7F5", "#EDB8A4", UP, "#85270F"]
)

FONT_STACK = "Inter, 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
_LAYOUT_FONT = "DejaVu Sans"
_PIXELS_PER_INCH = 96
_LOCK = RLock()

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.image_inline": True,
    "font.family": [_LAYOUT_FONT],
    "font.size": 8.0,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.labelsize": 8.5,
    "axes.titlesize": 9.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "legend.handletextpad": 0.4,
    "legend.borderaxespad": 0.0,
    "hatch.linewidth": 0.6,
    "path.simplify": False,
    "text.parse_math": False,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
}


@contextmanager
def drawing(width: float, height: float, name: str) -> Iterator[Drawing]:
    """Give an empty drawing with the house settings in force.

    Parameters
    ----------
    width, height
        Size in CSS pixels; 600 is the usual width.
    name
        Salt of the ids inside, so that several figures can stand in one page.
    """
    with _LOCK, matplotlib.rc_context(_SETTINGS | {"svg.hashsalt": f"nereus-{name}"}):
        figure = Drawing(figsize=(width / _PIXELS_PER_INCH, height / _PIXELS_PER_INCH), dpi=72)
        FigureCanvasSVG(figure)
        yield figure


def to_svg(figure: Drawing, name: str, title: str) -> bytes:
    """Write a drawing as SVG; call it inside `drawing`.

    The size becomes a view box, so that a page can scale it, and ids get `name` as a prefix.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    width, height = (float(value) for value in re.findall(r'(?:width|height)="([\d.]+)pt"', text)[:2])
    scale = _PIXELS_PER_INCH / 72
    size = f'width="{width * scale:.0f}" height="{height * scale:.0f}"'
    text = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', size, text, count=1)
    if 'width="' not in text[: text.index(">")]:
        text = text.replace("<svg ", f"<svg {size} ", 1)
    text = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'xlink:href="#([^"]+)"', rf'xlink:href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = text.replace(f"'{_LAYOUT_FONT}'", FONT_STACK)
    text = re.sub(r'(?<= d=")[^"]+', _rounded, text)
    label = title.replace("&", "&amp;").replace("<", "&lt;")
    text = re.sub(r"(<svg [^>]*>)", rf"\1\n <title>{_plain(label)}</title>", text, count=1)
    return text.encode()


def _rounded(path: re.Match[str]) -> str:
    """Write path coordinates with two decimals, a hundredth of a point, and without line breaks."""
    numbers = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number.group()):.2f}", path.group())
    return numbers.replace(" \n", " ").replace("\n", " ").strip()


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\")


def text_size(text: str, points: float, *, bold: bool = False) -> tuple[float, float]:
    """Width and height of a text in points, by the layout font."""
    if not text.strip():
        return 0.0, points
    font = FontProperties(family=_LAYOUT_FONT, size=points, weight="bold" if bold else "normal")
    path = TextPath((0, 0), text.replace("$", "S"), prop=font)
    # The outlines of the layout font reach farthest at points that lie on them: no curve needs to be solved.
    across = np.asarray(path.vertices)[np.asarray(path.codes) != Path.CLOSEPOLY, 0]
    return float(across.max() - min(across.min(), 0.0)), points


def dots(axes: Axes, x: np.ndarray, y: np.ndarray, size: float, colour: str, alpha: float = 1.0) -> None:
    """Draw many equal dots as one path: small on disk, and quick to show.

    Parameters
    ----------
    axes
        Where to draw; its limits and size must be final, because dots that would fall on the same half
        point are drawn once.
    x, y
        Positions in data units.
    size
        Diameter in points.
    colour, alpha
        Of the dots.
    """
    if len(x) == 0:
        return
    place = axes.transData.transform(np.column_stack([x, y]))
    _, first = np.unique(np.round(place * 2).astype(int), axis=0, return_index=True)
    first = np.sort(first)
    vertices = np.repeat(np.column_stack([x[first], y[first]]), 2, axis=0)
    codes = np.tile([Path.MOVETO, Path.LINETO], len(first))
    axes.add_patch(
        PathPatch(
            Path(vertices, codes),
            facecolor="none",
            edgecolor=colour,
            linewidth=size,
            alpha=alpha,
            capstyle="round",
        )
    )


def rimmed_dots(
    axes: Axes, x: np.ndarray, y: np.ndarray, size: float, colour: str, alpha: float = 1.0
) -> None:
    """Draw dots with a white rim, so that each can be told from its neighbours; for hundreds, not for thousands."""
    axes.plot(
        x, y, linestyle="none", marker="o", markersize=size + 0.5, markerfacecolor=colour, alpha=alpha,
        markeredgecolor="white", markeredgewidth=0.45, zorder=3,
    )  # fmt: skip


def feature_label(feature: str, gene: str, length: int = 16) -> str:
    """Short name of a feature: its gene, else its first identifier with an ellipsis for the rest of a group."""
    if gene and gene.lower() != "nan":
        return shorten(gene, length)
    first, *rest = feature.replace("|", ";").split(";")
    return shorten(first, length) + ("…" if rest else "")


def nice_limits(values: np.ndarray, pad: float = 0.06) -> tuple[float, float]:
    """Limits around finite values with a margin; (-1, 1) where there are none."""
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return -1.0, 1.0
    low, high = float(values.min()), float(values.max())
    margin = (high - low) * pad or max(abs(high), 1.0) * pad
    return low - margin, high + margin


def shorten(text: str, length: int) -> str:
    """Cut a text that is too long, with an ellipsis."""
    return text if len(text) <= length else text[: length - 1].rstrip(" ,;:-") + "…"
