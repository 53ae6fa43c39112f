"""What a language model may not change, ask or write: each attack is sent back with a reason, each honest answer taken."""

from __future__ import annotations

from typing import Any

import pytest

from nereus.agents.planner.check import materialise
from nereus.agents.policies import RulesPolicy
from nereus.agents.policies.base import (
    CallView,
    DecisionContext,
    DecisionKind,
    Dropped,
    EditDraft,
    MergeVerdict,
    ObjectiveAssessment,
    ObjectiveDraft,
    ObjectivesProposal,
    ParamsDraft,
    Refinement,
    StepAssessment,
    StepDraft,
    WorkflowDraft,
)
from nereus.agents.policies.guarded import filled_in, guarded_faults
from nereus.agents.policies.validation import faults
from nereus.memory.records import Contrast, Objective, ObjectiveKind, Workflow
from tests.agents.policies.test_questions import (
    AGE,
    CASES,
    CONTRAST,
    COURSE,
    DOSE,
    INTERACTION,
    OUTCOME,
    asked,
    context,
    opened,
)

RULES = RulesPolicy()
K = ObjectiveKind
SITE = {**CONTRAST, "factor": "site", "a": "x", "b": "y", "refused": "cannot separate from 'plate'"}
PAIRED = {**CONTRAST, "factor": "visit", "a": "late", "b": "early", "paired": True, "block": "mouse"}
LEVELS = [
    ("genotype", "ko"),
    ("genotype", "wt"),
    ("site", "x"),
    ("site", "y"),
    ("visit", "late"),
    ("visit", "early"),
]
NAMES = ("genotype", "diet", "site", "visit", "age", "day", "mouse", "os_days", "dead", "dose_um")
GENOTYPE = Contrast(factor="genotype", a="ko", b="wt")
QUESTION = Objective(id="O2", kind=K.DIFFERENTIAL, statement="s", contrast=GENOTYPE, priority=0.5)
HELD = {"prepared": "O1.W1.S3/dataset", "loaded": "O0.W1.S1/dataset"}


def seen(**update: Any) -> DecisionContext:
    """Technical replicates, a refused factor, a paired one, and tables in which nothing else is testable."""
    base = context(
        {"missing_rate": 0.1, "aggregate_by": "mouse"},
        contrasts=[CONTRAST, SITE, PAIRED],
        factors=[{"factor": factor, "level": level} for factor, level in LEVELS],
        associations=[{**AGE, "testable": False}],
        courses=[{**COURSE, "testable": False, "why": "one time a subject"}],
        outcomes=[{**OUTCOME, "testable": False, "refused": "fewer than ten events"}],
        doses=[{**DOSE, "testable": False}],
        interactions=[{**INTERACTION, "testable": False, "refused": "cannot be told from 'plate'"}],
    )
    tables = {**base.profile.tables, "columns": [{"column": one, "role": "factor"} for one in NAMES]}
    calls = (
        CallView(step_id="O0.W1.S1", tool="load_dataset", status="ok", summary="", values={"n_samples": 80}),
        CallView(step_id="O1.W1.S3", tool="normalise", status="ok", summary=""),
    )
    profile = base.profile.model_copy(update={"tables": tables})
    return base.model_copy(
        update={
            "profile": profile,
            "objective": QUESTION,
            "objectives": (QUESTION,),
            "run_outputs": HELD,
            "calls": calls,
        }
        | update
    )


def plan_of(ctx: DecisionContext) -> WorkflowDraft:
    plan = RULES.decide(DecisionKind.PLAN_WORKFLOW, ctx, seed=0).payload
    assert isinstance(plan, WorkflowDraft)
    return plan


def wrong_plan(steps: list[StepDraft], ctx: DecisionContext) -> list[str]:
    plan = WorkflowDraft(template=None, steps=tuple(steps))
    return faults(plan, ctx) or guarded_faults(plan, plan_of(ctx), ctx)


def step(tool: str, reads: str = "run/prepared", publishes: str = "", **params: Any) -> StepDraft:
    return StepDraft(tool=tool, purpose="p", inputs={"dataset": reads}, params=params, publishes=publishes)


TEST = {"contrast": GENOTYPE.model_dump(mode="json")}


