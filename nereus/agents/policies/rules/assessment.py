"""Judging results: what a finished step means, when a plan must change, and when an objective is answered."""

from __future__ import annotations

from nereus.agents.policies.base import (
    CallView,
    DecisionContext,
    EditDraft,
    ObjectiveAssessment,
    ObjectiveDraft,
    ParamsDraft,
    Refinement,
    StepAssessment,
    StepDraft,
)
from nereus.agents.policies.rules.workflows import PANEL_FEATURES, TEST_OPTIONS
from nereus.memory.records import Objective, ObjectiveKind, PlannedStep, Workflow

LARGE_SHARE = 0.30
"""Share of significant features above which a global shift is suspected."""
ORGANISMS_WITH_SETS = ("human", "mouse")

# Steps whose failure leaves nothing to go on with.
_ESSENTIAL = {
    "load_dataset",
    "profile_dataset",
    "normalise",
    "filter_features",
    "differential_abundance",
    "continuous_association",
    "run_wide_fdr",
}


def fill(context: DecisionContext) -> ParamsDraft:
    """Parameters that can only be known from the results of earlier steps."""
    step = _step(context)
    done = {call.tool: call for call in context.calls}
    params: dict[str, object] = {}
    why: dict[str, str] = {}
    if step.tool == "enrichment_gsea" and "profile_dataset" in done:
        organism = done["profile_dataset"].values.get("organism")
        if organism in ORGANISMS_WITH_SETS:
            params["organism"] = organism
            why["organism"] = f"profile:organism = {organism}"
    return ParamsDraft(params=params, justification=why)


def assess(context: DecisionContext) -> StepAssessment:
    """Verdict on the step that just ran, with the surprise rules of the specification."""
    step = _step(context)
    call = next((one for one in reversed(context.calls) if one.step_id == step.id), None)
    if call is None or call.status == "failed":
        verdict = "fail" if step.tool in _ESSENTIAL else "skip"
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
    if call.tool == "load_dataset" and values.get("level") == "peptide":
        fired = "peptide_level"
    elif call.tool == "quality_control" and (values.get("n_outliers") or 0):
        fired = "outlier_samples"
    elif call.tool == "batch_check" and (values.get("n_covariates") or 0):
        fired = "batch_effect"
    elif call.tool == "differential_abundance":
        tested = float(values.get("n_tested") or 0)
        hits = float(values.get("n_significant") or 0)
        if tested >= PANEL_FEATURES and hits / tested > LARGE_SHARE:
            fired = "many_significant"
        elif tested and hits == 0:
            fired = "none_significant"
    elif call.tool == "rank_test" and (values.get("sign_disagreement") or 0):
        fired = "sign_disagreement"
    return None if fired in seen else fired


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
                    purpose="peptides are no proteins: roll them up first",
                    inputs={"dataset": f"{context.step_id}/dataset"},
                ),
                "the file holds peptides",
                "peptide_level: load_dataset.level",
            )
        )
        edits += _repoint(workflow.steps, context.step_id or "", f"{workflow.id}.S{len(workflow.steps) + 1}")
    elif surprise == "many_significant" and last is not None:
        edits += _ask_for_more(workflow, here, last)
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


def _ask_for_more(workflow: Workflow, here: int, last: CallView) -> list[EditDraft]:
    """Test again for effects beyond what everything shares, and let all that judges the test follow it."""
    stricter = {"centre": "intensity", "lfc_min": _treat_threshold(last)}
    trigger = f"many_significant: {last.step_id}.n_significant"
    reason = "more than thirty per cent of the features are significant"
    again = f"{workflow.id}.S{len(workflow.steps) + 1}"
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


def _insert(position: int, step: StepDraft, reason: str, trigger: str) -> EditDraft:
    return EditDraft(op="insert", position=position, step=step, reason=reason, trigger=trigger)


def _repoint(steps: tuple[PlannedStep, ...], old: str, new: str) -> list[EditDraft]:
    """Let planned steps read the data set of step `new` where they read that of step `old`."""
    edits = []
    for number, step in enumerate(steps, start=1):
        if step.status == "planned" and step.inputs.get("dataset") == f"{old}/dataset":
            edits.append(
                EditDraft(
                    op="replace",
                    position=number,
                    step=StepDraft(
                        tool=step.tool,
                        purpose=step.purpose,
                        inputs={**step.inputs, "dataset": f"{new}/dataset"},
                        params=step.params,
                    ),
                    reason="it reads proteins, not peptides",
                    trigger="peptide_level: load_dataset.level",
                )
            )
    return edits


