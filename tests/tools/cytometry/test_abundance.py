"""Abundance by subject: planted changes are found, cells are never the unit, and shares add up to one."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nereus.errors import InputError
from nereus.tools import registry
from nereus.tools.cytometry.abundance import count_cells, log_shares
from tests.tools.cytometry.planted import STIMULATION, planted_cells

abundance = registry.get("cell_abundance_test")
CONTRAST = {"factor": "group", "a": "a", "b": "b"}


def counted(counts: np.ndarray, sheet: pd.DataFrame) -> anndata.AnnData:
    """A table of cells with these counts, shape (samples, populations)."""
    n_populations = counts.shape[1]
    sample = np.repeat(np.arange(len(counts)), counts.sum(axis=1))
    population = np.concatenate([np.repeat(np.arange(n_populations), row) for row in counts])
    obs = sheet.iloc[sample].reset_index(drop=True)
    obs["population"] = np.array([f"P{i}" for i in range(n_populations)])[population]
    obs.index = obs.index.astype(str)
    return anndata.AnnData(np.zeros((len(obs), 1), dtype=np.float32), obs=obs)


def drawn(
    rng: np.random.Generator, group: np.ndarray, effect: float, spread: float = 0.5, k: int = 6
) -> np.ndarray:
    """Counts of samples whose log shares vary between samples, P0 changed in group a."""
    log_share = np.log(rng.dirichlet(np.full(k, 3.0)) + 0.02)
    log_share = log_share + rng.normal(0, spread, (len(group), k))
    log_share[:, 0] += effect * (group == "a")
    share = np.exp(log_share) / np.exp(log_share).sum(axis=1, keepdims=True)
    return np.array(
        [rng.multinomial(int(n), p) for n, p in zip(rng.integers(300, 3000, len(group)), share, strict=True)]
    )


def sheet_of(group: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"sample": [f"s{i}" for i in range(len(group))], "group": group})


def test_planted_growth_of_monocytes_is_found_in_pairs() -> None:
    cells = planted_cells(n_donors=6, n_cells=400, growth=1.5)
    cells.obs["population"] = cells.obs["truth"]
    result = abundance(cells, contrast=STIMULATION, unit="donor")
    table = result.table().set_index("population")
    assert result.values["block_model"] == "fixed"
    assert result.values["top_population"] == "Monocytes"
    assert table.loc["Monocytes", "q"] < 0.001
    assert table.loc["Monocytes", "ci_low"] < 2.0
    assert table.loc["Monocytes", "effect"] > 1.0
    assert table.loc["Monocytes", ["n_a", "n_b"]].tolist() == [6, 6]
    others = table.drop("Monocytes")
    # What else is called differs only because shares add up to one, and it is said to.
    assert (others.loc[others["q"] <= 0.05, "explained_by"] == "Monocytes").all()


def test_what_only_mirrors_the_strongest_population_is_told() -> None:
    """One population grows: the shares of all others fall, and stand still once it is out of the total."""
    rng = np.random.default_rng(9)
    group = np.repeat(["a", "b"], 6)
    with_top, without = [], []
    for _ in range(60):
        result = abundance(counted(drawn(rng, group, 3.0, spread=0.3), sheet_of(group)), contrast=CONTRAST)
        assert result.values["top_population"] == "P0"
        table = result.table()
        with_top += table["p"].iloc[1:].tolist()
        without += table["p_without_top"].iloc[1:].tolist()
    assert np.mean(np.array(with_top) < 0.05) > 0.5
    assert np.mean(np.array(without) < 0.05) < 0.1


def test_level_is_held_where_a_test_of_cells_does_not_hold_it() -> None:
    """Null: samples differ, groups do not. Cells as units find differences everywhere."""
    rng = np.random.default_rng(0)
    group = np.repeat(["a", "b"], 6)
    ours, naive = [], []
    for _ in range(120):
        counts = drawn(rng, group, 0.0)
        ours += abundance(counted(counts, sheet_of(group)), contrast=CONTRAST).table()["p"].tolist()
        a, b = counts[group == "a"].sum(axis=0), counts[group == "b"].sum(axis=0)
        naive += [
            stats.chi2_contingency([[x, a.sum() - x], [y, b.sum() - y]]).pvalue
            for x, y in zip(a, b, strict=True)
        ]
    assert np.mean(np.array(ours) < 0.05) < 0.08
    assert np.mean(np.array(ours) < 0.01) < 0.025
    assert np.mean(np.array(naive) < 0.05) > 0.6


def test_test_of_shares_is_that_of_the_linear_model() -> None:
    """The data set that comes out gives the same test in `differential_abundance`, and so its permutations."""
    group = np.repeat(["a", "b"], 5)
    result = abundance(
        counted(drawn(np.random.default_rng(1), group, 1.0), sheet_of(group)), contrast=CONTRAST
    )
    again = registry.get("differential_abundance")(result.dataset("shares"), contrast=CONTRAST).table()
    for column in ("effect", "se", "p", "q"):
        np.testing.assert_allclose(result.table()[column], again[column], rtol=1e-10)


def test_samples_of_a_subject_are_one_unit() -> None:
    group = np.repeat(["a", "b"], 8)
    rng = np.random.default_rng(2)
    counts = drawn(rng, group, 1.0)
    sheet = sheet_of(group).assign(mouse=[f"m{i // 2}" for i in range(16)])
    result = abundance(counted(counts, sheet), contrast=CONTRAST, unit="mouse")
    assert (result.values["n_units_a"], result.values["n_units_b"], result.values["n_samples"]) == (4, 4, 16)
    merged = counts.reshape(8, 2, -1).sum(axis=1)
    plain = abundance(counted(merged, sheet_of(np.repeat(["a", "b"], 4))), contrast=CONTRAST)
    np.testing.assert_allclose(result.table()["p"], plain.table()["p"])


def test_subject_told_by_the_reader_is_the_unit() -> None:
    group = np.repeat(["a", "b"], 6)
    cells = counted(
        drawn(np.random.default_rng(3), group, 0.5),
        sheet_of(group).assign(mouse=[f"m{i // 2}" for i in range(12)]),
    )
    cells.uns["nereus"] = {"subject": "mouse"}
    assert abundance(cells, contrast=CONTRAST).values["n_units_a"] == 3


def test_covariates_take_their_part_out() -> None:
    rng = np.random.default_rng(4)
    group = np.array(["a", "b"] * 8)
    batch = np.array(["x"] * 6 + ["y"] * 10)
    counts = drawn(rng, group, 0.8, spread=0.2)
    counts[batch == "y", 0] *= 4
    cells = counted(counts, sheet_of(group).assign(batch=batch))
    plain = abundance(cells, contrast=CONTRAST).table().loc[0, "se"]
    adjusted = abundance(cells, contrast={**CONTRAST, "covariates": ("batch",)}).table().loc[0, "se"]
    assert adjusted < 0.6 * plain


def test_scales_are_what_they_are_called() -> None:
    counts = np.array([[10, 30, 60]])
    np.testing.assert_allclose(log_shares(counts, "logit")[0, 0], np.log2(10.5 / 90.5))
    np.testing.assert_allclose(log_shares(counts, "clr").sum(), 0.0, atol=1e-12)
    np.testing.assert_allclose(
        log_shares(counts, "reference", 1)[0], np.log2([10.5 / 30.5, 1.0, 60.5 / 30.5])
    )
    assert count_cells(np.array([0, 0, 1, -1]), np.array([1, 1, 0, 0]), 2, 2).tolist() == [[0, 2], [1, 0]]


def test_reference_population_stands_still() -> None:
    group = np.repeat(["a", "b"], 5)
    cells = counted(drawn(np.random.default_rng(5), group, 1.0), sheet_of(group))
    table = abundance(cells, contrast=CONTRAST, transform="reference", reference="P3").table()
    assert np.isnan(table.loc[3, "p"])
    assert np.isfinite(table["p"].drop(3)).all()
    with pytest.raises(InputError, match="no population 'P9'"):
        abundance(cells, contrast=CONTRAST, transform="reference", reference="P9")


def test_rare_populations_are_not_tested() -> None:
    group = np.repeat(["a", "b"], 4)
    counts = drawn(np.random.default_rng(6), group, 0.0)
    counts[:, 5] = 2
    result = abundance(counted(counts, sheet_of(group)), contrast=CONTRAST)
    assert np.isnan(result.table().loc[5, "p"])
    assert any("too few cells" in text for text in result.warnings)


def test_a_population_absent_from_one_group_is_tested() -> None:
    group = np.repeat(["a", "b"], 4)
    counts = drawn(np.random.default_rng(7), group, 0.0, spread=0.2)
    counts[group == "a", 5], counts[group == "b", 5] = 200, 0
    table = abundance(counted(counts, sheet_of(group)), contrast=CONTRAST).table()
    assert table.loc[5, "p"] < 1e-4
    assert table.loc[5, "share_b"] == 0.0


def _cells() -> anndata.AnnData:
    group = np.repeat(["a", "b"], 3)
    return counted(drawn(np.random.default_rng(8), group, 0.0), sheet_of(group))


def test_one_sample_a_condition_is_refused() -> None:
    cells = _cells()
    kept = cells[cells.obs["sample"].isin(["s0", "s5"]).to_numpy()].copy()
    with pytest.raises(InputError, match="has 1 sample"):
        abundance(kept, contrast=CONTRAST)


@pytest.mark.parametrize(
    ("change", "params", "message"),
    [
        (lambda obs: obs.drop(columns="sample"), {}, "no column 'sample'"),
        (lambda obs: obs.drop(columns="population"), {}, "no column 'population'"),
        (lambda obs: obs.assign(population="all"), {}, "every cell is of population 'all'"),
        (
            lambda obs: obs.assign(group=np.where(np.arange(len(obs)) % 2, "a", "b")),
            {},
            "differs between cells of one",
        ),
        (lambda obs: obs, {"contrast": {"factor": "group", "a": "a", "b": "z"}}, "no level 'z'"),
        (lambda obs: obs, {"unit": "mouse"}, "no column 'mouse'"),
        (lambda obs: obs, {"min_cells": 10_000}, "no population has"),
    ],
)
def test_what_cannot_be_compared(change: object, params: dict[str, object], message: str) -> None:
    cells = _cells()
    cells.obs = change(cells.obs)  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        abundance(cells, **{"contrast": CONTRAST, **params})
