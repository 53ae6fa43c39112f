"""Judging results: what a finished step means, when a plan must change, and when an objective is answered."""

from __future__ import annotations

from nereus.agents.planner.companions import owner
from nereus.agents.policies.base import (
    CallView,
    DecisionContext,
    EditDraft,
    ObjectiveAssessment,
    ParamsDraft,
    Refinement,
    StepAssessment,
    StepDraft,
)
from nereus.agents.policies.rules.questions import ESSENTIAL, question, targets
from nereus.agents.policies.rules.questions.comparison import TEST_OPTIONS
from nereus.agents.policies.rules.questions.design import PANEL_FEATURES, asks_for_structures
from nereus.memory.records import PlannedStep, Workflow

SLOPES_DIFFER = 1.5
"""Variance of subjects' own slopes, over what one slope for all would give, above which subjects differ in them."""
LOST_WITH_OUTLIERS = 0.5
"""Share of the findings that are lost without the outlying samples, above which these made them."""
LARGE_SHARE = 0.30
"""Share of significant features above which a global shift is suspected."""
LEAST_EFFECT = 0.5
"""log2 difference that is then asked for, where no unchanged features were told apart to measure it by."""
UNCHANGED_WIDTHS, FINEST_EFFECT = 2.0, 0.1
"""Else so many standard deviations of what unchanged features differ by, which holds nineteen in twenty; and at least this."""
ORGANISMS_WITH_SETS = ("human", "mouse")


def fill(context: DecisionContext) -> ParamsDraft:
    """Parameters that can only be known from the results of earlier steps."""
    step = _step(context)
    params: dict[str, object] = {}
    why: dict[str, str] = {}
    if step.tool == "enrichment_gsea":
        organism = context.profile.values.get("organism")
        if organism in ORGANISMS_WITH_SETS:
            params["organism"] = organism
            why["organism"] = f"profile:organism = {organism}"
    return ParamsDraft(params=params, justification=why)


def assess(context: DecisionContext) -> StepAssessment:
    """Verdict on the step that just ran, with the surprise rules of the specification."""
    step = _step(context)
    call = next((one for one in reversed(context.calls) if one.step_id == step.id), None)
    if call is None or call.status == "failed":
        # Without the cohort or a layer the data themselves can still be analysed.
        verdict = "fail" if step.tool in ESSENTIAL and not owner(step.publishes) else "skip"
        return StepAssessment(
            verdict=verdict, diagnostics=((call.error or call.summary) if call else step.note,)
        )
    notes = list(call.warnings)
    surprise = _surprise(context, call)
    if surprise:
        notes.append(f"surprise: {surprise}")
    return StepAssessment(
        verdict="accept", diagnostics=tuple(notes), surprise=surprise, cites=(step.id,) if surprise else ()
    )


def _surprise(context: DecisionContext, call: CallView) -> str | None:
    values = call.values
    seen = {edit.trigger.partition(":")[0] for edit in (context.workflow.edits if context.workflow else ())}
    fired: str | None = None
    structures = targets.QUESTION.possible and asks_for_structures(context.question)
    # Peptides of a table that names no protein stay what they are.
    named = values.get("n_proteins_named") != 0
    if (
        call.tool == "load_dataset"
        and values.get("level") in ("peptide", "fragment")
        and named
        and not structures
    ):
        return "peptide_level"  # of each file that is read
    elif call.tool == "quality_control" and (values.get("n_outliers") or 0):
        fired = "outlier_samples"
    elif call.tool == "batch_check" and (values.get("n_covariates") or 0):
        fired = None if _holds(context, "pca_by_batch") else "batch_effect"
    elif call.tool == "longitudinal_test":
        uneven = float(values.get("slope_heterogeneity") or 0) > SLOPES_DIFFER
        if uneven and call.params.get("method", "blocked") == "blocked" and not call.params.get("covariates"):
            fired = "slopes_differ"
    elif call.tool == "differential_abundance" and _step(context).publishes == "rerun":
        first = next(
            (one for one in context.calls if one.tool == call.tool and one.step_id != call.step_id), None
        )
        before = float(first.values.get("n_significant") or 0) if first is not None else 0.0
        if before and float(values.get("n_significant") or 0) < (1 - LOST_WITH_OUTLIERS) * before:
            fired = "made_by_outliers"
    elif call.tool == "differential_abundance" and _step(context).publishes != "robust":
        tested = float(values.get("n_tested") or 0)
        hits = float(values.get("n_significant") or 0)
        # The background tells that many features changed before their tests do.
        apart = hits > 0 and values.get("unchanged_sd") is not None
        if tested >= PANEL_FEATURES and (hits / tested > LARGE_SHARE or apart):
            fired = "many_significant"
        elif tested and hits == 0:
            fired = "none_significant"
    elif call.tool == "rank_test" and (values.get("sign_disagreement") or 0):
        fired = None if _holds(context, "robust") else "sign_disagreement"
    return None if fired in seen else fired


def _level(call: CallView | None) -> str:
    """What a feature of a file is."""
    return str(call.values.get("level") or "peptide") if call else "peptide"


