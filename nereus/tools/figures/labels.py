"""Labels of points that overlap neither each other nor the points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from nereus.tools.figures.style import INK, MUTED, text_size

_ANGLES = np.deg2rad([20, 160, -20, 200, 60, 120, -60, 240, 90, -90, 0, 180])
_DISTANCES = (4.0, 7.0, 11.0, 16.0, 22.0, 29.0, 37.0, 46.0)
_PADDING = 1.2


def place_labels(
    axes: Axes,
    x: np.ndarray,
    y: np.ndarray,
    texts: Sequence[str],
    *,
    avoid: np.ndarray | None = None,
    size: float = 7.0,
    colour: str = INK,
) -> list[bool]:
    """Write a label beside each point, first come first served.

    For each label, positions around its point are tried from near to far; the first whose box lies inside
    the axes, on no earlier label and on no point of `avoid` is taken, with a thin line where it is far. A
    label without such a place is left out: it would hide something.

    Parameters
    ----------
    axes
        Where to write; limits and position must be final.
    x, y
        Points in data units, in order of importance.
    texts
        Labels.
    avoid
        Points in data units, shape (points, 2), that no label may cover; `x, y` are always avoided.
    size
        Font size in points.
    colour
        Text colour.

    Returns
    -------
    list of bool
        Which labels were written.
    """
    if len(x) == 0:
        return []
    own = axes.transData.transform(np.column_stack([x, y]))
    crowd = own if avoid is None or len(avoid) == 0 else np.vstack([own, axes.transData.transform(avoid)])
    frame = axes.get_window_extent()
    taken: list[tuple[float, float, float, float]] = []
    written: list[bool] = []
    for point, text in zip(own, texts, strict=True):
        width, height = text_size(text, size)
        box = _free_box(point, width, height, crowd, taken, (frame.x0, frame.y0, frame.x1, frame.y1))
        written.append(box is not None)
        if box is None:
            continue
        taken.append(box)
        left, low, right, high = box
        middle = ((left + right) / 2, (low + high) / 2)
        reach = np.hypot(max(left - point[0], 0, point[0] - right), max(low - point[1], 0, point[1] - high))
        to_data = axes.transData.inverted()
        if reach > 5.0:
            anchor = (min(max(point[0], left), right), min(max(point[1], low), high))
            (x0, y0), (x1, y1) = to_data.transform([point, anchor])
            axes.plot([x0, x1], [y0, y1], color=MUTED, linewidth=0.45, zorder=4, solid_capstyle="round")
        at = to_data.transform(middle)
        axes.text(
            at[0], at[1], text, fontsize=size, color=colour, ha="center", va="center_baseline", zorder=6
        )
    return written


def _free_box(
    point: np.ndarray,
    width: float,
    height: float,
    crowd: np.ndarray,
    taken: Sequence[tuple[float, float, float, float]],
    frame: tuple[float, float, float, float],
) -> tuple[float, float, float, float] | None:
    for distance in _DISTANCES:
        for angle in _ANGLES:
            across, along = np.cos(angle), np.sin(angle)
            middle_x = point[0] + distance * across + np.sign(round(across, 6)) * width / 2
            middle_y = (
                point[1] + distance * along + np.sign(round(along, 6)) * height / 2 * (abs(along) > 0.5)
            )
            left, right = middle_x - width / 2 - _PADDING, middle_x + width / 2 + _PADDING
            low, high = middle_y - height / 2 - _PADDING, middle_y + height / 2 + _PADDING
            if left < frame[0] or right > frame[2] or low < frame[1] or high > frame[3]:
                continue
            if any(left < b[2] and right > b[0] and low < b[3] and high > b[1] for b in taken):
                continue
            inside = (crowd[:, 0] > left) & (crowd[:, 0] < right) & (crowd[:, 1] > low) & (crowd[:, 1] < high)
            if not inside.any():
                return left, low, right, high
    return None
