"""What a run has cited so far: read from the database once, then kept beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from nereus.memory.records import Evidence, Scalar

if TYPE_CHECKING:
    import pandas as pd

Pointer = tuple[Scalar, ...]
"""Key of the call, name of the value, or table, row and column."""


class Citations:
    """Gives equal pointers equal evidence, and new ones the next id.

    Parameters
    ----------
    known
        The evidence that is recorded.
    """

    def __init__(self, known: Iterable[Evidence]) -> None:
        self._known = {pointer_of(one): one for one in known}
        self._fresh: list[Evidence] = []
        self._rows: dict[str, dict[str, int]] = {}
        self._columns: dict[tuple[str, str], Any] = {}

    def keep(self, pointer: Pointer, make: Callable[[str], Evidence]) -> Evidence:
        """The evidence of a pointer; `make` gets the id of a new one."""
        evidence = self._known.get(pointer)
        if evidence is None:
            evidence = self._known[pointer] = make(f"E{len(self._known) + 1}")
            self._fresh.append(evidence)
        return evidence

    def fresh(self) -> list[Evidence]:
        """What is not recorded yet; asked once."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def cell(self, artifact: str, read: Callable[[], pd.DataFrame], row: str, column: str) -> Any:
        """One cell of a table, which is named by its artifact and read when it was not cited before."""
        values = self._columns.get((artifact, column))
        if values is None:
            values = self._columns[artifact, column] = read()[column].array
        return values[self._places(artifact, read)[row]]

    def row(self, artifact: str, read: Callable[[], pd.DataFrame], row: str) -> dict[str, Any] | None:
        """One row of a table by column; None where the table has no such row."""
        place = self._places(artifact, read).get(row)
        if place is None:
            return None
        table = read()
        return {str(name): table[name].array[place] for name in table.columns}

    def _places(self, artifact: str, read: Callable[[], pd.DataFrame]) -> dict[str, int]:
        """Where each row of a table stands, by its name in the first column."""
        known = self._rows.get(artifact)
        if known is None:
            known = self._rows[artifact] = {key: place for place, key in enumerate(read().iloc[:, 0])}
        return known


def pointer_of(evidence: Evidence) -> Pointer:
    """What the evidence points at."""
    return (evidence.call_key, evidence.name, evidence.table, evidence.row, evidence.column)
