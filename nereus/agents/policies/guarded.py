"""What keeps the statistics honest is not up to a language model, however well-formed its answer is.

Error levels, resampling and which samples count stay as the rules have them. A test reads the prepared data, compares
what its question asks about, is made once, and is not made again with other options after its result was seen. The plans
that all else rests on are added to, never changed. What a plan merely leaves out is filled in from the rules' plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from nereus.agents.planner.check import materialise
from nereus.agents.planner.editing import apply_edits
from nereus.agents.planner.questions import TESTED, WHOLE
from nereus.agents.policies.askable import question_faults
from nereus.agents.policies.base import (
    DecisionContext,
    EditDraft,
    MergeVerdict,
    ObjectiveAssessment,
    ObjectivesProposal,
    ParamsDraft,
    Refinement,
    StepAssessment,
    StepDraft,
    View,
    WorkflowDraft,
)
from nereus.errors import PlanError
from nereus.memory.records import ObjectiveKind, PlannedStep, Workflow
from nereus.tools import registry

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
ASKED_ABOUT = frozenset(
    {
        "contrast", "variable", "time", "event", "event_level", "subject", "other_subject", "block", "dose", "strata",
        "by", "by_a", "by_b", "baits", "controls", "markers", "sample", "replicate",
    }
)  # fmt: skip
"""Parameters of tests that say what the question is about."""
FOUNDATIONS = frozenset({ObjectiveKind.DATA, ObjectiveKind.QUALITY, ObjectiveKind.SYNTHESIS})
"""Kinds of objective whose embedded workflow may be added to, never taken from: all else rests on them."""
TESTS = frozenset(
    {one.tool for one in TESTED.values()}
    | {one.tool for one in WHOLE.values()}
    | {"detection_test", "rank_test", "stability", "permutation_null", "calibrate_confidence"}
)
"""Tools whose results decide what is claimed."""
_OWN_NAMES = frozenset({"rerun", "check", "figure"})
Step = StepDraft | PlannedStep


def guarded_faults(payload: View, embedded: View, context: DecisionContext) -> list[str]:
    """What an answer changes that stays with the rules.

    Parameters
    ----------
    payload
        The answer.
    embedded
        What the rules answer on the same context.
    context
        What both were made on.
    """
    if isinstance(payload, ObjectivesProposal) and isinstance(embedded, ObjectivesProposal):
        return question_faults(payload.objectives, embedded.objectives, context) + _dropped(payload, context)
    if isinstance(payload, ObjectiveAssessment) and isinstance(embedded, ObjectiveAssessment):
        asked = question_faults(payload.children, embedded.children, context, child=True)
        return asked + list(_anew(payload, embedded, context))
    if isinstance(payload, MergeVerdict) and isinstance(embedded, MergeVerdict):
        return list(_merged(payload, embedded))
    if isinstance(payload, WorkflowDraft) and isinstance(embedded, WorkflowDraft):
        return _plan_faults(payload, embedded, context)
    current = current_step(context)
    if isinstance(payload, ParamsDraft) and isinstance(embedded, ParamsDraft) and current is not None:
        kept = [{**embedded.params, **current.params}]
        given = {**payload.params, **current.params}
        return [
            *_options(current.id, current.tool, given, kept),
            *_about(current.id, current.tool, given, kept, context),
        ]
    if isinstance(payload, StepAssessment) and isinstance(embedded, StepAssessment) and current is not None:
        kept = [{**current.params, **embedded.params}]
        return [
            *_options(current.id, current.tool, payload.params, kept),
            *_about(current.id, current.tool, payload.params, kept, context),
            *_once_more(current, payload, embedded, context),
        ]
    if isinstance(payload, Refinement) and isinstance(embedded, Refinement) and context.workflow is not None:
        return _edit_faults(payload, embedded, context.workflow, context)
    return []


def filled_in(payload: WorkflowDraft, embedded: WorkflowDraft) -> WorkflowDraft:
    """A plan with what it leaves out of guarded parameters and of what is asked about, as the rules' plan has them."""
    steps = []
    for step in payload.steps:
        twins = [one for one in embedded.steps if one.tool == step.tool]
        twin = next((one for one in twins if one.publishes == step.publishes), twins[0] if twins else None)
        kept = twin.params if twin is not None else {}
        wanted = {n: v for n, v in kept.items() if n in GUARDED or n in ASKED_ABOUT}
        steps.append(step.model_copy(update={"params": {**wanted, **step.params}}))
    return payload.model_copy(update={"steps": tuple(steps)})


