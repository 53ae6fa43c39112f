"""What was compared, what differs, and when two values count as equal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nereus.agents.reporter.cells import different_cells, equal_numbers
from nereus.errors import NereusError

TOLERANCE = 1e-9
"""Largest relative difference of two numbers that count as reproduced."""


@dataclass
class Verification:
    """What was compared and what differs."""

    n_total: int = 0
    n_reproduced: int = 0
    differences: list[str] = field(default_factory=list)
    """Each names the file or step, the place in it, and both values."""
    notes: list[str] = field(default_factory=list)
    """What a reader should know and is no difference: other library versions, outputs equal but for rounding."""

    @property
    def ok(self) -> bool:
        """Whether everything was reproduced."""
        return not self.differences and self.n_reproduced == self.n_total

    def line(self) -> str:
        """The last line of the command."""
        return f"{self.n_reproduced}/{self.n_total} values reproduced"

    def count(self, reproduced: bool, difference: str = "") -> None:
        """Count one comparison."""
        self.n_total += 1
        if reproduced:
            self.n_reproduced += 1
        else:
            self.differences.append(difference)

    def count_cells(self, where: str, stored: str, computed: str) -> None:
        """Count the cells of a CSV."""
        found = different_cells(stored, computed, TOLERANCE)
        self.n_total += found.total
        self.n_reproduced += found.equal
        self.differences += [f"{where}: {difference}" for difference in found.differences]
        if (hidden := found.total - found.equal - len(found.differences)) > 0:
            self.differences.append(f"{where}: {hidden} further cells differ")


def equal_scalars(a: object, b: object) -> bool:
    """Whether two named values are equal: numbers within `TOLERANCE`, anything else exactly."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return equal_numbers(float(a), float(b), TOLERANCE)
    return a == b


def report_text(found: Verification, most: int = 50) -> str:
    """What the command prints: notes, differences, and the last line."""
    lines = [f"note: {note}" for note in found.notes[:most]]
    lines += [f"DIFFERS  {difference}" for difference in found.differences[:most]]
    if len(found.differences) > most:
        lines.append(f"... and {len(found.differences) - most} further differences")
    return "\n".join([*lines, found.line()]) + "\n"


def attempt(compute: Callable[[], Any]) -> Any:
    """A value, or the error that stands in its way."""
    try:
        return compute()
    except NereusError as error:
        return error


def first_line(error: object) -> str:
    """The first line of what an error says."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
