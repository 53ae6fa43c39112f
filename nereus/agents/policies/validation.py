"""What a well-formed answer must also satisfy, whoever gave it: ids exist, and every number is a reference."""

from __future__ import annotations

import re

from nereus.agents.policies.base import (
    Atoms,
    DecisionContext,
    HypothesisDrafts,
    ObjectiveAssessment,
    ObjectivesChoice,
    ObjectivesProposal,
    ParamsDraft,
    View,
    WorkflowDraft,
)
from nereus.agents.reporter.render import uncovered_numbers
from nereus.tools import registry

_EVIDENCE = re.compile(r"\{\{(E\d+)(?:\|[^{}]*)?\}\}")
_VALUE = re.compile(r"\{\{(O\d+\.W\d+\.S\d+)\.(\w+)(?:\|[^{}]*)?\}\}")


def faults(payload: View, context: DecisionContext) -> list[str]:
    """What is wrong with an answer although its shape is right; empty when nothing is."""
    if isinstance(payload, ObjectivesChoice):
        opened = {one.id for one in context.objectives if one.status == "open"}
        return [
            f"{one!r} is no open objective; open are {sorted(opened)}"
            for one in payload.ids
            if one not in opened
        ]
    if isinstance(payload, ObjectivesProposal):
        return [
            fault
            for draft in payload.objectives
            for fault in _objective_faults(draft.contrast, draft.variable, context)
        ]
    if isinstance(payload, WorkflowDraft):
        return [
            f"there is no tool {step.tool!r}" for step in payload.steps if step.tool not in registry.CATALOGUE
        ]
    if isinstance(payload, ParamsDraft) and context.workflow is not None:
        step = next((one for one in context.workflow.steps if one.id == context.step_id), None)
        if step is not None:
            known = set(registry.get(step.tool).params_model.model_fields)
            return [
                f"{step.tool} has no parameter {name!r}; it has {sorted(known)}"
                for name in payload.params
                if name not in known
            ]
    if isinstance(payload, ObjectiveAssessment):
        return _summary_faults(payload, context)
    if isinstance(payload, HypothesisDrafts):
        return _draft_faults(payload, context)
    if isinstance(payload, Atoms):
        known_groups = {draft.group_id for draft in context.drafts}
        return [f"there is no draft {one!r}" for one in payload.atoms if one not in known_groups]
    return []


def _objective_faults(contrast: object, variable: str | None, context: DecisionContext) -> list[str]:
    factors: dict[str, set[str]] = {}
    for row in context.profile.tables.get("factors", []):
        factors.setdefault(str(row["factor"]), set()).add(str(row["level"]))
    tables = context.profile.tables
    known = {str(row["column"]) for row in tables.get("columns", [])}
    if known:  # numbers that the profile made of moments and doses are columns as well
        known |= {str(row["time"]) for row in tables.get("courses", [])}
        known |= {str(row["dose"]) for row in tables.get("doses", [])}
    found = []
    if contrast is not None and factors:
        factor, a, b = (str(getattr(contrast, name)) for name in ("factor", "a", "b"))
        if factor not in factors:
            found.append(f"there is no factor {factor!r}; factors are {sorted(factors)}")
        else:
            found += [
                f"factor {factor!r} has no level {level!r}"
                for level in (a, b)
                if level not in factors[factor]
            ]
    if variable is not None and known and variable not in known:
        found.append(f"there is no column {variable!r}")
    return found


def _summary_faults(payload: ObjectiveAssessment, context: DecisionContext) -> list[str]:
    values = {call.step_id: set(call.values) for call in context.calls}
    found = [
        f"{step}.{name} is no named value of a step"
        for step, name in _VALUE.findall(payload.summary)
        if name not in values.get(step, set())
    ]
    names = _names(context)
    return found + [
        f"the number {one!r} has no reference" for one in uncovered_numbers(payload.summary, names)
    ]


def _draft_faults(payload: HypothesisDrafts, context: DecisionContext) -> list[str]:
    groups = {group.id: group for group in context.groups}
    found = []
    for draft in payload.drafts:
        group = groups.get(draft.group_id)
        if group is None:
            found.append(f"there is no evidence group {draft.group_id!r}")
            continue
        if draft.claim != group.claim:
            found.append(f"{draft.group_id}: the claim differs from what the evidence says")
        allowed = set(group.evidence.values())
        names = tuple(x for entity in group.claim.entities for x in (entity.id, entity.name)) + _names(
            context
        )
        names += (group.claim.contrast, group.claim.context)
        for text in (draft.statement, draft.experiment, *draft.alternatives, *draft.caveats):
            found += [
                f"{draft.group_id}: {one} is not its evidence"
                for one in _EVIDENCE.findall(text)
                if one not in allowed
            ]
            found += [
                f"{draft.group_id}: the number {one!r} has no reference"
                for one in uncovered_numbers(text, tuple(n for n in names if n))
            ]
    return found


def _names(context: DecisionContext) -> tuple[str, ...]:
    """Names from the data that may hold digits: columns and levels."""
    names = [str(row["column"]) for row in context.profile.tables.get("columns", [])]
    names += [str(row["level"]) for row in context.profile.tables.get("factors", [])]
    for objective in (*context.objectives, *([context.objective] if context.objective else [])):
        names.append(objective.id)
        if objective.contrast is not None:
            names += [
                objective.contrast.label,
                objective.contrast.a,
                objective.contrast.b,
                objective.contrast.factor,
            ]
    return tuple(dict.fromkeys(name for name in names if name))