def current_step(context: DecisionContext) -> PlannedStep | None:
    """The step that a decision is about."""
    steps = context.workflow.steps if context.workflow is not None else ()
    return next((one for one in steps if one.id == context.step_id), None)


def _dropped(payload: ObjectivesProposal, context: DecisionContext) -> list[str]:
    kinds = {one.id: one.kind for one in context.objectives if one.status == "open"}
    return [
        f"dropped {one.subject}: {one.objective_id!r} is no open objective that may be withdrawn"
        for one in payload.dropped
        if one.objective_id is not None and kinds.get(one.objective_id, ObjectiveKind.DATA) in FOUNDATIONS
    ]


# ------------------------------------------------------------------------------------------------------------- plans


def _plan_faults(payload: WorkflowDraft, embedded: WorkflowDraft, context: DecisionContext) -> list[str]:
    owner = context.objective.id if context.objective is not None else "O0"
    plan = materialise(payload, owner, 1).steps
    kept = materialise(embedded, owner, 1).steps
    found: list[str] = []
    for position, step in enumerate(plan, start=1):
        params = _params_of(kept, step.tool)
        found += _options(f"step {position}", step.tool, step.params, params)
    if context.objective is not None and context.objective.kind in FOUNDATIONS:
        return [*found, *_foundation(plan, kept, context.objective.kind)]
    for position, step in enumerate(plan, start=1):
        where = f"step {position}"
        found += _about(where, step.tool, step.params, _params_of(kept, step.tool), context)
        found += _read(where, step, plan, kept, context)
        found += _named(where, step, kept)
    return found + list(_made_once(plan, [kept]))


def _foundation(
    plan: Sequence[PlannedStep], kept: Sequence[PlannedStep], kind: ObjectiveKind
) -> Iterator[str]:
    """Every embedded step is there, on the same inputs, and nothing that is added takes the place of its results."""
    moved: dict[str, str] = {}
    left = list(plan)
    for step in kept:
        inputs = _renamed(step.inputs, moved)
        twin = next(
            (
                one
                for one in left
                if (one.tool, one.params, one.publishes) == (step.tool, step.params, step.publishes)
                and {**one.inputs} == inputs
            ),
            None,
        )
        if twin is None:
            told = f"{step.tool} with params {step.params}" if step.params else step.tool
            yield f"a plan of kind {kind.value} keeps the step {told}, on inputs {inputs}"
        else:
            moved[step.id] = twin.id
            left.remove(twin)
    made = {name for step in kept for name in _outputs(step.tool)} | {"dataset"}
    for step in left:
        clash = sorted(made & set(_outputs(step.tool)))
        if (clash and not step.publishes) or ":" in step.publishes:
            yield f"{step.tool} would take the place of {', '.join(clash) or step.publishes}: give it a name of its own"
        yield from _named(step.id, step, kept)


def _renamed(inputs: Mapping[str, Any], moved: Mapping[str, str]) -> dict[str, Any]:
    def told(reference: str) -> str:
        owner, slash, output = reference.partition("/")
        return f"{moved.get(owner, owner)}{slash}{output}"

    return {
        name: {key: told(one) for key, one in value.items()} if isinstance(value, dict) else told(value)
        for name, value in inputs.items()
    }


# ------------------------------------------------------------------------------------------------------------- edits


