"""A second cohort and further layers beside the data of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient
from typer.testing import CliRunner

import nereus
from nereus.agents.planner.companions import companions, named_files, options_of, owner, reader_params, stem
from nereus.agents.policies.base import DecisionContext, ProfileView
from nereus.agents.policies.rules.questions import second_cohort
from nereus.cli import app
from nereus.errors import InputError
from nereus.memory.records import Contrast, Event, Objective, ObjectiveKind

CLASS = "_primary biochemical AD classification"
LIMITS = ["objectives=4", "hypotheses=30", "steps=90"]
ROLES = ("data", "samples", "layer:rna", "cohort", "cohort_samples")


# ---------------------------------------------------------------------------------------------------- names of files


def test_tables_beside_the_data_are_known_by_their_roles() -> None:
    assert companions(ROLES) == ["cohort", "layer:rna"]
    assert [
        owner(one) for one in ("cohort:prepared", "layer:rna:loaded", "rerun", "O2:differential", "prepared")
    ] == [
        "cohort",
        "layer:rna",
        "",
        "",
        "",
    ]
    assert reader_params("layer:rna", ROLES) == {"layer": "rna"}
    assert reader_params("data", ROLES) == {"layer": "first"}
    assert reader_params("data", ("data", "cohort")) == reader_params("cohort", ROLES) == {}
    assert (stem("berlin.v2.csv.gz"), stem(".csv")) == ("berlin", ".csv")


def test_parameters_of_the_reader_reach_the_table_that_they_are_meant_for() -> None:
    given = {"subject": "mouse", "cohort.subject": "animal", "rna.scale": "log2", "other.scale": "log2"}
    assert options_of("data", given, ROLES) == {"subject": "mouse", "other.scale": "log2"}
    assert options_of("cohort", given, ROLES)["subject"] == "animal"
    assert options_of("layer:rna", given, ROLES) == {"scale": "log2"}


def test_a_sheet_without_its_cohort_and_names_that_no_layer_can_have_are_refused() -> None:
    with pytest.raises(InputError, match="without the cohort"):
        named_files(None, "sheet.csv", None)
    for name in ("data", "r na", "", "layer:x"):
        with pytest.raises(InputError, match="no name of a layer"):
            named_files(None, None, {name: "file.csv"})


# ------------------------------------------------------------------------------------------- the cohort's own words


def asked(**changes: Any) -> Objective:
    contrast = Contrast(factor="Diagnosis", a="AD", b="control", covariates=("Age", "site"))
    return Objective(
        id="O2", kind=ObjectiveKind.DIFFERENTIAL, statement="", **{"contrast": contrast, **changes}
    )


def seen(**row: Any) -> DecisionContext:
    contrast = {"factor": "diagnosis", "a": "Control", "b": "ad", "n_a": 20, "n_b": 12, "covariates": "sex"}
    columns = [("diagnosis", "factor"), ("age", "continuous"), ("sex", "factor"), ("site", "constant")]
    return DecisionContext(
        profile=ProfileView(
            values={"cohort:name": "berlin"},
            tables={
                "cohort:contrasts": [{**contrast, **row}],
                "cohort:columns": [{"column": name, "role": role} for name, role in columns],
                "cohort:associations": [{"variable": "AGE", "testable": True, "n": 32}],
            },
        ),
        run_outputs={"cohort:prepared": "O1.W1.S9/dataset"},
    )


def test_a_comparison_is_asked_in_the_words_of_the_cohort_in_the_direction_of_the_discovery() -> None:
    found = second_cohort.described(seen(), asked())
    assert isinstance(found, dict)
    # "site" has one level there and cannot be adjusted for.
    assert found["contrast"] == {
        "factor": "diagnosis",
        "a": "ad",
        "b": "Control",
        "covariates": ["age", "sex"],
        "block": None,
        "subset": {},
    }
    variable = second_cohort.described(seen(), asked(contrast=None, variable="age"))
    assert variable == {"variable": "AGE", "covariates": []}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"n_b": 2}, "fewer than three"),
        ({"refused": "cannot be separated from batch"}, "cannot be separated"),
        ({"factor": "grade"}, "does not compare AD vs control"),
    ],
)
def test_what_the_cohort_cannot_test_is_told(row: dict[str, Any], why: str) -> None:
    assert why in second_cohort.why_not(seen(**row), asked())
    assert second_cohort.name(seen(**row)) == "berlin"


# ------------------------------------------------------------------------------------------------- a whole study


@pytest.fixture(scope="module")
def study(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two collection sites as two cohorts; a made layer in which every other feature follows its own."""
    folder = tmp_path_factory.mktemp("study")
    source = shared_data / "clinical_alzheimer_csf_bader"
    sheet = pd.read_csv(source / "meta.csv", index_col=0)
    sheet = sheet[sheet[CLASS].notna()]
    values = pd.read_csv(source / "proteome.csv.gz", index_col=0).loc[sheet.index].iloc[:, ::2]
    kept = ["_collection site", "_age at CSF collection", "_gender", CLASS]
    for site in ("Sweden", "Berlin"):
        there = sheet["_collection site"] == site
        values[there].to_csv(folder / f"{site.lower()}.csv")
        sheet.loc[there, kept].to_csv(folder / f"{site.lower()}_samples.csv")
    first = np.log2(values[sheet["_collection site"] == "Sweden"])
    noise = pd.DataFrame(
        np.random.default_rng(1).normal(size=first.shape), index=first.index, columns=first.columns
    )
    spread = first.std().fillna(1.0)
    made = 8 + noise * spread
    followed = first.columns[::2]
    made[followed] += (first[followed] - first[followed].mean()).fillna(0.0)
    made.T.round(4).to_csv(folder / "rna.csv", index_label="feature")
    return folder


