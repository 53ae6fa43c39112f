"""What a well-formed answer must also satisfy, whoever gave it.

Ids exist, every number is a reference, a plan passes the static check, and what keeps the statistics honest is not up to
the answer: the tools that may be planned, error levels, resampling, which samples count, and the steps that read the
data, prepare them and control errors are those of the embedded rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from nereus.agents.planner.check import check_params, check_workflow, materialise
from nereus.agents.planner.editing import apply_edits
from nereus.agents.planner.needs import unnamed
from nereus.agents.policies.base import (
    Atoms,
    Critique,
    DecisionContext,
    HypothesisDrafts,
    ObjectiveAssessment,
    ObjectiveDraft,
    ObjectivesChoice,
    ObjectivesProposal,
    ParamsDraft,
    Refinement,
    StepAssessment,
    StepDraft,
    View,
    WorkflowDraft,
)
from nereus.agents.reporter.render import uncovered_numbers
from nereus.errors import PlanError
from nereus.memory.records import Atom, ObjectiveKind, PlannedStep
from nereus.tools import registry
from nereus.tools.base import Capability

ALLOWED = (Capability.READ, Capability.COMPUTE)
"""What a tool may touch that a language model plans."""
GUARDED = frozenset(
    {
        # error levels and what decides them
        "level", "background", "lfc_min", "discovery_level", "min_confidence", "detection_family", "abundance_family",
        # resampling: how much of it, and of what
        "n_permutations", "n_null", "n_subsamples", "n_resamples", "n_halves", "n_plantings", "n_repeats", "hold_out",
        "unit", "effect_sd", "share_changed",
        # which samples and values count
        "samples", "leave_out", "remove", "drop", "subset", "arms", "run",
    }
)  # fmt: skip
"""Parameters that stay as the rules or the tool's defaults have them."""
FOUNDATIONS = frozenset({ObjectiveKind.DATA, ObjectiveKind.QUALITY, ObjectiveKind.SYNTHESIS})
"""Kinds of objective whose embedded workflow may be added to, never taken from: all else rests on them."""

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
            for fault in (
                *_objective_faults(draft.contrast, draft.variable, context),
                *_design_faults(draft, context),
            )
        ]
    if isinstance(payload, WorkflowDraft):
        return _workflow_faults(payload, context)
    if isinstance(payload, ParamsDraft):
        return _params_faults(payload, context)
    if isinstance(payload, StepAssessment):
        return _step_faults(payload, context)
    if isinstance(payload, Refinement):
        return _refinement_faults(payload, context)
    if isinstance(payload, ObjectiveAssessment):
        return _summary_faults(payload, context)
    if isinstance(payload, HypothesisDrafts):
        return _draft_faults(payload, context)
    if isinstance(payload, Atoms):
        return _atom_faults(payload, context)
    if isinstance(payload, Critique):
        return [
            f"score {name} is {value:g}; scores are from 0 to 1"
            for name, value in payload.scores.model_dump(exclude={"proxy"}).items()
            if value is not None and not 0 <= value <= 1
        ]
    return []


def guarded_faults(payload: View, embedded: View, context: DecisionContext) -> list[str]:
    """What an answer changes that stays with the rules: error control, resampling, which samples count, foundations.

    Parameters
    ----------
    payload
        The answer.
    embedded
        What the rules answer on the same context.
    context
        What both were made on.
    """
    if isinstance(payload, WorkflowDraft) and isinstance(embedded, WorkflowDraft):
        found = [
            fault
            for position, step in enumerate(payload.steps, start=1)
            for fault in _guarded(
                f"step {position}", step.tool, step.params, _params_of(embedded.steps, step.tool)
            )
        ]
        if context.objective is not None and context.objective.kind in FOUNDATIONS:
            kept = [(step.tool, step.params) for step in payload.steps]
            for step in embedded.steps:
                if (step.tool, step.params) in kept:
                    kept.remove((step.tool, step.params))
                else:
                    found.append(
                        f"a plan of kind {context.objective.kind.value} keeps the step {_told(step)}"
                    )
        return found
    current = _current(context)
    if isinstance(payload, ParamsDraft) and isinstance(embedded, ParamsDraft) and current is not None:
        return _guarded(current.id, current.tool, payload.params, [{**embedded.params, **current.params}])
    if isinstance(payload, StepAssessment) and isinstance(embedded, StepAssessment) and current is not None:
        return _guarded(current.id, current.tool, payload.params, [{**current.params, **embedded.params}])
    if isinstance(payload, Refinement) and isinstance(embedded, Refinement) and context.workflow is not None:
        return _guarded_edits(payload, embedded, context)
    return []


