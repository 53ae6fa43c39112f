"""What the code drew with matplotlib: each open figure as SVG, with the points that its lines and dots stand at."""

from __future__ import annotations

import base64
import io
import sys
from typing import Any

from nereus.tools.code.drawing_check import fault
from nereus.tools.code.inside import columns

_MOST_POINTS = 10_000
_LARGEST = 8_000_000


def figures() -> list[dict[str, Any]]:
    """All open figures in the order of their numbers; they are closed."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return []
    found = []
    for number in pyplot.get_fignums():
        figure = pyplot.figure(number)
        found.append(
            {
                "svg": _svg(figure),
                "title": _title(figure),
                "points": columns.encoded("points", _points(figure)),
            }
        )
    pyplot.close("all")
    return found


def _svg(figure: Any) -> str:
    import matplotlib

    for artist in figure.findobj(lambda one: one.get_url() is not None):
        artist.set_url(None)  # a drawing leads nowhere
    # Identifiers in the drawing follow from its content, not from chance.
    with matplotlib.rc_context({"svg.hashsalt": "nereus", "svg.fonttype": "path"}):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    drawing = buffer.getvalue()
    return _picture(figure) if len(drawing) > _LARGEST or fault(drawing) else drawing


def _picture(figure: Any) -> str:
    """A drawing of very many parts, or of parts that are not let through, as one picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    width, height = (72 * one for one in figure.get_size_inches())
    held = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}pt" height="{height:g}pt" '
        f'viewBox="0 0 {width:g} {height:g}">'
        f'<image width="{width:g}" height="{height:g}" href="data:image/png;base64,{held}"/></svg>'
    )


def _title(figure: Any) -> str:
    texts = [figure.get_suptitle(), *(one.get_title() for one in figure.axes)]
    return next((text for text in texts if text), "")[:200]


def _points(figure: Any) -> Any:
    import numpy as np
    import pandas as pd

    parts: list[tuple[str, Any]] = []
    for i, axes in enumerate(figure.axes, 1):
        for line in axes.lines:
            parts.append((f"axes {i}: {line.get_label()}", np.column_stack(line.get_data(orig=False))))
        for dots in axes.collections:
            parts.append(
                (f"axes {i}: {dots.get_label()}", np.asarray(np.ma.filled(dots.get_offsets(), np.nan)))
            )
        for bar in axes.patches:
            if hasattr(bar, "get_height"):
                middle = bar.get_x() + bar.get_width() / 2
                parts.append((f"axes {i}: bars", np.array([[middle, bar.get_y() + bar.get_height()]])))
    rows = [(name, x, y) for name, xy in parts for x, y in _numbers(xy)][:_MOST_POINTS]
    keys = [str(k) for k in range(1, len(rows) + 1)]
    return pd.DataFrame(
        {
            "point": keys,
            "series": [row[0] for row in rows],
            "x": np.array([row[1] for row in rows], float),
            "y": np.array([row[2] for row in rows], float),
        }
    )


def _numbers(xy: Any) -> list[tuple[float, float]]:
    try:
        pairs = xy.astype(float)
    except (TypeError, ValueError):  # dates and names of categories
        return []
    return [(float(x), float(y)) for x, y in pairs[:_MOST_POINTS]]
