"""The report's own small drawings: an effect with its interval, and the calibration of confidences.

They hold no text with digits: the numbers stand beside them, each with its reference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Scale:
    """A common axis for the intervals of comparable effects; zero is always on it."""

    low: float
    high: float
    step: float
    """Distance of two grid lines; 0 for none."""

    def percent(self, value: float) -> float:
        """Position on the axis, clipped to its ends."""
        clipped = max(self.low, min(self.high, value))
        return round(2 + 96 * (clipped - self.low) / (self.high - self.low), 2)

    def inside(self, value: float) -> bool:
        """Whether a value lies on the axis."""
        return self.low <= value <= self.high

    @property
    def legend(self) -> str:
        """What one grid line stands for, in words; for log2 effects."""
        return {0.5: "half a doubling", 1.0: "a doubling", 2.0: "a fourfold change"}.get(self.step, "")


def scale_of(effects: Sequence[float], ends: Sequence[float]) -> Scale:
    """An axis that holds zero, all effects, and their intervals but for what is far wider than the effects.

    Parameters
    ----------
    effects
        Point estimates.
    ends
        Ends of their intervals.
    """
    most = 2.0 * max((abs(value) for value in effects), default=1.0)
    held = [0.0, *effects, *(value for value in ends if abs(value) <= most)]
    low, high = min(held), max(held)
    span = max(high - low, 1e-9)
    # Room at the ends, and never a zero line at the very edge.
    low, high = low - 0.06 * span, high + 0.06 * span
    step = next((step for step in (0.5, 1.0, 2.0) if (high - low) / step <= 8), 0.0)
    return Scale(low, high, step)


def interval(effect: float, low: float | None, high: float | None, scale: Scale, direction: str) -> Markup:
    """An effect as a dot on its interval, on a common axis.

    Parameters
    ----------
    effect, low, high
        Point estimate and limits; without limits a dot alone.
    scale
        The axis.
    direction
        ``up`` or ``down``, for the colour.
    """
    parts = ['<line class="axis" x1="0" x2="100%" y1="11" y2="11"/>']
    if scale.step:
        for number in range(math.ceil(scale.low / scale.step), math.floor(scale.high / scale.step) + 1):
            where = scale.percent(number * scale.step)
            if number:
                parts.append(f'<line class="grid" x1="{where}%" x2="{where}%" y1="2" y2="20"/>')
    zero = scale.percent(0.0)
    parts.append(f'<line class="zero" x1="{zero}%" x2="{zero}%" y1="0" y2="22"/>')
    if low is not None and high is not None:
        left, right = scale.percent(low), scale.percent(high)
        parts.append(f'<line class="ci" x1="{left}%" x2="{right}%" y1="11" y2="11"/>')
        for end, where in ((low, left), (high, right)):
            if scale.inside(end):
                parts.append(f'<line class="ci cap" x1="{where}%" x2="{where}%" y1="6.5" y2="15.5"/>')
            else:
                parts.append(f'<circle class="beyond" cx="{where}%" cy="11" r="2.6"/>')
    parts.append(f'<circle class="dot" cx="{scale.percent(effect)}%" cy="11" r="5"/>')
    kind = direction if direction in ("up", "down") else "flat"
    return Markup(f'<svg class="interval {kind}" height="22" aria-hidden="true">{"".join(parts)}</svg>')


def calibration_plot(points: Sequence[tuple[float, float, float]]) -> Markup:
    """Stated confidence against the share of planted effects found true, on a unit square.

    Parameters
    ----------
    points
        (mean stated confidence, observed share, number of findings) of each bin.
    """
    most = max((count for _, _, count in points), default=1.0) or 1.0
    parts = ['<rect class="frame" x="10" y="10" width="200" height="200"/>']
    for quarter in (60, 110, 160):
        parts.append(f'<line class="grid" x1="{quarter}" x2="{quarter}" y1="10" y2="210"/>')
        parts.append(f'<line class="grid" x1="10" x2="210" y1="{quarter}" y2="{quarter}"/>')
    parts.append('<line class="ideal" x1="10" y1="210" x2="210" y2="10"/>')
    ordered = sorted(points)
    if len(ordered) > 1:
        line = " ".join(f"{10 + 200 * x:.1f},{210 - 200 * y:.1f}" for x, y, _ in ordered)
        parts.append(f'<polyline class="curve" points="{line}"/>')
    for x, y, count in ordered:
        radius = 3 + 7 * math.sqrt(count / most)
        parts.append(
            f'<circle class="bin" cx="{10 + 200 * x:.1f}" cy="{210 - 200 * y:.1f}" r="{radius:.1f}"/>'
        )
    return Markup(
        f'<svg class="calibration" viewBox="0 0 220 220" role="img" aria-label="Calibration">{"".join(parts)}</svg>'
    )
