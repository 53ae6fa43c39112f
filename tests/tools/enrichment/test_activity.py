from __future__ import annotations

import gzip
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from nereus.errors import InputError
from nereus.tools import registry
from nereus.tools.base import SourceFile
from nereus.tools.enrichment.activity import factor_activity, kinase_activity
from nereus.tools.enrichment.activity_score import score
from nereus.tools.enrichment.kinase_motifs import MOTIFS
from nereus.tools.enrichment.network import load_network
from nereus.tools.enrichment.site_names import read_sites
from nereus.tools.statistics.differential import differential_abundance


def sites(n: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1, n)
    frame = pd.DataFrame(
        {"feature": [f"GENE{i}_S{i + 10}" for i in range(n)], "gene": [f"GENE{i}" for i in range(n)]}
    )
    return frame.assign(effect=0.4 * z, p=2 * stats.norm.sf(np.abs(z)))


def network(sizes: dict[str, list[int]], weight: float = 1.0) -> pd.DataFrame:
    rows = [(source, f"GENE{i}", f"S{i + 10}", weight) for source, members in sizes.items() for i in members]
    return pd.DataFrame(rows, columns=["source", "target", "site", "weight"])


# ------------------------------------------------------------------------------------------------- the score


@pytest.mark.parametrize("method", ["weighted_mean", "ulm", "rank"])
def test_null_is_uniform(method: str) -> None:
    """Random regulators over random statistics with heavy tails: p is uniform, as its parameter of independence says."""
    rng = np.random.default_rng(5)
    n, k = 800, 400
    weights = sparse.csr_matrix(
        np.where(rng.random((k, n)) < 0.02, rng.choice([-1.0, 0.5, 1.0], (k, n)), 0.0)
    )
    t = rng.standard_t(5, n)
    found = score(weights, t, t, method=method, correlation=0.0, n_permutations=2000, seed=1)  # type: ignore[arg-type]
    assert stats.kstest(found.p, "uniform").pvalue > 0.01
    assert abs((found.p < 0.05).mean() - 0.05) < 0.03
    wider = score(weights, t, t, method=method, correlation=0.1, n_permutations=2000, seed=1)  # type: ignore[arg-type]
    assert (wider.p < 0.05).mean() < (found.p < 0.05).mean()


def test_moments_are_those_of_exchanges_and_ulm_is_a_regression() -> None:
    rng = np.random.default_rng(2)
    n = 120
    dense = np.where(rng.random((6, n)) < 0.1, rng.normal(0, 1, (6, n)), 0.0)
    t = rng.gamma(2, 1, n) - 1
    weights = sparse.csr_matrix(dense)
    found = score(weights, t, t, method="weighted_mean", correlation=0.0, n_permutations=200, seed=1)
    unit = dense / np.abs(dense).sum(axis=1, keepdims=True)
    draws = unit @ rng.permuted(np.tile(t, (20000, 1)), axis=1).T
    expected = (unit @ t - draws.mean(axis=1)) / draws.std(axis=1)
    np.testing.assert_allclose(found.z, expected, atol=0.05)
    np.testing.assert_allclose(found.effect, unit @ t - t.mean() * unit.sum(axis=1), atol=1e-12)
    ulm = score(weights, t, t, method="ulm", correlation=0.0, n_permutations=200, seed=1)
    for row in range(6):
        line = stats.linregress(dense[row], t)
        assert abs(ulm.z[row] - line.slope / line.stderr) < 1e-9
        assert abs(ulm.p[row] - line.pvalue) < 1e-9


# ------------------------------------------------------------------------------------------------- kinases


