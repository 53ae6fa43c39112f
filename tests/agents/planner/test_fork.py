"""Forks: a run that goes another way from one of its questions on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import nereus
from nereus.agents.planner.fork import read_edit
from nereus.cli import app
from nereus.errors import InputError, ResumeRefused, StoreError
from nereus.memory.checkpoints import open_checkpoints
from nereus.memory.records import Event, Objective, ObjectiveKind
from nereus.settings import load_settings

N, FEATURES = 32, 120
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("forked")


@pytest.fixture(scope="module")
def run(home: Path) -> nereus.Run:
    """Two comparisons; age differs between the groups of the first and moves some of its proteins."""
    rng = np.random.default_rng(7)
    group, sex = np.repeat([1, 0], N // 2), np.tile([0, 1], N // 2)
    age = 50 + 8 * group + rng.normal(0, 6, N)
    made = 20 + rng.normal(0, 0.4, size=(N, FEATURES))
    made[:, :8] += 1.2 * group[:, None]
    made[:, 8:16] += 1.0 * sex[:, None]
    made[:, 16:24] += 0.06 * (age - 54)[:, None]
    names = [f"S{number:02}" for number in range(N)]
    values = pd.DataFrame(2**made, index=names, columns=[f"P{number:05}" for number in range(FEATURES)])
    values.to_csv(home / "values.csv", index_label="sample")
    sheet = pd.DataFrame(
        {
            "disease": np.where(group == 1, "case", "control"),
            "sex": np.where(sex == 1, "m", "f"),
            "age": age.round(1),
        },
        index=names,
    )
    sheet.to_csv(home / "samples.csv", index_label="sample")
    return nereus.discover(
        home / "values.csv",
        home / "samples.csv",
        out=home / "report",
        home=home / "home",
        budget=["objectives=3"],
        seed=4,
    )


def comparison(run: nereus.Run, factor: str) -> Objective:
    return next(
        one
        for one in run.record.objectives
        if one.kind is ObjectiveKind.DIFFERENTIAL
        and one.contrast is not None
        and one.contrast.factor == factor
    )


def keys(run: nereus.Run, objective: str) -> list[str | None]:
    return [one.call_key for one in run.record.steps() if one.id.startswith(f"{objective}.W1.")]


def claims_file(run: nereus.Run) -> bytes:
    return (run.directory / "claims.csv").read_bytes()


def test_a_fork_without_an_edit_finds_the_same_and_computes_nothing(run: nereus.Run, home: Path) -> None:
    disease = comparison(run, "disease")
    before = run.record.model_dump_json()
    fork = nereus.fork(run.id, disease.id, home=home / "home")
    assert fork.id != run.id
    assert (fork.record.header.forked_from, fork.record.header.forked_at) == (run.id, disease.id)
    assert fork.status == "finished"
    assert len(run.claims) > 10
    assert claims_file(fork) == claims_file(run)
    assert set(fork.record.calls) == set(run.record.calls)
    assert [one.id for one in fork.record.steps()] == [one.id for one in run.record.steps()]
    assert fork.record.objectives == run.record.objectives
    assert [one.statement for one in fork.hypotheses] == [one.statement for one in run.hypotheses]
    found = nereus.compare(run, fork)
    assert found.differences.empty
    assert nereus.load_run(run.id, home=home / "home").record.model_dump_json() == before
    assert fork.directory == Path(f"{run.directory}-fork-{disease.id}")
    assert nereus.verify(fork.directory).ok


def test_an_edited_covariate_changes_only_what_depends_on_it(run: nereus.Run, home: Path) -> None:
    disease, sex = comparison(run, "disease"), comparison(run, "sex")
    assert disease.contrast is not None
    assert "age" in disease.contrast.covariates
    fork = nereus.fork(
        run.id,
        disease.id,
        edit={"edit": {disease.id: {"covariates": ["sex"]}}},
        out=home / "without_age",
        home=home / "home",
    )
    changed = comparison(fork, "disease")
    assert changed.contrast is not None
    assert changed.contrast.covariates == ("sex",)
    assert "covariates" in changed.by_person
    assert fork.record.header.forked_edit["edit"] == {disease.id: {"covariates": ["sex"]}}
    # The other comparison, the preparation and the reading are the same computations.
    assert keys(fork, sex.id) == keys(run, sex.id)
    assert keys(fork, "O0") == keys(run, "O0")
    assert keys(fork, "O1") == keys(run, "O1")
    assert not set(keys(fork, disease.id)) & set(keys(run, disease.id))
    # Without the adjustment, proteins that follow age are found to differ between the groups.
    aged = {f"P{number:05}" for number in range(16, 24)}

    def of_disease(one: nereus.Run) -> set[str]:
        claims = one.claims
        return set(
            claims.loc[(claims["contrast"] == disease.about) & (claims["kind"] == "abundance"), "feature"]
        )

    assert not of_disease(run) & aged
    assert len(of_disease(fork) & aged) >= 4
    found = nereus.compare(run, fork)
    moved = found.of("workflows")
    # The synthesis combines both, and draws the edited comparison; a panel is of what the comparison adjusts for.
    asked = moved["subject"]
    kinds = asked.str.partition(" · ")[0]
    assert set(kinds) <= {"differential", "panel", "synthesis"}
    assert changed.contrast is not None
    own = f"disease: {changed.contrast.label}"
    assert asked[kinds == "panel"].str.startswith(f"panel · {own}").all()
    assert asked[kinds == "differential"].str.startswith(f"differential · {own}").all()
    assert not moved["subject"].str.contains("sex: m").any()
    assert not moved.empty
    assert nereus.verify(fork.directory).ok


def test_a_dropped_question_is_not_asked(run: nereus.Run, home: Path) -> None:
    disease, sex = comparison(run, "disease"), comparison(run, "sex")
    first = min(disease.id, sex.id)
    done = CliRunner().invoke(
        app,
        ["fork", run.id, "--at", first, "--drop", sex.id, "--out", str(home / "dropped"), "-y", "-q"],
        env={"NEREUS_HOME": str(home / "home")},
    )
    assert done.exit_code == 0, done.output
    fork = nereus.load_run(home=home / "home")
    assert fork.record.header.forked_from == run.id
    assert comparison(fork, "sex").status == "abandoned"
    assert comparison(fork, "disease").status == "done"
    assert keys(fork, sex.id) == []


def test_an_interrupted_fork_goes_on_with_its_edit(run: nereus.Run, home: Path) -> None:
    disease = comparison(run, "disease")

    class Killed(RuntimeError):
        pass

    def kill(event: Event) -> None:
        if event.type == "step_assessed":
            raise Killed

    edit = {"edit": {disease.id: {"covariates": []}}}
    with pytest.raises(Killed):
        nereus.fork(run.id, disease.id, edit=edit, out=home / "killed", home=home / "home", on_event=kill)
    fork = nereus.resume(home=home / "home")
    assert fork.record.header.forked_from == run.id
    resumed = comparison(fork, "disease")
    assert resumed.contrast is not None
    assert resumed.contrast.covariates == ()
    whole = nereus.fork(run.id, disease.id, edit=edit, out=home / "whole", home=home / "home")
    assert claims_file(whole) == claims_file(fork)
    # A fork may be forked, and one whose state is lost is not begun again as if it had no edit.
    again = nereus.fork(fork.id, disease.id, out=home / "again", home=home / "home")
    assert claims_file(again) == claims_file(fork)
    with open_checkpoints(load_settings(home=home / "home").checkpoint_url) as saver:
        saver.delete_thread(again.id)
    with pytest.raises(ResumeRefused, match="lost"):
        nereus.resume(again.id, home=home / "home")


@pytest.mark.parametrize(
    ("at", "edit", "why"),
    [
        ("O99", {}, "is no question before which"),
        ("O0", {}, "is no question before which"),
        ("", {"edit": {"O77": {"priority": 1.0}}}, "is no open objective"),
        ("", {"drop": ["O77"]}, "is no open objective"),
        ("", {"edit": {"": {"covariates": ["weight"]}}}, "there is no column 'weight'"),
        ("", {"edit": {"": {"covariates": ["disease"]}}}, "cannot be adjusted for"),
        ("", {"edt": {}}, "edt"),
        ("", {"drop": "O2"}, "drop is no list"),
        ("", {"add": {"kind": "differential"}}, "add is no list"),
        ("", {"edit": {"": 5}}, "no mapping of objectives"),
    ],
)
def test_edits_that_make_no_sense_leave_no_run(
    run: nereus.Run, home: Path, at: str, edit: dict[str, dict[str, object]], why: str
) -> None:
    disease = comparison(run, "disease").id
    given = {
        name: {one or disease: value for one, value in value.items()} if name == "edit" else value
        for name, value in edit.items()
    }
    with pytest.raises(InputError, match=why):
        nereus.fork(run.id, at or disease, edit=given, out=home / "none", home=home / "home")
    assert not (home / "none").exists()
    with pytest.raises(InputError, match="an edit is a mapping"):
        nereus.fork(run.id, disease, edit=["O2"], out=home / "none", home=home / "home")  # type: ignore[arg-type]
    for same in (run.directory, run.directory / ".." / run.directory.name):
        with pytest.raises(InputError, match="folder of the run itself"):
            nereus.fork(run.id, disease, out=same, home=home / "home")
    (home / "link").unlink(missing_ok=True)
    (home / "link").symlink_to(run.directory)
    with pytest.raises(InputError, match="folder of the run itself"):
        nereus.fork(run.id, disease, out=home / "link", home=home / "home")


def test_edits_are_read_from_files_and_assignments(tmp_path: Path) -> None:
    file = tmp_path / "edit.yaml"
    file.write_text("drop: [O3]\nedit:\n  O2:\n    priority: 0.5\n")
    assert read_edit(file, ["O4"], {"O2.covariates": "age, sex", "O5.covariates": ""}) == {
        "drop": ["O3", "O4"],
        "edit": {"O2": {"priority": 0.5, "covariates": ["age", "sex"]}, "O5": {"covariates": []}},
    }
    assert read_edit(None) == {}
    with pytest.raises(InputError, match="cannot be set"):
        read_edit(None, None, {"O2.kind": "panel"})
    file.write_text("drop: O3\n")
    assert read_edit(file, ["O4"]) == {"drop": ["O3", "O4"]}
    for text, why in (
        ("edit: [O2]\n", "no mapping of objectives"),
        ("edit: {O2: 5}\n", "no mapping"),
        ("drop: 3\n", "no list"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=why):
            read_edit(file, None, {"O2.priority": "1"})
    file.write_text("- a list\n")
    with pytest.raises(InputError, match="an edit is a mapping"):
        read_edit(file)


def test_a_fork_that_lost_its_edit_does_not_go_on_without_it(
    run: nereus.Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the state was copied, before the edit was kept."""
    import nereus.agents.planner.fork as fork

    class Killed(RuntimeError):
        pass

    def kill(saver: object) -> object:
        raise Killed

    disease = comparison(run, "disease")
    monkeypatch.setattr(fork, "build_research_graph", kill)
    with pytest.raises(Killed):
        nereus.fork(
            run.id,
            disease.id,
            edit={"edit": {disease.id: {"covariates": []}}},
            out=home / "halfway",
            home=home / "home",
        )
    with pytest.raises(ResumeRefused, match=f"fork {run.id} again at {disease.id}"):
        nereus.resume(home=home / "home")