# ------------------------------------------------------------------------------------------------------------- plans


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([step("differential_abundance", "run/loaded", **TEST)], "tests read the prepared data"),
        ([step("impute"), step("differential_abundance", "#1/dataset", **TEST)], "tests read the prepared data"),
        (
            [step("correct_batch", batch="site", factors=["genotype"]), step("detection_test", "#1/dataset", **TEST)],
            "tests read the prepared data",
        ),
        ([step("differential_abundance", contrast={"factor": "site", "a": "x", "b": "y"})], "compares something else"),
        ([step("differential_abundance", contrast={**TEST["contrast"], "block": "diet"})], "compares something else"),
        ([step("differential_abundance", **TEST, background="none")], "'background'"),
        ([step("differential_abundance", **TEST, robust=one) for one in (True, False)], "more than once"),
        ([step("differential_abundance", **TEST, publishes="stability")], "cannot be called 'stability'"),
        ([step("differential_abundance", **TEST, publishes="O3:differential")], "cannot be called"),
    ],
    ids=["raw", "imputed", "corrected", "refused groups", "block", "background", "twice", "as stability", "as another's"],
)  # fmt: skip
def test_a_test_stands_on_what_the_rules_prepared_and_is_made_once(steps: list[StepDraft], told: str) -> None:
    wrong = wrong_plan(steps, seen())
    assert any(told in one for one in wrong), wrong


def test_an_honest_plan_is_taken_and_what_it_leaves_out_filled_in() -> None:
    ctx = seen()
    own = [
        step("differential_abundance", **TEST, robust=True),
        step("differential_abundance", **TEST, trend=True, publishes="with_trend"),
    ]
    assert not wrong_plan(own, ctx)
    bare = WorkflowDraft(template=None, steps=(step("differential_abundance"), step("permutation_null")))
    test, null = filled_in(bare, plan_of(ctx)).steps
    assert test.params["background"] == "auto", "the default would leave the background of small groups out"
    assert Contrast(**test.params["contrast"]) == GENOTYPE
    assert null.params["n_permutations"] > 0


@pytest.mark.parametrize("kind", CASES, ids=[kind.value for kind in CASES])
def test_plans_and_questions_of_the_rules_pass(kind: ObjectiveKind) -> None:
    for draft in asked(kind)[0]:
        one = opened(draft)
        ctx = CASES[kind].model_copy(
            update={"objective": one, "objectives": (one,), "run_outputs": {"prepared": "O1.W1.S3/dataset"}}
        )
        plan = plan_of(ctx)
        assert not guarded_faults(plan, plan, ctx)
        # As an answer of a model that the rules would not have given at this moment.
        proposal = ObjectivesProposal(objectives=(draft,))
        assert not guarded_faults(proposal, ObjectivesProposal(objectives=()), CASES[kind])


def quality(**values: Any) -> tuple[DecisionContext, WorkflowDraft]:
    one = Objective(id="O1", kind=K.QUALITY, statement="prepare", priority=1.0)
    ctx = seen(objective=one, objectives=(one,), run_outputs={"loaded": "O0.W1.S1/dataset"})
    return ctx, plan_of(ctx)


def test_replicates_stay_aggregated_whatever_the_plan_says() -> None:
    ctx, plan = quality()
    assert not guarded_faults(plan, plan, ctx)
    place = next(n for n, one in enumerate(plan.steps) if one.tool == "aggregate_replicates")
    without = plan.model_copy(update={"steps": plan.steps[:place] + plan.steps[place + 1 :]})
    assert any("aggregate_replicates" in one for one in guarded_faults(without, plan, ctx))
    # The step is there, and the next one reads past it.
    past = [
        one.model_copy(update={"inputs": {"dataset": "run/loaded"}}) if one.tool == "normalise" else one
        for one in plan.steps
    ]
    assert any(
        "normalise" in one
        for one in guarded_faults(plan.model_copy(update={"steps": tuple(past)}), plan, ctx)
    )


def test_nothing_is_put_in_the_place_of_the_prepared_data() -> None:
    ctx, plan = quality()
    last = f"#{next(n for n, one in enumerate(plan.steps, 1) if one.tool == 'filter_features')}/dataset"
    more = plan.model_copy(update={"steps": (*plan.steps, step("impute", last))})
    assert any("would take the place of dataset" in one for one in guarded_faults(more, plan, ctx))
    drawn = plan.model_copy(update={"steps": (*plan.steps, step("plot_missingness", last))})
    assert not guarded_faults(drawn, plan, ctx)