def test_planted_kinases_are_found_with_their_sign() -> None:
    table = sites()
    table.loc[:9, ["effect", "p"]] = [1.5, 1e-4]
    table.loc[20:27, ["effect", "p"]] = [-1.5, 1e-4]
    known = network({"UPK": list(range(10)), "DOWNK": list(range(20, 28)), "NONE": list(range(50, 70)),
                     "TWIN": list(range(1, 10)), "SMALL": [0, 1]})  # fmt: skip
    result = kinase_activity(table, None, known)
    found = result.table("activities").set_index("feature")
    assert found.loc["UPK", "direction"] == "up"
    assert found.loc["DOWNK", "direction"] == "down"
    assert found.loc[["UPK", "DOWNK"], "q"].max() < 0.01 < 0.05 < found.loc["NONE", "q"]
    assert "SMALL" not in found.index
    assert found.loc["UPK", "told_apart_from"] == "TWIN"
    assert found.loc[["UPK", "TWIN"], "representative"].sum() == 1
    assert result.table("targets")["target"].is_unique
    again = kinase_activity(table.sample(frac=1, random_state=3), None, known.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(
        again.table("activities")[["feature", "n_targets", "direction"]],
        result.table("activities")[["feature", "n_targets", "direction"]],
    )


def test_sites_are_read_as_tables_spell_them() -> None:
    spelt = [
        "P31749_S473",
        "Q9D1F4;AKT1S1;T247;SLPVSVPVWGFKEKR",
        "AKT1 S473/T308",
        "MAPK3~T202,Y204",
        "nonsense",
    ]
    found = read_sites(spelt, ["", "Akt1s1", "AKT1", "", ""])
    assert [(s.gene, s.residue, s.position) for s in found[0]] == [("AKT1", "S", 473)]
    assert [(s.gene, s.residue, s.position) for s in found[1]] == [("AKT1S1", "T", 247)]
    assert [(s.residue, s.position) for s in found[2]] == [("S", 473), ("T", 308)]
    assert [(s.gene, s.position) for s in found[3]] == [("MAPK3", 202), ("MAPK3", 204)]
    assert found[4] == ()


def test_motifs_fit_known_sites() -> None:
    akt, casein = MOTIFS[0], next(motif for motif in MOTIFS if "CK2" in motif.source)
    assert akt.fits("SGRPRTTSFAESCKP")  # GSK3B S9
    assert not akt.fits("SGRPATTSFAESCKP")
    assert casein.fits("AAAAAAASDEEAAAA")
    assert not casein.fits("AAAAAAASPRRAAAA")


def test_an_orthologue_site_counts_once() -> None:
    table = sites()
    table["feature"] = (
        table["feature"].str.replace("GENE0_S10", "GENE0_S12").str.replace("GENE1_S11", "GENE0_S16")
    )
    table.loc[1, "gene"] = "GENE0"
    known = network({"K": [0, 2, 3]})
    loose = kinase_activity(table, None, known, position_tolerance=5).table("targets")
    assert loose["feature"].tolist() == ["GENE0_S12", "GENE2_S12", "GENE3_S13"]
    strict = kinase_activity(table, None, known, position_tolerance=0)
    assert not strict.complete


@pytest.mark.parametrize(
    ("change", "options", "text"),
    [
        ("columns", {}, "columns"),
        ("names", {}, "no feature spells a site"),
        ("none", {"evidence": "motifs"}, "sequence window"),
        ("none", {"evidence": "substrates"}, "no kinase-substrate table"),
        ("genes", {}, "names no sites"),
        ("edges", {}, "columns"),
    ],
)
def test_bad_input(change: str, options: dict[str, str], text: str) -> None:
    table, known = sites(), network({"K": list(range(9))})
    given: pd.DataFrame | None = known
    if change == "columns":
        table = table.drop(columns="p")
    elif change == "names":
        table["feature"] = [f"protein number {i}" for i in range(len(table))]
    elif change == "none":
        given = None
    elif change == "genes":
        given = known.drop(columns="site")
    elif change == "edges":
        given = known.drop(columns="source")
    with pytest.raises(InputError, match=text):
        kinase_activity(table, None, given, **options)


def test_nothing_matches_is_said() -> None:
    result = kinase_activity(sites(), None, network({"K": [900, 901, 902]}))
    assert not result.complete
    assert result.values["n_sources"] == 0
    assert result.warnings
    bare = kinase_activity(sites(), None, None)
    assert not bare.complete
    assert any("give a network" in text for text in bare.warnings)


def test_motifs_stand_in_where_too_few_sites_are_known() -> None:
    table = sites()
    windows = ["AAAAAAASDEEAAAA" if i % 5 else "AAGRPRTSFAEAAAA" for i in range(len(table))]
    table["feature"] = [f"P1;GENE{i};S{i + 10};{window}" for i, window in enumerate(windows)]
    few = kinase_activity(table, None, network({"K": [0, 1]}))
    assert few.values["evidence"] == "motifs"
    assert any("too few" in text for text in few.warnings)
    known = kinase_activity(table, None, network({"K": [0, 1, 2]}))
    assert known.values["evidence"] == "substrates"


@pytest.mark.parametrize("cell", ["FL83B", "Hepa1.6"])
def test_insulin_activates_akt(shared_data: Path, cell: str) -> None:
    """Insulin raises the sites of AKT in both cell lines (Kim et al. 2021), by substrates and by motif."""
    from nereus.tools.proteomics.load import load_dataset

    name = "phospho_cells_Ins.csv.gz"
    data = load_dataset(SourceFile(shared_data / "phospho_insulin_cells_phosr" / name, name)).dataset()
    table = differential_abundance(
        data, contrast={"factor": "group", "a": f"{cell}_Ins", "b": f"{cell}_Control"}
    ).table()
    file = shared_data / "genesets" / "omnipath_ptms.txt.gz"
    loaded = load_network(SourceFile(file, file.name))
    assert loaded.values["swapped"]
    result = kinase_activity(table, data, loaded.table())
    assert result.values["organism"] == "mouse"
    found = result.table("activities")
    assert "AKT1" in found["feature"].tolist()[:2]
    akt = found.set_index("feature").loc["AKT1"]
    assert akt["direction"] == "up"
    assert akt["q"] <= 0.05
    motifs = kinase_activity(table, data, None).table("activities").set_index("feature")
    family = motifs[motifs["name"].str.contains("AKT1")].iloc[0]
    assert family["direction"] == "up"
    assert family["p"] < 0.1


# ------------------------------------------------------------------------------------------------- factors


P53 = {"factor": "p53", "a": "WT", "b": "MUT"}


@pytest.fixture(scope="module")
def cell_lines(shared_data: Path) -> anndata.AnnData:
    """Transcripts of fifty cell lines with and without a p53 mutation."""
    folder = shared_data / "genesets"
    expression = pd.read_csv(folder / "gsea_p53_expression.txt.gz", sep="\t").drop(columns="DESCRIPTION")
    by_gene = expression.groupby("NAME").max()
    labels = (folder / "gsea_p53.cls").read_text().splitlines()[2].split()
    return anndata.AnnData(
        np.log2(np.maximum(by_gene.to_numpy(float).T, 1)),
        obs=pd.DataFrame({"p53": labels}, index=by_gene.columns),
        var=pd.DataFrame({"gene": by_gene.index}, index=by_gene.index),
    )


def test_pathways_whose_genes_vary_together_are_not_found_under_exchanged_labels(
    cell_lines: anndata.AnnData,
) -> None:
    """Among exchanged genes alone correlated pathways stand out whatever the labels; residuals tell."""
    rng = np.random.default_rng(0)
    preset, estimated, found = [], [], 0
    for _ in range(10):
        exchanged = cell_lines.copy()
        exchanged.obs["p53"] = rng.permutation(cell_lines.obs["p53"])
        table = differential_abundance(exchanged, contrast=P53).table()
        alone = factor_activity(table, exchanged, None, n_permutations=200)
        told = factor_activity(table, exchanged, None, n_permutations=200, contrast=P53)
        assert (alone.values["correlation"], told.values["correlation"]) == (
            "preset",
            "estimated from residuals",
        )
        assert any("correlation" in text for text in alone.warnings)
        preset += alone.table("activities")["p"].tolist()
        estimated += told.table("activities")["p"].tolist()
        found += int(told.values["n_significant"]) > 0  # type: ignore[arg-type]
    assert np.mean(np.array(preset) < 0.05) > 0.15
    assert np.mean(np.array(estimated) < 0.05) < 0.08
    assert found <= 2
    table = differential_abundance(cell_lines, contrast=P53).table()
    true = factor_activity(table, cell_lines, None, contrast=P53)
    assert true.table("activities").loc[0, ["feature", "direction"]].tolist() == ["p53", "up"]
    assert true.values["n_significant"] == true.values["n_up"] == 1


def test_p53_is_more_active_in_wild_type(shared_data: Path, cell_lines: anndata.AnnData) -> None:
    """The p53 pathway leads the fourteen that ship."""
    folder, data = shared_data / "genesets", cell_lines
    table = differential_abundance(data, contrast={"factor": "p53", "a": "WT", "b": "MUT"}).table()
    found = factor_activity(table, data, None).table("activities")
    assert found.loc[0, ["feature", "direction"]].tolist() == ["p53", "up"]
    assert found.loc[0, "q"] < 0.01 < found.loc[1, "q"]
    file = folder / "dorothea_hs_ABC.csv.gz"
    factors = load_network(SourceFile(file, file.name), confidence=["A", "B"]).table()
    given = factor_activity(table, data, factors).table("activities").set_index("feature")
    assert given.loc["TP53", "direction"] == "up"
    half = data.obs["p53"].sample(frac=1, random_state=4).to_numpy()
    shuffled = anndata.AnnData(data.X, obs=pd.DataFrame({"p53": half}, index=data.obs_names), var=data.var)
    null = differential_abundance(shuffled, contrast={"factor": "p53", "a": "WT", "b": "MUT"}).table()
    assert factor_activity(null, shuffled, None).values["top"] != "p53"


def test_signs_of_targets_count() -> None:
    table = sites()
    table["feature"] = table["gene"]
    table.loc[:4, ["effect", "p"]] = [1.2, 1e-3]
    table.loc[5:9, ["effect", "p"]] = [-1.2, 1e-3]
    signed = network({"TF": list(range(5))}, 1.0)
    signed = pd.concat([signed, network({"TF": list(range(5, 10))}, -1.0)])
    found = factor_activity(table, None, signed).table("activities")
    assert found.loc[0, "direction"] == "up"
    assert found.loc[0, "p"] < 1e-3
    assert found.loc[0, "n_agreeing"] == 10
    plain = factor_activity(table, None, signed.assign(weight=1.0)).table("activities")
    assert plain.loc[0, "p"] > 0.05


# ------------------------------------------------------------------------------------------------- networks


def test_networks_of_several_forms(tmp_path: Path) -> None:
    def read(name: str, text: str, **options: object) -> pd.DataFrame:
        (tmp_path / name).write_text(text)
        return load_network(SourceFile(tmp_path / name, name), **options).table()

    assert read("a.tsv", "kinase\tsubstrate\tsite\nAKT1\tGSK3B\tS9\n")["edge"].tolist() == ["AKT1 | GSK3B S9"]
    matrix = read("m.csv", "gene,p53,WNT\nMDM2,2.5,0\nAXIN2,0,-1\n")
    assert matrix[["source", "target", "weight"]].to_numpy().tolist() == [
        ["WNT", "AXIN2", -1.0],
        ["p53", "MDM2", 2.5],
    ]
    by_confidence = read("d.csv", "tf,confidence,target,mor\nA,A,X,1\nA,C,Y,1\n", confidence=["A"])
    assert by_confidence["target"].tolist() == ["X"]
    ptm = (
        "UniProt_A\tUniProt_B\tGeneSymbol_A\tGeneSymbol_B\tResidue_number\tResidue_letter\tPTM_type\n"
        "P31749\tP49841\tAKT1\tGSK3B\t9\tS\tphosphorylation\nP31749\tP49841\tAKT1\tGSK3B\t9\tK\tacetylation\n"
    )
    assert read("o.tsv", ptm)["edge"].tolist() == ["AKT1 | GSK3B S9"]
    swapped = ptm.replace("AKT1\tGSK3B", "GSK3B\tAKT1")
    assert read("s.tsv", swapped)["edge"].tolist() == ["AKT1 | GSK3B S9"]


@pytest.mark.parametrize("text", ["", "hello\nworld\n", "source,target,weight\na,b,0\n", "tf,target\n,\n"])
def test_files_that_are_no_network(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        load_network(SourceFile(tmp_path / "x.csv", "x.csv"))
    assert caught.value.mend


def test_drawing_shows_both_directions() -> None:
    table = sites()
    table.loc[:9, ["effect", "p"]] = [1.5, 1e-4]
    result = kinase_activity(table, None, network({"K": list(range(10)), "L": list(range(40, 60))}))
    drawn = registry.get("plot_activities")(
        result.table("activities"), result.table("targets"), contrast={"factor": "g", "a": "x", "b": "y"}
    )
    svg = drawn.figures["activities"].svg.decode()
    assert drawn.values == {"n_drawn": 2, "n_significant_drawn": 1}
    assert "more active in x" in svg
    with pytest.raises(InputError, match="columns"):
        registry.get("plot_activities")(table.drop(columns="p"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"source;target;weight\nA;B;0,5\nA;C;-1\n", [("B", "", 0.5), ("C", "", -1.0)]),
        ("source,target\nA,B\nA,C\n".encode("utf-16"), [("B", "", 1.0), ("C", "", 1.0)]),
        (b"tf,target,site\nA,B,pS12\nA,B,Ser13\nA,B,s14\n", [("B", s, 1.0) for s in ("S12", "S13", "S14")]),
        (b"gene,A,note\nB,0.5,x\nC,-1,y\n", [("B", "", 0.5), ("C", "", -1.0)]),
    ],
)
def test_networks_in_other_spellings(
    tmp_path: Path, content: bytes, expected: list[tuple[str, str, float]]
) -> None:
    path = tmp_path / "net.txt"
    path.write_bytes(content)
    network = load_network(SourceFile(path, path.name)).table()
    assert list(zip(network["target"], network["site"], network["weight"], strict=True)) == expected


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"source,target\nA,B,C\nA,C\n", "row has 3 fields"),
        (b"source,target,weight\nA,B,high\nA,C,1\n", "'high' is no number"),
        (b"source,source,target\nA,B,C\nA,B,D\n", "stand twice"),
        (gzip.compress(b"source,target\nA,B\n" * 99, mtime=0)[:40], "broken or cut off"),
    ],
)
def test_damaged_networks_are_refused(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "net.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=word):
        load_network(SourceFile(path, path.name))


def test_edges_without_a_clear_site_are_told(tmp_path: Path) -> None:
    path = tmp_path / "net.csv"
    path.write_text("kinase,substrate,site\nA,B,S12\nA,C,loop 3\nA,D,\n")
    result = load_network(SourceFile(path, path.name))
    assert result.table()["edge"].tolist() == ["A | B S12", "A | D"]
    assert any("'loop 3'" in warning for warning in result.warnings)


def test_activities_do_not_depend_on_the_order_of_rows() -> None:
    rng = np.random.default_rng(0)
    effect = rng.normal(0, 0.3, 60)
    tested = pd.DataFrame({"feature": [f"GENE{i}_S{i + 1}" for i in range(60)], "effect": effect})
    tested["p"] = np.exp(-np.abs(effect))
    known = pd.DataFrame(
        {"source": ["K1", "K2"] * 10, "target": [f"GENE{i}" for i in range(20)], "weight": 1.0}
    )
    known["site"] = [f"S{i + 1}" for i in range(20)]
    first = kinase_activity(tested, None, known, n_permutations=500)
    second = kinase_activity(
        tested.sample(frac=1, random_state=1).reset_index(drop=True), None,
        known.sample(frac=1, random_state=2).reset_index(drop=True), n_permutations=500,
    )  # fmt: skip
    pd.testing.assert_frame_equal(first.table("activities"), second.table("activities"))
    pd.testing.assert_frame_equal(first.table("targets"), second.table("targets"))
    with pytest.raises(InputError, match="no finite weight"):
        kinase_activity(tested, None, known.assign(weight=np.nan))
    none = kinase_activity(tested, None, known.assign(weight=[0.0, 1.0] * 10), n_permutations=500)
    assert none.table("activities")["feature"].tolist() == ["K2"]
