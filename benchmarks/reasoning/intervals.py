"""Means over seeds with their spread: the interval is over seeds, by the t distribution, never the best of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import t


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """Mean, 95 % interval (None for one seed) and the value of each seed."""
    x = np.asarray(values, dtype=float)
    if len(x) < 2:
        return {"mean": float(x.mean()), "interval": None, "seeds": x.tolist()}
    half = float(t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return {
        "mean": float(x.mean()),
        "interval": [float(x.mean()) - half, float(x.mean()) + half],
        "seeds": x.tolist(),
    }


def summed(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The same of every number in nested dictionaries, one a seed; what only some seeds have is of those."""
    made: dict[str, Any] = {}
    for name, first in rows[0].items():
        having = [row[name] for row in rows if name in row]
        if isinstance(first, dict):
            made[name] = summed(having)
        elif isinstance(first, bool | int | float):
            made[name] = over_seeds([float(one) for one in having])
        else:
            made[name] = having
    return made
