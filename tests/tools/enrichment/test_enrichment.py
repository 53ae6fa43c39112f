"""Over-representation and GSEA: against other implementations, on known truth, and where nothing can be tested."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from nereus.errors import InputError, PlanError
from nereus.tools import registry
from nereus.tools.enrichment.camera import camera_test, estimated_inflation, preset_inflation, residuals
from nereus.tools.enrichment.collections import load_sets
from nereus.tools.enrichment.gene_level import gene_level
from nereus.tools.enrichment.gsea import enrichment_scores
from nereus.tools.enrichment.score_null import normalise_scores, null_scores, null_sizes
from tests.tools.cases import CONTRAST, csf, run

ora, gsea = registry.get("enrichment_ora"), registry.get("enrichment_gsea")
CLASSES = {"factor": "p53", "a": "WT", "b": "MUT"}


def compared(data: anndata.AnnData, is_a: np.ndarray) -> pd.DataFrame:
    a, b = np.asarray(data.X)[is_a], np.asarray(data.X)[~is_a]
    p = stats.ttest_ind(a, b).pvalue
    table = pd.DataFrame({"feature": data.var_names, "gene": data.var["gene"].to_numpy()})
    return table.assign(effect=a.mean(axis=0) - b.mean(axis=0), p=p, q=stats.false_discovery_control(p))


@pytest.fixture(scope="module")
def p53(shared_data: Path) -> anndata.AnnData:
    folder = shared_data / "genesets"
    table = pd.read_csv(folder / "gsea_p53_expression.txt.gz", sep="\t")
    classes = (folder / "gsea_p53.cls").read_text().split("\n")[2].split()
    var = pd.DataFrame({"gene": table["NAME"].to_numpy(str)}, index=[f"f{i}" for i in range(len(table))])
    obs = pd.DataFrame({"p53": classes}, index=table.columns[2:])
    return anndata.AnnData(np.log2(table.iloc[:, 2:].to_numpy(float).clip(1)).T, obs=obs, var=var)


# ------------------------------------------------------------------------------------------------- the statistics


def test_scores_equal_those_of_gseapy() -> None:
    import gseapy

    rng = np.random.default_rng(3)
    genes = [f"g{i}" for i in range(400)]
    z = np.sort(rng.normal(size=400))[::-1]
    sets = {
        f"s{k}": sorted(rng.choice(400, size, replace=False)) for k, size in enumerate([12, 12, 40, 41, 90])
    }
    sets["top"] = list(range(25))
    theirs = gseapy.prerank(
        rnk=pd.Series(z, index=genes), gene_sets={k: [genes[i] for i in v] for k, v in sets.items()}, permutation_num=2000,
        threads=1, seed=5, outdir=None, min_size=5, max_size=200, no_plot=True, verbose=False,
    ).res2d.set_index("Term")  # fmt: skip
    positions = np.concatenate(list(sets.values())).astype(np.int32)
    indptr = np.concatenate([[0], np.cumsum([len(v) for v in sets.values()])])
    ours, _ = enrichment_scores(indptr, positions, np.abs(z))
    np.testing.assert_allclose(ours, theirs.loc[list(sets), "ES"].to_numpy(float), atol=1e-9)
    sizes = np.diff(indptr)
    nulls = null_scores(null_sizes(sizes.min(), sizes.max()), np.abs(z), 4000, np.random.default_rng(1))
    nes, p, floor = normalise_scores(ours, sizes, nulls)
    np.testing.assert_allclose(nes, theirs.loc[list(sets), "NES"].to_numpy(float), rtol=0.06)
    np.testing.assert_allclose(p[:5], theirs.loc[list(sets), "NOM p-val"].to_numpy(float)[:5], atol=0.04)
    assert (p >= floor).all()
    assert p[-1] == pytest.approx(floor[-1])


def test_leading_edge_reaches_to_the_peak() -> None:
    # Members at ranks 0, 1, 2 and far below: the score peaks after the third.
    scores, peaks = enrichment_scores(np.array([0, 4]), np.array([0, 1, 2, 90]), np.ones(100))
    assert scores[0] == pytest.approx(0.75)
    assert peaks[0] == 3
    scores, peaks = enrichment_scores(np.array([0, 3]), np.array([10, 98, 99]), np.ones(100))
    assert scores[0] < 0
    assert peaks[0] == 1


def test_p_of_random_sets_is_uniform() -> None:
    rng = np.random.default_rng(11)
    z = np.sort(rng.normal(0.1, 1, 1000))[::-1]
    sizes = rng.integers(10, 120, 600)
    positions = np.concatenate([np.sort(rng.choice(1000, size, replace=False)) for size in sizes])
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    scores, _ = enrichment_scores(indptr, positions, np.abs(z))
    nulls = null_scores(null_sizes(int(sizes.min()), int(sizes.max())), np.abs(z), 2000, rng)
    _, p, _ = normalise_scores(scores, sizes, nulls)
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_camera_with_preset_correlation_equals_limma() -> None:
    z = np.linspace(3, -3, 60) + np.sin(np.arange(1, 61))
    groups = [range(1, 13), [3, 8, 20, 25, 31, 40, 52], range(30, 60)]
    rows = np.zeros((3, 60), dtype=bool)
    for row, group in zip(rows, groups, strict=True):
        row[np.array(list(group)) - 1] = True
    members = sparse.csr_matrix(rows)
    # limma 3.54.1: cameraPR(z, index, use.ranks = FALSE, inter.gene.cor = 0.01 and 0.1)
    limma = {
        0.01: [1.70548597204e-07, 1.82640656681e-01, 4.48109882413e-11],
        0.1: [3.10466135751e-05, 2.67764655950e-01, 8.16795415129e-07],
    }
    for correlation, expected in limma.items():
        np.testing.assert_allclose(
            camera_test(z, members, preset_inflation(members, correlation)), expected, rtol=1e-9
        )


def test_inflation_is_one_for_independent_genes_and_found_for_correlated_ones() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(600, 24))
    values[:40] += 0.7 * rng.normal(size=24)  # average correlation 0.49 / 1.49
    design = np.column_stack([np.ones(24), np.repeat([0.0, 1.0], 12)])
    rows = np.zeros((12, 600), dtype=bool)
    for i in range(12):
        rows[i, i * 40 : (i + 1) * 40] = True
    left, df = residuals(values, design)
    factor = estimated_inflation(left, df, sparse.csr_matrix(rows)).factor
    assert df == 22
    assert factor[0] > 5
    assert np.median(factor[1:]) < 1.5


def test_residuals_with_missing_values_are_least_squares_of_the_observed() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=(5, 12))
    values[0, [1, 7]] = np.nan
    design = np.column_stack([np.ones(12), np.repeat([0.0, 1.0], 6)])
    left, df = residuals(values, design)
    seen = np.isfinite(values[0])
    beta, *_ = np.linalg.lstsq(design[seen], values[0, seen], rcond=None)
    expected = values[0, seen] - design[seen] @ beta
    ratio = left[0, seen] / expected
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)
    assert (left[0, ~seen] == 0).all()
    np.testing.assert_allclose((left**2).sum(axis=1), df)


# ---------------------------------------------------------------------------------------------------- known truth


def test_p53_sets_are_up_in_wild_type(p53: anndata.AnnData) -> None:
    table = compared(p53, (p53.obs["p53"] == "WT").to_numpy())
    sets = gsea(
        table, p53, contrast=CLASSES, collections=("hallmark", "wikipathways"), n_permutations=4000
    ).table("sets")
    place = {set_id: i for i, set_id in enumerate(sets["set_id"])}
    of_p53 = ["WP:p53 transcriptional gene network", "WP:TP53 network", "H:P53_PATHWAY"]
    rows = sets.set_index("set_id").loc[of_p53]
    assert (rows["direction"] == "up").all()
    assert (rows["effect"] > 1.4).all()
    assert (rows["p_permutation"] < 0.01).all()
    assert place[of_p53[0]] < 0.05 * len(sets)
    over = ora(table, None, n_top=200).table("sets")
    assert set(of_p53[:1] + of_p53[2:]) <= set(over["set_id"].head(5))
    assert (over["direction"].head(2) == "up").all()


def test_permuted_labels_give_no_sets(p53: anndata.AnnData) -> None:
    """Where nothing differs, preranked GSEA alone finds hundreds of sets; allowing for correlation leaves none."""
    rng = np.random.default_rng(0)
    by_permutation_alone, claimed = [], []
    for _ in range(4):
        shuffled = p53.copy()
        shuffled.obs["p53"] = rng.permutation(p53.obs["p53"].to_numpy())
        table = compared(shuffled, (shuffled.obs["p53"] == "WT").to_numpy())
        values = gsea(
            table, shuffled, contrast=CLASSES, collections=("hallmark", "reactome"), n_permutations=1000
        ).values
        by_permutation_alone.append(values["n_significant_permutation"])
        claimed.append(values["n_significant"])
    assert max(by_permutation_alone) > 50
    assert claimed == [0, 0, 0, 0]


def quick(tool: registry.Tool) -> dict[str, int]:
    return {"n_permutations": 1000} if tool is gsea else {}


def planted(n_up: int = 30) -> pd.DataFrame:
    """Tests of 900 genes, of which `n_up` ribosomal ones are strongly up."""
    sets = load_sets("human")
    row = int(np.flatnonzero(sets.table["name"] == "cytosolic ribosome")[0])
    ribosomal = [sets.genes[i] for i in (sets.ancestors[row] @ sets.members).indices][:n_up]
    others = [gene for gene in sets.genes[::11] if gene not in set(ribosomal)][: 900 - n_up]
    rng = np.random.default_rng(8)
    z = np.concatenate([rng.normal(5, 0.5, n_up), rng.normal(0, 1, len(others))])
    p = 2 * stats.norm.sf(np.abs(z))
    genes = ribosomal + others
    return pd.DataFrame(
        {
            "feature": [f"P{i}" for i in range(len(genes))],
            "gene": genes,
            "effect": z / 5,
            "p": p,
            "q": stats.false_discovery_control(p),
        }
    )


@pytest.mark.parametrize("tool", [ora, gsea], ids=["ora", "gsea"])
def test_a_planted_set_is_found_in_its_direction(tool: registry.Tool) -> None:
    table = planted()
    for sign, direction in ((1, "up"), (-1, "down")):
        sets = tool(table.assign(effect=table["effect"] * sign), None, **quick(tool)).table("sets")
        best = sets[sets["name"].str.contains("ribosom", case=False)].iloc[0]
        assert best["q"] < 0.05
        assert best["direction"] == direction
        assert np.sign(best["effect"]) == sign
        assert set(best["leading_edge"].split(";")) <= set(table["gene"])


def test_ora_is_the_hypergeometric_test() -> None:
    table = planted()
    result = ora(table, None, collections=("go_cc",))
    listed = set(table.loc[(table["q"] <= 0.05) & (table["effect"] > 0), "gene"])
    row = result.table("sets").iloc[0]
    part = result.table("members")
    genes = set(part.loc[part["set_id"] == row["set_id"], "gene"])
    assert len(genes) == row["n_measured"]
    expected = stats.hypergeom.sf(len(genes & listed) - 1, len(table), len(listed), len(genes))
    assert row["p_up"] == pytest.approx(expected)
    assert row["p"] == pytest.approx(min(1, 2 * expected))
    assert row["n_hits"] == len(genes & listed)
    assert result.values["n_sets_tested"] == len(result.table("sets"))


@pytest.mark.parametrize("tool", [ora, gsea], ids=["ora", "gsea"])
def test_order_of_rows_does_not_matter(tool: registry.Tool) -> None:
    table = planted()
    first = tool(table, None, seed=3, **quick(tool)).table("sets")
    second = tool(
        table.sample(frac=1, random_state=1).reset_index(drop=True), None, seed=3, **quick(tool)
    ).table("sets")
    pd.testing.assert_frame_equal(first, second)


def test_genes_count_once() -> None:
    table = planted()
    twice = pd.concat([table, table.assign(feature=table["feature"] + "b", p=1.0, q=1.0)], ignore_index=True)
    result = ora(twice, None)
    assert result.values["n_merged_features"] == len(table)
    assert result.values["n_genes"] == len(table)
    level = gene_level(twice)
    assert level.table["feature"].str.endswith("b").sum() == 0


def test_near_duplicates_share_a_representative() -> None:
    sets = gsea(planted(), None, n_permutations=1000).table("sets")
    significant = sets[sets["q"] <= 0.05]
    assert 1 <= significant["representative"].sum() < len(significant)
    leaders = set(significant.loc[significant["representative"], "set_id"])
    assert set(significant["cluster"]) <= leaders


# ------------------------------------------------------------------------------------------ nothing to be tested


@pytest.mark.parametrize("tool", [ora, gsea], ids=["ora", "gsea"])
def test_yeast_has_no_sets_and_is_told_so(tool: registry.Tool) -> None:
    table = planted().assign(feature=[f"YAL{i:03d}W" for i in range(900)], gene="")
    result = tool(table, None, organism="yeast")
    assert not result.complete
    assert result.values["reason"] == "no_collections"
    assert "yeast" in result.warnings[0]
    assert result.table("sets").empty
    full = tool(planted(), None, **quick(tool)).table("sets")
    assert list(result.table("sets").columns) == list(full.columns)
    for column in full.columns:
        assert result.table("sets")[column].dtype == full[column].dtype, column


@pytest.mark.parametrize("tool", [ora, gsea], ids=["ora", "gsea"])
def test_low_mapping_rate_is_named(tool: registry.Tool) -> None:
    table = planted()
    table["gene"] = [gene if i % 10 == 0 else f"xx{i}" for i, gene in enumerate(table["gene"])]
    result = tool(table, None, organism="human")
    assert result.values["reason"] == "low_mapping_rate"
    assert f"{result.values['mapping_rate']:.1%}" in result.warnings[0]
    assert 0.08 < result.values["mapping_rate"] < 0.12
    assert not result.complete


def test_no_significant_gene_points_to_gsea() -> None:
    result = ora(planted().assign(q=0.9), None)
    assert result.values["reason"] == "no_significant_genes"
    assert "enrichment_gsea" in result.summary


def test_sizes_that_no_set_has() -> None:
    result = gsea(planted(), None, collections=("hallmark",), min_size=400)
    assert result.values["reason"] == "no_set_of_size"
    assert not result.complete


def test_bad_input_is_named() -> None:
    with pytest.raises(InputError, match="effect"):
        ora(planted().drop(columns="effect"), None)
    with pytest.raises(PlanError, match="hallmark"):
        gsea(planted().assign(feature="m"), None, organism="mouse", collections=("hallmark",))
    with pytest.raises(InputError, match="not in the data set"):
        gsea(planted(), csf(), contrast=CONTRAST)
    with pytest.raises(PlanError, match="both"):
        gsea(planted(), csf(), contrast=CONTRAST, variable="x")


def test_preset_correlation_is_warned_about_and_estimated_is_not() -> None:
    assert "not estimated" in gsea(planted(), None, n_permutations=200).warnings[0]
    assert run("enrichment_gsea").warnings == ()
    assert run("enrichment_gsea").values["correlation"] == "estimated from residuals"


def test_p_is_the_larger_of_two() -> None:
    sets = gsea(planted(), None, n_permutations=500).table("sets")
    np.testing.assert_array_equal(sets["p"], np.maximum(sets["p_permutation"], sets["p_camera"]))
