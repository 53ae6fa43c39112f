"""The truth tests of faults, twins and markers: their judges, and the faults that need no run."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.truth.fault_cases import CASES, Scene
from benchmarks.truth.faults import observe
from benchmarks.truth.known_markers import score_types
from benchmarks.truth.planting.truth import PlantedClaim, Truth
from benchmarks.truth.twins import KINDS, Seen, compare

TEST = ("differential treated vs control", "differential_abundance", '{"contrast": {"covariates": []}}')
ADJUSTED = (TEST[0], TEST[1], '{"contrast": {"covariates": ["batch"]}}')
OTHER = (TEST[0], "rank_test", "{}")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    made = Scene(tmp_path_factory.mktemp("faults"))
    made.write_data()
    return made


@pytest.mark.parametrize("name", ["budget_of_nothing", "sheet_of_other_samples", "data_file_cut_short"])
def test_a_fault_of_the_input_ends_with_a_typed_error(scene: Scene, name: str) -> None:
    own = scene.for_fault(name)
    own.home.mkdir(parents=True)
    seen = observe(CASES[name], own)
    assert seen["handled"], seen


def test_a_defect_is_not_taken_for_an_answer(scene: Scene) -> None:
    def defect(own: Scene) -> None:
        raise ZeroDivisionError("injected")

    case = CASES["budget_of_nothing"].__class__("defect", "tool", defect, "injected")
    seen = observe(case, scene)
    assert not seen["ended"]
    assert not seen["handled"]


def test_there_are_faults_enough_and_of_every_group() -> None:
    assert len(CASES) >= 20
    groups = Counter(case.group for case in CASES.values())
    assert set(groups) == {"budget", "tool", "annotation", "llm", "store", "input", "knowledge"}


def test_twins_are_handled_when_only_what_matters_differs_and_is_justified() -> None:
    plain, kind = Seen(Counter([TEST]), "test"), KINDS["batch_balanced"]
    right = Seen(Counter([ADJUSTED]), "the batch explains variance")
    assert compare(plain, right, kind)["handled"]
    assert not compare(plain, plain, kind)["differs"]
    assert not compare(plain, Seen(Counter([ADJUSTED]), "for no reason"), kind)["cited"]
    assert not compare(plain, Seen(Counter([ADJUSTED, OTHER]), "the batch explains variance"), kind)[
        "only_there"
    ]
    assert compare(plain, plain, KINDS["reordered"])["handled"]
    assert not compare(plain, right, KINDS["reordered"])["handled"]


def test_a_twin_that_claims_what_was_not_planted_is_not_handled() -> None:
    kind, plain = KINDS["many_differ"], Seen(Counter([TEST]), "test")
    about = {"factor": "condition", "a": "treated", "b": "control"}
    planted = [PlantedClaim("shift", ("abundance",), about, 1, 1.2, f"F{i}") for i in range(12)]
    normalised = ("preparation", "normalise", '{"method": "stable_subset"}')
    steps, why = Counter([ADJUSTED, normalised]), "differences beyond the shift"
    right = tuple((one.entity, 1) for one in planted)
    for claims, true in (
        ((), True),
        (right, True),
        ((*right, ("G", 1)), True),
        ((*right, ("G", 1), ("H", -1)), False),
        ((("F0", -1),), False),
    ):
        judged = compare(plain, Seen(steps, why, claims=claims), kind, Truth(0, "csf", "twin", planted))
        assert (judged["only_there"], judged["true"], judged["handled"]) == (True, true, true)


def test_types_are_scored_by_their_known_markers() -> None:
    markers = {"C1": ["NKG7", "GNLY", "X", "Y", "Z"], "C2": ["CD79A", "X", "Y", "Z", "V"]}
    scored = score_types(markers, labelled=False)
    assert scored["types"]["NK"] == {
        "population": "C1", "first": markers["C1"], "known": ["NKG7", "GNLY"], "passes": True,
    }  # fmt: skip
    assert not scored["types"]["B"]["passes"]
    assert scored["passed"] == 1
    assert score_types(markers, labelled=True)["passed"] == 0


def test_the_page_of_the_suite_is_made_from_the_stored_results() -> None:
    from benchmarks.truth.suite_page import PAGE, rendered

    assert PAGE.read_text() == rendered(), "run `python -m benchmarks.truth.suite_page`"
