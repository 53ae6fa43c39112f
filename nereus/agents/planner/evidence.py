"""Citing: every number that a text may show is first an `Evidence` record with an id.

Ids are counters (``E1``, ``E2`` ...) given in one thread and in a fixed order, and equal pointers get the same id again,
so a node that runs twice after a crash cites the same evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nereus.agents.planner.services import Services, scalar
from nereus.memory.records import Evidence, Scalar, ToolCall
from nereus.memory.rows import natural_order

if TYPE_CHECKING:
    import pandas as pd


def in_order(ids: Iterable[str]) -> list[str]:
    """Ids sorted by their numbers: O2 before O10, O2.W1.S9 before O2.W1.S10."""
    return sorted(ids, key=natural_order)


class EvidenceBook:
    """Gives out evidence ids for one run."""

    def __init__(self, services: Services, calls: Mapping[str, str]) -> None:
        self._services = services
        self._calls = calls
        self._cited = services.citations()

    def value(self, step_id: str, name: str, quantity: str | None = None, unit: str = "") -> Evidence:
        """Cite a named value of a step."""
        call = self._call(step_id)

        def make(identity: str) -> Evidence:
            return Evidence(
                id=identity,
                step_id=step_id,
                call_key=call.key,
                quantity=quantity or name.replace("_", " "),
                value=call.values[name],
                unit=unit,
                name=name,
            )

        return self._cited.keep((call.key, name, None, None, None), make)

    def cell(
        self, step_id: str, table: str, row: str, column: str, quantity: str | None = None, unit: str = ""
    ) -> Evidence:
        """Cite one cell of a step's table; the row is named by the table's first column."""
        call = self._call(step_id)
        ref = call.outputs[table]

        def make(identity: str) -> Evidence:
            found = self._cited.cell(ref.id, lambda: self._services.artifacts.table(ref), row, column)
            return Evidence(
                id=identity,
                step_id=step_id,
                call_key=call.key,
                quantity=quantity or column.replace("_", " "),
                value=scalar(found),
                unit=unit,
                artifact=ref.id,
                table=table,
                row=row,
                column=column,
            )

        return self._cited.keep((call.key, None, table, row, column), make)

    def table(self, step_id: str, name: str) -> pd.DataFrame:
        """A step's table."""
        return self._services.artifacts.table(self._call(step_id).outputs[name])

    def row(self, step_id: str, table: str, row: str) -> dict[str, Any] | None:
        """One row of a step's table by column, named as in `cell` but cited nowhere; None where there is none."""
        ref = self._call(step_id).outputs[table]
        return self._cited.row(ref.id, lambda: self._services.artifacts.table(ref), row)

    def values(self, step_id: str) -> Mapping[str, Scalar]:
        """A step's named values."""
        return self._call(step_id).values

    def says(self, step_id: str, name: str) -> bool:
        """Whether a step has a named value that is not missing."""
        return self._call(step_id).values.get(name) is not None

    def has(self, step_id: str, output: str) -> bool:
        """Whether the step ran and made the output."""
        return step_id in self._calls and output in self._call(step_id).outputs

    def flush(self) -> None:
        """Write new evidence to the database."""
        self._services.repository.save_evidence(self._services.run_id, self._cited.fresh())

    def _call(self, step_id: str) -> ToolCall:
        return self._services.call(self._calls[step_id])
