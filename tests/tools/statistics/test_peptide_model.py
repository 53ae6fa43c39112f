"""Proteins from peptides: false findings by simulation, few peptides, odd peptides, spike-ins."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from nereus.errors import InputError
from nereus.tools.proteomics.summarise import summarise_peptides
from nereus.tools.statistics.differential import differential_abundance
from nereus.tools.statistics.peptide_model import peptide_model
from nereus.tools.statistics.two_way import sample_effects

CONTRAST = {"factor": "group", "a": "a", "b": "b"}


def peptides(
    n: int = 5,
    proteins: int = 300,
    changed: int = 0,
    lfc: float = 1.5,
    sample_sd: float = 0.2,
    missing: float = 0.2,
    seed: int = 0,
) -> anndata.AnnData:
    """log2 peptide values of `n` against `n` samples; proteins have one to eight peptides."""
    rng = np.random.default_rng(seed)
    count = rng.integers(1, 9, proteins)
    of = np.repeat(np.arange(proteins), count)
    protein = rng.normal(0, sample_sd, (2 * n, proteins))
    protein[:n, :changed] += lfc
    noise = 0.4 * np.sqrt(rng.gamma(4, 0.25, proteins))[of]
    x = rng.normal(22, 2, len(of)) + protein[:, of] + rng.normal(size=(2 * n, len(of))) * noise
    x[rng.random(x.shape) < missing] = np.nan
    obs = pd.DataFrame({"group": ["a"] * n + ["b"] * n}, index=[f"s{i}" for i in range(2 * n)])
    var = pd.DataFrame(
        {"protein_group": [f"P{i}" for i in of], "gene": [f"G{i}" for i in of]},
        index=[f"pep{i}" for i in range(len(of))],
    )
    return anndata.AnnData(x, obs=obs, var=var, uns={"nereus": {"level": "peptide"}})


def test_two_way_fit_is_least_squares() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=(6, 1)) * 3 + rng.normal(size=(1, 7)) + rng.normal(0, 0.2, (6, 7))
    y[rng.random(y.shape) < 0.25] = np.nan
    fit = sample_effects(y, robust=False)
    at = np.argwhere(np.isfinite(y))
    design = np.column_stack([np.eye(6)[at[:, 0]], np.eye(7)[at[:, 1]][:, 1:]])
    reference = sm.OLS(y[np.isfinite(y)], design).fit()
    np.testing.assert_allclose(np.diff(fit.profile), np.diff([0, *reference.params[6:]]), atol=1e-9)
    assert fit.variance == pytest.approx(reference.mse_resid)
    assert fit.df == reference.df_resid


def test_one_odd_peptide_is_outvoted() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(20, 2, (7, 1)) + np.r_[np.zeros(5), np.ones(5)] + rng.normal(0, 0.05, (7, 10))
    y[0, 5:] -= 6
    robust = sample_effects(y).profile
    plain = sample_effects(y, robust=False).profile
    assert robust[5:].mean() - robust[:5].mean() == pytest.approx(1.0, abs=0.12)
    assert plain[5:].mean() - plain[:5].mean() < 0.3


def test_samples_that_share_no_peptide_are_left_out() -> None:
    y = np.array([[1.0, 2.0, 3.0, np.nan], [np.nan, np.nan, np.nan, 9.0]])
    fit = sample_effects(y)
    assert np.isnan(fit.profile[3])
    assert np.isfinite(fit.profile[:3]).all()


@pytest.mark.parametrize("sample_sd", [0.0, 0.3])
def test_false_findings_without_a_difference(sample_sd: float) -> None:
    p, found = [], 0
    for seed in range(8):
        table = peptide_model(peptides(seed=seed, sample_sd=sample_sd), contrast=CONTRAST, background="none")
        p.append(table.table()["p"].dropna().to_numpy())
        found += table.values["n_significant"] > 0
    share = float(np.mean(np.concatenate(p) < 0.05))
    assert 0.03 < share < 0.065
    assert found <= 2


def test_peptides_as_replicates_would_lie() -> None:
    """Ordinary regression on all peptide values of a protein: the naive arm."""
    wrong, ours = [], []
    for seed in range(3):
        given = peptides(seed=seed, sample_sd=0.4, proteins=150)
        group = (given.obs["group"] == "a").to_numpy(float)
        for _, rows in given.var.groupby("protein_group").groups.items():
            y = given[:, rows].X
            at = np.argwhere(np.isfinite(y))
            level = np.eye(y.shape[1])[at[:, 1]]
            fit = sm.OLS(y[np.isfinite(y)], np.column_stack([group[at[:, 0]], level])).fit()
            if fit.df_resid > 2:
                wrong.append(fit.pvalues[0])
        ours.append(peptide_model(given, contrast=CONTRAST, background="none").table()["p"].dropna())
    assert np.mean(np.array(wrong) < 0.05) > 0.15
    assert np.mean(np.concatenate(ours) < 0.05) < 0.075


def test_changes_are_found_and_few_peptides_cost() -> None:
    given = peptides(changed=60, lfc=1.2, seed=4)
    before = np.array(given.X)
    result = peptide_model(given, contrast=CONTRAST, background="none")
    table = result.table().set_index("feature")
    truth = table.index.isin([f"P{i}" for i in range(60)])
    found = table["q"] <= 0.05
    assert found[truth].mean() > 0.6
    assert (found & ~truth).sum() <= 0.1 * max(found.sum(), 1)
    assert table.loc[truth, "effect"].median() == pytest.approx(1.2, abs=0.15)
    few, many = table["n_peptides"] <= 2, table["n_peptides"] >= 6
    assert table.loc[few, "se"].median() > 1.2 * table.loc[many, "se"].median()
    assert table.loc["P3", "gene"] == "G3"
    assert list(result.table().columns[:13]) == list(
        differential_abundance(summarise_peptides(given).dataset(), contrast=CONTRAST).table().columns[:13]
    )
    np.testing.assert_array_equal(given.X, before)


def test_bad_input() -> None:
    given = peptides(proteins=5)
    wrong, nameless = given.copy(), given.copy()
    wrong.uns["nereus"] = {"level": "protein"}
    del nameless.var["protein_group"]
    with pytest.raises(InputError, match="values of proteins"):
        peptide_model(wrong, contrast=CONTRAST)
    with pytest.raises(InputError, match="no column names the protein"):
        peptide_model(nameless, contrast=CONTRAST)
    with pytest.raises(InputError, match="no protein has 20"):
        peptide_model(given, contrast=CONTRAST, min_peptides=20)
    with pytest.raises(InputError, match="no level 'x'"):
        peptide_model(given, contrast={"factor": "group", "a": "x", "b": "b"})


def test_spiked_proteins_in_constant_yeast(shared_data: Path) -> None:
    """UPS1 100 against 10 fmol: the spiked proteins, and hardly any yeast; the protein-level test beside it."""
    raw = pd.read_csv(
        shared_data / "spike_ups1_yeast_ramus" / "Exp2_R10_pept.txt.gz", sep="\t", low_memory=False
    )
    for column in ("Reverse", "Potential_contaminant"):
        raw = raw[~raw[column].astype(str).str.contains("+", regex=False)]
    runs = [f"Intensity_{amount}_R{i}" for amount in (10, 100) for i in (1, 2, 3)]
    x = raw[runs].to_numpy(float).T
    x = np.log2(np.where(x > 0, x, np.nan))
    x -= np.nanmedian(x, axis=1, keepdims=True)
    given = anndata.AnnData(
        x,
        obs=pd.DataFrame({"amount": ["low"] * 3 + ["high"] * 3}, index=runs),
        var=pd.DataFrame(
            {"protein_group": raw["Leading_razor_protein"].astype(str).to_numpy()}, index=raw["Sequence"]
        ),
        uns={"nereus": {"level": "peptide"}},
    )
    contrast = {"factor": "amount", "a": "high", "b": "low"}
    ours = peptide_model(given, contrast=contrast).table()
    naive = differential_abundance(summarise_peptides(given).dataset(), contrast=contrast).table()

    def hits(table: pd.DataFrame) -> tuple[int, int]:
        spiked = table["feature"].str.contains("ups", case=False)
        found = table["q"] <= 0.05
        return int((found & spiked).sum()), int((found & ~spiked).sum())

    true, false = hits(ours)
    assert true >= 41
    assert false <= 6
    assert hits(naive)[1] > 200