def _guarded_edits(payload: Refinement, embedded: Refinement, context: DecisionContext) -> list[str]:
    workflow = context.workflow
    assert workflow is not None
    planned = [one.step for one in embedded.edits if one.step is not None]
    own: list[StepDraft | PlannedStep] = [*workflow.steps, *planned]
    foundation = context.objective is not None and context.objective.kind in FOUNDATIONS
    allowed = {(one.op, one.position) for one in embedded.edits}
    found = []
    for edit in payload.edits:
        where = f"edit at {edit.position}"
        if edit.step is not None:
            found += _guarded(where, edit.step.tool, edit.step.params, _params_of(own, edit.step.tool))
        old = workflow.steps[edit.position - 1] if edit.position <= len(workflow.steps) else None
        if edit.op == "reparam" and old is not None:
            found += _guarded(where, old.tool, edit.params, [old.params])
        if edit.op in ("remove", "replace") and foundation and (edit.op, edit.position) not in allowed:
            found.append(f"{where}: steps that the whole run rests on are not taken out")
    return found


def _params_of(steps: Iterable[StepDraft | PlannedStep], tool: str) -> list[dict[str, Any]]:
    return [step.params for step in steps if step.tool == tool]


def _guarded(
    where: str, tool: str, params: Mapping[str, Any], embedded: Iterable[Mapping[str, Any]]
) -> list[str]:
    if tool not in registry.CATALOGUE:
        return []
    fields = registry.get(tool).params_model.model_fields
    known = list(embedded)
    found = []
    for name, value in params.items():
        if name == "contrast" and isinstance(value, Mapping):  # its samples
            kept = [one.get("contrast") for one in known]
            subsets = [one.get("subset") or {} for one in kept if isinstance(one, Mapping)] or [{}]
            if (value.get("subset") or {}) not in subsets:
                found.append(f"{where}: which samples {tool} compares is not up to you; leave out 'subset'")
        if name not in GUARDED or name not in fields:
            continue
        default = None if fields[name].is_required() else fields[name].get_default(call_default_factory=True)
        if value != default and value not in [one[name] for one in known if name in one]:
            found.append(f"{where}: {name!r} of {tool} is not up to you; leave it out")
    return found


def _told(step: StepDraft) -> str:
    return f"{step.tool} with params {step.params}" if step.params else step.tool


def _current(context: DecisionContext) -> PlannedStep | None:
    steps = context.workflow.steps if context.workflow is not None else ()
    return next((one for one in steps if one.id == context.step_id), None)


def _tool_faults(tools: Iterable[str]) -> list[str]:
    return [
        f"there is no tool {tool!r}"
        if tool not in registry.CATALOGUE
        else f"{tool} touches more than data and cannot be planned"
        for tool in tools
        if tool not in registry.CATALOGUE or registry.get(tool).capability not in ALLOWED
    ]


def _known_steps(context: DecisionContext) -> dict[str, str]:
    return {call.step_id: call.tool for call in context.calls}


def _workflow_faults(payload: WorkflowDraft, context: DecisionContext) -> list[str]:
    wrong = _tool_faults(step.tool for step in payload.steps)
    if wrong:
        return wrong
    owner = context.objective.id if context.objective is not None else "O0"
    workflow = materialise(payload, owner, 1)
    steps = {
        one: tool for one, tool in _known_steps(context).items() if not one.startswith(f"{workflow.id}.")
    }
    return check_workflow(workflow, context.run_outputs, steps)


