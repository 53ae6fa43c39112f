"""Limited proteolysis: the protein's change taken off, proteins ranked from their peptides, a known drug target."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nereus.errors import InputError
from nereus.tools.proteomics.limited_proteolysis import limited_proteolysis

DRUG = {"factor": "drug", "a": "yes", "b": "no"}
N_PROTEINS, N_PEPTIDES, N = 150, 8, 12


def digests(seed: int = 1) -> tuple[anndata.AnnData, anndata.AnnData]:
    """Proteins 0 to 9 double in amount; peptides 0 to 2 of proteins 5 to 14 change by themselves.

    Returns the limited digest (peptides) and the full digest (proteins), of different runs of the same groups.
    """
    rng = np.random.default_rng(seed)
    treated = np.repeat([1.0, 0.0], N // 2)[:, None]
    obs = pd.DataFrame({"drug": np.where(treated[:, 0] > 0, "yes", "no")}, index=[f"s{i}" for i in range(N)])
    more = np.zeros(N_PROTEINS)
    more[:10] = 1.5
    proteins = rng.normal(25, 2, N_PROTEINS) + rng.normal(0, 0.15, (N, N_PROTEINS)) + treated * more
    own = np.zeros((N_PROTEINS, N_PEPTIDES))
    own[5:15, :3] = [2.0, -2.0, 2.0]
    level = rng.normal(22, 2, (N_PROTEINS, N_PEPTIDES))
    change = (more[:, None] + own).ravel()
    peptides = level.ravel() + rng.normal(0, 0.3, (N, N_PROTEINS * N_PEPTIDES)) + treated * change
    names = [f"P{i}" for i in range(N_PROTEINS)]
    var = pd.DataFrame(
        {
            "protein": np.repeat(names, N_PEPTIDES),
            "gene": np.repeat([f"G{i}" for i in range(N_PROTEINS)], N_PEPTIDES),
        },
        index=[f"{name}_{k}" for name in names for k in range(N_PEPTIDES)],
    )
    full = obs.copy()
    full.index = [f"full{i}" for i in range(N)]
    return (
        anndata.AnnData(peptides, obs=obs, var=var),
        anndata.AnnData(proteins, obs=full, var=pd.DataFrame(index=names)),
    )


def test_a_change_in_amount_is_no_change_in_structure() -> None:
    peptides, proteins = digests()
    blind = limited_proteolysis(peptides, contrast=DRUG)
    found = blind.table("targets").query("q <= 0.05")["feature"]
    assert set(found) >= {f"P{i}" for i in range(15)}
    assert any("change in amount" in text for text in blind.warnings)
    seeing = limited_proteolysis(peptides, proteins, contrast=DRUG)
    targets = seeing.table("targets").set_index("feature")
    found = targets.query("q <= 0.05").index
    assert set(found) >= {f"P{i}" for i in range(5, 15)}
    assert len(set(found) & {f"P{i}" for i in range(5)}) == 0
    assert len(found) <= 11
    assert targets.loc["P0", "protein_effect"] == pytest.approx(1.5, abs=0.4)
    assert (targets.loc[[f"P{i}" for i in range(5, 15)], "n_changed"] == 3).sum() >= 8
    assert targets.loc["P7", "gene"] == "G7"
    assert targets.loc["P7", "lead_peptide"] in {"P7_0", "P7_1", "P7_2"}


def test_effects_and_variances_of_peptide_and_protein_are_joined() -> None:
    peptides, proteins = digests()
    table = limited_proteolysis(peptides, proteins, contrast=DRUG, method="ordinary_t").table("peptides")
    for row in (3, 45, 700):
        code = int(table.loc[row, "protein"][1:])
        parts = [(peptides.X[:6, row], peptides.X[6:, row]), (proteins.X[:6, code], proteins.X[6:, code])]
        effects = [a.mean() - b.mean() for a, b in parts]
        squares = [(a.var(ddof=1) + b.var(ddof=1)) / 2 / 3 for a, b in parts]
        assert table.loc[row, "effect"] == pytest.approx(effects[0] - effects[1])
        assert table.loc[row, "raw_effect"] == pytest.approx(effects[0])
        assert table.loc[row, "protein_effect"] == pytest.approx(effects[1])
        assert table.loc[row, "se"] == pytest.approx(np.sqrt(sum(squares)))
        df = sum(squares) ** 2 / sum(s**2 / 10 for s in squares)
        assert table.loc[row, "df"] == pytest.approx(df)
        t = (effects[0] - effects[1]) / np.sqrt(sum(squares))
        assert table.loc[row, "p"] == pytest.approx(2 * stats.t.sf(abs(t), df))
    assert table["adjusted"].all()


def test_proteins_are_matched_by_any_accession_and_the_rest_is_said() -> None:
    peptides, proteins = digests()
    base = limited_proteolysis(peptides, proteins, contrast=DRUG).table("peptides")
    renamed = proteins[:, :100].copy()
    renamed.var_names = [f"Q{i};{name}" for i, name in enumerate(renamed.var_names)]
    result = limited_proteolysis(peptides, renamed, contrast=DRUG)
    table = result.table("peptides")
    assert table["adjusted"].sum() == 100 * N_PEPTIDES
    assert result.values["n_adjusted"] == 100 * N_PEPTIDES
    np.testing.assert_allclose(table.loc[:799, "effect"], base.loc[:799, "effect"])
    np.testing.assert_allclose(table.loc[800:, "effect"], table.loc[800:, "raw_effect"])
    assert any("without a measured change" in text for text in result.warnings)


@pytest.mark.parametrize("combine", ["simes", "acat"])
def test_many_peptides_are_no_evidence(combine) -> None:
    """A protein of a hundred peptides is no likelier a target than one of two when nothing changes."""
    rng = np.random.default_rng(3)
    sizes = np.tile([2, 5, 20, 100], 60)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    X = rng.normal(20, 0.4, (8, len(owner)))
    obs = pd.DataFrame({"drug": ["yes"] * 4 + ["no"] * 4}, index=[f"s{i}" for i in range(8)])
    var = pd.DataFrame({"protein": [f"P{i}" for i in owner]}, index=[f"pep{i}" for i in range(len(owner))])
    result = limited_proteolysis(anndata.AnnData(X, obs=obs, var=var), contrast=DRUG, combine=combine)
    targets = result.table("targets")
    assert targets["feature"].tolist() == [f"P{i}" for i in range(240)]
    assert targets["n_peptides"].tolist() == sizes.tolist()
    for size in (2, 5, 20, 100):
        assert np.mean(targets.loc[targets["n_peptides"] == size, "p"] < 0.1) < 0.25
    assert np.mean(targets["p"] < 0.05) < 0.09
    assert result.values["n_targets"] == 0


def test_null_and_stability_of_targets() -> None:
    peptides, proteins = digests()
    result = limited_proteolysis(peptides, proteins, contrast=DRUG, n_permutations=20, n_subsamples=10)
    targets = result.table("targets").set_index("feature")
    assert targets.loc[[f"P{i}" for i in range(5, 15)], "stability"].min() >= 0.9
    assert targets.loc[[f"P{i}" for i in range(20, 150)], "stability"].median() <= 0.2
    assert result.values["null_mean"] < 2
    assert result.values["n_permutations"] == 20


def test_a_least_change_of_interest_is_kept_to() -> None:
    peptides, proteins = digests()
    plain = limited_proteolysis(peptides, proteins, contrast=DRUG).table("peptides")
    strict = limited_proteolysis(peptides, proteins, contrast=DRUG, lfc_min=1.0).table("peptides")
    tested = plain["p"].notna()
    assert (strict.loc[tested, "p"] > plain.loc[tested, "p"]).all()
    assert (strict["q"] <= 0.05).sum() >= 20


def test_bad_input_is_named() -> None:
    peptides, proteins = digests()
    with pytest.raises(InputError, match="no column 'parent'"):
        limited_proteolysis(peptides, contrast=DRUG, protein="parent")
    whole = peptides.copy()
    whole.uns["nereus"] = {"level": "protein"}
    with pytest.raises(InputError, match="holds proteins"):
        limited_proteolysis(whole, contrast=DRUG)
    orphans = peptides.copy()
    orphans.var["protein"] = [""] * 3 + orphans.var["protein"].tolist()[3:]
    with pytest.raises(InputError, match="3 peptides have no protein"):
        limited_proteolysis(orphans, contrast=DRUG)
    foreign = proteins.copy()
    foreign.obs = foreign.obs.rename(columns={"drug": "treatment"})
    with pytest.raises(InputError, match="protein data set: the sample sheet has no column 'drug'"):
        limited_proteolysis(peptides, foreign, contrast=DRUG)
    with pytest.raises(InputError, match="no level 'maybe'"):
        limited_proteolysis(peptides, contrast={**DRUG, "a": "maybe"})


def test_rapamycin_hits_fkbp1a_and_nothing_else(shared_data: Path) -> None:
    """Piazza et al. 2020: of fifty proteins, FKBP1A (P62942) is the target of rapamycin."""
    long = pd.read_csv(shared_data / "lip_rapamycin_protti" / "rapamycin_10uM.csv.gz")
    long["log"] = np.log2(long["fg_quantity"])
    wide = long.pivot_table(index="r_file_name", columns="eg_precursor_id", values="log")
    protein = long.groupby("eg_precursor_id")["pg_protein_accessions"].first()[wide.columns]
    obs = long.groupby("r_file_name")[["r_condition"]].first().loc[wide.index]
    X = wide.to_numpy()
    X = X - np.nanmedian(X, axis=1, keepdims=True) + np.nanmedian(X)
    var = pd.DataFrame({"protein": protein.to_numpy()}, index=wide.columns)
    data = anndata.AnnData(X, obs=obs, var=var)
    contrast = {"factor": "r_condition", "a": "rapamycin", "b": "control"}
    for combine in ("simes", "acat"):
        result = limited_proteolysis(data, contrast=contrast, combine=combine, n_subsamples=16)
        targets = result.table("targets")
        assert targets.query("q <= 0.05")["feature"].tolist() == ["P62942"]
        assert result.values["first_target"] == "P62942"
        assert targets.set_index("feature").loc["P62942", "stability"] == 1.0
        smallest = result.table("peptides").nsmallest(10, "p")
        assert (smallest["protein"] == "P62942").sum() >= 9