def _holds(context: DecisionContext, published: str) -> bool:
    """Whether the plan has such a check already: experience had it planned at once."""
    steps = context.workflow.steps if context.workflow else ()
    return any(step.publishes == published and step.status != "skipped" for step in steps)


def refine(context: DecisionContext) -> Refinement:
    """Edits of the steps that have not run, one rule a surprise."""
    surprise = context.errors[0] if context.errors else ""
    workflow = context.workflow
    if workflow is None:
        return Refinement(edits=())
    here = next(
        (number for number, step in enumerate(workflow.steps, start=1) if step.id == context.step_id),
        len(workflow.steps),
    )
    edits: list[EditDraft] = []
    last = next((one for one in reversed(context.calls) if one.step_id == context.step_id), None)
    if surprise == "peptide_level":
        edits.append(
            _insert(
                here + 1,
                StepDraft(
                    tool="summarise_peptides",
                    purpose=f"{_level(last)}s are no proteins: roll them up first",
                    inputs={"dataset": f"{context.step_id}/dataset"},
                    publishes=_step(context).publishes,
                ),
                f"the file holds {_level(last)}s",
                "peptide_level: load_dataset.level",
            )
        )
        edits += _repoint(workflow, context.step_id or "", _next_id(workflow))
    elif surprise == "many_significant" and last is not None:
        edits += _ask_for_more(workflow, here, last)
    elif surprise == "slopes_differ" and last is not None and workflow is not None:
        edits += _slopes(workflow, here, last)
    elif surprise == "made_by_outliers" and last is not None:
        edits += _by_ranks(workflow, here, last)
    elif surprise == "sign_disagreement" and last is not None:
        edits += _robust(workflow, here, last)
    elif surprise == "none_significant":
        edits += [
            EditDraft(
                op="remove",
                position=number,
                reason="there is nothing to draw",
                trigger=f"none_significant: {context.step_id}.n_significant",
            )
            for number, step in enumerate(workflow.steps, start=1)
            if step.status == "planned" and step.tool == "plot_heatmap"
        ]
    elif surprise == "batch_effect" and last is not None:
        batch = str(last.values.get("covariates") or "").split(";")[0]
        pca = next((call.step_id for call in reversed(context.calls) if call.tool == "pca_variance"), None)
        if pca is not None:
            edits.append(
                _insert(
                    here + 1,
                    StepDraft(
                        tool="plot_pca",
                        purpose=f"draw the samples by {batch}, which explains more than the factors leave",
                        inputs={
                            "scores": f"{pca}/scores",
                            "variance": f"{pca}/variance",
                            "dataset": workflow.steps[here - 1].inputs["dataset"],
                        },
                        params={"factor": batch},
                        publishes="pca_by_batch",
                    ),
                    "a batch explains variance beyond the factors",
                    f"batch_effect: {context.step_id}.covariates",
                )
            )
    return Refinement(edits=tuple(edits), rationale=surprise)


def _slopes(workflow: Workflow, here: int, last: CallView) -> list[EditDraft]:
    """Take each subject's own slope as one observation, and draw from that test."""
    trigger = f"slopes_differ: {last.step_id}.slope_heterogeneity"
    again = _next_id(workflow)
    edits = [
        _insert(
            here + 1,
            StepDraft(
                tool="longitudinal_test",
                purpose="subjects differ in their slopes: take each subject's own as one observation",
                inputs={"dataset": "run/prepared"},
                params={**last.params, "method": "slopes"},
            ),
            "subjects differ in how fast they change",
            trigger,
        )
    ]
    for number, step in enumerate(workflow.steps, start=1):
        if step.status == "planned" and step.inputs.get("table") == f"{last.step_id}/longitudinal":
            drawn = StepDraft(
                tool=step.tool,
                purpose=step.purpose,
                inputs={**step.inputs, "table": f"{again}/longitudinal"},
                params=step.params,
            )
            reason = "it must show the test that counts"
            edits.append(EditDraft(op="replace", position=number, step=drawn, reason=reason, trigger=trigger))
    return edits


def _by_ranks(workflow: Workflow, here: int, last: CallView) -> list[EditDraft]:
    """A test that outlying samples hardly move, unless it stands beside already."""
    if any(step.tool == "rank_test" for step in workflow.steps):
        return []
    return [
        _insert(
            here + 1,
            StepDraft(
                tool="rank_test",
                purpose="outlying samples made most of the findings: a test that they hardly move stands beside",
                inputs={"dataset": "run/prepared"},
                params={"contrast": last.params["contrast"]},
            ),
            "more than half of the findings are lost without the outlying samples",
            f"made_by_outliers: {last.step_id}.n_significant",
        )
    ]


def _robust(workflow: Workflow, here: int, last: CallView) -> list[EditDraft]:
    """Where ranks and means disagree in sign, test again with hypervariable features moderated less."""
    return [
        _insert(
            here + 1,
            StepDraft(
                tool="differential_abundance",
                purpose="ranks and means disagree in sign: test again with robust variances",
                inputs={"dataset": "run/prepared"},
                params={**TEST_OPTIONS, "contrast": last.params["contrast"], "robust": True},
                publishes="robust",
            ),
            "the rank test finds features of the opposite sign",
            f"sign_disagreement: {last.step_id}.sign_disagreement",
        )
    ]


