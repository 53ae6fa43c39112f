"""Gene sets that ship with the package, and the way from identifiers to genes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nereus.errors import PlanError
from nereus.tools.enrichment.collections import COLLECTIONS, DATA, choose, load_sets, measured_sets
from nereus.tools.enrichment.identifiers import detect_organism, identifiers_in, map_genes


def members(organism: str, set_id: str) -> set[str]:
    sets = load_sets(organism)
    row = int(np.flatnonzero(sets.table["set_id"] == set_id)[0])
    return {sets.genes[i] for i in (sets.ancestors[row] @ sets.members).indices}


def test_every_collection_holds_sets_and_is_attributed() -> None:
    readme = (DATA / "README.md").read_text()
    for organism, collections in COLLECTIONS.items():
        table = load_sets(organism).table
        assert set(table["collection"]) == set(collections)
        assert not table["set_id"].duplicated().any()
        for collection in collections:
            assert f"`{collection}`" in readme
    for word in ("CC BY 4.0", "CC0", "Attribution".lower()):
        assert word in readme


def test_data_stay_small() -> None:
    assert sum(path.stat().st_size for path in DATA.glob("*.parquet")) < 3_000_000


@pytest.mark.parametrize("organism", sorted(COLLECTIONS))
def test_sizes_told_are_the_sizes_found(organism: str) -> None:
    sets = load_sets(organism)
    sizes = np.diff((sets.ancestors @ sets.members).astype(bool).tocsr().indptr)
    np.testing.assert_array_equal(sizes, sets.table["n_set"])


def test_a_gene_of_a_term_belongs_to_the_terms_above() -> None:
    glycolysis, carbohydrate = members("human", "GO:0006096"), members("human", "GO:0005975")
    assert glycolysis < carbohydrate
    assert {"PKM", "ALDOA"} <= glycolysis


def test_names_are_words() -> None:
    table = load_sets("human").table
    assert not table["name"].str.match(r"GO:\d+$").any()
    assert not table["name"].str.startswith("HALLMARK").any()
    assert table.set_index("set_id").loc["GO:0006096", "name"] == "glycolytic process"


def test_unknown_collections_and_organisms_are_named() -> None:
    with pytest.raises(PlanError, match="kegg"):
        choose("human", ("kegg",))
    with pytest.raises(PlanError, match="yeast"):
        load_sets("yeast")
    assert choose("mouse", ("auto",)) == COLLECTIONS["mouse"]
    assert choose("human", ("go_bp", "hallmark")) == ("hallmark", "go_bp")


def test_sets_are_cut_to_what_is_measured() -> None:
    genes = [*sorted(members("human", "H:P53_PATHWAY"))[:30], "NOTAGENE1", "NOTAGENE2"]
    found = measured_sets("human", ("hallmark",), genes, 10, 500)
    row = found.table.set_index("set_id").loc["H:P53_PATHWAY"]
    assert row["n_measured"] == 30
    assert row["n_set"] == 200
    small = measured_sets("human", ("hallmark",), genes, 31, 500)
    assert "H:P53_PATHWAY" not in set(small.table["set_id"])


def test_sets_that_the_data_cannot_tell_apart_are_tested_once() -> None:
    genes = sorted(members("human", "GO:0006096"))
    found = measured_sets("human", ("go_bp",), genes, 5, 500)
    rows = {tuple(found.members[i].indices) for i in range(found.members.shape[0])}
    assert len(rows) == len(found.table)
    merged = found.table[found.table["same_members"] != ""]
    assert len(merged) > 0
    n_set = load_sets("human").table.set_index("set_id")["n_set"]
    for row in merged.itertuples():
        assert all(n_set[other] >= row.n_set for other in row.same_members.split("; "))


def test_case_of_symbols_does_not_matter() -> None:
    genes = sorted(members("mouse", "GO:0006096"))
    first = measured_sets("mouse", ("go_bp",), genes, 5, 500).table
    second = measured_sets("mouse", ("go_bp",), [gene.upper() for gene in genes], 5, 500).table
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ("P04637", ["P04637"]),
        ("sp|P04637-2|P53_HUMAN", ["P04637"]),
        ("A0A024QZX5;P35237", ["A0A024QZX5", "P35237"]),
        ("ENSG00000141510.18", ["ENSG00000141510"]),
        ("TP53", []),
        ("CON__P02769", []),
        ("Q9Y2T3;Q9Y2T3-3", ["Q9Y2T3", "Q9Y2T3"]),
    ],
)
def test_identifiers_are_found(feature: str, expected: list[str]) -> None:
    assert identifiers_in(feature) == expected


@pytest.mark.parametrize(
    ("features", "genes", "organism"),
    [
        (["P04637", "P10636", "P02768"], ["", "", ""], "human"),
        (["P02340", "P63260"], ["Trp53", "Actg1"], "mouse"),
        (["a", "b"], ["GAPDH", "TP53"], "human"),
        (["P00924", "P00359"], ["ENO1", "TDH3"], "yeast"),
        (["sp|P07335|KCRB_RAT", "sp|P11598|PDIA3_RAT"], ["Ckb", "Pdia3"], "rat"),
        (["At1g09210", "AT5G35360.1;At1g01010"], ["", ""], "arabidopsis"),
        (["YAL038W", "YDL126C-A", "Q0045"], ["", "", ""], "yeast"),
        (["FBgn0000042", "FBpp0070001"], ["", ""], "fruit fly"),
        (["ENSDARG00000000001"], [""], "zebrafish"),
        (["sp|P0A6F5|CH60_ECOLI", "sp|P0A6Y8|DNAK_ECOLI"], ["groL", "dnaK"], "ecoli"),
        (["x1", "x2"], ["", ""], "unknown"),
        ([], [], "unknown"),
    ],
)
def test_organism_is_detected(features: list[str], genes: list[str], organism: str) -> None:
    assert detect_organism(features, genes) == organism


def test_a_protein_group_has_one_gene() -> None:
    mapping = map_genes(["P60709;P63261", "zzz", "P04637"], ["NOSUCH;ACTB;ACTG1", "", ""], "human")
    assert mapping.genes == ("ACTB", "", "TP53")
    assert mapping.rate == pytest.approx(2 / 3)
