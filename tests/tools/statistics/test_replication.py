"""Findings in a second cohort, and one cohort as two."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nereus.errors import InputError
from nereus.tools.statistics.differential import differential_abundance
from nereus.tools.statistics.expected_replication import corrected_z, replication_power
from nereus.tools.statistics.feature_match import match_features
from nereus.tools.statistics.moderated_t import benjamini_hochberg
from nereus.tools.statistics.replication import replicate_externally
from nereus.tools.statistics.split_cohort import split_cohort

CONTRAST = {"factor": "group", "a": "case", "b": "control"}


def cohort(
    seed: int, n: int = 24, p: int = 300, changed: int = 40, effect: float = 1.0, turned: int = 0
) -> anndata.AnnData:
    """The first `changed` features are higher in cases, the first `turned` of them lower instead."""
    rng = np.random.default_rng(seed)
    x = rng.normal(22, 1, (1, p)) + rng.normal(0, 0.7, (n, p))
    x[: n // 2, :changed] += effect
    x[: n // 2, :turned] -= 2 * effect
    obs = pd.DataFrame(
        {"group": ["case"] * (n // 2) + ["control"] * (n - n // 2)}, index=[f"s{i}" for i in range(n)]
    )
    var = pd.DataFrame({"gene": [f"G{i}" for i in range(p)]}, index=[f"P{i}" for i in range(p)])
    return anndata.AnnData(x, obs=obs, var=var)


def found_in(data: anndata.AnnData) -> pd.DataFrame:
    return differential_abundance(data, contrast=CONTRAST).table()


def test_true_findings_replicate_and_turned_ones_do_not() -> None:
    table, second = found_in(cohort(1)), cohort(2, turned=5)
    before = np.array(second.X)
    result = replicate_externally(table, second, contrast=CONTRAST, n_permutations=19, seed=1)
    rows = result.table().set_index("feature")
    assert list(rows.index) == list(table.loc[table["q"] <= 0.05, "feature"])
    turned = rows[rows.index.isin([f"P{i}" for i in range(5)])]
    assert not turned["replicated"].any()
    assert (turned["status"] == "opposite sign").all()
    kept = rows[rows.index.isin([f"P{i}" for i in range(5, 40)])]
    assert kept["replicated"].mean() > 0.7
    assert not turned["within"].any()
    assert result.values["p_permutation"] == pytest.approx(0.05)
    np.testing.assert_array_equal(second.X, before)


def test_false_findings_do_not_replicate() -> None:
    """Nothing differs: whatever was carried over replicates at no more than its level."""
    carried = replicated = signs = 0
    for seed in range(6):
        table = found_in(cohort(seed, changed=0)).assign(q=lambda t: np.where(t["p"] < 0.1, 0.01, 1.0))
        result = replicate_externally(
            table, cohort(100 + seed, changed=0), contrast=CONTRAST, n_permutations=0, level=0.05
        )
        carried += result.values["n_tested"]
        replicated += result.values["n_replicated"]
        signs += result.values["n_same_sign"]
    assert carried > 100
    assert replicated <= 3
    assert 0.4 < signs / carried < 0.6


def test_shared_signs_of_correlated_features_are_no_evidence() -> None:
    """Sixty findings that move together are one coin: their common sign in the second cohort is p = 1/2."""
    p = []
    for seed in range(16):
        rng = np.random.default_rng(seed)
        shared = rng.normal(0, 1.5, 60)
        table, second = found_in(cohort(seed, changed=60, effect=3, p=80)), cohort(90 + seed, changed=0, p=80)
        second.X[:, :60] += np.abs(shared) * rng.normal(0, 1, (24, 1))
        p.append(
            replicate_externally(table, second, contrast=CONTRAST, n_permutations=39, seed=seed).values[
                "sign_p"
            ]
        )
    assert np.mean(np.array(p) <= 0.1) <= 0.25
    assert replicate_externally(table, second, contrast=CONTRAST, n_permutations=0).values["sign_p"] is None


def test_prediction_interval_covers_where_nothing_was_selected() -> None:
    inside = []
    for seed in range(5):
        table = found_in(cohort(seed)).assign(q=0.0)
        result = replicate_externally(table, cohort(50 + seed), contrast=CONTRAST, n_permutations=0)
        inside.append(result.values["within_rate"])
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(("share", "size"), [(0.1, 3.0), (0.3, 2.0)])
def test_observed_rate_lies_between_cautious_and_naive(share: float, size: float) -> None:
    seen, cautious, naive = [], [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth = np.where(rng.random(2000) < share, rng.normal(0, size, 2000), 0.0)
        first, second = truth + rng.normal(size=2000), truth + rng.normal(size=2000)
        carried = benjamini_hochberg(2 * stats.norm.sf(np.abs(first))) <= 0.05
        z, again = first[carried], second[carried]
        q = benjamini_hochberg(2 * stats.norm.sf(np.abs(again)))
        one, df = np.ones(len(z)), np.full(len(z), np.inf)
        seen.append(np.mean((q <= 0.05) & (np.sign(again) == np.sign(z))))
        cautious.append(replication_power(corrected_z(z, np.abs(z).min()), one, df, 0.05).mean())
        naive.append(replication_power(z, one, df, 0.05).mean())
    assert np.mean(cautious) < np.mean(seen) < np.mean(naive)
    assert np.mean(seen) - np.mean(cautious) < 0.15


def test_genes_are_matched_over_identifier_spaces() -> None:
    table, second = found_in(cohort(1)), cohort(2)
    second.var_names = [f"ENSX{i}" for i in range(second.n_vars)]
    second = second[:, 10:].copy()
    result = replicate_externally(table, second, contrast=CONTRAST, n_permutations=0)
    rows = result.table().set_index("feature")
    assert (rows.loc[rows["status"] != "not measured", "matched_by"] == "gene").all()
    assert rows.loc["P20", "cohort_feature"] == "ENSX20"
    assert (
        (rows.loc[[name for name in rows.index if name in {f"P{i}" for i in range(10)}], "status"])
        .eq("not measured")
        .all()
    )
    assert "not measured" in result.warnings[0]
    by_id = replicate_externally(table, second, contrast=CONTRAST, match="id", n_permutations=0)
    assert by_id.values["n_measured"] == 0
    assert by_id.values["rate"] is None


def test_the_fullest_of_several_features_is_taken() -> None:
    found = match_features(["x"], ["ACTB"], ["a", "b", "c"], ["ACTB", "ACTB", "GAPDH"], np.array([3, 9, 9]))
    assert found.place.tolist() == [1]
    assert found.n_alternatives.tolist() == [2]


def test_bad_input_and_no_findings() -> None:
    table = found_in(cohort(1, changed=0))
    with pytest.raises(InputError, match="'se'"):
        replicate_externally(table.drop(columns="se"), cohort(2), contrast=CONTRAST)
    with pytest.raises(InputError, match="1 features are duplicated, such as 'P0'"):
        replicate_externally(pd.concat([table, table[:1]]), cohort(2), contrast=CONTRAST)
    with pytest.raises(InputError, match="column 'q' is not numeric"):
        replicate_externally(table.assign(q="low"), cohort(2), contrast=CONTRAST)
    with pytest.raises(InputError, match="no level 'sick'"):
        replicate_externally(table, cohort(2), contrast={"factor": "group", "a": "sick", "b": "control"})
    nothing = replicate_externally(table, cohort(2), contrast=CONTRAST, discovery_level=1e-9)
    assert nothing.table().empty
    assert "nothing to replicate" in nothing.warnings[0]


# ------------------------------------------------------------------------------------------------- splitting


def test_subjects_stay_whole_and_strata_even() -> None:
    data = cohort(1, n=60)
    data.obs["subject"] = [f"u{i // 2:02d}" for i in range(60)]
    data.obs["site"] = np.repeat(["north", "south", "east"], 20)
    result = split_cohort(data, by=("group", "site"), subject="subject", seed=4)
    table = result.table()
    assert (table.groupby("subject")["part"].nunique() == 1).all()
    assert result.values["n_discovery"] == 18
    share = table.assign(first=table["part"] == "discovery").groupby("stratum")["first"].mean()
    assert share.between(0.4, 0.8).all()
    first, second = result.dataset("discovery"), result.dataset("confirmation")
    assert not set(first.obs_names) & set(second.obs_names)
    assert first.n_obs + second.n_obs == 60
    again = split_cohort(data, by=("group", "site"), subject="subject", seed=5)
    assert not table["part"].equals(again.table()["part"])


def test_a_split_is_refused_where_it_cannot_confirm() -> None:
    data = cohort(1, n=10)
    data.obs["rare"] = ["x"] * 3 + ["y"] * 7
    with pytest.raises(InputError, match="level 'x' of 'rare' has 3 subjects"):
        split_cohort(data, by=("rare",))
    with pytest.raises(InputError, match="no column 'groups'"):
        split_cohort(data, by=("groups",))
    with pytest.raises(InputError, match="no samples"):
        split_cohort(data[:0].copy(), by=("group",))
    data.obs["empty"] = np.nan
    with pytest.raises(InputError, match="'empty' has no value"):
        split_cohort(data, by=("empty",))
    data.obs_names = ["s0", *data.obs_names[:-1]]
    with pytest.raises(InputError, match="1 sample names are duplicated"):
        split_cohort(data, by=("group",))


def test_tau_is_confirmed_in_the_other_part_of_the_cohort(shared_data: Path) -> None:
    folder = shared_data / "clinical_alzheimer_csf_bader"
    proteome = pd.read_csv(folder / "proteome.csv.gz", index_col=0)
    sheet = pd.read_csv(folder / "meta.csv", index_col=0).loc[proteome.index]
    sheet.columns = ["site", *sheet.columns[1:8], "diagnosis", *sheet.columns[9:]]
    known = sheet["diagnosis"].notna().to_numpy()
    x = proteome.to_numpy(float)[known]
    x = np.log2(np.where(x > 0, x, np.nan)) if np.nanmax(x) > 100 else x
    data = anndata.AnnData(x, obs=sheet[known], var=pd.DataFrame(index=proteome.columns))
    levels = sorted(set(data.obs["diagnosis"]))
    contrast = {"factor": "diagnosis", "a": levels[0], "b": levels[1], "covariates": ("site",)}
    parts = split_cohort(data, by=("diagnosis", "site"), seed=1)
    first = differential_abundance(parts.dataset("discovery"), contrast=contrast).table()
    result = replicate_externally(
        first, parts.dataset("confirmation"), contrast=contrast, n_permutations=19, seed=1
    )
    rows = result.table().set_index("feature")
    assert rows.loc[[name for name in rows.index if "P10636" in name], "replicated"].any()
    assert result.values["sign_agreement"] > 0.85
    assert result.values["p_permutation"] == pytest.approx(0.05)
    assert result.values["rate"] < result.values["naive_rate"]