def _treat_threshold(call: CallView) -> float:
    """Twice the robust spread of all effects, to one decimal so that it can be said."""
    spread = call.values.get("spread_effect")
    return round(max(0.1, 2 * float(spread)), 1) if isinstance(spread, int | float) else 0.5


def assess_objective(context: DecisionContext) -> ObjectiveAssessment:
    """What the objective found, in a sentence with references, and which children follow from it."""
    objective = context.objective
    if objective is None:
        raise ValueError("assessing needs an objective")
    own = [
        call for call in context.calls if call.step_id.startswith(f"{objective.id}.") and call.status == "ok"
    ]
    by_tool = {call.tool: call for call in own}
    if not own:
        return ObjectiveAssessment(verdict="abandon", summary="no step could be carried out")
    if objective.kind is ObjectiveKind.DATA:
        return _assess_data(by_tool)
    if objective.kind is ObjectiveKind.DIFFERENTIAL:
        return _assess_test(context, objective, by_tool.get("differential_abundance"), by_tool)
    if objective.kind is ObjectiveKind.ASSOCIATION:
        return _assess_test(context, objective, by_tool.get("continuous_association"), by_tool)
    if objective.kind is ObjectiveKind.PATHWAY:
        return _assess_sets(by_tool)
    if objective.kind is ObjectiveKind.SUBTYPES:
        call = by_tool.get("cluster_samples")
        return ObjectiveAssessment(
            verdict="done",
            summary="groups were looked for and their stability measured" if call else "not carried out",
        )
    if objective.kind is ObjectiveKind.DESCRIBE:
        return ObjectiveAssessment(
            verdict="done", summary="described; the groups are too small to infer anything"
        )
    return ObjectiveAssessment(verdict="done", summary="done")


def _assess_data(by_tool: dict[str, CallView]) -> ObjectiveAssessment:
    if "profile_dataset" not in by_tool:
        return ObjectiveAssessment(verdict="abandon", summary="the data could not be profiled")
    step = by_tool["profile_dataset"].step_id
    counted = [
        f"{{{{{step}.{name}}}}} {word}"
        for name, word in (("n_features", "features"), ("n_samples", "samples"), ("n_subjects", "subjects"))
    ]
    return ObjectiveAssessment(verdict="done", summary=", ".join(counted))


def _assess_test(
    context: DecisionContext, objective: Objective, call: CallView | None, by_tool: dict[str, CallView]
) -> ObjectiveAssessment:
    if call is None:
        return ObjectiveAssessment(verdict="abandon", summary="the test could not be carried out")
    summary = f"{{{{{call.step_id}.n_significant}}}} of {{{{{call.step_id}.n_tested}}}} proteins at the level of this table"
    null = by_tool.get("permutation_null")
    if null is not None and null.values.get("null_p95") is not None:
        summary += f"; shuffled labels give at most {{{{{null.step_id}.null_p95|.0f}}}} in ninety-five of a hundred cases"
    children: tuple[ObjectiveDraft, ...] = ()
    rate = next(
        (one.values.get("set_mapping_rate") for one in context.calls if one.tool == "annotate_genes"), None
    )
    mappable = rate is None or float(rate) >= 0.2
    if mappable and float(call.values.get("n_tested") or 0) >= 100:
        about = objective.contrast.label if objective.contrast else objective.variable
        children = (
            ObjectiveDraft(
                kind=ObjectiveKind.PATHWAY,
                statement=f"Which processes move together in {about}?",
                contrast=objective.contrast,
                variable=objective.variable,
                covariates=objective.covariates,
                rationale="single proteins were tested; sets of them may move together",
                cites=(call.step_id,),
                priority=objective.priority,
            ),
        )
    return ObjectiveAssessment(
        verdict="spawn_children" if children else "done",
        summary=summary,
        cites=(call.step_id,),
        children=children,
    )


def _assess_sets(by_tool: dict[str, CallView]) -> ObjectiveAssessment:
    call = by_tool.get("enrichment_gsea") or by_tool.get("enrichment_ora")
    if call is None:
        return ObjectiveAssessment(verdict="abandon", summary="no collection of sets could be tested")
    if not call.complete and not call.values.get("n_significant"):
        return ObjectiveAssessment(
            verdict="done", summary="sets could not be tested in full; see the notice of the step"
        )
    return ObjectiveAssessment(
        verdict="done", summary=f"{{{{{call.step_id}.n_significant}}}} sets move", cites=(call.step_id,)
    )


def _step(context: DecisionContext) -> PlannedStep:
    if context.workflow is None or context.step_id is None:
        raise ValueError("this decision needs a step")
    return next(step for step in context.workflow.steps if step.id == context.step_id)


__all__ = ["TEST_OPTIONS", "assess", "assess_objective", "fill", "refine"]
