"""State of the research graph: small JSON only. Data lives in artifacts, records in the database.

Reducers merge by key, so that objectives that ran side by side give one state whatever their timing.
"""

from __future__ import annotations

from typing import Annotated, Any, TypedDict


def merge(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """Union of two dictionaries; the later value wins."""
    return {**left, **right}


def add_counts(left: dict[str, float], right: dict[str, float]) -> dict[str, float]:
    """Sum of two dictionaries of counters."""
    return {name: left.get(name, 0) + right.get(name, 0) for name in sorted({*left, *right})}


def append_sorted(left: list[str], right: list[str]) -> list[str]:
    """Union of two lists in sorted order: the same whoever came first."""
    return sorted({*left, *right})


class RunState(TypedDict, total=False):
    """State of `research_graph`; one thread a run."""

    objectives: Annotated[dict[str, Any], merge]
    """Objective id -> Objective as JSON; a later version wins."""
    calls: Annotated[dict[str, str], merge]
    """Executed step id -> key of its tool call."""
    outputs: Annotated[dict[str, str], merge]
    """Well-known result -> ``<step id>/<output name>``."""
    children: Annotated[dict[str, Any], merge]
    """Parent objective id -> drafts of its children, until they get their ids."""
    used: Annotated[dict[str, float], add_counts]
    limits: dict[str, float]
    """Budget limits by name, and 1 under ``gate_objectives`` and ``gate_report`` where a person is asked."""
    notices: Annotated[list[str], append_sorted]
    claimed: dict[str, int]
    """Objective id -> how many of its claims became hypotheses."""
    answer: Any
    """What a person answered at the gate, until it is carried out."""
    selected: list[str]
    round: int
    proposals: int
    stop_reason: str
    status: str


class ObjectiveState(TypedDict, total=False):
    """State of one objective's subgraph."""

    objective: dict[str, Any]
    run_objectives: dict[str, Any]
    run_calls: dict[str, str]
    run_outputs: dict[str, str]
    steps_left: int
    workflow: dict[str, Any] | None
    unrefined: dict[str, Any] | None
    """The workflow before its last refinement, to go back to when the refined plan fails its check."""
    answer: Any
    workflow_number: int
    cursor: int
    plan_errors: list[str]
    plan_attempts: int
    refinements: int
    surprise: str
    reason: str
    """Why the workflow is uncertain, until the reasoner has looked at it."""
    reasoned: str
    """Id of the workflow that the reasoner has looked at."""
    # what it gives back to the run
    objectives: Annotated[dict[str, Any], merge]
    calls: Annotated[dict[str, str], merge]
    outputs: Annotated[dict[str, str], merge]
    children: Annotated[dict[str, Any], merge]
    used: Annotated[dict[str, float], add_counts]
    notices: Annotated[list[str], append_sorted]


class ObjectiveReturn(TypedDict, total=False):
    """What an objective's subgraph adds to the run's state."""

    objectives: dict[str, Any]
    calls: dict[str, str]
    outputs: dict[str, str]
    children: dict[str, Any]
    used: dict[str, float]
    notices: list[str]
