"""The page `docs/method_acceptance.md`: what was asked of each method, our figure, what stands beside it, and whether it is met.

What is asked lies in `benchmarks/method_acceptance.toml`. Whether it is met is worked out from stored results, not written down.
"""

from __future__ import annotations

import json
import operator
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from benchmarks.truth.results import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "method_acceptance.md"
ASKED = Path(__file__).with_suffix(".toml")
_HEAD = """# What was asked of the methods, and what was measured

Made from `benchmarks/method_acceptance.toml` and `benchmarks/results/methods` by `python -m benchmarks.run`; a test compares.
The bounds are those that were asked for; none was moved. `missed`: the figure was measured and does not reach its bound.
`told`: a figure without a bound. `tested`: held by tests. What a method is for and where it ends: [cards](method_cards.md).
"""
_HOLDS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "least": (">=", operator.ge),
    "most": ("<=", operator.le),
    "above": (">", operator.gt),
    "below": ("<", operator.lt),
    "is_": ("", operator.is_),
    "within": ("", lambda value, bound: bound[0] <= value <= bound[1]),
}
_COLUMNS = ("method", "asked", "bound", "ours", "beside it", "status", "otherwise")


class Row(BaseModel):
    """One thing that is asked; see the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    asks: str
    place: str = ""
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    is_: bool | None = None
    within: tuple[float, float] | None = None
    beside: tuple[tuple[str, str], ...] = ()
    differs: str = ""
    tests: tuple[str, ...] = ()
    why_not: str = ""

    @model_validator(mode="after")
    def _one_answer(self) -> Row:
        if sum(map(bool, (self.place, self.tests, self.why_not))) != 1:
            raise ValueError("a row has a place, tests, or a reason why it was not measured")
        if sum(getattr(self, name) is not None for name in _HOLDS) > 1:
            raise ValueError("a row has one bound")
        return self

    @property
    def bound(self) -> tuple[str, Any] | None:
        """Kind of the bound, and the bound."""
        return next(((name, one) for name in _HOLDS if (one := getattr(self, name)) is not None), None)


def asked() -> list[Row]:
    """All rows, in their order."""
    table = tomllib.loads(ASKED.read_text(encoding="utf-8"))["row"]
    return [Row(**{"is_" if name == "is" else name: value for name, value in one.items()}) for one in table]


def stored(place: str) -> Any:
    """The entry of a stored result; None where there is none."""
    file, _, path = place.partition(":")
    result = RESULTS / "methods" / file
    value = json.loads(result.read_text(encoding="utf-8")) if result.exists() else {}
    for key in path.split("."):
        if isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            return None
    return value


def status(row: Row) -> str:
    """``met``, ``missed``, ``told``, ``tested`` or ``not measured``."""
    if row.tests:
        return "tested"
    value = stored(row.place) if row.place else None
    if value is None:
        return "not measured"
    if row.bound is None:
        return "told"
    kind, bound = row.bound
    return "met" if _HOLDS[kind][1](value, bound) else "missed"


def rows() -> list[dict[str, str]]:
    """One row each, as they are shown."""
    found = []
    for row in asked():
        beside = [
            f"{name} {_shown(value)}" for name, place in row.beside if (value := stored(place)) is not None
        ]
        bound = "" if row.bound is None else f"{_HOLDS[row.bound[0]][0]} {_shown(row.bound[1])}".strip()
        found.append(
            {
                "method": row.method,
                "asked": row.asks,
                "bound": bound,
                "ours": _shown(stored(row.place)) if row.place else "",
                "beside it": ", ".join(beside),
                "status": status(row),
                "otherwise": row.why_not or row.differs,
            }
        )
    return found


def page() -> str:
    """The whole page."""
    every = rows()
    counts = Counter(row["status"] for row in every)
    order = ("met", "tested", "told", "missed", "not measured")
    lines = [_HEAD, "**" + ", ".join(f"{counts[one]} {one}" for one in order if counts[one]) + ".**", ""]
    lines += ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    for row in every:
        cells = {name: row[name].replace("|", "\\|") for name in _COLUMNS}
        if row["status"] in ("missed", "not measured"):
            cells["status"] = f"**{cells['status']}**"
        lines.append("| " + " | ".join(cells.values()) + " |")
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return " to ".join(map(_shown, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