def test_no_table_is_left_out_of_the_error_control() -> None:
    one = Objective(id="O4", kind=K.SYNTHESIS, statement="combine", priority=1.0)
    known = [
        QUESTION,
        QUESTION.model_copy(update={"id": "O3", "contrast": Contrast(factor="visit", a="late", b="early")}),
    ]
    held = {**HELD, "O2:differential": "O2.W1.S1/differential", "O3:differential": "O3.W1.S1/differential"}
    ctx = seen(objective=one, objectives=(*known, one), run_outputs=held)
    plan = plan_of(ctx)
    assert not guarded_faults(plan, plan, ctx)
    (first, *rest) = plan.steps
    tables = dict(list(first.inputs["tables"].items())[:1])  # type: ignore[union-attr]
    fewer = plan.model_copy(
        update={"steps": (first.model_copy(update={"inputs": {"tables": tables}}), *rest)}
    )
    assert any("run_wide_fdr" in fault for fault in guarded_faults(fewer, plan, ctx))


# -------------------------------------------------------------------------------------------- after a result is seen


def running() -> tuple[DecisionContext, Workflow]:
    """The first test has run."""
    ctx = seen()
    plan = materialise(plan_of(ctx), "O2", 1)
    steps = tuple(
        one.model_copy(update={"status": "done" if n == 0 else "planned"}) for n, one in enumerate(plan.steps)
    )
    workflow = plan.model_copy(update={"steps": steps})
    done = CallView(step_id=steps[0].id, tool=steps[0].tool, status="ok", summary="", params=steps[0].params)
    return ctx.model_copy(
        update={"workflow": workflow, "step_id": steps[0].id, "calls": (*ctx.calls, done)}
    ), workflow


def test_a_test_is_not_made_again_with_other_options() -> None:
    ctx, workflow = running()
    again = EditDraft(
        op="insert",
        position=2,
        step=step("differential_abundance", **workflow.steps[0].params, robust=True),
        reason="r",
        trigger="t",
    )
    nothing = Refinement(edits=())
    assert any("more than once" in one for one in guarded_faults(Refinement(edits=(again,)), nothing, ctx))
    assert again.step is not None
    beside = again.model_copy(update={"step": again.step.model_copy(update={"publishes": "with_robust"})})
    assert not guarded_faults(Refinement(edits=(beside,)), nothing, ctx)
    retry = StepAssessment(verdict="retry", params={"robust": True})
    assert any(
        "after its result was seen" in one
        for one in guarded_faults(retry, StepAssessment(verdict="accept"), ctx)
    )


def test_a_question_is_not_planned_anew_for_another_result() -> None:
    ctx, _ = running()
    again = ObjectiveAssessment(verdict="new_workflow", summary="try other options")
    rules = ObjectiveAssessment(verdict="done", summary="done")
    assert any("planned anew" in one for one in guarded_faults(again, rules, ctx))
    untested = ctx.model_copy(update={"calls": ctx.calls[:2]})
    assert not guarded_faults(again, rules, untested)


def test_a_contradiction_is_not_merged_away() -> None:
    for said, rules, wrong in (
        ("same", "contradict", True),
        ("distinct", "contradict", True),
        ("contradict", "same", True),
        ("distinct", "same", False),
    ):
        found = guarded_faults(MergeVerdict(verdict=said), MergeVerdict(verdict=rules), DecisionContext())
        assert bool(found) == wrong


def test_other_groups_do_not_come_in_by_the_parameters() -> None:
    ctx, workflow = running()
    bare = workflow.steps[0].model_copy(update={"params": {}, "status": "planned"})
    ctx = ctx.model_copy(update={"workflow": workflow.model_copy(update={"steps": (bare,)})})
    other = ParamsDraft(params={"contrast": {"factor": "site", "a": "x", "b": "y"}})
    assert guarded_faults(other, ParamsDraft(params={}), ctx)
    same = ParamsDraft(params={"contrast": GENOTYPE.model_dump(mode="json")})
    assert not guarded_faults(same, ParamsDraft(params={}), ctx)


