"""Few terms out of many: orthogonal matching pursuit with a beam, and the coefficients of the chosen ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nereus.tools.statistics.formula.sheet import FloatArray

IntArray = npt.NDArray[np.intp]

_DEPENDENT = 1e-10
"""A term with less of its square left after projection on the chosen ones says nothing new."""
_TURNS = 20
_NEAR = 0.02
_SHARE_MET = 0.25
_COST = 0.35
"""Weight of a term's complexity beside the Bayesian information criterion, per parameter."""


@dataclass(frozen=True)
class Support:
    """Some terms, and the share of the target's variance that they leave."""

    terms: tuple[int, ...]
    left: float


@dataclass
class _State:
    terms: tuple[int, ...]
    basis: list[FloatArray]
    free: FloatArray
    """Squared norm that each candidate has left, shape (terms,)."""
    rest: FloatArray
    cost: float


def beam_pursuit(
    values: FloatArray,
    target: FloatArray,
    cost: FloatArray,
    *,
    width: int,
    depth: int,
    branches: int,
    enough: float,
) -> list[Support]:
    """Supports of growing size.

    Parameters
    ----------
    values
        Candidate terms, shape (rows, terms).
    target
        Shape (rows,).
    cost
        Complexity of each term; ties between terms that explain alike go to the cheaper.
    width, depth, branches
        States kept at every size, greatest size, and extensions tried of each state.
    enough
        Share of the variance left at which the search stops.

    Returns
    -------
    list of Support
        The best few at each size, best first within a size. An intercept is always there.

    Notes
    -----
    Orthogonal matching pursuit (Pati, Rezaiifar and Krishnaprasad 1993) over a library of functions as in SINDy
    (Brunton, Proctor and Kutz 2016) and FFX (McConaghy 2011), with a beam in place of the single greedy path. Deterministic.
    """
    n = len(target)
    centred = values - values.mean(axis=0)
    norm = np.sqrt((centred**2).sum(axis=0))
    keep = norm > 0
    units = np.where(keep, centred / np.where(keep, norm, 1.0), 0.0)
    rest = target - target.mean()
    total = float(rest @ rest)
    if total <= 0 or not keep.any():
        return []
    beam = [_State((), [], keep.astype(np.float64), rest, 0.0)]
    found: list[Support] = []
    for _ in range(min(depth, n // 3)):
        options: dict[frozenset[int], tuple[float, float, _State, int]] = {}
        # all states at once: the library is read from memory once a size, not once a state
        along_all = units.T @ np.stack([state.rest for state in beam], axis=1)
        for place, state in enumerate(beam):
            free = state.free > _DEPENDENT
            along = along_all[:, place]
            gain = np.where(free, along**2 / np.where(free, state.free, 1.0), 0.0)
            left = np.maximum(float(state.rest @ state.rest) - gain, total * 1e-18) / total
            price = n * np.log(left) + np.log(n) * _COST * (state.cost + cost)
            price[~free] = np.inf
            for index in np.argsort(price, kind="stable")[:branches]:
                if not free[index]:
                    continue
                key = frozenset((*state.terms, int(index)))
                if key not in options or price[index] < options[key][0]:
                    options[key] = (float(price[index]), float(left[index]), state, int(index))
        best = sorted(options.values(), key=lambda one: (one[0], one[2].terms, one[3]))[:width]
        if not best:
            break
        beam = _extended([(state, index) for _, _, state, index in best], units, cost)
        sized = [Support(state.terms, float(state.rest @ state.rest) / total) for state in beam]
        found += sized
        if min(one.left for one in sized) <= enough:
            break
    return found


def _extended(chosen: list[tuple[_State, int]], units: FloatArray, cost: FloatArray) -> list[_State]:
    """States with one more term each."""
    directions = [_direction(state, units[:, index]) for state, index in chosen]
    taken = (units.T @ np.stack(directions, axis=1)) ** 2
    grown = []
    for place, ((state, index), direction) in enumerate(zip(chosen, directions, strict=True)):
        rest = state.rest - (direction @ state.rest) * direction
        free = np.maximum(state.free - taken[:, place], 0.0)
        free[index] = 0.0
        grown.append(
            _State(
                (*state.terms, index), [*state.basis, direction], free, rest, state.cost + float(cost[index])
            )
        )
    return grown


def _direction(state: _State, unit: FloatArray) -> FloatArray:
    """What a term adds to those that a state has, of length 1."""
    direction = unit.copy()
    for _ in range(2):  # twice is enough against loss of orthogonality
        for one in state.basis:
            direction -= (one @ direction) * one
    length = float(np.sqrt(direction @ direction))
    return direction / max(length, 1e-300)


def least_squares(values: FloatArray, target: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Intercept and coefficients, and their standard errors, shape (terms + 1,) each; columns are scaled first."""
    n, k = values.shape
    centre, scale = values.mean(axis=0), values.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    design = np.column_stack([np.ones(n), (values - centre) / scale])
    solved, _, _, _ = np.linalg.lstsq(design, target, rcond=None)
    rest = target - design @ solved
    variance = float(rest @ rest) / max(n - k - 1, 1)
    inverse = np.linalg.pinv(design.T @ design)
    back = np.zeros((k + 1, k + 1))
    back[0, 0] = 1.0
    back[0, 1:] = -centre / scale
    back[1:, 1:] = np.diag(1.0 / scale)
    spread = back @ (variance * inverse) @ back.T
    return back @ solved, np.sqrt(np.maximum(np.diag(spread), 0.0))


def most_rows(values: FloatArray, target: FloatArray, start: FloatArray) -> FloatArray | None:
    """Intercept and coefficients that meet as many rows as possible exactly; None where no more than chance are met.

    Parameters
    ----------
    values
        Terms, shape (rows, terms).
    target
        Shape (rows,).
    start
        Intercept and coefficients to start from.

    Notes
    -----
    Least absolute deviations by reweighting, then least squares on the rows that are met, until they stay the same.
    """
    n, k = values.shape
    scale = float(np.abs(target).max(initial=0.0))
    centre, spread = values.mean(axis=0), values.std(axis=0)
    design = np.column_stack([np.ones(n), (values - centre) / np.where(spread > 0, spread, 1.0)])
    off = np.abs(target - start[0] - values @ start[1:])
    for _ in range(_TURNS):
        middle = float(np.median(off))
        if middle <= 1e-9 * scale:
            break
        off = np.abs(target - design @ _weighted(design, target, 1.0 / np.maximum(off, 1e-3 * middle)))
    solved = start
    met = np.zeros(n, dtype=bool)
    for _ in range(_TURNS):
        now = off <= max(_NEAR * float(np.median(off)), 1e-6 * scale)
        if now.sum() < max(_SHARE_MET * n, k + 3) or (now == met).all():
            break
        met = now
        solved, _ = least_squares(values[met], target[met])
        off = np.abs(target - solved[0] - values @ solved[1:])
    return solved if met.any() else None


def _weighted(design: FloatArray, target: FloatArray, weight: FloatArray) -> FloatArray:
    """Coefficients of weighted least squares by the normal equations: a start, made exact by least squares later."""
    weighed = design * weight[:, None]
    gram = weighed.T @ design
    try:
        return np.asarray(
            np.linalg.solve(gram + 1e-12 * np.trace(gram) * np.eye(len(gram)), weighed.T @ target)
        )
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.lstsq(gram, weighed.T @ target, rcond=None)[0])
