"""A reliability diagram: how often things were true, over how sure they were said to be. Equal input gives equal bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nereus.tools.figures.style import DOWN, FAINT, GRID, INK, MUTED, UP, drawing, to_svg

_NAME = "reliability"


@dataclass(frozen=True)
class Curve:
    """One arm: a name, and for each bin how many there were (``n``), how sure (``said``) and how often right (``true``)."""

    name: str
    bins: list[dict[str, Any]]


def reliability_svg(curves: list[Curve], title: str) -> bytes:
    """Draw arms beside the diagonal, with 95 % intervals (Wilson), and below them how many fell into each bin."""
    with drawing(420, 440, _NAME) as figure:
        axes = figure.add_axes((0.15, 0.32, 0.81, 0.6))
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)))
        counts = figure.add_axes((0.15, 0.1, 0.81, 0.15))
        for at, curve in enumerate(curves):
            colour, marker = ((DOWN, "o"), (UP, "s"))[at % 2]
            said, true = _column(curve, "said"), _column(curve, "true")
            n = _column(curve, "n")
            low, high = _wilson(true, n)
            axes.vlines(said, low, high, color=colour, linewidth=1.0, alpha=0.45)
            axes.plot(
                said, true, color=colour, linewidth=1.2, marker=marker, markersize=4.5, label=curve.name
            )
            places = np.minimum((said * 10).astype(int), 9) / 10 + 0.03 + 0.04 * at
            counts.bar(places, np.maximum(n, 0.5), width=0.036, color=colour, align="center")
        for one in (axes, counts):
            one.set_xlim(-0.02, 1.02)
            one.grid(color=GRID, linewidth=0.5)
        axes.set_ylim(-0.02, 1.02)
        axes.set_ylabel("share that was true")
        axes.set_title(title, color=INK)
        axes.legend(loc="upper left")
        counts.set_yscale("log")
        most = max((float(one["n"]) for curve in curves for one in curve.bins), default=1.0)
        decades = [10**i for i in range(int(np.log10(max(most, 1.0))) + 2)]
        counts.set_yticks(decades, [f"{one:,}" for one in decades])
        counts.minorticks_off()
        counts.set_ylim(0.5, 1.5 * max(most, 1.0))
        counts.set_ylabel("number", color=MUTED)
        counts.set_xlabel("stated probability")
        return to_svg(figure, _NAME, title)


def _column(curve: Curve, name: str) -> np.ndarray:
    return np.array([float(one[name]) for one in curve.bins])


def _wilson(share: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    z = 1.96
    n = np.maximum(n, 1.0)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return centre - half, centre + half
