"""Gene-set tests of limma beside `enrichment_gsea`: sets found where they are planted, and where there is nothing.

Run ``python -m benchmarks.peers.gene_sets --data FOLDER [--draws 20]``; R needs limma and data.table. Two real matrices with
the correlation that genes and proteins have: the p53 cell lines (messenger RNA) and the cerebrospinal fluid of one site
(proteins seen in every patient). Every arm gets the same values and the same shipped sets and calls at 5 % false discovery
rate. Exchanged labels: every call is false. Planted: under exchanged labels half of the members of one random set rise in
one group; a call that shares no gene with the planted half is false, others are not judged. fry and mroast test another
hypothesis (does any gene of the set change?), for which planted sets are right answers, too.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from benchmarks.truth.results import data_folder, store
from nereus.tools import registry
from nereus.tools.enrichment.collections import MeasuredSets, measured_sets
from nereus.tools.enrichment.gene_level import gene_level

LEVEL = 0.05
SIZES = (15, 200)
STRENGTHS = (0.4, 0.8)
"""Rise of the planted genes in standard deviations of each gene."""
OURS = ("nereus", "nereus, permutations alone")
CONTRAST = {"factor": "group", "a": "a", "b": "b"}


def p53(folder: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """log2 expression (genes x cell lines), and who is wild type."""
    table = pd.read_csv(folder / "genesets" / "gsea_p53_expression.txt.gz", sep="\t").drop_duplicates("NAME")
    status = (folder / "genesets" / "gsea_p53.cls").read_text().splitlines()[2].split()
    values = np.log2(table.iloc[:, 2:].astype(float).clip(lower=1)).set_index(
        pd.Index(table["NAME"].astype(str))
    )
    return values[values.std(axis=1) > 0], np.array(status) == "WT"


def csf(folder: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """log2 intensities (genes x patients) of the largest site, centred by sample, and who has Alzheimer's disease."""
    source = folder / "clinical_alzheimer_csf_bader"
    table = pd.read_csv(source / "proteome.csv.gz", index_col=0)
    meta = pd.read_csv(source / "meta.csv", index_col="Sample ID").reindex(table.index)
    label = meta["_primary biochemical AD classification"]
    site = meta["_collection site"]
    keep = (label.notna() & (site == site[label.notna()].value_counts().index[0])).to_numpy()
    y = np.log2(table[keep].where(table[keep] > 0)).dropna(axis=1).T
    y = y - y.median() + y.median().mean()
    test = pd.DataFrame({"feature": y.index, "gene": None, "effect": 0.0, "p": 0.5})
    named = gene_level(test, None, "human").table
    y = y.loc[named["feature"]]
    y.index = pd.Index(named["gene"].astype(str))
    return y, (label[keep] == "biochemical AD").to_numpy()


STUDIES = {
    "p53 cell lines": (p53, ("hallmark",)),
    "cerebrospinal fluid, one site": (csf, ("hallmark", "reactome")),
}
"""Matrix and collections; few sets where many genes make mroast slow."""


def nereus(values: pd.DataFrame, in_a: np.ndarray, collections: tuple[str, ...]) -> pd.DataFrame:
    """Test of genes and of sets, as the planner calls them: (method, set, p, q, up, seconds)."""
    start = time.perf_counter()
    names = [f"f{i}" for i in range(len(values))]
    dataset = anndata.AnnData(
        values.to_numpy(float).T,
        obs=pd.DataFrame({"group": np.where(in_a, "a", "b")}, index=[f"s{i}" for i in range(len(in_a))]),
        var=pd.DataFrame({"gene": values.index.to_numpy(str)}, index=names),
    )
    tests = registry.get("differential_abundance")(dataset, contrast=CONTRAST).table()
    sets = registry.get("enrichment_gsea")(
        tests, dataset, contrast=CONTRAST, collections=collections, min_size=SIZES[0], max_size=SIZES[1],
        organism="human", seed=0,
    ).table("sets")  # fmt: skip
    seconds = time.perf_counter() - start
    up = sets["direction"] == "up"
    parts = []
    for method, p in zip(OURS, (sets["p"], sets["p_permutation"]), strict=True):
        q = false_discovery_control(p)
        parts.append(pd.DataFrame({"method": method, "set": sets["set_id"], "p": p, "q": q, "up": up}))
    return pd.concat(parts).assign(seconds=seconds)


