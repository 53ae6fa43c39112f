"""Learning across runs: what is learned, what it changes, and what it never changes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import nereus
from nereus.agents.planner.learning import EXPECTED, MOST_WEIGHT, Experience, learn
from nereus.agents.policies.base import DecisionContext, ObjectiveDraft, ProfileView
from nereus.agents.policies.rules import choice, objectives
from nereus.cli import app
from nereus.errors import ResumeRefused
from nereus.memory.priors import NOTHING, Duration, Priors, Trigger, Usual, Yield, facts
from nereus.memory.records import Event, ObjectiveKind
from nereus.memory.workspace import open_workspace
from nereus.settings import load_settings
from nereus.tools import registry

RULES = {"default": "rules"}
FEATURES = 120
BUDGET = ["objectives=4"]


def usual(
    tool: str = "stability",
    kind: str = "proteins",
    n: int = 3,
    exceptions: int = 0,
    decision: str = "assess_step",
) -> Usual:
    return Usual(
        data_kind=kind,
        question="differential",
        decision=decision,
        tool=tool,
        data_sets=n,
        exceptions=exceptions,
    )


# ------------------------------------------------------------------------------------------------ what is made of it


@pytest.mark.parametrize(
    ("n", "exceptions", "routine"), [(2, 0, False), (3, 0, True), (4, 1, False), (8, 1, True), (20, 5, False)]
)
def test_a_decision_is_routine_where_the_usual_is_expected(n: int, exceptions: int, routine: bool) -> None:
    known = Experience(Priors(usual=(usual(n=n, exceptions=exceptions),)))
    assert known.routine("proteins", "differential", "assess_step", "stability") is routine
    assert routine == ((n - exceptions + 1) / (n + 2) >= EXPECTED)
    assert not known.routine("proteins", "differential", "fill_params", "stability")
    assert not known.routine("proteins", "survival", "assess_step", "stability")
    assert not known.routine("cells", "differential", "assess_step", "stability"), "cells are no samples"


def test_kinds_of_data_are_pooled_unless_their_own_record_speaks_against_it() -> None:
    pooled = Experience(Priors(usual=(usual(n=1), usual(kind="sites", n=2))))
    assert pooled.routine("generic", "differential", "assess_step", "stability")
    own = Experience(Priors(usual=(usual(n=9), usual(kind="sites", n=2, exceptions=2))))
    assert not own.routine("sites", "differential", "assess_step", "stability")
    assert own.routine("proteins", "differential", "assess_step", "stability")


def test_a_reward_is_shrunk_to_that_of_all_kinds_and_to_one_half() -> None:
    def expected(*known: Yield) -> tuple[float, int]:
        return Experience(Priors(yields=known)).promise("proteins")["survival"]

    def one(reward: float, n: int, kind: str = "proteins") -> Yield:
        return Yield(data_kind=kind, question="survival", data_sets=n, reward=reward)

    assert Experience(NOTHING).promise("proteins") == {}
    assert expected(one(1.0, 1))[0] == pytest.approx((1 + 2 * (1 + 1) / 3) / 3, abs=1e-4)
    assert 0.5 < expected(one(1.0, 1))[0] < expected(one(1.0, 4))[0] < 1
    assert 0.5 < expected(one(1.0, 2, "sites"))[0] < expected(one(1.0, 2))[0]
    assert expected(one(1.0, 50))[1] == MOST_WEIGHT


def test_seconds_follow_the_size_of_the_data() -> None:
    version = registry.get("stability").version
    known = Experience(
        Priors(
            durations=(
                Duration(tool="stability", version=version, calls=3, failed=0, seconds=2.0, cells=1e5),
            )
        )
    )
    assert known.seconds("stability", 3e5) == pytest.approx(6.0)
    assert known.seconds("stability", 1e9) == pytest.approx(20.0)
    assert known.seconds("permutation_null", 3e5) == registry.get("permutation_null").seconds
    assert Experience(NOTHING).seconds("stability", 3e5) == registry.get("stability").seconds


def test_only_edits_that_stand_beside_a_test_are_planned_at_once() -> None:
    rules = [
        "sign_disagreement",
        "batch_effect",
        "many_significant",
        "made_by_outliers",
        "none_significant",
        "slopes_differ",
    ]
    known = tuple(
        Trigger(data_kind="proteins", question="differential", rule=rule, data_sets=9, fired=9)
        for rule in rules
    )
    found = Experience(Priors(triggers=known)).anticipated("proteins", "differential")
    assert found == {"sign_disagreement", "batch_effect"}
    rare = Priors(
        triggers=(
            Trigger(data_kind="proteins", question="differential", rule="batch_effect", data_sets=9, fired=6),
        )
    )
    assert not Experience(rare).anticipated("proteins", "differential")


def _open(kinds: Iterable[ObjectiveKind]) -> DecisionContext:
    from nereus.memory.records import Objective

    return DecisionContext(
        profile=ProfileView(values={"data_kind": "proteins"}),
        objectives=tuple(
            Objective(id=f"O{number}", kind=kind, statement=f"question {number}", priority=0.5)
            for number, kind in enumerate(kinds, start=2)
        ),
    )


def test_the_choice_starts_from_what_kinds_of_question_gave() -> None:
    context = _open(
        [ObjectiveKind.SURVIVAL, ObjectiveKind.ASSOCIATION, ObjectiveKind.MODULES, ObjectiveKind.PANEL]
    )
    assert choice.choose(context).ids == ("O2", "O3")
    known = {"modules": (0.95, 3), "panel": (0.9, 3), "survival": (0.1, 3), "association": (0.05, 3)}
    assert choice.choose(context.model_copy(update={"experience": known})).ids == ("O4", "O5")


def test_what_the_user_asks_for_keeps_its_priority() -> None:
    def draft(priority: float) -> ObjectiveDraft:
        return ObjectiveDraft(
            kind=ObjectiveKind.CROSS_LAYER,
            statement="?",
            rationale="",
            cites=("profile:x",),
            priority=priority,
            priority_parts={"power": 1.0},
        )

    poor = DecisionContext(experience={"cross_layer": (0.1, 3)})
    assert objectives._with_experience(draft(0.95), poor).priority == 0.95
    lower = objectives._with_experience(draft(0.5), poor)
    assert lower.priority == pytest.approx(0.46)
    assert lower.priority_parts["experience"] == pytest.approx(-0.4)
    assert objectives._with_experience(draft(0.5), DecisionContext()) == draft(0.5)


# ------------------------------------------------------------------------------------------------------- whole runs


def make(folder: Path, number: int, effect: float = 1.5) -> tuple[Path, Path]:
    """A small study with two factors and an age; one data set a number."""
    rng = np.random.default_rng(number)
    n = 24
    group, sex = np.repeat([1, 0], n // 2), np.tile([0, 1], n // 2)
    made = 20 + rng.normal(0, 0.5, size=(n, FEATURES))
    made[:, :10] += effect * group[:, None]
    made[rng.random(made.shape) < 0.03] = np.nan
    names = [f"S{one:02}" for one in range(n)]
    values = pd.DataFrame(2**made, index=names, columns=[f"P{one:05}" for one in range(FEATURES)])
    sheet = pd.DataFrame(
        {
            "disease": np.where(group == 1, "case", "control"),
            "sex": np.where(sex == 1, "m", "f"),
            "age": (50 + rng.normal(0, 8, n)).round(1),
        },
        index=names,
    )
    values.to_csv(folder / f"values{number}.csv", index_label="sample")
    sheet.to_csv(folder / f"samples{number}.csv", index_label="sample")
    return folder / f"values{number}.csv", folder / f"samples{number}.csv"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("learning")


@pytest.fixture(scope="module")
def data(place: Path) -> tuple[Path, Path]:
    return make(place, 0)


@pytest.fixture(scope="module")
def experienced(place: Path) -> Path:
    """A home in which four other data sets were analysed."""
    home = place / "experienced"
    for number in range(1, 5):
        nereus.discover(
            *make(place, number, effect=0.0 if number == 4 else 1.5),
            out=place / f"report{number}",
            home=home,
            budget=BUDGET,
        )
    return home


@pytest.fixture(scope="module")
def fresh(place: Path, data: tuple[Path, Path]) -> nereus.Run:
    return nereus.discover(*data, out=place / "fresh", home=place / "fresh_home", budget=BUDGET)


@pytest.fixture(scope="module")
def taught(place: Path, data: tuple[Path, Path], experienced: Path) -> nereus.Run:
    return nereus.discover(*data, out=place / "taught", home=experienced, budget=BUDGET)


def claims(run: nereus.Run) -> pd.DataFrame:
    columns = ["contrast", "feature", "kind"]
    found = pd.read_csv(run.directory / "claims.csv")
    return found.sort_values(columns, kind="stable").reset_index(drop=True)


def findings(run: nereus.Run) -> pd.DataFrame:
    """What holds at the error level of the run, by what was asked."""
    asked = {one.id: one.about for one in run.record.objectives}
    found = run.output("findings")
    owner = found["family"].str.partition(" ")
    found = found.assign(about=owner[0].map(asked) + " " + owner[2])
    columns = ["about", "key", "p", "q", "direction", "effect"]
    return found[columns].sort_values(["about", "key"], kind="stable").reset_index(drop=True)


def tables(run: nereus.Run) -> dict[tuple[str, str], set[str]]:
    """(question, tool) -> artifacts of what was computed for it."""
    asked = {one.id: one.about for one in run.record.objectives}
    found: dict[tuple[str, str], set[str]] = {}
    for step in run.record.steps():
        if step.call_key:
            call = run.record.calls[step.call_key]
            key = (asked[step.id.partition(".")[0]], call.spec.tool)
            found.setdefault(key, set()).update(ref.id for ref in call.outputs.values())
    return found


@pytest.mark.slow
def test_the_same_is_found_with_fewer_decisions(fresh: nereus.Run, taught: nereus.Run) -> None:
    assert fresh.record.header.learned == {}
    known = Priors.model_validate(taught.record.header.learned)
    assert (known.runs, known.data_sets) == (4, 4)
    pd.testing.assert_frame_equal(claims(fresh), claims(taught))
    assert len(claims(fresh)) >= 10
    assert len(taught.record.decisions) <= 0.6 * len(fresh.record.decisions)
    before, after = tables(fresh), tables(taught)
    shared = before.keys() & after.keys()
    tests = {"differential_abundance", "stability", "permutation_null", "calibrate_confidence"}
    assert {tool for _, tool in shared} >= tests
    assert all(before[one] == after[one] for one in shared if one[1] in tests)
    # Experience orders questions, so a short budget may reach others; of what both asked, the same holds over the run.
    one, other = findings(fresh), findings(taught)
    asked = set(one["about"]) & set(other["about"])
    assert "case vs control abundance" in asked
    pd.testing.assert_frame_equal(
        *(part[part["about"].isin(asked)].reset_index(drop=True) for part in (one, other))
    )
    assert nereus.verify(taught.directory).ok
    text = (taught.directory / "report.html").read_text()
    assert "earlier runs about other data" in text
    assert "earlier runs about other data" not in (fresh.directory / "report.html").read_text()


@pytest.mark.slow
def test_a_frozen_run_is_that_of_a_fresh_home(
    place: Path, data: tuple[Path, Path], fresh: nereus.Run, taught: nereus.Run, experienced: Path
) -> None:
    runs = {
        name: nereus.discover(*data, out=place / f"frozen_{name}", home=home, budget=BUDGET, freeze=True)
        for name, home in (("used", experienced), ("empty", place / "empty_home"))
    }
    one, other = runs["used"], runs["empty"]
    assert one.record.header.learned == {}
    assert one.record.header.fingerprint == other.record.header.fingerprint != fresh.record.header.fingerprint
    assert (one.directory / "claims.csv").read_bytes() == (fresh.directory / "claims.csv").read_bytes()
    files = {
        name: {
            str(file.relative_to(run.directory)): file.read_bytes()
            for file in sorted(run.directory.rglob("*"))
            if file.is_file() and file.name not in ("run.json", "ro-crate-metadata.json")
        }
        for name, run in runs.items()
    }
    different = [name for name in files["used"] if files["used"][name] != files["empty"].get(name)]
    assert files["used"].keys() == files["empty"].keys()
    assert not different
    assert one.record.hypotheses == other.record.hypotheses
    assert one.record.decisions
    with pytest.raises(ResumeRefused, match="freeze"):
        nereus.resume(taught.id, home=experienced, freeze=True)
    assert nereus.resume(one.id, home=experienced).record.header.learned == {}


@pytest.mark.slow
def test_a_run_learns_nothing_from_its_own_data(
    place: Path, data: tuple[Path, Path], fresh: nereus.Run
) -> None:
    again = nereus.discover(*data, out=place / "again", home=place / "fresh_home", budget=BUDGET)
    assert again.record.header.fingerprint == fresh.record.header.fingerprint
    known = Priors.model_validate(again.record.header.learned)
    assert known.decisive == NOTHING.decisive
    assert known.durations, "how long its steps take is known"
    assert (again.directory / "report.html").read_bytes() != b""
    assert (again.directory / "claims.csv").read_bytes() == (fresh.directory / "claims.csv").read_bytes()
    assert [one.payload for one in again.record.decisions] == [one.payload for one in fresh.record.decisions]


@pytest.mark.slow
def test_an_interrupted_run_goes_on_with_what_it_knew(
    place: Path, data: tuple[Path, Path], taught: nereus.Run, experienced: Path
) -> None:
    class Killed(RuntimeError):
        pass

    def kill(event: Event) -> None:
        if event.type == "decision_routine" and event.subject.startswith("O2"):
            raise Killed

    with pytest.raises(Killed):
        nereus.discover(*data, out=place / "killed", home=experienced, budget=BUDGET, on_event=kill)
    # Meanwhile more is learned.
    nereus.discover(*make(place, 9), out=place / "report9", home=experienced, budget=BUDGET)
    with open_workspace(load_settings(home=experienced)) as workspace:
        stopped = next(one for one in workspace.repository.list_runs() if one.status == "running")
        before = len(workspace.repository.decisions(stopped.id))
    resumed = nereus.resume(stopped.id, home=experienced)
    assert before > 0
    assert resumed.record.header.learned["data_sets"] == 4
    pd.testing.assert_frame_equal(claims(resumed), claims(taught))
    assert len(resumed.record.decisions) == len(taught.record.decisions)
    first = next(one.id for one in resumed.record.objectives if one.kind is ObjectiveKind.DIFFERENTIAL)
    forked = nereus.fork(resumed.id, first, home=experienced)
    assert forked.record.header.learned == resumed.record.header.learned
    assert len(forked.record.decisions) == len(resumed.record.decisions)
    # What a run knew is part of what it is: a changed record is refused.
    with open_workspace(load_settings(home=experienced)) as workspace:
        workspace.repository.update_header(resumed.id, learned={})
    with pytest.raises(ResumeRefused, match="learned"):
        nereus.resume(resumed.id, home=experienced)


@pytest.mark.slow
def test_what_was_learned_is_shown(taught: nereus.Run, experienced: Path) -> None:
    environment = {"NEREUS_HOME": str(experienced)}

    def call(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["memory", "priors", *arguments], env=environment)
        assert done.exit_code == 0, done.output
        return done.output

    assert "routine" in call()
    assert "differential" in call()
    assert Priors.model_validate(json.loads(call(taught.id, "--json"))) == Priors.model_validate(
        taught.record.header.learned
    )
    lost = CliRunner().invoke(app, ["memory", "priors", "r0-1"], env=environment)
    assert lost.exit_code == 1
    assert "there is no run" in lost.output


def test_nothing_is_shown_of_an_empty_home(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["memory", "priors"], env={"NEREUS_HOME": str(tmp_path)})
    assert done.exit_code == 0
    assert "nothing was learned yet" in done.output


@pytest.mark.slow
def test_learning_does_not_depend_on_the_order_of_the_runs(experienced: Path, taught: nereus.Run) -> None:
    with open_workspace(load_settings(home=experienced)) as workspace:
        known = list(facts(workspace.database))
    data_id = taught.record.header.inputs["data"].id
    assert learn(known, data_id, RULES) == learn(reversed(known), data_id, RULES)
    assert learn(known, data_id, {"default": "llm"}).usual == (), (
        "of decisions only a policy's own are a guide"
    )


# ---------------------------------------------------------------------------------------------------------- property


_KINDS = st.sampled_from([one.value for one in ObjectiveKind])
_TOOLS = st.sampled_from(
    [
        "quality_control",
        "normalise",
        "differential_abundance",
        "stability",
        "rank_test",
        "permutation_null",
        "plot_pca",
    ]
)


@st.composite
def _priors(draw: st.DrawFn) -> Priors:
    """Whatever earlier runs may have taught, sensible or not."""
    kinds = st.sampled_from(["generic", "proteins", "sites"])
    n = draw(st.integers(1, 30))
    return Priors(
        runs=n,
        data_sets=n,
        yields=tuple(
            Yield(
                data_kind=draw(kinds),
                question=draw(_KINDS),
                data_sets=draw(st.integers(1, 30)),
                reward=draw(st.floats(0, 1)),
            )
            for _ in range(draw(st.integers(0, 12)))
        ),
        usual=tuple(
            Usual(
                data_kind=draw(kinds),
                question=question,
                decision=decision,
                tool=draw(_TOOLS),
                data_sets=30,
                exceptions=draw(st.integers(0, 4)),
            )
            for question in ("data", "quality", "differential", "association", "synthesis")
            for decision in ("fill_params", "assess_step")
        ),
        triggers=tuple(
            Trigger(data_kind="generic", question=question, rule=rule, data_sets=30, fired=30)
            for question, rule in (
                ("differential", "sign_disagreement"),
                ("quality", "batch_effect"),
                ("differential", "many_significant"),
                ("differential", "none_significant"),
            )
            if draw(st.booleans())
        ),
    )


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(known=_priors())
def test_whatever_was_learned_the_claims_of_a_question_are_the_same(
    known: Priors, place: Path, data: tuple[Path, Path], fresh: nereus.Run
) -> None:
    """All questions fit into the budget, so the same are asked; in another order, with other decisions asked for."""
    import nereus.agents.planner.discover as discover

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(discover, "learn", lambda runs, data_id, policies: known)
        run = nereus.discover(*data, out=place / "property", home=place / "fresh_home", budget=BUDGET)
    if {one.about for one in run.record.objectives if one.status == "done"} == {
        one.about for one in fresh.record.objectives if one.status == "done"
    }:
        pd.testing.assert_frame_equal(claims(run), claims(fresh))
    before, after = tables(fresh), tables(run)
    main = ("differential_abundance", "continuous_association", "stability", "permutation_null")
    for key in before.keys() & after.keys():
        if key[1] in main:
            assert before[key] <= after[key]
