"""Claim: GSEA is at least as fast as gseapy with two threads at equal permutations, with the same scores.

Run ``python -m benchmarks.gsea_speed``. Both get the same ranked genes and the same sets: the p53 expression data of the
method's own article, ranked by a t-statistic, with the thousands of sets of six public collections, and with the fifty
hallmark sets alone. Ours runs on one thread, gseapy on two; the runs alternate and ratios are taken round by round, of
wall-clock and of processor seconds. Two arms of ours are timed: the scores with their null, which is what gseapy's
``prerank`` computes, and the whole tool, which besides maps genes to its own collections, tests with allowance for
correlation, and groups sets that tell the same.

Enrichment scores must be equal to those of the definition; normalised scores differ by what two random draws differ, so
on the hallmark sets gseapy is also run against itself with another seed.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gseapy
import numpy as np
import pandas as pd
from scipy import stats
from threadpoolctl import threadpool_limits

from benchmarks.truth.results import data_folder, store
from nereus.tools import registry
from nereus.tools.enrichment.gsea import enrichment_scores
from nereus.tools.enrichment.score_null import normalise_scores, null_scores, null_sizes

FILES = {
    "all": (
        "GO_BP_human.gmt.gz",
        "GO_CC_human.gmt.gz",
        "GO_MF_human.gmt.gz",
        "Reactome_human.gmt.gz",
        "wikipathways-20260410-gmt-Homo_sapiens.gmt.gz",
        "hallmark_h.all.v7.0.symbols.gmt",
    ),
    "hallmark": ("hallmark_h.all.v7.0.symbols.gmt",),
}
COLLECTIONS = {"all": "auto", "hallmark": "hallmark"}
"""What the whole tool is asked for."""
ROUNDS = {"all": 2, "hallmark": 5}
PERMUTATIONS = {"all": 100, "hallmark": 1000}
"""Equal in both; fewer with thousands of sets, where gseapy takes minutes of processor time at 1,000."""
MIN_SIZE, MAX_SIZE = 10, 500
THREADS = 2


def ranked(folder: Path) -> pd.Series:
    """Genes of the p53 data (mutated against wild type), ranked by Welch's t, without ties."""
    table = pd.read_csv(folder / "gsea_p53_expression.txt.gz", sep="\t")
    classes = np.array((folder / "gsea_p53.cls").read_text().split("\n")[2].split())
    values = np.log2(table.iloc[:, 2:].to_numpy(float).clip(1))
    first = classes == classes[0]
    t = stats.ttest_ind(values[:, first], values[:, ~first], axis=1, equal_var=False).statistic
    # gseapy compares symbols without regard to case and loses genes where two spellings meet.
    rank = pd.Series(t, index=table["NAME"].astype(str).str.upper())
    rank = rank[np.isfinite(rank) & ~rank.index.duplicated() & ~rank.duplicated()]
    return rank.sort_values(ascending=False)


def read_sets(paths: list[Path], genes: pd.Index) -> dict[str, list[str]]:
    """Sets of GMT files with a testable number of ranked genes."""
    known, sets = set(genes), {}
    for path in paths:
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for line in text.decode().splitlines():
            name, _, *members = line.split("\t")
            kept = sorted({member.upper() for member in members} & known)
            if MIN_SIZE <= len(kept) <= MAX_SIZE:
                sets[f"{path.name}|{name}"] = kept
    return sets


def our_scores(rank: pd.Series, sets: dict[str, list[str]], permutations: int, seed: int) -> pd.DataFrame:
    """ES, NES and p of each set."""
    place = {gene: i for i, gene in enumerate(rank.index)}
    rows = [sorted(place[gene] for gene in members) for members in sets.values()]
    sizes = np.array([len(row) for row in rows])
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    weights = np.abs(rank.to_numpy())
    scores, _ = enrichment_scores(indptr, np.concatenate(rows), weights)
    at = null_sizes(int(sizes.min()), int(sizes.max()))
    nulls = null_scores(at, weights, permutations, np.random.default_rng(seed))
    nes, p, _ = normalise_scores(scores, sizes, nulls)
    return pd.DataFrame({"es": scores, "nes": nes, "p": p}, index=list(sets))


def gseapy_scores(rank: pd.Series, sets: dict[str, list[str]], permutations: int, seed: int) -> pd.DataFrame:
    """The same by gseapy."""
    found = gseapy.prerank(
        rnk=rank, gene_sets=sets, permutation_num=permutations, threads=THREADS, seed=seed, outdir=None,
        min_size=MIN_SIZE, max_size=MAX_SIZE, no_plot=True, verbose=False,
    ).res2d.set_index("Term")  # fmt: skip
    columns = {"ES": "es", "NES": "nes", "NOM p-val": "p"}
    made: pd.DataFrame = found[list(columns)].rename(columns=columns).astype(float).loc[list(sets)]
    return made