def limma(values: pd.DataFrame, in_a: np.ndarray, sets: dict[str, list[str]]) -> pd.DataFrame:
    """The same by limma."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        values.to_csv(folder / "values.csv", index_label="gene")
        pd.DataFrame({"sample": values.columns, "group": in_a.astype(int)}).to_csv(
            folder / "groups.csv", index=False
        )
        rows = [(one, gene) for one, genes in sets.items() for gene in genes]
        pd.DataFrame(rows, columns=["set", "gene"]).to_csv(folder / "sets.csv", index=False)
        script = Path(__file__).with_name("gene_sets.R")
        subprocess.run(
            ["Rscript", str(script), name, str(folder / "out.csv")], check=True, capture_output=True
        )
        return pd.read_csv(folder / "out.csv", dtype={"set": str})


def called(
    values: pd.DataFrame, in_a: np.ndarray, sets: dict[str, list[str]], collections: tuple[str, ...]
) -> pd.DataFrame:
    """All arms on one matrix."""
    table = pd.concat([nereus(values, in_a, collections), limma(values, in_a, sets)], ignore_index=True)
    return table[table["set"].isin(sets)]


def planted(
    values: pd.DataFrame, in_a: np.ndarray, genes: list[str], strength: float, rng: np.random.Generator
) -> tuple[pd.DataFrame, set[str]]:
    """Half of the genes of a set rise in group a; which ones."""
    chosen = list(rng.choice(genes, max(len(genes) // 2, 1), replace=False))
    made = values.copy()
    rise = strength * made.loc[chosen].std(axis=1).to_numpy()
    made.loc[chosen, made.columns[in_a]] += rise[:, None]
    return made, set(chosen)


def study(name: str, folder: Path, draws: int) -> dict[str, Any]:
    """Rates of every method on one matrix."""
    read, collections = STUDIES[name]
    values, truly = read(folder)
    of: MeasuredSets = measured_sets("human", collections, values.index.tolist(), *SIZES)
    symbols = values.index.to_numpy()
    sets = {
        str(one): list(symbols[of.members[i].indices]) for i, one in enumerate(of.table["set_id"].astype(str))
    }
    titles = of.table.set_index(of.table["set_id"].astype(str))["name"].astype(str)
    null, spiked = [], []
    rng = np.random.default_rng(0)
    for draw in range(draws):
        in_a = rng.permutation(truly)
        null.append(called(values, in_a, sets, collections).assign(draw=draw))
        right = str(rng.choice(list(sets)))
        for strength in STRENGTHS:
            made, moved = planted(values, in_a, sets[right], strength, rng)
            table = called(made, in_a, sets, collections).assign(draw=draw, strength=strength, right=right)
            touched = {one for one, genes in sets.items() if moved & set(genes)}
            spiked.append(table.assign(apart=~table["set"].isin(touched)))
        print(name, draw, flush=True)
    at_rest, risen = pd.concat(null), pd.concat(spiked)
    real = called(values, truly, sets, collections)
    real = real.assign(title=real["set"].map(titles))
    rows = {}
    for method in dict.fromkeys(at_rest["method"]):
        quiet = at_rest[at_rest["method"] == method]
        calls = (quiet["q"] <= LEVEL).groupby(quiet["draw"]).sum()
        row: dict[str, Any] = {
            "exchanged_runs_with_a_call": float((calls > 0).mean()),
            "exchanged_calls_per_run": float(calls.mean()),
            "exchanged_share_of_p_below_5_percent": float((quiet["p"] <= LEVEL).mean()),
            "seconds": float(quiet.groupby("draw")["seconds"].first().median()),
        }
        for strength in STRENGTHS:
            mine = risen[(risen["method"] == method) & (risen["strength"] == strength)]
            of_planted = mine[mine["set"] == mine["right"]]
            place = mine.groupby("draw")["p"].rank(method="min").loc[of_planted.index]
            row[f"planted_{strength:g}_sd"] = {
                "found": float(((of_planted["q"] <= LEVEL) & of_planted["up"].astype(bool)).mean()),
                "median_place": float(place.median()) if len(place) else None,
                "false_calls_per_run": float(
                    ((mine["q"] <= LEVEL) & mine["apart"]).groupby(mine["draw"]).sum().mean()
                ),
            }
        as_is = real[(real["method"] == method) & (real["q"] <= LEVEL)]
        row["as_it_is"] = {
            "called": len(as_is),
            "named_p53": int(as_is["title"].str.contains("p53", case=False).sum()),
            "first": real[real["method"] == method].sort_values("p", kind="stable")["title"].head(3).tolist(),
        }
        rows[method] = row
    shape = {"genes": len(values), "samples": int(values.shape[1]), "sets": len(sets), "draws": draws}
    return {**shape, "methods": rows}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--draws", type=int, default=20)
    options = parser.parse_args()
    folder = data_folder(options.data)
    begin = time.perf_counter()
    script = 'cat(R.version.string, "limma", as.character(packageVersion("limma")))'
    version = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, check=True).stdout
    store(
        "peers_gene_sets",
        {
            "claim": __doc__.splitlines()[0],
            "seeds": [0],
            "peers": {"R": version.strip()},
            "studies": {name: study(name, folder, options.draws) for name in STUDIES},
        },
        module="benchmarks.peers.gene_sets",
        arguments=sys.argv[1:],
        seconds=time.perf_counter() - begin,
    )


if __name__ == "__main__":
    main()