class Killed(RuntimeError):
    """Stands for the end of a process."""


@pytest.fixture(scope="module")
def run(study: Path) -> nereus.Run:
    """The study, ended when the cohort had been prepared, and resumed."""

    def kill(event: Event) -> None:
        if event.type == "objective_selected" and "replicated in berlin" in str(event.payload):
            raise Killed

    with pytest.raises(Killed):
        nereus.discover(
            study / "sweden.csv",
            study / "sweden_samples.csv",
            cohort=study / "berlin.csv",
            cohort_samples=study / "berlin_samples.csv",
            layers={"rna": study / "rna.csv"},
            out=study / "report",
            home=study / "home",
            budget=LIMITS,
            seed=1,
            on_event=kill,
        )
    return nereus.resume(home=study / "home")


@pytest.mark.slow
def test_findings_are_tested_again_in_the_cohort(run: nereus.Run) -> None:
    assert run.status == "finished"
    assert [call.error for call in run.record.calls.values() if call.error] == []
    asked_again = next(one for one in run.record.objectives if one.kind is ObjectiveKind.VALIDATION)
    assert (asked_again.status, asked_again.design) == ("done", {"cohort": "berlin"})
    tools = {call.spec.tool for call in run.record.calls.values()}
    assert "split_cohort" not in tools
    call = next(one for one in run.record.calls.values() if one.spec.tool == "replicate_externally")
    # The same test by hand, on the cohort's file alone.
    table = run.output(f"{asked_again.parent_id}:differential")
    cohort = run.artifacts.dataset(
        run.record.calls[key_of(run, run.record.outputs["cohort:prepared"])].outputs["dataset"]
    )
    assert set(cohort.obs["_collection site"]) == {"Berlin"}
    assert call.values["n_carried"] == int((table["q"] <= 0.05).sum())
    again = run.output(f"{asked_again.id}:replication").set_index("feature")
    # Tau and 14-3-3 gamma are the published findings of every site.
    assert again.loc["P61981", "replicated"]
    assert again.loc["P10636-2;P10636-6", "replicated"]


def key_of(run: nereus.Run, reference: str) -> str:
    step = reference.partition("/")[0]
    return next(one.call_key for one in run.record.steps() if one.id == step and one.call_key is not None)