def _ask_for_more(workflow: Workflow, here: int, last: CallView) -> list[EditDraft]:
    """Test again for effects beyond what everything shares, and let all that judges the test follow it."""
    stricter = {"centre": "intensity", "lfc_min": _treat_threshold(last)}
    apart = last.values.get("unchanged_sd") is not None
    trigger = f"many_significant: {last.step_id}.{'unchanged_sd' if apart else 'n_significant'}"
    reason = (
        "a quarter of the features or more changed, and the unchanged ones were told apart: their spread is no finding"
        if apart
        else "more than thirty per cent of the features are significant"
    )
    again = _next_id(workflow)
    edits = [
        _insert(
            here + 1,
            StepDraft(
                tool="differential_abundance",
                purpose="when so much differs, ask for differences beyond the shift that everything shares (TREAT)",
                inputs={"dataset": "run/prepared"},
                params={**last.params, **stricter},
            ),
            reason,
            trigger,
        )
    ]
    for number, step in enumerate(workflow.steps, start=1):
        if step.status != "planned" or step.tool not in (
            "stability",
            "permutation_null",
            "calibrate_confidence",
            "plot_heatmap",
        ):
            continue
        inputs = {
            name: f"{again}/differential" if name in ("differential", "table") else value
            for name, value in step.inputs.items()
        }
        params = step.params if step.tool == "plot_heatmap" else {**step.params, **stricter}
        edits.append(
            EditDraft(
                op="reparam" if inputs == step.inputs else "replace",
                position=number,
                step=StepDraft(tool=step.tool, purpose=step.purpose, inputs=inputs, params=params),
                params=stricter,
                reason="it must judge the test that counts",
                trigger=trigger,
            )
        )
    return edits


def _next_id(workflow: Workflow) -> str:
    """Id that the next new step will get: counters are never given twice (`planner.editing`)."""
    given = [*(step.id for step in workflow.steps), *(edit.step_id for edit in workflow.edits)]
    return f"{workflow.id}.S{1 + max(int(one.rpartition('S')[2]) for one in given)}"


def _insert(position: int, step: StepDraft, reason: str, trigger: str) -> EditDraft:
    return EditDraft(op="insert", position=position, step=step, reason=reason, trigger=trigger)


def _repoint(workflow: Workflow, old: str, new: str) -> list[EditDraft]:
    """Let planned steps read the data set of step `new` where they read that of step `old`.

    A replaced step gets a new id, so what reads from it is replaced as well. Ids are given in the order of the steps,
    after that of `new`.
    """
    moved = {old: new}
    number = int(new.rpartition(".S")[2])
    edits = []
    for position, step in enumerate(workflow.steps, start=1):
        if step.status != "planned":
            continue
        inputs: dict[str, str | dict[str, str]] = {
            name: {key: _moved(one, moved) for key, one in value.items()}
            if isinstance(value, dict)
            else _moved(value, moved)
            for name, value in step.inputs.items()
        }
        if inputs == step.inputs:
            continue
        number += 1
        moved[step.id] = f"{workflow.id}.S{number}"
        edits.append(
            EditDraft(
                op="replace",
                position=position,
                step=StepDraft(
                    tool=step.tool,
                    purpose=step.purpose,
                    inputs=inputs,
                    params=step.params,
                    publishes=step.publishes,
                ),
                reason="it reads proteins, not peptides",
                trigger="peptide_level: load_dataset.level",
            )
        )
    return edits


def _moved(reference: str, moved: dict[str, str]) -> str:
    owner, _, output = reference.partition("/")
    return f"{moved[owner]}/{output}" if owner in moved else reference


def _treat_threshold(call: CallView) -> float:
    """Least effect to ask for when much differs, to one decimal so that it can be said."""
    unchanged = call.values.get("unchanged_sd")
    if not isinstance(unchanged, int | float):
        return LEAST_EFFECT
    return round(max(FINEST_EFFECT, UNCHANGED_WIDTHS * unchanged), 1)


def assess_objective(context: DecisionContext) -> ObjectiveAssessment:
    """What the objective found, in a sentence with references, and which children follow from it."""
    objective = context.objective
    if objective is None:
        raise ValueError("assessing needs an objective")
    own = [
        call for call in context.calls if call.step_id.startswith(f"{objective.id}.") and call.status == "ok"
    ]
    if not own:
        return ObjectiveAssessment(verdict="abandon", summary="no step could be carried out")
    # A test that is repeated under another name stands beside the one that counts.
    beside = {step.id for step in (context.workflow.steps if context.workflow else ()) if step.publishes}
    own.sort(key=lambda call: call.step_id not in beside)
    return question(objective.kind).conclude(context, objective, {call.tool: call for call in own})


def _step(context: DecisionContext) -> PlannedStep:
    if context.workflow is None or context.step_id is None:
        raise ValueError("this decision needs a step")
    return next(step for step in context.workflow.steps if step.id == context.step_id)


__all__ = ["assess", "assess_objective", "fill", "refine"]
