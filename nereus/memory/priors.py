"""What finished runs of this database teach about the next one, and the facts that it is derived from.

Nothing is kept beside the record of the runs: `facts` reads it when a run begins. What follows from it (`Priors`) is
kept in the header of that run, so that it is resumed, forked and told with what was known when it began.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import Connection, Table, select

from nereus.memory.actions import LearnedAction
from nereus.memory.database import Database
from nereus.memory.database.models import (
    DecisionRow,
    ObjectiveRow,
    RunRow,
    StepRow,
    ToolCallRow,
    WorkflowRow,
)
from nereus.memory.records import Objective, Record, RunHeader, Scalar
from nereus.memory.rows import in_parts

NEWEST = 100
"""How many of the newest ended runs teach: older ones were made by older tools, and reading must stay quick."""

_CALLS = cast(Table, ToolCallRow.__table__)
_DECISIONS = cast(Table, DecisionRow.__table__)
_OBJECTIVES = cast(Table, ObjectiveRow.__table__)
_RUNS = cast(Table, RunRow.__table__)
_STEPS = cast(Table, StepRow.__table__)
_WORKFLOWS = cast(Table, WorkflowRow.__table__)
_BY_STEP = ("fill_params", "assess_step")


# ------------------------------------------------------------------------------------------------- what was learned


class Usual(Record):
    """How often a decision about a step of a kind of question turned out as usual."""

    data_kind: str
    question: str
    decision: str
    """``fill_params``: usual is that nothing was filled. ``assess_step``: that the step was accepted without surprise."""
    tool: str
    data_sets: int
    """Data sets in which it was asked."""
    exceptions: int
    """Data sets in which it turned out otherwise at least once."""


class Yield(Record):
    """What questions of a kind gave on one kind of data, one value a data set."""

    data_kind: str
    question: str
    data_sets: int
    reward: float
    """Mean over the data sets; 0 where nothing beyond chance was found, towards 1 with each verified discovery."""


class Trigger(Record):
    """How often a result changed the plan of a kind of question."""

    data_kind: str
    question: str
    rule: str
    data_sets: int
    """Data sets in which such questions were carried out."""
    fired: int
    """Data sets in which the rule edited the plan."""


class Duration(Record):
    """How long a tool took, and how often it failed."""

    tool: str
    version: str
    calls: int
    failed: int
    seconds: float
    """Median of the calls that ended well."""
    cells: float
    """Median number of values (rows times columns) of the data sets that they were about."""


class Priors(Record):
    """What earlier runs taught, as a run knew it when it began."""

    runs: int = 0
    data_sets: int = 0
    yields: tuple[Yield, ...] = ()
    usual: tuple[Usual, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    durations: tuple[Duration, ...] = ()
    actions: tuple[LearnedAction, ...] = ()
    """Pipelines that were active: questions that they fit are planned by them."""

    @property
    def decisive(self) -> dict[str, Any]:
        """What may change the order or the plan of a run: all but durations, which follow the clock."""
        left_out = {"durations", "runs"} if self.actions else {"durations", "runs", "actions"}
        return self.model_dump(mode="json", exclude=left_out)

    @property
    def digest(self) -> str:
        """Names what is decisive."""
        return hashlib.sha256(json.dumps(self.decisive, sort_keys=True).encode()).hexdigest()[:16]


NOTHING = Priors()


# ------------------------------------------------------------------------------------------ what it is derived from


@dataclass(frozen=True)
class StepFact:
    """One carried-out step of an ended run."""

    objective: str
    id: str
    tool: str
    version: str
    status: str
    seconds: float
    params: dict[str, Any]
    values: dict[str, Scalar]
    verification: bool
    """Whether it repeats a test under other choices."""


@dataclass(frozen=True)
class DecisionFact:
    """One decision about a step."""

    kind: str
    step: str
    policy: str
    payload: dict[str, Any]


@dataclass
class RunFacts:
    """What one ended run says."""

    header: RunHeader
    objectives: tuple[Objective, ...] = ()
    steps: list[StepFact] = field(default_factory=list)
    decisions: list[DecisionFact] = field(default_factory=list)
    triggers: dict[str, set[str]] = field(default_factory=dict)
    """Objective id -> rules that edited its workflows."""
    outputs: dict[str, str] = field(default_factory=dict)


def facts(database: Database, newest: int = NEWEST) -> Iterator[RunFacts]:
    """Ended runs of their own, newest first: forks repeat what their origin taught, and carry a person's wishes.

    A run whose record cannot be read (damaged, or of another version) teaches nothing, and holds up no other.
    """
    query = (
        select(_RUNS.c.id, _RUNS.c.document, _RUNS.c.outputs)
        .where(_RUNS.c.status.in_(("finished", "stopped")))
        .order_by(_RUNS.c.created_at.desc(), _RUNS.c.id.desc())
        .limit(newest)
    )
    with database.read() as connection:
        for row in connection.execute(query).all():
            try:
                header = RunHeader.model_validate_json(row.document)
                if header.forked_from or "data" not in header.inputs:
                    continue
                told = _of_run(connection, header, json.loads(row.outputs))
            except (ValueError, KeyError, TypeError, AttributeError):  # pydantic's and JSON's are ValueErrors
                continue
            yield told


def _of_run(connection: Connection, header: RunHeader, outputs: dict[str, str]) -> RunFacts:
    own = header.id
    found = RunFacts(header, outputs=outputs)
    documents = connection.execute(select(_OBJECTIVES.c.document).where(_OBJECTIVES.c.run_id == own))
    found.objectives = tuple(Objective.model_validate_json(one) for one in documents.scalars())
    newest: dict[str, Any] = {}
    for row in connection.execute(select(_WORKFLOWS).where(_WORKFLOWS.c.run_id == own)):
        if row.id not in newest or newest[row.id].version < row.version:
            newest[row.id] = row
    for row in newest.values():
        for edit in json.loads(row.document)["edits"]:
            found.triggers.setdefault(row.objective_id, set()).add(edit["trigger"].partition(":")[0])
    steps = [
        row
        for row in connection.execute(
            select(_STEPS).where(_STEPS.c.run_id == own, _STEPS.c.call_key.is_not(None))
        )
        if row.version == newest[row.workflow_id].version
    ]
    calls = _calls(connection, sorted({row.call_key for row in steps}))
    for row in sorted(steps, key=lambda row: (row.workflow_id, row.position)):
        if row.call_key in calls:
            call = calls[row.call_key]
            workflow = newest[row.workflow_id]
            found.steps.append(
                StepFact(
                    objective=workflow.objective_id,
                    id=row.id,
                    tool=row.tool,
                    version=call["spec"]["version"],
                    status=call["status"],
                    seconds=call["wall_s"],
                    params=call["spec"]["params"],
                    values=call["values"],
                    verification=workflow.template == "verification",
                )
            )
    decided = select(_DECISIONS).where(
        _DECISIONS.c.run_id == own, _DECISIONS.c.kind.in_(_BY_STEP), _DECISIONS.c.fallback.is_(False)
    )
    for row in connection.execute(decided):
        payload = json.loads(row.document)["payload"]
        found.decisions.append(DecisionFact(row.kind, row.subject.partition("#")[0], row.policy, payload))
    return found


def _calls(connection: Connection, keys: list[str]) -> dict[str, dict[str, Any]]:
    found = {}
    for part in in_parts(keys):
        rows = connection.execute(
            select(_CALLS.c.cache_key, _CALLS.c.document).where(_CALLS.c.cache_key.in_(part))
        )
        found.update({row.cache_key: json.loads(row.document) for row in rows})
    return found


__all__ = ["NOTHING", "Priors", "RunFacts", "facts"]