# --------------------------------------------------------------------------------------------------------- questions


def draft(kind: ObjectiveKind, **update: Any) -> ObjectiveDraft:
    given = {
        "statement": "Which proteins differ?",
        "rationale": "it is asked",
        "cites": ("profile.n_samples",),
        "priority": 0.9,
    }
    return ObjectiveDraft(kind=kind, **{**given, **update})


BAD = {
    "refused groups": draft(K.DIFFERENTIAL, contrast=Contrast(factor="site", a="y", b="x")),
    "pairs without the subject": draft(K.DIFFERENTIAL, contrast=Contrast(factor="visit", a="late", b="early")),
    "a block that is none": draft(K.DIFFERENTIAL, contrast=Contrast(factor="genotype", a="ko", b="wt", block="diet")),
    "some samples": draft(K.DIFFERENTIAL, contrast=Contrast(factor="genotype", a="ko", b="wt", subset={"diet": "fat"})),
    "adjusted for itself": draft(K.DIFFERENTIAL, contrast=GENOTYPE, covariates=("genotype",)),
    "a misleading name": draft(K.DIFFERENTIAL, contrast=GENOTYPE, label="cured vs ill"),
    "a variable of too few": draft(K.ASSOCIATION, variable="age"),
    "the subject as a variable": draft(K.ASSOCIATION, variable="mouse"),
    "one time a subject": draft(K.LONGITUDINAL, design={"time": "day", "subject": "mouse"}),
    "few events": draft(K.SURVIVAL, design={"time": "os_days", "event": "dead", "event_level": "1"}),
    "few doses": draft(K.DOSE_RESPONSE, design={"dose": "dose_um"}),
    "an interaction that is refused": draft(
        K.INTERACTION, contrast=GENOTYPE, design={"second": "diet", "a_second": "fat", "b_second": "chow"}
    ),
    "preparation once more": draft(K.QUALITY, design={"x": "y"}),
    "the error control": draft(K.SYNTHESIS),
    "a number of its own": draft(K.DIFFERENTIAL, contrast=GENOTYPE, statement="APP is 12.5 times higher"),
    "a reference to nothing": draft(K.DIFFERENTIAL, contrast=GENOTYPE, rationale="because of {{E999}}"),
}  # fmt: skip


@pytest.mark.parametrize("one", BAD.values(), ids=BAD)
def test_what_the_design_cannot_answer_is_not_asked(one: ObjectiveDraft) -> None:
    ctx = seen(objectives=())
    proposal = ObjectivesProposal(objectives=(one,))
    assert faults(proposal, ctx) or guarded_faults(proposal, ObjectivesProposal(objectives=()), ctx)
    ended = ObjectiveAssessment(verdict="spawn_children", summary="done", children=(one,))
    rules = ObjectiveAssessment(verdict="done", summary="done")
    assert faults(ended, ctx) or guarded_faults(ended, rules, ctx), "nor does it follow from another question"


def test_good_questions_of_a_model_are_taken() -> None:
    ctx = seen(objectives=())
    paired = Contrast(factor="visit", a="early", b="late", block="mouse")
    proposal = ObjectivesProposal(
        objectives=(
            draft(K.DIFFERENTIAL, contrast=paired, covariates=("diet",)),
            draft(K.DIFFERENTIAL, contrast=GENOTYPE),
        )
    )
    assert not faults(proposal, ctx)
    assert not guarded_faults(proposal, ObjectivesProposal(objectives=()), ctx)


def test_words_of_the_user_may_hold_digits() -> None:
    asked_for = ObjectivesProposal(
        objectives=(draft(K.DIFFERENTIAL, contrast=GENOTYPE, statement="Which proteins differ after 24h?"),)
    )
    assert faults(asked_for, seen(objectives=()))
    assert not faults(asked_for, seen(objectives=(), question="what differs after 24h?"))


def test_preparation_is_not_withdrawn() -> None:
    gone = Dropped(subject="preparation", reason="not needed", objective_id="O1")
    one = Objective(id="O1", kind=K.QUALITY, statement="prepare", priority=1.0)
    proposal = ObjectivesProposal(objectives=(), dropped=(gone,))
    for known in ((), (one,)):
        assert guarded_faults(proposal, ObjectivesProposal(objectives=()), seen(objectives=known))
