"""What the profile says of designs beyond two groups, and of what the data are."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools.base import Result
from nereus.tools.proteomics.profile import profile_dataset
from nereus.tools.proteomics.profile.words import is_bait_control, is_dose, is_moment

FEATURES = 40


def profiled(
    obs: pd.DataFrame, X: np.ndarray | None = None, var: pd.DataFrame | None = None, **facts: object
) -> Result:
    rng = np.random.default_rng(11)
    values = 24 + rng.normal(0, 1, (len(obs), FEATURES)) if X is None else X
    made = anndata.AnnData(np.asarray(values, dtype=float), obs=obs, var=var)
    made.uns["nereus"] = facts
    return profile_dataset(made)


def rows(n: int) -> list[str]:
    return [f"s{i}" for i in range(n)]


def test_crossed_factors_with_three_subjects_a_cell_can_interact() -> None:
    obs = pd.DataFrame(
        {"genotype": ["wt", "ko"] * 8, "diet": ["chow"] * 8 + ["fat"] * 8, "sex": ["f", "f", "m", "m"] * 4},
        index=rows(16),
    )
    table = profiled(obs).table("interactions")
    first = table.iloc[0]
    assert (first["first"], first["second"], first["smallest_cell"], bool(first["testable"])) == (
        "genotype",
        "diet",
        4,
        True,
    )
    assert set(table["kind"]) == {"main", "covariate"}


def test_two_subjects_in_a_cell_are_too_few_and_nested_factors_do_not_interact() -> None:
    obs = pd.DataFrame(
        {
            "genotype": ["wt"] * 6 + ["ko"] * 6,
            "diet": ["chow"] * 4 + ["fat"] * 2 + ["chow"] * 2 + ["fat"] * 4,
            "clone": ["a", "b"] * 3 + ["c", "d"] * 3,
        },
        index=rows(12),
    )
    table = profiled(obs).table("interactions").set_index("interaction")
    assert not table.loc["genotype: ko vs wt x diet: fat vs chow", "testable"]
    assert not any("genotype" in name and "clone" in name for name in table.index)


def test_an_interaction_with_a_factor_that_is_a_batch_is_refused() -> None:
    obs = pd.DataFrame(
        {
            "genotype": ["wt", "ko"] * 8,
            "treatment": ["no"] * 8 + ["yes"] * 8,
            "batch": ["b1"] * 8 + ["b2"] * 8,
        },
        index=rows(16),
    )
    row = profiled(obs).table("interactions").iloc[0]
    assert not row["testable"]
    assert row["refused"] == "cannot separate 'treatment' from 'batch'"


def test_repeated_courses_name_the_subject_and_the_group() -> None:
    obs = pd.DataFrame(
        {
            "patient": np.repeat([f"p{i}" for i in range(8)], 4),
            "day": [0, 3, 7, 14] * 8,
            "arm": np.repeat(["placebo", "drug"], 16),
        },
        index=rows(32),
    )
    table = profiled(obs).table("courses")
    assert table["testable"].all()
    assert table["repeated"].all()
    assert set(table["subject"]) == {"patient"}
    first = table.iloc[0]
    assert (first["time"], first["group"], first["a"], first["b"], first["n_times"]) == (
        "day",
        "arm",
        "drug",
        "placebo",
        4,
    )


def test_irregular_days_of_a_subject_are_a_course_and_no_technical_replicates() -> None:
    rng = np.random.default_rng(2)
    obs = pd.DataFrame(
        {
            "patient": np.repeat([f"p{i}" for i in range(10)], 3),
            "days_since_onset": rng.choice(60, 30, replace=False),
        },
        index=rows(30),
    )
    result = profiled(obs)
    assert result.values["aggregate_by"] is None
    row = result.table("courses").iloc[0]
    assert (row["time"], row["subject"], bool(row["testable"])) == ("days_since_onset", "patient", True)


def test_moments_written_as_text_become_a_number_of_the_sheet() -> None:
    obs = pd.DataFrame({"stage": ["E15", "E18", "P0", "P3", "P6", "P9"] * 3}, index=rows(18))
    result = profiled(obs)
    row = result.table("courses").iloc[0]
    assert (row["time"], row["labels"], row["n_times"], bool(row["repeated"])) == (
        "stage (days)",
        "stage",
        6,
        False,
    )
    assert list(result.dataset().obs["stage (days)"][:6]) == [15, 18, 19, 22, 25, 28]


def test_passages_or_patients_called_p1_are_no_moments() -> None:
    assert not is_moment("group", ["P1", "P2", "P3"])
    assert is_moment("group", ["0h", "1h", "24h"])
    assert is_dose("drug", ["0", "10 nM", "1 uM"])
    assert not is_dose("time", ["0h", "1h"])


def test_survival_needs_ten_events_and_the_event_of_that_time() -> None:
    rng = np.random.default_rng(3)
    obs = pd.DataFrame(
        {
            "os_months": rng.uniform(1, 60, 40).round(2),
            "os_status": ["dead"] * 22 + ["alive"] * 18,
            "pfs_months": rng.uniform(1, 30, 40).round(2),
            "pfs_event": [1] * 6 + [0] * 34,
            "age": rng.uniform(40, 80, 40).round(1),
        },
        index=rows(40),
    )
    table = profiled(obs).table("outcomes").set_index("outcome")
    alive = table.loc["os_months | os_status"]
    assert (alive["n_events"], alive["event_level"], alive["covariates"], bool(alive["testable"])) == (
        22,
        "dead",
        "age",
        True,
    )
    assert table.loc["pfs_months | pfs_event", "refused"] == "fewer than 10 events"
    assert table.loc["pfs_months | os_status", "refused"]
    assert table.loc["os_months | pfs_event", "refused"]


def test_a_series_of_doses_needs_four() -> None:
    obs = pd.DataFrame({"dose_um": [0, 0.1, 1, 10] * 3, "flow_um": [1, 2, 1, 2] * 3}, index=rows(12))
    table = profiled(obs).table("doses")
    assert table["dose"].tolist() == ["dose_um"]
    assert table["testable"].all()
    few = pd.DataFrame({"dose": ["0", "1 uM", "10 uM"] * 3}, index=rows(9))
    assert not profiled(few).table("doses")["testable"].any()


def test_levels_that_are_genes_of_the_table_are_baits() -> None:
    obs = pd.DataFrame({"ip": np.repeat(["CBP1", "IFM1", "ctrl"], 3)}, index=rows(9))
    var = pd.DataFrame(
        {"gene": ["CBP1", "IFM1"] + [f"G{i}" for i in range(FEATURES - 2)]},
        index=[f"P{i}" for i in range(FEATURES)],
    )
    result = profiled(obs, var=var, level="protein")
    table = result.table("pulldowns")
    assert result.values["data_kind"] == "pulldown"
    assert table["control"].unique().tolist() == ["ctrl"]
    assert table["n_control"].tolist() == [3, 3]
    assert is_bait_control("IgG")
    assert not is_bait_control("Cbp1")


def test_a_drug_study_with_a_control_is_no_pulldown() -> None:
    obs = pd.DataFrame({"treatment": np.repeat(["control", "drug"], 5)}, index=rows(10))
    result = profiled(obs, level="protein")
    assert result.table("pulldowns").empty
    assert result.values["data_kind"] == "proteins"


def test_a_column_of_organelles_makes_the_samples_fractions() -> None:
    var = pd.DataFrame(
        {"markers": ["ER"] * 6 + ["Golgi"] * 6 + ["nucleus"] * 6 + ["unknown"] * (FEATURES - 18)},
        index=[f"P{i}" for i in range(FEATURES)],
    )
    obs = pd.DataFrame(index=[f"126_{i}" for i in range(10)])
    result = profiled(obs, var=var, level="protein")
    assert result.values["data_kind"] == "fractions"
    assert result.values["marker_column"] == "markers"
    assert result.table("organelles").iloc[0]["n_classes"] == 3


def test_sites_are_seen_from_the_names_of_the_features() -> None:
    var = pd.DataFrame(index=[f"P{i:05d};GENE{i};S{100 + i};SEQ" for i in range(FEATURES)])
    obs = pd.DataFrame({"group": list("aaabbb")}, index=rows(6))
    assert profiled(obs, var=var, level="protein").values["data_kind"] == "sites"


def test_plexes_and_their_reference_channels() -> None:
    obs = pd.DataFrame(
        {"plex": np.repeat(["1", "2"], 5), "group": ["pool", "a", "a", "b", "b"] * 2},
        index=[f"x{i}" for i in range(10)],
    )
    result = profiled(obs)
    assert result.table("plexes")["n_references"].tolist() == [1, 1]
    assert result.values["reference_samples"] == "x0;x5"


def test_cells_are_profiled_by_their_samples() -> None:
    rng = np.random.default_rng(5)
    obs = pd.DataFrame(
        {"sample": np.repeat([f"d{i}" for i in range(8)], 50), "condition": np.repeat(["ref", "stim"], 200)},
        index=[f"c{i}" for i in range(400)],
    )
    X = rng.gamma(2, 20, (400, 12)) * rng.lognormal(0, 0.3, (8, 12)).repeat(50, axis=0)
    result = profiled(obs, X, level="cells")
    assert (result.values["data_kind"], result.values["n_cells"], result.values["n_samples"]) == (
        "cells",
        400,
        8,
    )
    row = result.table("contrasts").iloc[0]
    assert (row["contrast"], row["n_a"], row["n_b"]) == ("condition: stim vs ref", 4, 4)
    assert result.dataset().n_obs == 400


def test_cells_without_samples_are_refused() -> None:
    obs = pd.DataFrame({"condition": ["a", "b"] * 20}, index=[f"c{i}" for i in range(40)])
    with pytest.raises(InputError, match="which sample"):
        profiled(obs, np.random.default_rng(1).gamma(2, 20, (40, 12)), level="cells")


def test_the_organism_is_said() -> None:
    obs = pd.DataFrame({"group": list("aaabbb")}, index=rows(6))
    assert "proteins of mouse" in profiled(obs, level="protein", organism="mouse").summary