def _edit_faults(
    payload: Refinement, embedded: Refinement, workflow: Workflow, context: DecisionContext
) -> list[str]:
    """Edits beyond those of the rules: their steps keep what stays with the rules, and no test is made again."""
    own = [one for one in payload.edits if not any(_same_edit(one, other) for other in embedded.edits)]
    planned = [one.step for one in embedded.edits if one.step is not None]
    known: list[Step] = [*workflow.steps, *planned]
    foundation = context.objective is not None and context.objective.kind in FOUNDATIONS
    made = {name for step in workflow.steps for name in _outputs(step.tool)} | {"dataset"}
    found: list[str] = []
    for edit in own:
        where = f"edit at {edit.position}"
        if foundation and edit.op != "insert":
            found.append(f"{where}: steps that the whole run rests on are not taken out or changed")
        step = edit.step
        if step is not None and edit.op in ("insert", "replace"):
            params = _params_of(known, step.tool)
            found += _options(where, step.tool, step.params, params)
            found += _named(where, step, known)
            if foundation:
                if made & set(_outputs(step.tool)) and not step.publishes:
                    found.append(f"{where}: {step.tool} would take the place of what the run rests on")
            else:
                found += _about(where, step.tool, step.params, params, context)
                found += _read(where, step, workflow.steps, known, context)
        old = workflow.steps[edit.position - 1] if edit.position <= len(workflow.steps) else None
        if edit.op == "reparam" and old is not None and not foundation:
            found += _options(where, old.tool, edit.params, [old.params])
            found += _about(where, old.tool, edit.params, [old.params], context)
    if found or foundation or not own:
        return found
    try:
        edited = apply_edits(workflow, payload.edits).steps
        by_rules = apply_edits(workflow, embedded.edits).steps
    except PlanError as error:
        return [error.what]
    return list(_made_once(edited, [workflow.steps, by_rules]))


def _same_edit(one: EditDraft, other: EditDraft) -> bool:
    """Whether two edits do the same, whatever reasons they give."""
    if (one.op, one.position, one.params) != (other.op, other.position, other.params):
        return False
    if one.step is None or other.step is None:
        return one.step is other.step
    first, second = one.step, other.step
    return (first.tool, first.inputs, first.params, first.publishes) == (
        second.tool, second.inputs, second.params, second.publishes,
    )  # fmt: skip


def _anew(
    payload: ObjectiveAssessment, embedded: ObjectiveAssessment, context: DecisionContext
) -> Iterator[str]:
    """Another plan for a question whose test was made: it would be made again, and the last one would count."""
    if payload.verdict != "new_workflow" or embedded.verdict == "new_workflow" or context.objective is None:
        return
    own = f"{context.objective.id}."
    if any(one.step_id.startswith(own) and one.status == "ok" and one.tool in TESTS for one in context.calls):
        yield "the test of this question was made: it is not planned anew after its result was seen"


def _merged(payload: MergeVerdict, embedded: MergeVerdict) -> Iterator[str]:
    """Opposite directions contradict each other, and equal ones do not, whatever is said about it."""
    if "contradict" in (payload.verdict, embedded.verdict) and payload.verdict != embedded.verdict:
        yield f"the directions of the two drafts say that they are {embedded.verdict!r}"


def _once_more(
    step: PlannedStep, payload: StepAssessment, embedded: StepAssessment, context: DecisionContext
) -> Iterator[str]:
    call = next((one for one in reversed(context.calls) if one.step_id == step.id), None)
    if call is None or call.status != "ok" or payload.verdict != "retry":
        return
    if (payload.verdict, payload.params) != (embedded.verdict, embedded.params):
        yield f"{step.id} ended well: its options are not changed after its result was seen"


# ------------------------------------------------------------------------------------------------------------- steps


def _params_of(steps: Iterable[Step], tool: str) -> list[dict[str, Any]]:
    return [step.params for step in steps if step.tool == tool]


def _outputs(tool: str) -> list[str]:
    declared = registry.get(tool).outputs if tool in registry.CATALOGUE else ()
    return [one.partition(":")[2] for one in declared]


