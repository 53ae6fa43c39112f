"""Limited proteolysis with doses: targets from curves of peptides, not from the highest dose, and none by chance."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.agents.planner.hypotheses import STABLE
from nereus.errors import InputError
from nereus.tools.proteomics.dose_targets import dose_targets
from nereus.tools.statistics.combination import combined_p_values
from nereus.tools.statistics.dose_response import dose_response

DOSE = np.repeat([0.0, 1.0, 10.0, 100.0, 1000.0, 10_000.0], 4)
N_PROTEINS, N_PEPTIDES = 40, 6


def digest(seed: int = 1) -> anndata.AnnData:
    """Protein 0 follows the dose with half its peptides; all peptides of protein 1 fall at the highest dose only."""
    rng = np.random.default_rng(seed)
    values = rng.normal(22, 2, N_PROTEINS * N_PEPTIDES) + rng.normal(
        0, 0.3, (len(DOSE), N_PROTEINS * N_PEPTIDES)
    )
    values[:, :3] += np.outer(DOSE / (DOSE + 30), [2, -2, 2])
    values[:, N_PEPTIDES : 2 * N_PEPTIDES] -= 2.0 * (DOSE.max() == DOSE)[:, None]
    owner = [f"P{i // N_PEPTIDES}" for i in range(values.shape[1])]
    var = pd.DataFrame(
        {"protein": owner, "gene": [f"G{name[1:]}" for name in owner]},
        index=[f"{name}_{i % N_PEPTIDES}" for i, name in enumerate(owner)],
    )
    obs = pd.DataFrame({"nM": DOSE}, index=[f"s{i:02d}" for i in range(len(DOSE))])
    return anndata.AnnData(values, obs=obs, var=var)


def test_a_change_at_the_highest_dose_alone_is_no_target() -> None:
    result = dose_targets(digest(), dose="nM")
    targets = result.table("targets").set_index("feature")
    assert list(targets.index[targets["q"] <= 0.05]) == ["P0"]
    assert list(targets.index[targets["highest_only"]]) == ["P1"]
    assert targets.loc["P0", "n_changed"] == 3
    assert targets.loc["P0", "lead_peptide"] in {"P0_0", "P0_1", "P0_2"}
    assert targets.loc["P0", "gene"] == "G0"
    assert 10 < targets.loc["P0", "ec50"] < 90
    assert any("highest dose only" in text for text in result.warnings)
    everything = dose_targets(digest(), dose="nM", leave_out_highest=False).table("targets")
    assert set(everything.query("q <= 0.05")["feature"]) == {"P0", "P1"}


def test_a_peptide_follows_all_doses_and_those_below_the_highest() -> None:
    data = digest()
    result = dose_targets(data, dose="nM")
    peptides, targets = result.table("peptides"), result.table("targets")
    whole = dose_response(data, dose="nM").table()["p"].to_numpy()
    below = dose_response(data[data.obs["nM"] < DOSE.max()].copy(), dose="nM").table()["p"].to_numpy()
    np.testing.assert_allclose(peptides["p_all_doses"], whole)
    np.testing.assert_allclose(peptides["p_without_highest"], below)
    np.testing.assert_allclose(peptides["p"], np.maximum(whole, below))
    owner = np.repeat(np.arange(N_PROTEINS), N_PEPTIDES)
    np.testing.assert_allclose(
        targets["p"], combined_p_values(np.maximum(whole, below), owner, "simes"), rtol=1e-9
    )


def test_too_few_doses_to_leave_one_out_are_told() -> None:
    data = digest()
    few = data[data.obs["nM"] != 1.0].copy()
    result = dose_targets(few, dose="nM")
    assert result.values["highest_left_out"] is False
    assert any("too few doses" in text for text in result.warnings)
    assert result.table("peptides")["p_without_highest"].isna().all()


@pytest.mark.parametrize("seed", range(5))
def test_exchanged_doses_give_no_target(seed: int) -> None:
    data = digest(seed)
    data.obs["nM"] = np.random.default_rng(seed).permutation(DOSE)
    result = dose_targets(data, dose="nM", n_subsamples=5, seed=seed)
    assert result.values["n_targets"] == 0


def test_p_values_of_proteins_hold_their_level_where_nothing_follows_the_dose() -> None:
    rng = np.random.default_rng(7)
    data = digest()
    data = anndata.AnnData(rng.normal(20, 0.3, data.shape), obs=data.obs, var=data.var)
    alone = dose_targets(data, dose="nM", leave_out_highest=False).table("targets")["p"]
    both = dose_targets(data, dose="nM").table("targets")["p"]
    assert (both >= alone).all()
    assert (alone <= 0.1).mean() <= 0.25


def test_the_order_of_samples_changes_nothing() -> None:
    data = digest()
    turned = data[::-1].copy()
    options = {"dose": "nM", "n_subsamples": 3, "n_permutations": 3, "seed": 4}
    one, other = dose_targets(data, **options), dose_targets(turned, **options)
    pd.testing.assert_frame_equal(one.table("targets"), other.table("targets"))
    assert one.values == other.values


def test_refused_is_what_holds_no_peptides() -> None:
    data = digest()
    with pytest.raises(InputError, match="no column 'owner'"):
        dose_targets(data, dose="nM", protein="owner")
    with pytest.raises(InputError, match=r"no column|not a column|unknown"):
        dose_targets(data, dose="uM")


def rapamycin(folder: Path) -> anndata.AnnData:
    """Precursors of forty proteins at nine doses, medians of the samples made equal."""
    long = pd.read_csv(folder / "lip_rapamycin_protti" / "rapamycin_dose_response.csv.gz")
    long["log"] = np.log2(long["fg_quantity"])
    wide = long.pivot_table(index="r_file_name", columns="eg_precursor_id", values="log")
    protein = long.groupby("eg_precursor_id")["pg_protein_accessions"].first()[wide.columns]
    obs = long.groupby("r_file_name")[["r_condition"]].first().loc[wide.index]
    values = wide.to_numpy()
    values = values - np.nanmedian(values, axis=1, keepdims=True) + np.nanmedian(values)
    return anndata.AnnData(
        values, obs=obs, var=pd.DataFrame({"protein": protein.to_numpy()}, index=wide.columns)
    )


def test_the_drug_target_and_nothing_else(shared_data: Path) -> None:
    """Piazza et al. 2020: FKBP1A (P62942) is the target of rapamycin."""
    targets = dose_targets(rapamycin(shared_data), dose="r_condition").table("targets")
    assert list(targets.query("q <= 0.05")["feature"]) == ["P62942"]


@pytest.mark.parametrize("seed", range(5))
def test_exchanged_doses_of_a_drug_give_no_confident_claim(shared_data: Path, seed: int) -> None:
    """A claim without planted confidence is confident when it is stable and beyond what exchanged doses give."""
    data = rapamycin(shared_data)
    data.obs["r_condition"] = np.random.default_rng(seed).permutation(data.obs["r_condition"].to_numpy())
    if not dose_targets(data, dose="r_condition").values["n_targets"]:
        return
    result = dose_targets(data, dose="r_condition", n_permutations=20, n_subsamples=10, seed=seed)
    found = result.table("targets").query("q <= 0.05")
    beyond = float(str(result.values["n_targets"])) > float(str(result.values["null_p95"]))
    assert not (beyond and (found["stability"] >= STABLE).any())
