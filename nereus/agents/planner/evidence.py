"""Citing: every number that a text may show is first an `Evidence` record with an id.

Ids are counters (``E1``, ``E2`` ...) given in one thread and in a fixed order, and equal pointers get the same id again,
so a node that runs twice after a crash cites the same evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

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
        self._known = {_pointer(one): one for one in services.repository.evidence(services.run_id)}
        self._fresh: list[Evidence] = []
        self._rows: dict[str, dict[str, int]] = {}

    def value(self, step_id: str, name: str, quantity: str | None = None, unit: str = "") -> Evidence:
        """Cite a named value of a step."""
        call = self._call(step_id)
        return self._keep(
            Evidence(
                id="",
                step_id=step_id,
                call_key=call.key,
                quantity=quantity or name.replace("_", " "),
                value=call.values[name],
                unit=unit,
                name=name,
            )
        )

    def cell(
        self, step_id: str, table: str, row: str, column: str, quantity: str | None = None, unit: str = ""
    ) -> Evidence:
        """Cite one cell of a step's table; the row is named by the table's first column."""
        call = self._call(step_id)
        ref = call.outputs[table]
        frame = self.table(step_id, table)
        if ref.id not in self._rows:
            self._rows[ref.id] = {key: position for position, key in enumerate(frame.iloc[:, 0])}
        value = frame[column].iloc[self._rows[ref.id][row]]
        return self._keep(
            Evidence(
                id="",
                step_id=step_id,
                call_key=call.key,
                quantity=quantity or column.replace("_", " "),
                value=scalar(value),
                unit=unit,
                artifact=ref.id,
                table=table,
                row=row,
                column=column,
            )
        )

    def table(self, step_id: str, name: str) -> pd.DataFrame:
        """A step's table."""
        return self._services.artifacts.table(self._call(step_id).outputs[name])

    def has(self, step_id: str, output: str) -> bool:
        """Whether the step ran and made the output."""
        return step_id in self._calls and output in self._call(step_id).outputs

    def flush(self) -> None:
        """Write new evidence to the database."""
        if self._fresh:
            self._services.repository.save_evidence(self._services.run_id, self._fresh)
            self._fresh = []

    def _call(self, step_id: str) -> ToolCall:
        return self._services.call(self._calls[step_id])

    def _keep(self, draft: Evidence) -> Evidence:
        pointer = _pointer(draft)
        if pointer not in self._known:
            evidence = draft.model_copy(update={"id": f"E{len(self._known) + 1}"})
            self._known[pointer] = evidence
            self._fresh.append(evidence)
        return self._known[pointer]


def _pointer(evidence: Evidence) -> tuple[Scalar, ...]:
    return (evidence.call_key, evidence.name, evidence.table, evidence.row, evidence.column)