def _options(
    where: str, tool: str, params: Mapping[str, Any], known: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """Guarded parameters that are neither as the rules have them nor, where the rules use no such step, the default."""
    if tool not in registry.CATALOGUE:
        return
    fields = registry.get(tool).params_model.model_fields
    for name, value in params.items():
        if name not in GUARDED or name not in fields:
            continue
        required = fields[name].is_required()
        default = None if required else fields[name].get_default(call_default_factory=True)
        if value not in ([one.get(name, default) for one in known] or [default]):
            yield f"{where}: {name!r} of {tool} is not up to you; leave it out"


def _about(
    where: str,
    tool: str,
    params: Mapping[str, Any],
    known: Sequence[Mapping[str, Any]],
    context: DecisionContext,
) -> Iterator[str]:
    """Tests of something else than what the question asks about."""
    if tool not in TESTS or tool not in registry.CATALOGUE:
        return
    objective = context.objective
    fields = registry.get(tool).params_model.model_fields
    for name, value in params.items():
        if name not in ASKED_ABOUT or name not in fields or value in (None, "", [], {}):
            continue
        kept = [one[name] for one in known if one.get(name) is not None]
        if name == "contrast":
            if objective is not None and objective.contrast is not None:
                kept.append(objective.contrast.model_dump(mode="json"))
            if not any(_same_groups(value, one) for one in kept):
                yield f"{where}: {tool} compares something else than the question asks about; leave out 'contrast'"
            continue
        if objective is not None:
            kept += [objective.variable] if name == "variable" else []
            kept += [objective.design[name]] if name in objective.design else []
        if value not in kept:
            yield f"{where}: {name!r} of {tool} is what the question asks about; leave it out"


def _same_groups(value: Any, kept: Any) -> bool:
    """Whether two contrasts compare the same rows, the first adjusted for at least what the second is adjusted for."""
    if not isinstance(value, Mapping) or not isinstance(kept, Mapping):
        return False
    same = all(value.get(name) == kept.get(name) for name in ("factor", "a", "b"))
    same = same and all((value.get(name) or None) == (kept.get(name) or None) for name in ("block", "subset"))
    return same and set(kept.get("covariates") or ()) <= set(value.get("covariates") or ())


def _read(
    where: str, step: Step, plan: Sequence[PlannedStep], kept: Sequence[Step], context: DecisionContext
) -> Iterator[str]:
    """Tests on data that are not prepared, or that a step of the plan made otherwise than the rules do."""
    if step.tool not in TESTS or step.tool not in registry.CATALOGUE:
        return
    made = {one.id: one for one in kept if isinstance(one, PlannedStep)}
    twins = [one for one in kept if (one.tool, one.publishes) == (step.tool, step.publishes)]
    twins = twins or [one for one in kept if one.tool in TESTS and not one.publishes]
    sources = [_source(one.inputs[name], made, context) for one in twins for name in _sets(one)]
    sources.append(_source("run/prepared", {}, context))
    own = {one.id: one for one in plan}
    for name in _sets(step):
        if _source(step.inputs[name], own, context) not in sources:
            yield f"{where}: {step.tool} reads {step.inputs[name]}; tests read the prepared data, run/prepared"


def _sets(step: Step) -> list[str]:
    """Inputs of a step that are data sets."""
    if step.tool not in registry.CATALOGUE:
        return []
    return [
        spec.name
        for spec in registry.get(step.tool).inputs
        if spec.kind == "dataset" and spec.name in step.inputs
    ]


def _source(reference: object, steps: Mapping[str, PlannedStep], context: DecisionContext) -> object:
    """Where a data set comes from: the step that made it, or for one of the same plan how it is made."""
    owner, _, name = str(reference).partition("/")
    if owner == "run":
        return context.run_outputs.get(name, reference)
    if owner not in steps:
        return reference
    maker = steps[owner]
    steps = {identity: step for identity, step in steps.items() if identity != owner}
    return (
        maker.tool,
        repr(sorted(maker.params.items())),
        name,
        *(_source(maker.inputs[n], steps, context) for n in _sets(maker)),
    )


def _named(where: str, step: Step, kept: Iterable[Step]) -> Iterator[str]:
    """Results under a name that the run reads as something else."""
    name = step.publishes
    if not name or any(one.tool == step.tool and one.publishes == name for one in kept):
        return
    taken = _OWN_NAMES | {one for tool in registry.names() for one in _outputs(tool)}
    if name in taken or not name.isidentifier():
        yield f"{where}: results of {step.tool} cannot be called {name!r}; leave out 'publishes'"


def _made_once(plan: Sequence[PlannedStep], kept: Sequence[Sequence[PlannedStep]]) -> Iterator[str]:
    """Tests that a plan makes more often than the rules: the last one would count, whichever that is."""
    counts = Counter(step.tool for step in plan if not step.publishes and step.tool in TESTS)
    for tool, n in counts.items():
        most = max(sum(s.tool == tool and not s.publishes for s in steps) for steps in kept)
        if n > max(1, most):
            yield f"{tool} is planned more than once: the result that counts is not chosen among several"