def test_a_fork_says_where_it_left(run: nereus.Run, home: Path) -> None:
    disease = comparison(run, "disease")
    fork = nereus.fork(run.id, disease.id, out=home / "told", home=home / "home")
    again = nereus.fork(fork.id, disease.id, out=home / "told_again", home=home / "home")
    assert "Forked from run" in (fork.directory / "report.html").read_text()
    assert fork.id in (again.directory / "report.html").read_text()
    assert "Forked from" not in (run.directory / "report.html").read_text()
    environment = {"NEREUS_HOME": str(home / "home")}
    listed = CliRunner().invoke(app, ["runs"], env=environment).output
    assert f"(forked from {run.id} at {disease.id})" in listed
    assert f"(forked from {fork.id} at {disease.id})" in listed
    assert (
        f"forked from {fork.id} at {disease.id}"
        in CliRunner().invoke(app, ["show", again.id], env=environment).output
    )
    assert nereus.verify(again.directory).ok


def test_the_origin_of_a_kept_fork_stays_and_a_pruned_run_cannot_be_forked(
    run: nereus.Run, home: Path
) -> None:
    import shutil

    copy = home / "pruned_home"
    shutil.copytree(home / "home", copy, ignore=shutil.ignore_patterns("*.lock"))
    disease = comparison(run, "disease")
    fork = nereus.fork(run.id, disease.id, out=home / "of_copy", home=copy)
    pruned = CliRunner().invoke(
        app, ["runs", "prune", "--keep", "1", "--unfinished"], env={"NEREUS_HOME": str(copy)}
    )
    assert pruned.exit_code == 0, pruned.output
    assert f"run {fork.id} refers to it" in pruned.output
    again = nereus.fork(run.id, disease.id, out=home / "of_pruned", home=copy)
    assert claims_file(again) == claims_file(run)
    nereus.discover(
        home / "values.csv",
        home / "samples.csv",
        out=home / "other",
        home=copy,
        budget=["objectives=1"],
        seed=4,
    )
    CliRunner().invoke(app, ["runs", "prune", "--keep", "1", "--unfinished"], env={"NEREUS_HOME": str(copy)})
    with pytest.raises(StoreError, match="there is no run"):
        nereus.fork(fork.id, disease.id, home=copy)