def timed(call: Callable[[], object]) -> tuple[float, float]:
    start, used = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - used


def in_turn(arms: dict[str, Callable[[], object]], rounds: int) -> dict[str, Any]:
    """Seconds of the arms in turn, and those of gseapy over those of ours, round by round."""
    runs: list[dict[str, tuple[float, float]]] = [
        {name: timed(call) for name, call in arms.items()} for _ in range(rounds)
    ]
    shown: dict[str, Any] = {"rounds": rounds}
    for index, kind in enumerate(("seconds", "processor_seconds")):
        shown[kind] = {name: statistics.median(run[name][index] for run in runs) for name in arms}
        for name in ("scores", "whole_tool"):
            ratios = [run["gseapy"][index] / run[name][index] for run in runs]
            shown[kind][f"gseapy_over_{name}"] = {
                "min": min(ratios), "median": statistics.median(ratios), "max": max(ratios),
            }  # fmt: skip
    return shown


def agreement(one: pd.DataFrame, two: pd.DataFrame) -> dict[str, float]:
    """How far two sets of scores agree."""
    nes = (one["nes"] - two["nes"]).abs()
    return {
        "es_largest_difference": float((one["es"] - two["es"]).abs().max()),
        "nes_correlation": float(np.corrcoef(one["nes"], two["nes"])[0, 1]),
        "nes_median_difference": float(nes.median()),
        "nes_95th_percentile_of_difference": float(nes.quantile(0.95)),
        "p_rank_correlation": float(stats.spearmanr(one["p"], two["p"]).statistic),
    }


def whole_tool(rank: pd.Series, collection: str, permutations: int) -> pd.DataFrame:
    """The tool on its own collections."""
    test = pd.DataFrame(
        {
            "feature": rank.index,
            "gene": rank.index,
            "effect": rank.to_numpy(),
            "p": 2 * stats.norm.sf(np.abs(rank.to_numpy())),
        }
    )
    found: pd.DataFrame = registry.get("enrichment_gsea")(
        test, collections=(collection,), organism="human", n_permutations=permutations, min_size=MIN_SIZE,
        max_size=MAX_SIZE, seed=1,
    ).table("sets")  # fmt: skip
    return found


def compared(folder: Path, name: str, rank: pd.Series) -> dict[str, Any]:
    """Agreement and speed on one choice of sets; the runs that are compared are the warm-up."""
    sets, times = read_sets([folder / file for file in FILES[name]], rank.index), PERMUTATIONS[name]
    ours, theirs = our_scores(rank, sets, times, 1), gseapy_scores(rank.copy(), sets, times, 1)
    arms: dict[str, Callable[[], object]] = {
        "scores": lambda: our_scores(rank, sets, times, 1),
        "whole_tool": lambda: whole_tool(rank, COLLECTIONS[name], times),
        "gseapy": lambda: gseapy_scores(rank.copy(), sets, times, 1),
    }
    return {
        "genes": len(rank),
        "sets": len(sets),
        "sets_of_whole_tool": len(whole_tool(rank, COLLECTIONS[name], times)),
        **in_turn(arms, ROUNDS[name]),
        "ours_against_gseapy": agreement(ours, theirs),
        **(
            {"gseapy_against_another_seed": agreement(theirs, gseapy_scores(rank.copy(), sets, times, 2))}
            if name == "hallmark"
            else {}
        ),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--sets", nargs="+", choices=list(FILES), default=["hallmark", "all"])
    options = parser.parse_args()
    begin = time.perf_counter()
    folder = data_folder(options.data) / "genesets"
    rank = ranked(folder)
    content = {}
    for name in options.sets:
        content[name] = compared(folder, name, rank)
        print(name, content[name], flush=True)
    passed = all(
        one[kind][f"gseapy_over_{arm}"]["median"] >= 1
        for one in content.values()
        for kind in ("seconds", "processor_seconds")
        for arm in ("scores", "whole_tool")
    ) and all(one["ours_against_gseapy"]["es_largest_difference"] < 1e-9 for one in content.values())
    path = store(
        "gsea_speed",
        {
            "claim": __doc__.splitlines()[0],
            "permutations": PERMUTATIONS,
            "threads": {"ours": 1, "gseapy": THREADS},
            "gseapy": version("gseapy"),
            "seeds": [1, 2],
            "collections": content,
            "passed": passed,
        },
        module="benchmarks.gsea_speed",
        arguments=sys.argv[1:],
        seconds=time.perf_counter() - begin,
    )
    print(path.name, "passed" if passed else "missed")
    return 0 if passed else 1


if __name__ == "__main__":
    with threadpool_limits(1):
        sys.exit(main())
