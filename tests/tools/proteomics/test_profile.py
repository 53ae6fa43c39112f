"""What the profile says about designs that are easy to get wrong."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError, PlanError
from nereus.tools.base import Result
from nereus.tools.proteomics.profile import profile_dataset
from nereus.tools.proteomics.profile.words import amounts, reference_level

RNG = np.random.default_rng(7)


def dataset(obs: pd.DataFrame, X: np.ndarray | None = None, **facts: object) -> anndata.AnnData:
    values = RNG.normal(24, 2, 60) + RNG.normal(0, 0.3, (len(obs), 60)) if X is None else X
    made = anndata.AnnData(np.asarray(values, dtype=float), obs=obs)
    if facts:
        made.uns["nereus"] = facts
    return made


def repeated(n_subjects: int, n_repeats: int) -> np.ndarray:
    """Subjects differ by 1, repeats of a subject by 0.1."""
    subjects = RNG.normal(24, 2, 60) + RNG.normal(0, 1, (n_subjects, 60))
    return np.repeat(subjects, n_repeats, axis=0) + RNG.normal(0, 0.1, (n_subjects * n_repeats, 60))


def roles(result: Result) -> dict[str, str]:
    table = result.table("columns")
    return dict(zip(table["column"], table["role"], strict=True))


def contrasts(result: Result) -> list[str]:
    return result.table("contrasts")["contrast"].tolist()


# ------------------------------------------------------------------------------------------------ unit of analysis


def test_rows_that_share_a_stem_are_one_subject() -> None:
    obs = pd.DataFrame(
        {"genotype": np.repeat(["wt", "ko"], 60)}, index=[f"{300 + i // 10}_{i % 10 + 1}" for i in range(120)]
    )
    result = profile_dataset(dataset(obs, repeated(12, 10)))
    assert result.values["n_subjects"] == 12
    assert result.values["repeats"] == "technical"
    assert result.values["replicates_per_subject"] == 10
    assert result.values["aggregate_by"] == "subject"
    row = result.table("contrasts").iloc[0]
    assert (row["contrast"], row["n_a"], row["n_b"]) == ("genotype: ko vs wt", 6, 6)
    assert list(result.dataset().obs["subject"][:11]) == ["300"] * 10 + ["301"]


def test_a_stem_that_is_the_condition_is_no_subject() -> None:
    obs = pd.DataFrame({"Condition": list("CCCDDD")}, index=["C_R1", "C_R2", "C_R3", "D_R1", "D_R2", "D_R3"])
    result = profile_dataset(dataset(obs))
    assert (result.values["repeats"], result.values["n_subjects"]) == ("none", 6)
    assert result.table("contrasts")["n_a"].tolist() == [3]


def test_numbered_samples_and_plates_are_no_subjects() -> None:
    plain = pd.DataFrame({"group": ["a", "b"] * 10}, index=[f"Sample_{i:03d}" for i in range(20)])
    plates = pd.DataFrame({"group": ["a", "b"] * 10}, index=[f"P{i // 4}_{i % 4}" for i in range(20)])
    for obs in (plain, plates):
        assert profile_dataset(dataset(obs)).values["n_subjects"] == 20


def test_stems_whose_rows_are_not_alike_are_no_subjects() -> None:
    obs = pd.DataFrame({"group": np.repeat(["a", "b"], 12)}, index=[f"s{i // 3}_{i % 3}" for i in range(24)])
    assert profile_dataset(dataset(obs, RNG.normal(24, 1, (24, 60)))).values["repeats"] == "none"
    assert profile_dataset(dataset(obs, repeated(8, 3))).values["repeats"] == "technical"


def test_a_donor_with_both_treatments_is_paired() -> None:
    obs = pd.DataFrame(
        {"donor": np.repeat([f"D{i}" for i in range(5)], 2), "treatment": ["vehicle", "drug"] * 5},
        index=[f"s{i}" for i in range(10)],
    )
    result = profile_dataset(dataset(obs))
    row = result.table("contrasts").iloc[0]
    assert (result.values["unit_of_analysis"], result.values["repeats"], result.values["keep_apart"]) == (
        "donor",
        "paired",
        "treatment",
    )
    assert (row["contrast"], bool(row["paired"]), row["n_pairs"], row["block"]) == (
        "treatment: drug vs vehicle",
        True,
        5,
        "donor",
    )
    assert result.values["aggregate_by"] is None


def test_names_such_as_p1_pre_tell_pairs() -> None:
    obs = pd.DataFrame(
        {"moment": ["pre", "post"] * 6},
        index=[f"P{i // 2 + 1:02d}_{['pre', 'post'][i % 2]}" for i in range(12)],
    )
    result = profile_dataset(dataset(obs))
    row = result.table("contrasts").iloc[0]
    assert (row["contrast"], bool(row["paired"]), row["n_pairs"]) == ("moment: post vs pre", True, 6)
    assert result.dataset().obs[row["block"]].nunique() == 6


def test_a_subject_with_one_condition_and_two_moments_is_mixed() -> None:
    obs = pd.DataFrame(
        {
            "patient": np.repeat([f"p{i}" for i in range(8)], 4),
            "disease": np.repeat(["healthy", "cancer"], 16),
            "time point": ["day 0", "day 0", "day 7", "day 7"] * 8,
        },
        index=[f"r{i}" for i in range(32)],
    )
    result = profile_dataset(dataset(obs))
    table = result.table("contrasts").set_index("factor")
    assert result.values["repeats"] == "mixed"
    assert (table.loc["disease", "n_a"], bool(table.loc["disease", "paired"])) == (4, False)
    assert table.loc["disease", "block"] == "patient"
    assert (table.loc["time point", "n_pairs"], bool(table.loc["time point", "paired"])) == (8, True)
    assert table.loc["time point", "a"] == "day 7"


def test_replicate_numbers_are_no_factor_and_reveal_technical_replicates() -> None:
    unique = pd.DataFrame({"Condition": list("aaabbb"), "Bio.Rep": [1, 2, 3, 4, 5, 6]}, index=list("uvwxyz"))
    result = profile_dataset(dataset(unique))
    assert (roles(result)["Bio.Rep"], result.values["n_subjects"]) == ("identifier", 6)
    crossed = pd.DataFrame(
        {"condition": np.repeat(["x", "y", "z"], 3), "replicate": [1.0, 2.0, 3.0] * 3},
        index=list("abcdefghi"),
    )
    result = profile_dataset(dataset(crossed))
    assert (roles(result)["replicate"], result.values["repeats"]) == ("identifier", "none")
    technical = pd.DataFrame(
        {"condition": np.repeat(["x", "y"], 6), "biorep": [1, 1, 2, 2, 3, 3] * 2, "techrep": [1, 2] * 6},
        index=[f"run{i}a" for i in range(12)],
    )
    result = profile_dataset(dataset(technical))
    assert (result.values["repeats"], result.values["n_subjects"]) == ("technical", 6)


def test_patients_numbered_anew_in_each_disease_are_different_patients() -> None:
    obs = pd.DataFrame(
        {"patient": [1, 2, 3, 4] * 2, "diagnosis": ["control"] * 4 + ["tumour"] * 4},
        index=[f"s{i}" for i in range(8)],
    )
    result = profile_dataset(dataset(obs))
    assert result.values["n_subjects"] == 8
    assert not result.table("contrasts")["paired"][0]


def test_the_users_word_on_the_subject_wins() -> None:
    obs = pd.DataFrame(
        {"group": list("aabbaabb"), "well": list("ppqqrrss")}, index=[f"s{i}" for i in range(8)]
    )
    data = dataset(obs)
    assert profile_dataset(data, subject="well").values["n_subjects"] == 4
    data.uns["nereus"] = {"subject": "well"}
    assert profile_dataset(data).values["subject_column"] == "well"
    with pytest.raises(InputError, match="no column 'nothing'"):
        profile_dataset(data, subject="nothing")


# ------------------------------------------------------------------------------------------------ roles of columns


def test_roles_of_a_clinical_sheet() -> None:
    n = 60
    obs = pd.DataFrame(
        {
            "_collection site": np.array(["Kiel", "Berlin", "Lund"])[RNG.integers(0, 3, n)],
            "age": RNG.integers(40, 90, n).astype(float),
            "gender": np.array(["m", "f"])[np.arange(n) % 2],
            "diagnosis": np.array(["biochemical control", "biochemical AD"])[np.arange(n) // 30],
            "tau [ng/L]": RNG.lognormal(6, 1, n),
            "dead": (RNG.random(n) < 0.4).astype(float),
            "overall survival days": RNG.integers(10, 3000, n).astype(float),
            "grade": RNG.integers(1, 4, n).astype(float),
            "run order": RNG.permutation(n).astype(float),
            "cohort name": ["one"] * n,
            "code": [f"c{i}" for i in range(n)],
            "raw file": [f"20240101_{i}.raw" for i in range(n)],
            "status": np.array(["control", "AD"])[np.arange(n) // 30],
        },
        index=[f"Sample_{i:03d}" for i in range(n)],
    )
    obs.loc["Sample_004", "diagnosis"] = None
    result = profile_dataset(dataset(obs))
    assert roles(result) == {
        "_collection site": "batch",
        "age": "continuous",
        "gender": "factor",
        "diagnosis": "redundant",
        "tau [ng/L]": "continuous",
        "dead": "event",
        "overall survival days": "time",
        "grade": "ordered",
        "run order": "order",
        "cohort name": "constant",
        "code": "identifier",
        "raw file": "identifier",
        "status": "factor",
    }
    columns = result.table("columns").set_index("column")
    assert columns.loc["status", "reference"] == "control"
    assert bool(columns.loc["age", "usual_covariate"])
    assert bool(columns.loc["gender", "usual_covariate"])
    assert result.values["n_events"] == int(obs["dead"].sum())
    assert result.values["time_column"] == "overall survival days"
    assert contrasts(result)[0] == "status: AD vs control"
    assert all(why for why in columns["why"])


def test_one_hot_columns_are_one_column() -> None:
    n = 100
    site = RNG.integers(0, 4, n)
    obs = pd.DataFrame(
        {
            "Kiel": (site == 0).astype(float),
            "Lund": (site == 1).astype(float),
            "Graz": (site == 2).astype(float),
            "male": RNG.integers(0, 2, n).astype(float),
            "AD": RNG.integers(0, 2, n).astype(float),
        },
        index=[f"s{i}" for i in range(n)],
    )
    result = profile_dataset(dataset(obs))
    found = roles(result)
    assert [found[name] for name in ("Kiel", "Lund", "Graz")] == ["redundant"] * 3
    assert found["Kiel_or_Lund_or_Graz"] == "batch"
    assert contrasts(result) == ["AD: 1 vs 0", "male: 1 vs 0"]
    expected = np.array(["Kiel", "Lund", "Graz", "other"])[site]
    assert list(result.dataset().obs["Kiel_or_Lund_or_Graz"]) == list(expected)


def test_rare_columns_that_never_meet_are_no_one_hot_group() -> None:
    obs = pd.DataFrame(0.0, index=[f"s{i}" for i in range(60)], columns=["stroke", "gout", "asthma"])
    for at in range(obs.shape[1]):
        obs.iloc[3 * at : 3 * at + 3, at] = 1.0
    assert set(roles(profile_dataset(dataset(obs))).values()) == {"factor"}


def test_a_product_of_factors_comes_last() -> None:
    genotype = np.repeat(["Control", "Ts65Dn"], 12)
    drug = np.tile(np.repeat(["Saline", "Memantine"], 6), 2)
    obs = pd.DataFrame(
        {
            "class": [f"{g[0]}-{d[0]}" for g, d in zip(genotype, drug, strict=True)],
            "Genotype": genotype,
            "Treatment": drug,
        }
    )
    obs.index = [f"m{i}x" for i in range(24)]
    result = profile_dataset(dataset(obs))
    table = result.table("contrasts")
    assert contrasts(result)[:2] == ["Genotype: Ts65Dn vs Control", "Treatment: Memantine vs Saline"]
    assert set(table["kind"][2:]) == {"composite"}
    assert result.values["n_factors"] == 2


def test_pairs_with_the_reference_come_first() -> None:
    obs = pd.DataFrame(
        {"bait": np.repeat(["b1", "b2", "Ctrl", "b4", "b5"], 3)}, index=[f"x{i}y" for i in range(15)]
    )
    found = contrasts(profile_dataset(dataset(obs)))
    assert len(found) == 10
    assert found[:4] == [f"bait: {bait} vs Ctrl" for bait in ("b1", "b2", "b4", "b5")]
    cut = profile_dataset(dataset(obs), max_contrasts=4)
    assert (cut.complete, cut.n_total, cut.n_returned) == (False, 10, 4)


@pytest.mark.parametrize(
    ("levels", "reference", "known"),
    [
        (["25fmol", "10fmol"], "10fmol", True),
        (["1 uM", "100 nM"], "100 nM", True),
        (["t0", "t24"], "t0", True),
        (["wild type", "knock out"], "wild type", True),
        (["DMSO", "rapamycin"], "DMSO", True),
        (["0", "1"], "0", True),
        (["1", "2"], "1", False),
        (["AD", "non-AD"], "non-AD", True),
        (["IDHmut", "IDHwt"], "IDHwt", True),
        (["tumor", "adjacent"], "adjacent", True),
        (["responder", "baseline"], "baseline", True),
        (["POSITIVE", "NEGATIVE"], "NEGATIVE", True),
        (["Resistant", "Sensitive"], "Sensitive", True),
        (["FA", "CA"], "CA", False),
        (["Ubi1", "Ubi6", "Ctrl"], "Ctrl", True),
    ],
)
def test_reference_level(levels: list[str], reference: str, known: bool) -> None:
    assert reference_level(levels)[:2] == (reference, known)


def test_amounts_need_one_unit() -> None:
    assert amounts(["6A", "6B"]) is None
    assert amounts(["day 7", "day 14"]) == ({"day 7": 7.0, "day 14": 14.0}, True)
    assert amounts(["(40,60]", "(60,80]"]) == ({"(40,60]": 40.0, "(60,80]": 60.0}, True)
    found = amounts(["0h", "30min"])
    assert found is not None
    assert found[0]["30min"] == 1800


def test_groups_come_from_names_without_a_sheet() -> None:
    obs = pd.DataFrame(index=[f"{moment}_Set{plex}" for plex in (1, 2, 3) for moment in ("E15", "P0", "P9")])
    result = profile_dataset(dataset(obs))
    assert roles(result) == {"group": "ordered", "set": "batch"}
    assert "groups_from_names" in set(result.table("notices")["notice"])
    assert contrasts(result)[0] == "group: P0 vs E15"
    two = pd.DataFrame(
        index=[
            f"Hepa1.6_{t}_{i}" if cell else f"FL83B_{t}_{i}"
            for cell in (0, 1)
            for t in ("Ctrl", "Ins")
            for i in range(3)
        ]
    )
    assert len(contrasts(profile_dataset(dataset(two)))) == 2
    nothing = profile_dataset(dataset(pd.DataFrame(index=[f"S{i}" for i in range(6)])))
    assert "no_contrast" in set(nothing.table("notices")["notice"])
    assert contrasts(nothing) == []


# ------------------------------------------------------------------------------------- confounding, missingness, ...


def test_a_factor_that_is_the_batch_is_refused() -> None:
    obs = pd.DataFrame(
        {"group": ["case"] * 6 + ["control"] * 6, "plate": ["p1"] * 6 + ["p2"] * 6},
        index=[f"s{i}" for i in range(12)],
    )
    result = profile_dataset(dataset(obs))
    assert result.table("contrasts")["refused"][0] == "cannot separate from 'plate'; Cramér's V = 1.00"
    assert result.table("confounding")["verdict"][0] == "cannot separate"
    assert result.values["main_contrast"] is None
    assert result.values["n_refusals"] == 2


def test_channels_without_a_sample_are_no_groups() -> None:
    levels = ["monocyte", "macrophage", "Carrier", "Blank", "Reference"]
    obs = pd.DataFrame({"type": np.repeat(levels, 4)}, index=[f"s{i:02d}" for i in range(20)])
    refused = result_by_contrast(profile_dataset(dataset(obs)), "refused")
    free = [contrast for contrast, why in refused.items() if not why]
    assert len(free) == 1
    assert set(free[0].removeprefix("type: ").split(" vs ")) == {"monocyte", "macrophage"}
    assert all("channel of the labelling" in str(why) for why in refused.values() if why)
    carriers = pd.DataFrame({"mutation": ["carrier", "none"] * 4}, index=[f"s{i}" for i in range(8)])
    assert set(result_by_contrast(profile_dataset(dataset(carriers)), "refused").values()) == {""}


def test_confounding_is_judged_within_each_contrast() -> None:
    obs = pd.DataFrame(
        {"arm": ["a"] * 4 + ["b"] * 4 + ["c"] * 4, "site": ["x"] * 4 + ["y", "y", "z", "z"] * 2},
        index=[f"s{i}" for i in range(12)],
    )
    refused = result_by_contrast(profile_dataset(dataset(obs)), "refused")
    assert refused["arm: c vs b"] == ""
    assert "cannot separate" in refused["arm: b vs a"]


def result_by_contrast(result: Result, column: str) -> dict[str, object]:
    table = result.table("contrasts")
    return dict(zip(table["contrast"], table[column], strict=True))


def test_two_a_group_is_description_and_one_is_nothing() -> None:
    obs = pd.DataFrame({"group": list("aabbc")}, index=list("vwxyz"))
    result = profile_dataset(dataset(obs))
    assert contrasts(result) == ["group: b vs a"]
    assert bool(result.table("contrasts")["descriptive"][0])
    assert {"no_contrast", "single: group"} <= set(result.table("notices")["notice"])


def test_condition_linked_missingness_is_found_and_random_missingness_is_not() -> None:
    obs = pd.DataFrame({"group": np.repeat(["a", "b"], 8)}, index=[f"s{i}" for i in range(16)])
    X = RNG.normal(24, 1, (16, 200))
    X[RNG.random(X.shape) < 0.2] = np.nan
    assert profile_dataset(dataset(obs, X)).values["condition_linked_missingness"] is False
    X[:8, :20] = np.nan
    X[8:, :20] = 20
    result = profile_dataset(dataset(obs, X))
    assert result.values["condition_linked_missingness"] is True
    assert result.table("factors")["n_exclusive"].tolist() == [20, 20]


def test_missingness_of_a_batch_is_not_blamed_on_the_condition() -> None:
    site = np.repeat(["x", "y"], 20)
    group = np.array(["a"] * 15 + ["b"] * 5 + ["a"] * 5 + ["b"] * 15)
    X = RNG.normal(24, 1, (40, 200))
    X[:20, :100][RNG.random((20, 100)) < 0.6] = np.nan
    obs = pd.DataFrame({"group": group, "site": site}, index=[f"s{i}" for i in range(40)])
    assert profile_dataset(dataset(obs, X)).values["condition_linked_missingness"] is False


def test_batches_and_outliers_show() -> None:
    obs = pd.DataFrame(
        {"group": ["a", "b"] * 10, "lab": np.repeat(["l1", "l2"], 10)}, index=[f"s{i}" for i in range(20)]
    )
    X = RNG.normal(24, 2, 100) + RNG.normal(0, 0.3, (20, 100))
    X[10:] += RNG.normal(0, 1, 100)
    X[3] = RNG.normal(24, 2, 100)
    result = profile_dataset(dataset(obs, X))
    assert result.values["batch_covariates"] == "lab"
    assert result.values["outliers"] == "s3"


def test_covariates_are_what_varies_within_the_contrast() -> None:
    n = 80
    rng = np.random.default_rng(1)
    lab = np.tile(["l1", "l2"], n // 2)
    X = rng.normal(24, 2, 100) + rng.normal(0, 0.3, (n, 100))
    X[lab == "l2"] += rng.normal(0, 1, 100)
    diagnosis = np.repeat(["AD", "control"], n // 2)
    obs = pd.DataFrame(
        {
            "diagnosis": diagnosis,
            "clinical diagnosis": np.where(np.arange(n) == 3, "control", diagnosis),
            "lab": lab,
            "age": rng.normal(60, 9, n),
            "sex": np.array(["f", "m"])[rng.integers(0, 2, n)],
            "bmi": np.where(np.arange(n) < 50, np.nan, rng.normal(25, 3, n)),
        },
        index=[f"s{i}" for i in range(n)],
    )
    found = result_by_contrast(profile_dataset(dataset(obs, X)), "covariates")
    chosen = str(found["diagnosis: AD vs control"]).split(";")
    assert chosen[0] == "lab"
    assert set(chosen) == {"lab", "age", "sex"}


def test_bad_input_is_refused_with_a_mend() -> None:
    obs = pd.DataFrame({"group": list("aabb")}, index=list("wxyz"))
    sparse = np.full((4, 60), np.nan)
    sparse[:, :6] = 20
    infinite = np.full((4, 60), 20.0)
    infinite[1, 2] = np.inf
    for X, message in (
        (sparse, "90% of the values are missing"),
        (np.full((4, 60), 1e6), "not on the log scale"),
        (infinite, "infinite"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            profile_dataset(dataset(obs, X))
        assert caught.value.mend
    with pytest.raises(InputError, match="1 sample"):
        profile_dataset(dataset(obs[:1]))
    with pytest.raises(PlanError, match="unknown_option"):
        profile_dataset(dataset(obs), unknown_option=1)


def test_the_result_is_the_same_again_and_the_input_unchanged() -> None:
    obs = pd.DataFrame(
        {"group": np.repeat(["a", "b"], 6), "x y/z": np.arange(12.0) ** 2},
        index=[f"m{i // 3}_{i % 3}" for i in range(12)],
    )
    data = dataset(obs, repeated(4, 3))
    before = data.copy()
    first, second = profile_dataset(data, seed=3), profile_dataset(data, seed=3)
    assert dict(first.values) == dict(second.values)
    for name, table in first.tables.items():
        pd.testing.assert_frame_equal(table, second.tables[name])
    pd.testing.assert_frame_equal(data.obs, before.obs)
    np.testing.assert_array_equal(data.X, before.X)
    assert data.uns.keys() == before.uns.keys()


def test_rows_may_come_in_any_order() -> None:
    obs = pd.DataFrame(
        {"genotype": np.repeat(["wt", "ko"], 12)}, index=[f"m{i // 4}_{i % 4}" for i in range(24)]
    )
    X = repeated(6, 4)
    order = RNG.permutation(24)
    straight, shuffled = profile_dataset(dataset(obs, X)), profile_dataset(dataset(obs.iloc[order], X[order]))
    for name in ("n_subjects", "repeats", "main_contrast", "unit_of_analysis"):
        assert straight.values[name] == shuffled.values[name]


@pytest.mark.parametrize("first", ["age", "status"])
def test_an_event_in_words_is_related_to_numbers_by_its_levels(first: str) -> None:
    n = 40
    rng = np.random.default_rng(3)
    died = rng.random(n) < 0.5
    columns = {
        "age": 50 + 20 * died + rng.normal(0, 3, n).round(1),
        "status": np.where(died, "deceased", "alive"),
    }
    sheet = {first: columns[first], **columns, "survival days": rng.integers(10, 3000, n).astype(float)}
    result = profile_dataset(dataset(pd.DataFrame(sheet, index=[f"s{i}" for i in range(n)])))
    assert roles(result)["status"] == "event"
    related = result.table("confounding").set_index("pair").loc["status | age"]
    assert related["eta2"] > 0.8
    assert np.isnan(related["correlation"])
