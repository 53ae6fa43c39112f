"""Robust locally weighted regression (lowess): local lines with tricube weights and bisquare robustness weights.

Cleveland 1979, J Am Stat Assoc 74:829, with the conventions of his published program: weights are one within
0.001 and zero beyond 0.999 of their range, and points closer than `delta` to a fitted point are interpolated.
Own code because statsmodels' version leaves the two thresholds out, which moves fitted values in the sixth
digit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def lowess(
    x: FloatArray, y: FloatArray, *, span: float = 0.4, robust_steps: int = 3, delta: float = 0.0
) -> FloatArray:
    """Fitted values of `y` along `x`, at each point and in the order given.

    Parameters
    ----------
    x, y
        Finite, shape (n,).
    span
        Share of the points in each neighbourhood.
    robust_steps
        Repetitions with weights from the residuals.
    delta
        Points within this distance of the last fitted point are interpolated.

    Examples
    --------
    >>> x = np.arange(20.0)
    >>> bool(np.allclose(lowess(x, 3 * x + 1), 3 * x + 1))
    True
    """
    order = np.argsort(x, kind="stable")
    xs, ys = x[order], y[order]
    n, width = len(xs), float(xs[-1] - xs[0])
    if n < 2 or width == 0:
        return np.full(n, float(np.mean(ys)) if n else 0.0)
    anchors = _anchors(xs, delta)
    neighbours = [_neighbourhood(xs, i, left, right) for i, left, right in _windows(xs, anchors, span)]
    robustness = np.ones(n)
    fitted = np.empty(n)
    for step in range(robust_steps + 1):
        at = np.array(
            [
                _local_line(xs, ys, int(i), start, weights * robustness[start : start + len(weights)], width)
                for i, (start, weights) in zip(anchors, neighbours, strict=True)
            ]
        )
        fitted = np.interp(xs, xs[anchors], at)
        away = np.abs(ys - fitted)
        reach = 6.0 * float(np.median(away))
        if step == robust_steps or reach <= 1e-7 * float(np.mean(away)):
            break
        bisquare = (1.0 - (away / reach) ** 2) ** 2
        robustness = np.where(away <= 0.001 * reach, 1.0, np.where(away <= 0.999 * reach, bisquare, 0.0))
    result = np.empty(n)
    result[order] = fitted
    return result


def _anchors(xs: FloatArray, delta: float) -> npt.NDArray[np.intp]:
    """Points at which a line is fitted: the last one within `delta` of the one before, or else the next one."""
    anchors, i, n = [], 0, len(xs)
    while True:
        anchors.append(i)
        same = int(np.searchsorted(xs, xs[i], side="right")) - 1  # last point tied with this one
        if same >= n - 1:
            break
        beyond = int(np.searchsorted(xs, xs[i] + delta, side="right"))  # first point farther than delta
        i = max(same + 1, min(beyond, n) - 1)
    return np.array(anchors, dtype=np.intp)


def _windows(xs: FloatArray, anchors: npt.NDArray[np.intp], span: float) -> list[tuple[int, int, int]]:
    """The nearest ``span * n`` points of each anchor: (anchor, first, last)."""
    n = len(xs)
    count = max(min(n, int(span * n + 1e-7)), 2)
    left, windows = 0, []
    for i in anchors:
        while left + count < n and xs[i] - xs[left] > xs[left + count] - xs[i]:
            left += 1
        windows.append((int(i), left, left + count - 1))
    return windows


def _neighbourhood(xs: FloatArray, i: int, left: int, right: int) -> tuple[int, FloatArray]:
    """First point and tricube weights of a neighbourhood; points tied with its end are in it."""
    radius = max(xs[i] - xs[left], xs[right] - xs[i])
    end = int(np.searchsorted(xs, xs[i] + 0.999 * radius, side="right"))
    distance = np.abs(xs[left : max(end, i + 1)] - xs[i])
    if radius == 0:
        return left, np.ones(len(distance))
    tricube = (1.0 - np.minimum(distance / radius, 1.0) ** 3) ** 3
    return left, np.where(distance <= 0.001 * radius, 1.0, np.where(distance <= 0.999 * radius, tricube, 0.0))


def _local_line(
    xs: FloatArray, ys: FloatArray, i: int, start: int, weights: FloatArray, width: float
) -> float:
    """Weighted line through a neighbourhood, read at point i; its weighted mean where x hardly varies."""
    total = float(weights.sum())
    if total <= 0:
        return float(ys[i])
    w = weights / total
    near_x, near_y = xs[start : start + len(w)], ys[start : start + len(w)]
    middle = float(w @ near_x)
    spread = float(w @ (near_x - middle) ** 2)
    if np.sqrt(spread) > 0.001 * width:
        w = w * (1.0 + (xs[i] - middle) / spread * (near_x - middle))
    return float(w @ near_y)
