"""Where a number comes from: one grammar of source paths, resolved against a run's record.

Every number of a report carries one of these paths, so that a separate script can look it up or compute it
again:

========================================  ==========================================================
``E12``                                   evidence: a named value or a table cell, see ``plan.json``
``value:<step>/<name>``                   a named value of a step, see ``steps.json``
``cell:<step>/<table>/<row>/<column>``    a cell of a step's table; `row` is in its first column
``rows:<step>/<table>``                   number of rows of a step's table
``matches:<step>/<table>/<column>/<v>``   number of rows whose column equals a value
``param:<step>/<name>``                   a parameter of a step; nested names joined by dots
``field:<kind>/<id>/<name>``              a field of a record: hypothesis, score, objective, part (a term of
                                          an objective's priority), workflow,
                                          header, budget, used
``count:<what>``                          a structural count over the record, see `COUNTS`
``params:<step>``                         all parameters of a step, as in code (text)
``summary:<step>``                        a step's own one-line summary (text)
``warning:<step>/<index>``                one of a step's warnings (text)
``error:<step>``                          what a failed step said (text)
========================================  ==========================================================

Segments are percent-encoded, so that a protein group, a gene or a file name may hold any character.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from nereus.errors import UnresolvedNumber, on_one_line
from nereus.memory.records import ArtifactKind, ArtifactRef, CallStatus, Evidence, RunRecord, Scalar, ToolCall

if TYPE_CHECKING:
    import pandas as pd

COUNTS: Mapping[str, Callable[[RunRecord], int]] = {
    "objectives": lambda r: len(r.objectives),
    "objectives.done": lambda r: sum(o.status == "done" for o in r.objectives),
    "objectives.abandoned": lambda r: sum(o.status == "abandoned" for o in r.objectives),
    "workflows": lambda r: len({w.id for w in r.workflows}),
    "steps": lambda r: len(r.steps()),
    "calls": lambda r: len(r.calls),
    "refinements": lambda r: sum(len(w.edits) for w in latest_workflows(r)),
    "decisions": lambda r: len(r.decisions),
    "decisions.fallback": lambda r: sum(d.fallback for d in r.decisions),
    "evidence": lambda r: len(r.evidence),
    "hypotheses": lambda r: len(r.hypotheses),
    "hypotheses.supported": lambda r: sum(h.status == "supported" for h in r.hypotheses),
    "hypotheses.tentative": lambda r: sum(h.status == "tentative" for h in r.hypotheses),
    "hypotheses.proposed": lambda r: sum(h.status == "proposed" for h in r.hypotheses),
    "hypotheses.refuted": lambda r: sum(h.status == "refuted" for h in r.hypotheses),
    "hypotheses.merged": lambda r: sum(h.status == "merged" for h in r.hypotheses),
    "notices": lambda r: len(r.notices),
    "nodes": lambda r: len(r.nodes),
    "edges": lambda r: len(r.edges),
    "edges.supported": lambda r: sum(e.status == "supported" for e in r.edges),
    "edges.refuted": lambda r: sum(e.status == "refuted" for e in r.edges),
    "edges.inferred": lambda r: sum(e.status == "inferred" for e in r.edges),
}
"""Counts that a report may state without evidence: they are taken from the record itself."""


def latest_workflows(record: RunRecord) -> list[Any]:
    """The newest version of each workflow, in plan order."""
    newest: dict[str, Any] = {}
    for workflow in record.workflows:
        if workflow.id not in newest or workflow.version >= newest[workflow.id].version:
            newest[workflow.id] = workflow
    return list(newest.values())


def path(kind: str, *segments: object) -> str:
    """Build a source path, encoding each segment."""
    return f"{kind}:" + "/".join(quote(str(segment), safe=" ;,+()=") for segment in segments)


def plain(cell: Any) -> Scalar:
    """A table cell as a named value would be: Python scalar, None when it is missing."""
    if hasattr(cell, "item"):
        cell = cell.item()
    if cell is None or isinstance(cell, bool | int | str):
        return cell
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    missing = cell != cell  # pandas.NA and NaT are not equal to themselves
    return None if missing is not False else str(cell)


class Sources:
    """Looks values up by source path.

    Parameters
    ----------
    record
        The run.
    read_table
        Opens a table artifact, for example `ArtifactStore.table`. `nereus verify` passes the tables that it
        computed again, and so gets the recomputed value of every path.
    """

    def __init__(self, record: RunRecord, read_table: Callable[[ArtifactRef], pd.DataFrame]) -> None:
        self.record = record
        self._read_table = read_table
        self._rows: dict[str, dict[str, int]] = {}
        self.call_of_step = {step.id: step.call_key for step in record.steps() if step.call_key}
        self.step_of_call: dict[str, str] = {}
        for step_id, key in self.call_of_step.items():
            self.step_of_call.setdefault(key, step_id)
        for number, key in enumerate(sorted(set(record.calls) - set(self.step_of_call)), start=1):
            # A call that no step of the newest plan names, for example of a step that was replaced.
            self.step_of_call[key] = f"C{number}"
            self.call_of_step[f"C{number}"] = key

    # ------------------------------------------------------------------ records

    def call(self, step_id: str) -> ToolCall:
        """The call that carried out a step."""
        key = self.call_of_step.get(step_id)
        if key is None or key not in self.record.calls:
            raise UnresolvedNumber(f"step {step_id!r} was not executed", mend="name a step that has a call")
        return self.record.calls[key]

    def evidence(self, evidence_id: str) -> Evidence:
        """One piece of evidence; `UnresolvedNumber` where there is none of this name."""
        if evidence_id not in self.record.evidence:
            raise UnresolvedNumber(
                f"there is no evidence {evidence_id!r}", mend="refer to evidence that the run holds"
            )
        return self.record.evidence[evidence_id]

    def call_behind(self, evidence: Evidence) -> ToolCall:
        """The call that a piece of evidence points into."""
        if evidence.call_key not in self.record.calls:
            raise UnresolvedNumber(
                f"evidence {evidence.id} points at a call that was not made", where=evidence.step_id
            )
        return self.record.calls[evidence.call_key]

    def table(self, call: ToolCall, name: str) -> pd.DataFrame:
        """A table that a call made."""
        ref = call.outputs.get(name)
        if ref is None or ref.kind is not ArtifactKind.TABLE:
            where = f"step {self.step_of_call.get(call.key, call.key[:12])} ({call.spec.tool})"
            raise UnresolvedNumber(
                f"there is no table {name!r}", where=where, mend=f"outputs are {sorted(call.outputs)}"
            )
        return self._read_table(ref)

    def output(self, name: str) -> tuple[str, str] | None:
        """Step id and output name of a well-known result of the run, None where the run has none."""
        target = self.record.outputs.get(name)
        if not target or "/" not in target:
            return None
        step_id, _, output = target.partition("/")
        key = self.call_of_step.get(step_id)
        found = self.record.calls.get(key) if key else None
        return (step_id, output) if found is not None and output in found.outputs else None

    def first_call(self, *tools: str) -> str | None:
        """Id of the first successful step that used one of the tools."""
        for step_id, key in self.call_of_step.items():
            call = self.record.calls.get(key)
            if call is not None and call.spec.tool in tools and call.status is CallStatus.OK:
                return step_id
        return None

    # ------------------------------------------------------------------ values

    def cell(self, call: ToolCall, table: str, row: str, column: str) -> Scalar:
        """One cell, by row key and column name."""
        frame = self.table(call, table)
        identity = call.outputs[table].id
        if identity not in self._rows:
            self._rows[identity] = {str(key): position for position, key in enumerate(frame.iloc[:, 0])}
        position = self._rows[identity].get(row)
        if position is None or column not in frame.columns:
            what = f"row {row!r}" if position is None else f"column {column!r}"
            raise UnresolvedNumber(f"table {table!r} has no {what}", where=f"tool {call.spec.tool!r}")
        return plain(frame[column].iat[position])

    def evidence_value(self, evidence: Evidence) -> Scalar:
        """The value that a piece of evidence points at, looked up in the call itself."""
        call = self.call_behind(evidence)
        if evidence.name is not None:
            if evidence.name not in call.values:
                raise UnresolvedNumber(
                    f"there is no value {evidence.name!r}", where=f"step {evidence.step_id}"
                )
            return call.values[evidence.name]
        if evidence.table is None or evidence.row is None or evidence.column is None:
            raise UnresolvedNumber(
                f"evidence {evidence.id} names neither a value nor a cell", where=evidence.step_id
            )
        return self.cell(call, evidence.table, evidence.row, evidence.column)

    def value(self, source: str) -> Scalar:
        """The value at a source path.

        Raises
        ------
        UnresolvedNumber
            Where nothing of the record lies at that path.
        """
        kind, colon, rest = source.partition(":")
        if not colon:
            return self.evidence_value(self.evidence(source)) if source[:1] == "E" else self._dotted(source)
        parts = [unquote(part) for part in rest.split("/")]
        try:
            match kind, parts:
                case "value", [step, name]:
                    return self.call(step).values[name]
                case "cell", [step, table, row, column]:
                    return self.cell(self.call(step), table, row, column)
                case "rows", [step, table]:
                    return len(self.table(self.call(step), table))
                case "matches", [step, table, column, wanted]:
                    return int((self.table(self.call(step), table)[column].astype(str) == wanted).sum())
                case "param", [step, name]:
                    return _nested(self.call(step).spec.params, name)
                case "field", [of, identity, name]:
                    return self._field(of, identity, name)
                case "count", [what]:
                    return COUNTS[what](self.record)
                case "params", [step]:
                    return compact(self.call(step).spec.params)
                case "error", [step]:
                    return self.call(step).error
                case "told", [step]:
                    return on_one_line(self.call(step).error or "")
                case "summary", [step]:
                    return self.call(step).summary
                case "warning", [step, index]:
                    return self.call(step).warnings[int(index)]
        except (KeyError, IndexError, ValueError, AttributeError, StopIteration):
            pass
        raise UnresolvedNumber(
            f"nothing lies at {source!r}", mend="see the source paths in nereus.agents.reporter.sources"
        )

    def _dotted(self, source: str) -> Scalar:
        """``O1.W1.S3.n_tested``: the short form of ``value:`` for texts written by hand."""
        step, _, name = source.rpartition(".")
        if step not in self.call_of_step or name not in self.call(step).values:
            raise UnresolvedNumber(
                f"{source!r} names no evidence and no step value", mend="write {{E12}} or {{<step>.<value>}}"
            )
        return self.call(step).values[name]

    def _field(self, kind: str, identity: str, name: str) -> Scalar:
        record = self.record
        found: Any
        match kind:
            case "hypothesis":
                found = getattr(next(h for h in record.hypotheses if h.id == identity), name)
            case "score":
                found = getattr(next(h for h in record.hypotheses if h.id == identity).scores, name)
            case "objective":
                found = getattr(next(o for o in record.objectives if o.id == identity), name)
            case "part":
                found = next(o for o in record.objectives if o.id == identity).priority_parts[name]
            case "workflow":
                found = getattr(next(w for w in latest_workflows(record) if w.id == identity), name)
            case "header":
                found = getattr(record.header, name)
            case "budget":
                found = getattr(record.header.budget, name)
            case "used":
                found = record.header.used[name]
            case _:
                raise KeyError(kind)
        if found is not None and not isinstance(found, bool | int | float | str):
            raise KeyError(name)
        return found


def compact(params: Mapping[str, Any]) -> str:
    """Parameters as people write them in code."""
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in params.items())


def _nested(params: Mapping[str, Any], name: str) -> Scalar:
    found: Any = params
    for part in name.split("."):
        found = found[int(part)] if isinstance(found, list) else found[part]
    if found is not None and not isinstance(found, bool | int | float | str):
        raise KeyError(name)
    return found
