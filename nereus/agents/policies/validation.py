"""What a well-formed answer must also satisfy, whoever gave it.

Ids exist, every number is a reference, a plan passes the static check, and what keeps the statistics honest is not up to
the answer: the tools that may be planned, error levels, resampling, which samples count, and the steps that read the
data, prepare them and control errors are those of the embedded rules.
"""

from __future__ import annotations

from collections.abc import Iterable

from nereus.agents.planner.check import check_params, check_workflow, materialise
from nereus.agents.planner.editing import apply_edits
from nereus.agents.planner.needs import unnamed
from nereus.agents.policies.base import (
    Atoms,
    Critique,
    DecisionContext,
    EvidenceGroup,
    HypothesisDrafts,
    ObjectiveAssessment,
    ObjectiveDraft,
    ObjectivesChoice,
    ObjectivesProposal,
    ParamsDraft,
    Refinement,
    StepAssessment,
    View,
    WorkflowDraft,
)
from nereus.agents.policies.guarded import current_step
from nereus.agents.policies.texts import evidence_text_faults, text_faults
from nereus.errors import PlanError
from nereus.memory.records import ObjectiveKind
from nereus.tools import registry
from nereus.tools.base import Capability

ALLOWED = (Capability.READ, Capability.COMPUTE)
"""What a tool may touch that a language model plans."""
SHOWN = 20
"""Names that a fault lists at most."""


def faults(payload: View, context: DecisionContext) -> list[str]:
    """What is wrong with an answer although its shape is right; empty when nothing is."""
    if isinstance(payload, ObjectivesChoice):
        opened = {one.id for one in context.objectives if one.status == "open"}
        return [
            f"{one!r} is no open objective; open are {sorted(opened)[:SHOWN]}"
            for one in payload.ids
            if one not in opened
        ]
    if isinstance(payload, ObjectivesProposal):
        names = _names(context)
        return [fault for draft in payload.objectives for fault in _question_faults(draft, context)] + [
            fault for one in payload.dropped for fault in text_faults(one.reason, (one.subject, *names))
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
        asked = [fault for draft in payload.children for fault in _question_faults(draft, context)]
        return _summary_faults(payload, context) + asked
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
    step = current_step(context)
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
    step = current_step(context)
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
            if group_id in groups:
                names = _names_of(groups[group_id], context) + _names(context)
                found += [
                    f"{group_id}: {one}"
                    for one in evidence_text_faults(atom.statement, groups[group_id], names)
                ]
    return found


def _question_faults(draft: ObjectiveDraft, context: DecisionContext) -> list[str]:
    """What is wrong with a proposed question: its columns, what the design cannot answer, its texts."""
    names = [*_names(context), *draft.design.values(), *draft.covariates, draft.variable or "", draft.label]
    if draft.contrast is not None:
        names += [draft.contrast.label, draft.contrast.factor, draft.contrast.a, draft.contrast.b]
    found = _objective_faults(draft.contrast, draft.variable, context) + _design_faults(draft, context)
    for text in (draft.statement, draft.rationale):
        found += text_faults(text, names)
    return found


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
            found.append(f"there is no factor {factor!r}; factors are {sorted(factors)[:SHOWN]}")
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
    tested = {draft.contrast.factor, draft.contrast.block} - {None}
    found += [f"{one} is what is compared and cannot be adjusted for" for one in sorted(adjusted & tested)]
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
    known = {
        f"{call.step_id}.{name}": value
        for call in context.calls
        if call.status == "ok"
        for name, value in call.values.items()
    }
    known |= {one.id: one.value for one in context.evidence}
    return text_faults(payload.summary, _names(context), known)


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
        own = _names_of(group, context)
        if not draft.statement.strip():
            found.append(f"{draft.group_id}: the statement is empty")
        wrong = evidence_text_faults(
            draft.statement, group, own
        )  # the report refuses what these do not cover
        for text in (draft.experiment, *draft.alternatives, *draft.caveats):
            wrong += evidence_text_faults(text, group, own + _names(context))
        found += [f"{draft.group_id}: {one}" for one in wrong]
    return found


def _names_of(group: EvidenceGroup, context: DecisionContext) -> tuple[str, ...]:
    """Names that the report knows beside a hypothesis: its own, and what the run's questions are about."""
    names = [text for entity in group.claim.entities for text in (entity.id, entity.name)]
    names += [group.claim.contrast, group.claim.context]
    for one in context.objectives:
        names += [one.id, one.variable or "", one.label, *one.covariates, *one.design.values()]
        if one.contrast is not None:
            names += [one.contrast.label, one.contrast.factor, one.contrast.a, one.contrast.b]
    return tuple(dict.fromkeys(name for name in names if name))


def _names(context: DecisionContext) -> tuple[str, ...]:
    """Names that may hold digits: columns and levels of the data, and the words of the user."""
    names = [str(row["column"]) for row in context.profile.tables.get("columns", [])]
    names += [str(row["level"]) for row in context.profile.tables.get("factors", [])]
    names += [word.strip("?.,;:()'\"") for word in (context.question or "").split()]
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
