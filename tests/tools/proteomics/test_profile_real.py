"""What the profile says about public data sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from nereus.tools.base import Result, SourceFile
from nereus.tools.proteomics.load import load_dataset
from nereus.tools.proteomics.profile import profile_dataset
from nereus.tools.steps import StepRunner


def profile(folder: Path, data: str, samples: str | None = None) -> Result:
    sheet = None if samples is None else SourceFile(folder / samples, Path(samples).name)
    loaded = load_dataset(SourceFile(folder / data, Path(data).name), sheet)
    return profile_dataset(loaded.dataset(), seed=1)


def roles(result: Result) -> dict[str, str]:
    table = result.table("columns")
    return dict(zip(table["column"], table["role"], strict=True))


def test_mouse_cortex_has_the_mouse_as_unit(shared_data: Path) -> None:
    result = profile(shared_data, "clinical_mouse_cortex_down_syndrome/Data_Cortex_Nuclear.csv.gz")
    assert (result.values["n_subjects"], result.values["replicates_per_subject"]) == (72, 15)
    assert result.values["aggregate_by"] is not None
    first = result.table("contrasts").iloc[0]
    assert (first["contrast"], first["n_a"], first["n_b"]) == ("Genotype: Ts65Dn vs Control", 34, 38)
    assert (
        result.table("columns").set_index("column").loc["class", "related"]
        == "Genotype x Treatment x Behavior"
    )


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("Exp1_R25", "Condition: 25fmol vs 10fmol"),
        ("Exp1_R2", "Condition: 10fmol vs 5fmol"),
        ("Exp2_R100", "Condition: 100fmol vs 1fmol"),
        ("Exp2_R10", "Condition: 100fmol vs 10fmol"),
        ("Exp2_R2", "Condition: 50fmol vs 25fmol"),
    ],
)
def test_spike_in_rows_are_units_and_the_lower_amount_is_the_reference(
    shared_data: Path, name: str, contrast: str
) -> None:
    folder = "spike_ups1_yeast_ramus"
    result = profile(shared_data, f"{folder}/{name}_prot.txt.gz", f"{folder}/samples_{name}.txt")
    assert result.table("contrasts")["contrast"].tolist() == [contrast]
    assert (result.values["n_subjects"], result.values["repeats"]) == (6, "none")
    assert roles(result)["Bio.Rep"] == "identifier"
    assert result.values["condition_linked_missingness"] is (name == "Exp2_R100")


def test_three_labs_are_a_batch_to_model(shared_data: Path) -> None:
    result = profile(
        shared_data,
        "spike_cptac_study6/proteinGroups.txt.gz",
        "spike_cptac_study6/label-free_CPTAC_annotation.xlsx",
    )
    assert result.values["batch_covariates"] == "lab"
    assert set(result.table("contrasts")["covariates"]) == {"lab"}
    assert result.table("contrasts")["refused"].tolist() == [""] * 3


@pytest.mark.parametrize("sheet", ["meta.csv", "clinic_ml.csv"])
def test_collection_site_is_a_batch_named_or_one_hot(shared_data: Path, sheet: str) -> None:
    folder = "clinical_alzheimer_csf_bader"
    result = profile(shared_data, f"{folder}/proteome.csv.gz", f"{folder}/{sheet}")
    batches = str(result.values["batch_covariates"])
    assert batches == ("_collection site" if sheet == "meta.csv" else "Kiel_or_Magdeburg_or_Sweden")
    first = result.table("contrasts").iloc[0]
    assert (first["n_a"], first["n_b"]) == (88, 109 if sheet == "meta.csv" else 122)
    assert str(first["covariates"]).split(";")[0] == batches
    assert len(str(first["covariates"]).split(";")) == 3


def test_survival_is_recognised(shared_data: Path) -> None:
    folder = "clinical_ovarian_coscia"
    result = profile(shared_data, f"{folder}/omics.csv.gz", f"{folder}/meta_patients.csv")
    assert result.values["main_contrast"] == "PlatinumValue: Resistant vs Sensitive"
    assert (result.values["event_column"], result.values["n_events"]) == ("Status", 20)
    assert result.values["time_column"] == "Overall survival days"


def test_other_sheets(shared_data: Path) -> None:
    ubiquitin = profile(
        shared_data,
        "cell_ubiquitin_interactors_ubilength/UbiLength.csv.gz",
        "cell_ubiquitin_interactors_ubilength/UbiLength_ExpDesign.csv",
    )
    assert ubiquitin.table("contrasts")["b"].tolist()[:3] == ["Ctrl"] * 3
    assert ubiquitin.values["condition_linked_missingness"] is True
    septic = profile(
        shared_data,
        "clinical_septic_aki_binn/sample_datamatrix.csv.gz",
        "clinical_septic_aki_binn/sample_design_matrix.tsv",
    )
    assert septic.values["main_contrast"] == "group: 2 vs 1"
    assert septic.values["n_subjects"] == 197
    baits = profile(shared_data, "cell_bait_ip_yeast_mito/proteinGroups.txt.gz")
    assert baits.values["n_contrasts"] == 66
    assert baits.table("factors")["n_subjects"].tolist() == [3] * 12


def test_plexes_in_channel_names_are_batches(shared_data: Path) -> None:
    result = profile(shared_data, "batch_tmt_mouse_lens/iovs-58-13-55_s01.csv.gz")
    assert roles(result) == {"group": "ordered", "plex": "batch"}
    assert result.values["batch_covariates"] == "plex"


def test_a_step_stores_and_reads_the_profile(shared_data: Path, runner: StepRunner) -> None:
    """Column names with slashes, mixed missing values and constructed columns survive the artifact store."""
    folder = shared_data / "clinical_alzheimer_csf_bader"
    inputs = {
        "data": runner.artifacts.put_file(folder / "proteome.csv.gz"),
        "samples": runner.artifacts.put_file(folder / "clinic_ml.csv"),
    }
    loaded = runner.run("load_dataset", {}, inputs)
    call = runner.run("profile_dataset", {}, {"dataset": loaded.outputs["dataset"]})
    assert call.error is None
    again = runner.run("profile_dataset", {}, {"dataset": call.outputs["dataset"]})
    assert again.values["batch_covariates"] == call.values["batch_covariates"]