@pytest.mark.slow
def test_hypotheses_say_what_the_cohort_says(run: nereus.Run) -> None:
    again = run.output(f"{validation(run).id}:replication").set_index("feature")
    told = [
        one for one in run.hypotheses if "replicated in berlin" in one.statement and one.grain == "entity"
    ]
    assert len(told) > 5
    for one in told:
        row = again.loc[one.claim.entities[0].id]
        assert ("not replicated in berlin" not in one.statement) == bool(row["replicated"])
        atom = next(atom for atom in one.atoms if atom.kind == "replication")
        assert atom.verdict == ("holds" if row["replicated"] else "fails")
        assert [run.record.evidence[cited].value for cited in atom.evidence_ids] == [pytest.approx(row["q"])]
    whole = next(one for one in run.hypotheses if one.claim.relation == "replication")
    assert "are replicated in berlin" in whole.statement
    assert "kept aside" not in json.dumps([one.model_dump(mode="json") for one in run.hypotheses])


def validation(run: nereus.Run) -> Objective:
    return next(one for one in run.record.objectives if one.kind is ObjectiveKind.VALIDATION)


@pytest.mark.slow
def test_features_follow_their_own_of_the_layer_where_they_were_made_to(run: nereus.Run, study: Path) -> None:
    asked_once = next(one for one in run.record.objectives if one.kind is ObjectiveKind.CROSS_LAYER)
    assert asked_once.status == "done"
    names = list(pd.read_csv(study / "sweden.csv", index_col=0, nrows=0).columns)
    made = set(names[::2])
    table = run.output(f"{asked_once.id}:cross_layer")
    found = table[(table["q"] <= 0.05) & (table["effect"] > 0)]
    true = found["feature"].isin(made)
    assert true.sum() > 0.8 * table["feature"].isin(made).sum()
    assert (~true).mean() < 0.1
    claims = run.claims[run.claims["kind"] == "cross_layer"]
    assert claims["feature"].isin(made).mean() > 0.9
    assert any(one.claim.relation == "cross_layer" for one in run.hypotheses)


@pytest.mark.slow
def test_the_report_holds_every_file_and_is_computed_again_from_them(run: nereus.Run) -> None:
    assert {one.name for one in (run.directory / "inputs").iterdir()} == {
        "sweden.csv",
        "sweden_samples.csv",
        "berlin.csv",
        "berlin_samples.csv",
        "rna.csv",
    }
    found = nereus.verify(run.directory)
    assert found.differences == []
    notebook = nbformat.read(run.directory / "analysis.ipynb", as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(run.directory)}}).execute()
    assert "agree with the report" in str(notebook.cells[-1].outputs)


def test_a_cohort_that_is_the_data_or_cannot_be_read_leaves_no_run(study: Path, tmp_path: Path) -> None:
    files = [
        str(study / "sweden.csv"),
        "--samples",
        str(study / "sweden_samples.csv"),
        "--out",
        str(tmp_path / "r"),
    ]
    environment = {"NEREUS_HOME": str(tmp_path / "home")}
    same = CliRunner().invoke(
        app, ["discover", *files, "--cohort", str(study / "sweden.csv")], env=environment
    )
    assert same.exit_code == 1
    assert "the cohort is the data table itself" in same.output
    (tmp_path / "empty.csv").write_text("nothing\n")
    unread = CliRunner().invoke(
        app, ["discover", *files, "--cohort", str(tmp_path / "empty.csv")], env=environment
    )
    assert unread.exit_code == 1
    strange = pd.read_csv(study / "rna.csv", index_col=0)
    strange.columns = [f"x{number}" for number in range(strange.shape[1])]
    strange.to_csv(tmp_path / "strange.csv")
    other = CliRunner().invoke(
        app, ["discover", *files, "--layer", f"rna={tmp_path / 'strange.csv'}"], env=environment
    )
    assert other.exit_code == 1
    listed = CliRunner().invoke(app, ["runs", "--json"], env=environment)
    assert json.loads(listed.output) == []
