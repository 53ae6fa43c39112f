"""When each kind of question is asked, which steps answer it, and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest

from nereus.agents.planner.check import check_workflow, materialise
from nereus.agents.planner.questions import TESTED, families
from nereus.agents.planner.relations import RELATIONS, features_of, said, words_of
from nereus.agents.policies.base import CallView, DecisionContext, Dropped, ObjectiveDraft, ProfileView
from nereus.agents.policies.rules.choice import choose
from nereus.agents.policies.rules.objectives import propose
from nereus.agents.policies.rules.questions import QUESTIONS, question
from nereus.memory.records import Contrast, Objective, ObjectiveKind, ObjectiveStatus
from nereus.tools import registry

COLUMNS = [{"column": one, "role": "factor"} for one in ("genotype", "diet")]
CONTRAST = {
    "contrast": "genotype: ko vs wt", "factor": "genotype", "a": "ko", "b": "wt", "n_a": 40, "n_b": 40, "kind": "main",
    "paired": False, "block": "", "refused": "", "covariates": "",
}  # fmt: skip
INTERACTION = {
    "interaction": "genotype: ko vs wt x diet: fat vs chow", "first": "genotype", "a_first": "ko", "b_first": "wt",
    "second": "diet", "a_second": "fat", "b_second": "chow", "smallest_cell": 8, "kind": "main", "block": "",
    "testable": True, "refused": "",
}  # fmt: skip
COURSE = {
    "course": "day x genotype", "time": "day", "labels": "day", "group": "genotype", "a": "ko", "b": "wt",
    "subject": "mouse", "repeated": True, "n": 32, "n_subjects": 16, "testable": True,
}  # fmt: skip
OUTCOME = {
    "outcome": "os_days | dead", "time": "os_days", "event": "dead", "event_level": "1", "n": 80, "n_events": 30,
    "covariates": "age", "testable": True, "refused": "",
}  # fmt: skip
DOSE = {"dose": "dose_um", "labels": "dose_um", "n": 24, "cue": "named", "testable": True}
BAIT = {
    "bait": "ip: CBP1", "factor": "ip", "control": "ctrl", "n_bait": 3, "n_control": 3, "cue": "named",
    "testable": True, "why": "'ip' names baits",
}  # fmt: skip
AGE = {"variable": "age", "n": 60, "kind": "measurement", "testable": True}


def context(
    values: dict[str, Any] | None = None,
    question: str | None = None,
    objectives: tuple[Objective, ...] = (),
    calls: tuple[CallView, ...] = (),
    outputs: dict[str, str] | None = None,
    **tables: list[dict[str, Any]],
) -> DecisionContext:
    known = {"n_features": 2000, "n_samples": 80, "n_subjects": 80, "data_kind": "proteins", **(values or {})}
    return DecisionContext(
        question=question,
        profile=ProfileView(values=known, tables={"columns": COLUMNS, **tables}),
        objectives=objectives,
        calls=calls,
        run_outputs=outputs or {},
    )


# A profile in which each kind is asked.
CASES: dict[ObjectiveKind, DecisionContext] = {
    ObjectiveKind.DIFFERENTIAL: context(contrasts=[CONTRAST]),
    ObjectiveKind.ASSOCIATION: context(associations=[AGE]),
    ObjectiveKind.INTERACTION: context(interactions=[INTERACTION], contrasts=[CONTRAST]),
    ObjectiveKind.LONGITUDINAL: context(courses=[COURSE]),
    ObjectiveKind.SURVIVAL: context(outcomes=[OUTCOME]),
    ObjectiveKind.DOSE_RESPONSE: context(doses=[DOSE]),
    ObjectiveKind.INTERACTOME: context({"data_kind": "pulldown"}, pulldowns=[BAIT]),
    ObjectiveKind.TARGETS: context(
        {"data_kind": "peptides"}, "which target does limited proteolysis show?", contrasts=[CONTRAST]
    ),
    ObjectiveKind.DOSE_TARGETS: context(
        {"data_kind": "peptides"}, "which target does limited proteolysis show?", doses=[DOSE]
    ),
    ObjectiveKind.LOCALISATION: context(
        {"data_kind": "fractions"},
        organelles=[{"column": "markers", "testable": True, "why": "eight classes"}],
    ),
    ObjectiveKind.POPULATIONS: context({"data_kind": "cells"}, contrasts=[CONTRAST]),
    ObjectiveKind.STATES: context({"data_kind": "cells"}, contrasts=[CONTRAST]),
    ObjectiveKind.MARKERS: context({"data_kind": "cells"}),
    ObjectiveKind.SUBTYPES: context(),
    ObjectiveKind.MODULES: context(contrasts=[CONTRAST]),
    ObjectiveKind.DESCRIBE: context({"n_samples": 10, "n_subjects": 10}),
}


def asked(
    kind: ObjectiveKind, seen: DecisionContext | None = None
) -> tuple[list[ObjectiveDraft], list[Dropped]]:
    dropped: list[Dropped] = []
    return question(kind).candidates(seen or CASES[kind], dropped), dropped


def opened(draft: ObjectiveDraft, identity: str = "O2", status: ObjectiveStatus = "open") -> Objective:
    shared = [name for name in ObjectiveDraft.model_fields if name in Objective.model_fields]
    return Objective(id=identity, status=status, **{name: getattr(draft, name) for name in shared})


def call(step_id: str, tool: str, **values: Any) -> CallView:
    return CallView(step_id=step_id, tool=tool, status="ok", summary="", values=values)


def errors_of(kind: ObjectiveKind, seen: DecisionContext, objective: Objective) -> list[str]:
    steps = question(kind).workflow(seen, objective)
    return check_workflow(
        materialise(steps, objective.id, 1), {"prepared": "O1.W1.S3/dataset"}, {"O1.W1.S3": "normalise"}
    )


@pytest.mark.parametrize("kind", CASES, ids=[kind.value for kind in CASES])
def test_a_fitting_design_is_asked_about_with_steps_that_pass_the_static_check(kind: ObjectiveKind) -> None:
    drafts, _ = asked(kind)
    assert [draft.kind for draft in drafts] == [kind]
    assert 0 < drafts[0].priority <= 1
    assert question(kind).fits(CASES[kind])
    objective = opened(drafts[0])
    assert errors_of(kind, CASES[kind], objective) == []
    if kind in TESTED:  # whatever tests entities makes the table that its claims are read from
        tools = [step.tool for step in question(kind).workflow(CASES[kind], objective).steps]
        assert TESTED[kind].tool in tools
        assert f"table:{TESTED[kind].main}" in registry.get(TESTED[kind].tool).outputs


def test_samples_are_described_where_nothing_can_be_compared() -> None:
    assert "vary more" in asked(ObjectiveKind.DESCRIBE)[0][0].statement
    small = context(contrasts=[CONTRAST | {"n_a": 2}])
    assert "too small" in asked(ObjectiveKind.DESCRIBE, small)[0][0].statement
    for seen in (
        context(contrasts=[CONTRAST]),
        context(associations=[AGE]),
        context({"n_samples": 3}),
        context({"data_kind": "fractions"}),
    ):
        assert asked(ObjectiveKind.DESCRIBE, seen)[0] == []


def test_every_kind_has_rules() -> None:
    assert set(QUESTIONS) == set(ObjectiveKind)


@pytest.mark.parametrize("relation", RELATIONS.values(), ids=list(RELATIONS))
def test_every_relation_can_be_said(relation: Any) -> None:
    named = {"label": "x", "name": "A", "a": "ko", "b": "wt", "features": "proteins", "units": "mice"}
    for text in (*relation.said, *relation.together, relation.nothing, relation.subject, relation.plural):
        assert "{" not in said(text, named)
    assert (relation.direction(1.0), relation.direction(-1.0)) == relation.directions


def test_a_question_whose_tools_are_missing_is_not_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = CASES[ObjectiveKind.SURVIVAL]
    before = {draft.kind for draft in propose(seen).objectives}
    monkeypatch.delitem(registry.CATALOGUE, "survival_screen")
    assert before - {draft.kind for draft in propose(seen).objectives} == {ObjectiveKind.SURVIVAL}


def test_cells_are_asked_about_cells_only() -> None:
    kinds = {draft.kind for draft in propose(CASES[ObjectiveKind.POPULATIONS]).objectives}
    of_cells = {ObjectiveKind.POPULATIONS, ObjectiveKind.STATES, ObjectiveKind.MARKERS}
    assert kinds == {ObjectiveKind.QUALITY, *of_cells}
    samples = {draft.kind for draft in propose(CASES[ObjectiveKind.DIFFERENTIAL]).objectives}
    assert ObjectiveKind.DIFFERENTIAL in samples
    assert not samples & of_cells


def test_a_confounded_contrast_is_refused_beside_a_testable_variable() -> None:
    refused = {**CONTRAST, "refused": "cannot separate from 'batch'; Cramér's V = 1.00"}
    answer = propose(context(contrasts=[refused], associations=[AGE]))
    kinds = {draft.kind for draft in answer.objectives}
    assert ObjectiveKind.ASSOCIATION in kinds
    assert ObjectiveKind.DIFFERENTIAL not in kinds
    said_of = [one for one in answer.dropped if one.subject == "ko vs wt (genotype)"]
    assert [one.verdict for one in said_of] == ["refused"]
    assert "batch" in said_of[0].reason


def test_an_open_contrast_that_the_batch_check_refuses_is_withdrawn() -> None:
    draft = asked(ObjectiveKind.DIFFERENTIAL)[0][0]
    batch = [{"factor": "genotype", "batch": "plate", "verdict": "refuse"}]
    seen = context(contrasts=[CONTRAST], objectives=(opened(draft),), batch=batch)
    _, dropped = asked(ObjectiveKind.DIFFERENTIAL, seen)
    assert [(one.objective_id, one.verdict) for one in dropped] == [("O2", "refused")]


def test_an_outcome_with_too_few_events_is_refused_with_the_reason() -> None:
    row = {**OUTCOME, "testable": False, "refused": "fewer than 10 events"}
    drafts, dropped = asked(ObjectiveKind.SURVIVAL, context(outcomes=[row]))
    assert drafts == []
    assert [(one.reason, one.verdict) for one in dropped] == [("fewer than 10 events", "refused")]


def test_what_only_words_can_confirm_waits_for_the_words() -> None:
    bait = {**BAIT, "cue": "possible"}
    assert asked(ObjectiveKind.INTERACTOME, context(pulldowns=[bait]))[0] == []
    assert (
        len(asked(ObjectiveKind.INTERACTOME, context({}, "what does the bait bind?", pulldowns=[bait]))[0])
        == 1
    )
    dose = {**DOSE, "cue": "possible"}
    assert asked(ObjectiveKind.DOSE_RESPONSE, context(doses=[dose]))[0] == []
    assert (
        len(asked(ObjectiveKind.DOSE_RESPONSE, context({}, "what follows the dose?", doses=[dose]))[0]) == 1
    )
    peptides = context({"data_kind": "peptides"}, "what differs?", contrasts=[CONTRAST])
    assert asked(ObjectiveKind.TARGETS, peptides)[0] == []
    assert len(asked(ObjectiveKind.DIFFERENTIAL, peptides)[0]) == 1
    assert asked(ObjectiveKind.DIFFERENTIAL, CASES[ObjectiveKind.TARGETS])[0] == []


def test_a_series_of_doses_is_asked_for_a_curve_and_not_for_a_line_as_well() -> None:
    line = {**AGE, "variable": "dose_um"}
    seen = context(doses=[DOSE], associations=[AGE, line])
    assert [one.variable for one in asked(ObjectiveKind.ASSOCIATION, seen)[0]] == ["age"]
    possible = context(doses=[{**DOSE, "cue": "possible"}], associations=[line])
    assert len(asked(ObjectiveKind.ASSOCIATION, possible)[0]) == 1
    digest = CASES[ObjectiveKind.DOSE_TARGETS]
    assert asked(ObjectiveKind.DOSE_RESPONSE, digest)[0] == []
    whole = context({"data_kind": "peptides"}, "what follows the dose?", doses=[DOSE])
    assert asked(ObjectiveKind.DOSE_TARGETS, whole)[0] == []
    assert len(asked(ObjectiveKind.DOSE_RESPONSE, whole)[0]) == 1


def test_moments_of_other_subjects_are_followed_and_repeated_ones_are_not() -> None:
    other = {**COURSE, "group": "", "repeated": False, "time": "stage (days)", "labels": "stage", "n": 18}
    drafts, _ = asked(ObjectiveKind.ASSOCIATION, context(courses=[other]))
    assert [draft.variable for draft in drafts] == ["stage (days)"]
    repeated = {"variable": "day", "n": 32, "kind": "ordered levels", "testable": True}
    assert asked(ObjectiveKind.ASSOCIATION, context(courses=[COURSE], associations=[repeated]))[0] == []


def test_a_panel_follows_a_comparison_that_found_something() -> None:
    done = opened(asked(ObjectiveKind.DIFFERENTIAL)[0][0], status="done")
    found = call("O2.W1.S1", "differential_abundance", n_significant=12, n_tested=900)
    seen = context(contrasts=[CONTRAST], objectives=(done,), calls=(found,))
    drafts, _ = asked(ObjectiveKind.PANEL, seen)
    assert [one.contrast.label for one in drafts if one.contrast] == ["ko vs wt"]
    assert errors_of(ObjectiveKind.PANEL, seen, opened(drafts[0], "O3")) == []
    nothing = call("O2.W1.S1", "differential_abundance", n_significant=0, n_tested=900)
    barren = context(contrasts=[CONTRAST], objectives=(done,), calls=(nothing,))
    assert asked(ObjectiveKind.PANEL, barren)[0] == []


def test_children_are_sets_and_validation_and_of_sites_kinases() -> None:
    objective = opened(asked(ObjectiveKind.DIFFERENTIAL)[0][0])
    found = call("O2.W1.S1", "differential_abundance", n_significant=12, n_tested=900)
    conclude = question(ObjectiveKind.DIFFERENTIAL).conclude
    children = conclude(context(contrasts=[CONTRAST]), objective, {found.tool: found}).children
    assert [one.kind for one in children] == [ObjectiveKind.PATHWAY, ObjectiveKind.VALIDATION]
    assert errors_of(ObjectiveKind.VALIDATION, context(), opened(children[1], "O4")) == []
    sites = context({"data_kind": "sites"}, contrasts=[{**CONTRAST, "n_a": 6, "n_b": 6}])
    children = conclude(sites, objective, {found.tool: found}).children
    assert [one.kind for one in children] == [ObjectiveKind.PATHWAY, ObjectiveKind.ACTIVITY]


def test_sets_of_another_question_are_another_question() -> None:
    survival = opened(asked(ObjectiveKind.SURVIVAL)[0][0])
    hazard = call("O2.W1.S1", "survival_screen", n_significant=1, n_tested=900)
    child = question(ObjectiveKind.SURVIVAL).conclude(context(), survival, {hazard.tool: hazard}).children[0]
    assert (child.kind, child.design, child.label) == (ObjectiveKind.PATHWAY, survival.design, survival.label)


def test_what_yielded_is_asked_again_before_what_did_not() -> None:
    def one(identity: str, kind: ObjectiveKind, name: str, status: ObjectiveStatus = "open") -> Objective:
        compared = kind is ObjectiveKind.DIFFERENTIAL
        return Objective(
            id=identity,
            kind=kind,
            statement="",
            contrast=Contrast(factor=name, a="a", b="b") if compared else None,
            variable=None if compared else name,
            priority=0.4,
            status=status,
        )

    objectives = (
        one("O2", ObjectiveKind.DIFFERENTIAL, "g", "done"),
        one("O3", ObjectiveKind.ASSOCIATION, "age", "done"),
        one("O4", ObjectiveKind.DIFFERENTIAL, "h"),
        one("O5", ObjectiveKind.ASSOCIATION, "bmi"),
    )
    calls = (
        call("O2.W1.S1", "differential_abundance", n_significant=0, n_tested=900),
        call("O3.W1.S1", "continuous_association", n_significant=40, n_tested=900),
        call("O3.W1.S3", "permutation_null", null_p95=2.0),
    )
    assert choose(context(objectives=objectives, calls=calls)).ids == ("O5", "O4")


def _open(
    identity: str, kind: ObjectiveKind, priority: float, status: ObjectiveStatus = "open", **more: Any
) -> Objective:
    return Objective(id=identity, kind=kind, statement="", priority=priority, status=status, **more)


def test_each_kind_of_question_is_asked_before_a_second_of_any_kind() -> None:
    """Like comparisons do not crowd out what the design also supports, however much each of them promises."""
    comparisons = [_open(f"O{i}", ObjectiveKind.DIFFERENTIAL, 0.9 - i / 100) for i in range(2, 8)]
    others = [
        _open("O8", ObjectiveKind.SUBTYPES, 0.2),
        _open("O9", ObjectiveKind.MODULES, 0.4),
        _open("O10", ObjectiveKind.INTERACTION, 0.5),
        _open("O11", ObjectiveKind.INTERACTION, 0.45),
    ]
    asked_in_turn: list[str] = []
    objectives = [*comparisons, *others]
    while chosen := choose(context(objectives=tuple(objectives))).ids:
        asked_in_turn += chosen
        objectives = [
            one.model_copy(update={"status": "done"}) if one.id in chosen else one for one in objectives
        ]
    assert asked_in_turn[:4] == ["O2", "O10", "O9", "O8"], "the main comparison first, then one of each kind"
    assert sorted(asked_in_turn[4:]) == sorted(["O3", "O4", "O5", "O6", "O7", "O11"])
    assert asked_in_turn.index("O3") < asked_in_turn.index("O4") < asked_in_turn.index("O7")


def test_a_child_of_a_kind_that_was_answered_waits_for_new_kinds() -> None:
    done = (
        _open("O2", ObjectiveKind.DIFFERENTIAL, 0.8, "done"),
        _open("O3", ObjectiveKind.PATHWAY, 0.8, "done"),
    )
    sets = _open("O4", ObjectiveKind.PATHWAY, 0.9, depth=1, parent_id="O2")
    again = _open("O5", ObjectiveKind.VALIDATION, 0.3, depth=1, parent_id="O2")
    modules = _open("O6", ObjectiveKind.MODULES, 0.6)
    assert choose(context(objectives=(*done, sets, again, modules))).ids == ("O5", "O6")
    closed = tuple(one.model_copy(update={"status": "done"}) for one in (again, modules))
    more = _open("O7", ObjectiveKind.DIFFERENTIAL, 0.95 - 0.01)
    assert choose(context(objectives=(*done, *closed, sets, more))).ids == ("O4", "O7")


@pytest.mark.parametrize(
    "wanted",
    [{"priority": 0.95}, {"priority_parts": {"question": 1.0}}, {"by_person": ("covariates",)}],
    ids=["a file of its own", "words", "at the gate"],
)
def test_what_a_person_asked_for_is_not_held_back(wanted: dict[str, Any]) -> None:
    first = _open("O2", ObjectiveKind.DIFFERENTIAL, 0.8, "done")
    second = _open("O3", ObjectiveKind.DIFFERENTIAL, **{"priority": 0.9, **wanted})
    plain = _open("O4", ObjectiveKind.DIFFERENTIAL, 0.92)
    others = tuple(
        _open(f"O{i}", kind, 0.3) for i, kind in enumerate([ObjectiveKind.MODULES, ObjectiveKind.SUBTYPES], 5)
    )
    assert choose(context(objectives=(first, second, plain, *others))).ids[0] == "O3"
    held = second.model_copy(update={"priority": 0.9, "priority_parts": {}, "by_person": ()})
    assert choose(context(objectives=(first, held, plain, *others))).ids == ("O5", "O6")


def test_a_kind_that_was_never_asked_is_asked_after_barren_questions_and_a_second_one_is_not() -> None:
    done = tuple(_open(f"O{i}", ObjectiveKind.DIFFERENTIAL, 0.5, "done") for i in (2, 3))
    calls = tuple(
        call(f"O{i}.W1.S1", "differential_abundance", n_significant=0, n_tested=900) for i in (2, 3)
    )
    subtypes = _open("O4", ObjectiveKind.SUBTYPES, 0.2)
    again = _open("O5", ObjectiveKind.DIFFERENTIAL, 0.2)
    assert choose(context(objectives=(*done, subtypes, again), calls=calls)).ids[0] == "O4"
    stopped = choose(
        context(objectives=(*done, subtypes.model_copy(update={"status": "done"}), again), calls=calls)
    )
    assert stopped.ids == ()
    assert "promises little" in stopped.reason


def test_a_proposal_holds_the_most_promising_question_and_one_of_each_kind() -> None:
    many = [{**CONTRAST, "contrast": f"diet: d{i} vs wt", "factor": "diet", "a": f"d{i}"} for i in range(8)]
    seen = context(contrasts=[CONTRAST, *many], interactions=[INTERACTION], associations=[AGE])
    kinds = [one.kind for one in propose(seen).objectives]
    assert len(set(kinds)) == len(kinds) == 5, (
        "preparation, and four kinds; nine comparisons would fill it twice"
    )
    assert {ObjectiveKind.ASSOCIATION, ObjectiveKind.INTERACTION} <= set(kinds)
    assert kinds.count(ObjectiveKind.DIFFERENTIAL) == 1


def test_subtypes_are_looked_for_beside_batches_and_parts_of_names_that_the_proteome_follows() -> None:
    columns = [
        {"column": "name part 1", "role": "factor", "constructed": True},
        {"column": "name part 2", "role": "factor", "constructed": True},
        {"column": "disease", "role": "factor", "constructed": False},
    ]
    screen = [
        {"column": "name part 1", "p": 0.4},
        {"column": "name part 2", "p": 0.005},
        {"column": "disease", "p": 0.005},
    ]
    batch = [{"factor": "disease", "batch": "plate", "verdict": "covariate"}]
    seen = context(columns=columns, screen=screen, batch=batch)
    objective = opened(asked(ObjectiveKind.SUBTYPES, seen)[0][0])
    step = question(ObjectiveKind.SUBTYPES).workflow(seen, objective).steps[0]
    assert step.params == {"adjust": ["plate", "name part 2"]}
    assert "plate, name part 2" in step.purpose
    assert errors_of(ObjectiveKind.SUBTYPES, seen, objective) == []
    assert question(ObjectiveKind.SUBTYPES).workflow(context(), objective).steps[0].params == {}


def test_families_of_the_run_are_those_of_each_kind() -> None:
    course = asked(ObjectiveKind.LONGITUDINAL)[0][0]
    assert families(opened(course)) == {"longitudinal": "divergence"}
    assert families(opened(course.model_copy(update={"contrast": None}))) == {"longitudinal": "course"}
    compared = opened(asked(ObjectiveKind.DIFFERENTIAL)[0][0])
    assert families(compared) == {"differential": "abundance", "detection": "detection"}


def test_the_synthesis_takes_every_tested_table_and_its_own_stability() -> None:
    survival = opened(asked(ObjectiveKind.SURVIVAL)[0][0], "O2", "done")
    seen = context(objectives=(survival,), outputs={"O2:survival": "O2.W1.S1/survival"})
    last = Objective(id="O3", kind=ObjectiveKind.SYNTHESIS, statement="")
    steps = question(ObjectiveKind.SYNTHESIS).workflow(seen, last).steps
    assert steps[0].inputs["tables"] == {"O2 survival": "run/O2:survival"}
    composed = next(step for step in steps if step.tool == "compose_claims")
    assert composed.inputs["stability"] == "run/O2:survival"
    assert (composed.params["kind"], composed.params["contrast"]) == ("survival", survival.about)


def test_plexes_without_references_are_scaled_only_where_each_holds_the_same_mixture() -> None:
    plexes = [
        {"plex": f"set = {one}", "column": "set", "n_samples": 6, "n_references": 0, "references": ""}
        for one in "12"
    ]
    objective = Objective(id="O1", kind=ObjectiveKind.QUALITY, statement="")

    def scaled(**seen: Any) -> bool:
        values = {"isobaric": seen.pop("isobaric", True)}
        steps = (
            question(ObjectiveKind.QUALITY).workflow(context(values, plexes=plexes, **seen), objective).steps
        )
        return "internal_reference_scaling" in [step.tool for step in steps]

    tied = {
        "first": "genotype",
        "second": "set",
        "kind": "factor-batch",
        "cramers_v": 0.8,
        "verdict": "strong",
    }
    assert scaled()
    assert not scaled(confounding=[tied])
    assert not scaled(isobaric=False)


def test_features_are_called_what_they_are() -> None:
    assert features_of("sites") == ("sites", "site")
    assert features_of("pulldown") == ("proteins", "protein")
    draft = asked(ObjectiveKind.DIFFERENTIAL, context({"data_kind": "sites"}, contrasts=[CONTRAST]))[0][0]
    assert draft.statement.startswith("Which sites differ")
    nothing = said(RELATIONS["abundance"].nothing, words_of(opened(draft), features="sites"))
    assert nothing == "Single sites differ in ko vs wt"


def _compared(n_tested: int = 4000, organism: str = "human", found: int = 12) -> DecisionContext:
    done = opened(asked(ObjectiveKind.DIFFERENTIAL)[0][0], status="done")
    return context(
        contrasts=[CONTRAST],
        objectives=(done,),
        outputs={"O2:differential": "O2.W1.S1/differential"},
        calls=(
            call("O1.W1.S2", "annotate_genes", set_mapping_rate=0.9, organism=organism),
            call("O2.W1.S1", "differential_abundance", n_significant=found, n_tested=n_tested),
        ),
    )


def test_pathways_follow_a_comparison_of_enough_genes() -> None:
    seen = _compared()
    (draft,), dropped = asked(ObjectiveKind.SIGNALLING, seen)
    assert dropped == []
    objective = opened(draft, "O3")
    plan = question(ObjectiveKind.SIGNALLING).workflow(seen, objective)
    assert [step.tool for step in plan.steps] == ["factor_activity", "plot_activities"]
    assert plan.steps[0].inputs["table"] == "run/O2:differential"
    assert (
        plan.steps[0].params["contrast"]["factor"] == "genotype"
    )  # its residuals tell how genes vary together
    assert families(objective) == {"activities": "signalling"}
    # Asked by a person before anything was compared: the comparison is made first.
    alone = question(ObjectiveKind.SIGNALLING).workflow(context(contrasts=[CONTRAST]), objective)
    assert [step.tool for step in alone.steps][:2] == ["differential_abundance", "factor_activity"]
    assert errors_of(ObjectiveKind.SIGNALLING, context(contrasts=[CONTRAST]), objective) == []
    for nothing in (_compared(found=0), _compared(organism="yeast"), context(contrasts=[CONTRAST])):
        assert asked(ObjectiveKind.SIGNALLING, nothing) == ([], [])
    small, reasons = asked(ObjectiveKind.SIGNALLING, _compared(n_tested=300))
    assert small == []
    assert "too few features" in reasons[0].reason