def _refinement_faults(payload: Refinement, context: DecisionContext) -> list[str]:
    if context.workflow is None:
        return []
    wrong = _tool_faults(edit.step.tool for edit in payload.edits if edit.step is not None)
    if wrong:
        return wrong
    try:
        refined = apply_edits(context.workflow, payload.edits)
    except PlanError as error:
        return [error.what]
    return check_workflow(refined, context.run_outputs, _known_steps(context)) if payload.edits else []


def _params_faults(payload: ParamsDraft, context: DecisionContext) -> list[str]:
    step = _current(context)
    if step is None:
        return []
    tool = registry.get(step.tool)
    unknown = [
        f"{step.tool} has no parameter {name!r}; it has {sorted(tool.params_model.model_fields)}"
        for name in payload.params
        if name not in tool.params_model.model_fields
    ]
    return unknown or check_params(tool, {**payload.params, **step.params})


def _step_faults(payload: StepAssessment, context: DecisionContext) -> list[str]:
    step = _current(context)
    call = next((one for one in reversed(context.calls) if one.step_id == context.step_id), None)
    found = []
    if call is not None and call.status == "ok" and payload.verdict in ("fail", "skip"):
        found.append(f"{context.step_id} ended well: accept it, or ask for a refinement")
    if step is not None and payload.params:
        found += check_params(registry.get(step.tool), {**step.params, **payload.params})
    return found


def _atom_faults(payload: Atoms, context: DecisionContext) -> list[str]:
    groups = {group.id: group for group in context.groups}
    known = {draft.group_id for draft in context.drafts}
    found = []
    for group_id, atoms in payload.atoms.items():
        if group_id not in known:
            found.append(f"there is no draft {group_id!r}")
            continue
        allowed = set(groups[group_id].evidence.values()) if group_id in groups else set()
        for atom in atoms:
            found += [
                f"{group_id}: {one} is not its evidence" for one in atom.evidence_ids if one not in allowed
            ]
            found += _atom_text_faults(group_id, atom, context)
    return found


def _atom_text_faults(group_id: str, atom: Atom, context: DecisionContext) -> list[str]:
    return [
        f"{group_id}: the number {one!r} has no reference"
        for one in uncovered_numbers(atom.statement, _names(context))
    ]


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


def _design_faults(draft: ObjectiveDraft, context: DecisionContext) -> list[str]:
    """What the design cannot answer, and what cannot be adjusted for."""
    tables = context.profile.tables
    columns = {str(row["column"]) for row in tables.get("columns", [])}
    adjusted = {*draft.covariates, *(draft.contrast.covariates if draft.contrast else ())}
    found = [f"there is no column {one!r} to adjust for" for one in sorted(adjusted - columns) if columns]
    found += unnamed(draft.kind, draft.contrast, draft.variable, draft.design)
    if draft.contrast is None:
        return found
    pair = {draft.contrast.a, draft.contrast.b}
    if len(pair) == 1:
        found.append(f"{draft.contrast.label} compares a group with itself")
    for row in tables.get("contrasts", []):
        if str(row["factor"]) == draft.contrast.factor and {str(row["a"]), str(row["b"])} == pair:
            if row.get("refused"):
                found.append(f"the design cannot answer {draft.contrast.label}: {row['refused']}")
            elif row.get("descriptive") and draft.kind is not ObjectiveKind.DESCRIBE:
                found.append(f"{draft.contrast.label} has too few subjects to infer anything")
    for row in tables.get("batch", []):
        if str(row["factor"]) == draft.contrast.factor and row.get("verdict") == "refuse":
            found.append(f"{draft.contrast.factor} cannot be separated from {row['batch']}")
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
    seen: set[str] = set()
    for draft in payload.drafts:
        if draft.group_id in seen:
            found.append(f"{draft.group_id} has two drafts; write one")
        seen.add(draft.group_id)
        group = groups.get(draft.group_id)
        if group is None:
            found.append(f"there is no evidence group {draft.group_id!r}")
            continue
        if draft.claim != group.claim or draft.grain != group.grain:
            found.append(f"{draft.group_id}: claim and grain differ from what the evidence says")
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
