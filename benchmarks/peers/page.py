"""Writes docs/peers.md from the stored results: ``python -m benchmarks.peers.page``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.truth.results import RESULTS

PAGE = Path(__file__).parents[2] / "docs" / "peers.md"
ARMS = (
    ("nereus", "discover", "nereus"),
    ("limma", "treat", "limma, treat"),
    ("limma", "eBayes", "limma, eBayes"),
    ("limma", "imputed", "limma, imputed"),
    ("alphapeptstats", "ttest", "AlphaPeptStats, t"),
    ("alphapeptstats", "ancova", "AlphaPeptStats, ANCOVA"),
)
HEAD = """# Peers on the same files

Made by `python -m benchmarks.peers.page` from `peers.json`, `peers_gene_sets.json` and `peers_reading.json` in
`benchmarks/results`; do not edit.

Three ways to analyse the same files: `nereus discover`, which is given nothing but the file and the sample sheet; a script
that an expert of limma writes (`benchmarks/peers/expert.R`: columns, design, contrasts, batches and repeats by hand; trend
and robust moderation; three variants: `eBayes`, `treat` against a fold change of 1.2, and `eBayes` after imputation from
the low tail); and AlphaPeptStats with its loaders, its t-test and, where there are covariates, its analysis of covariance.
Identifiers that tell the answer are tokens. All call at a false discovery rate of 5 %; a call is a feature and a contrast.
"""
INSTALL = """## Installing the peers

limma comes with Debian (`r-bioc-limma r-cran-statmod r-cran-data.table r-cran-jsonlite`). `pip install alphastats` (0.7.2)
fails on Python 3.11 and later: its pinned `tables` 3.7.0 has no wheel there, and building it needs `pkg_resources`, which
current setuptools no longer has. On Python 3.10 plain `pip install alphastats==0.7.2` works.
"""


def cell(arms: dict[str, Any], arm: str, method: str) -> str:
    made = arms.get(arm)
    if made is None:
        return "not run"
    if "refused" in made:
        return "stopped"
    one = made["methods"].get(method)
    return "" if one is None else f"{one['true']} / {one['false']}"


def findings(studies: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## Findings: true / false",
        "",
        "| study | true in it | " + " | ".join(title for *_, title in ARMS) + " |",
        "|" + "---|" * (len(ARMS) + 2),
    ]
    for row in studies:
        of = next(
            (m["of"] for arm in row["arms"].values() for m in arm.get("methods", {}).values()),
            "",
        )
        cells = [cell(row["arms"], arm, method) for arm, method, _ in ARMS]
        lines.append(f"| {row['study']} | {of} | " + " | ".join(cells) + " |")
    lines += ["", *(f"- {row['study']}: {row['truth']}." for row in studies)]
    return lines


def used(studies: list[dict[str, Any]]) -> list[str]:
    arms = ("nereus", "limma", "alphapeptstats")
    lines = [
        "## Processor seconds and peak memory (MB)",
        "",
        "nereus tests more than the others do (stability, exchanged labels, calibration by planting, pathways, other ways to",
        "normalise) and writes a report; limma's figures are for all three variants.",
        "",
        "| study | nereus | limma | AlphaPeptStats |",
        "|---|---|---|---|",
    ]
    for row in studies:
        cells = []
        for arm in arms:
            made = row["arms"].get(arm)
            cells.append(
                "not run" if made is None else f"{made['processor_seconds']:.1f} s, {made['peak_mb']:.0f}"
            )
        lines.append(f"| {row['study']} | " + " | ".join(cells) + " |")
    return lines


def reading(record: dict[str, Any]) -> list[str]:
    counts = record["counts"]
    verdicts = ("read", "refused", "wrong", "no loader")
    lines = [
        "## What is read",
        "",
        f"{record['files']} public files. `wrong` is a matrix with other samples than the file has, without an error. nereus is",
        "given the file alone; AlphaPeptStats is given the right loader, and columns where its defaults do not fit. `no loader`:",
        "its generic loader needs a table that is prepared by hand. limma reads none of them: its users write a reader for each.",
        "",
        "| | " + " | ".join(verdicts) + " |",
        "|---|" + "---|" * len(verdicts),
    ]
    for arm, title in (("nereus", "nereus"), ("alphapeptstats", "AlphaPeptStats")):
        lines.append(f"| {title} | " + " | ".join(str(counts[arm].get(v, 0)) for v in verdicts) + " |")
    notable = [
        row
        for row in record["rows"]
        if row["alphapeptstats"]["verdict"] in ("wrong", "refused") or row["nereus"]["verdict"] != "read"
    ]
    lines += ["", "| file | samples | nereus | AlphaPeptStats |", "|---|---|---|---|"]
    for row in notable:
        ours, theirs = row["nereus"], row["alphapeptstats"]
        note = f"{theirs['samples']} samples" if "samples" in theirs else str(theirs.get("why", ""))[:80]
        note = note.replace("|", "/")
        lines.append(
            f"| {row['file']} | {row['samples'] or ''} | {ours['verdict']} | {theirs['verdict']} {f'({note})' if note else ''} |"
        )
    return lines


SETS = """## Gene sets

limma's gene-set tests beside `enrichment_gsea` on the same values and sets (`benchmarks/peers/gene_sets.py`), at a false
discovery rate of 5 %. *Exchanged*: the labels mean nothing, runs with any call (calls a run). *Found*: half of the members of
one random set were raised; *false*: calls a run that share no raised gene. fry and mroast ask whether any gene of a set
changes, the others whether the set changes more than other genes do."""


def gene_sets(record: dict[str, Any]) -> list[str]:
    lines = [SETS]
    for name, study in record["studies"].items():
        strengths = [key for key in next(iter(study["methods"].values())) if key.startswith("planted_")]
        titles = [f"{key.split('_')[1]} sd: found, false" for key in strengths]
        lines += [
            "",
            f"*{name}*: {study['genes']} genes, {study['samples']} samples, {study['sets']} sets, "
            f"{study['draws']} draws.",
            "",
            "| | exchanged | " + " | ".join(titles) + " | labels as they are | s |",
            "|---|---|" + "---|" * (len(titles) + 2),
        ]
        for method, row in study["methods"].items():
            cells = [f"{row['exchanged_runs_with_a_call']:.0%} ({row['exchanged_calls_per_run']:.1f})"]
            cells += [f"{row[key]['found']:.0%}, {row[key]['false_calls_per_run']:.1f}" for key in strengths]
            cells += [f"{row['as_it_is']['called']} called", f"{row['seconds']:.1f}"]
            lines.append(f"| {method} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Seconds of nereus are for the test of genes and of sets, both p-values, and the groups of sets that tell the same.",
    ]
    return lines


def main() -> None:
    peers = json.loads((RESULTS / "peers.json").read_text())
    read = json.loads((RESULTS / "peers_reading.json").read_text())
    sets = json.loads((RESULTS / "peers_gene_sets.json").read_text())
    versions = "; ".join(peers["peers"].values())
    parts = [
        HEAD,
        f"Versions: {versions}. Seed {peers['seeds'][0]}.",
        "",
        *findings(peers["studies"]),
        "",
        *used(peers["studies"]),
        "",
        *gene_sets(sets),
        "",
        *reading(read),
        "",
        INSTALL,
    ]
    PAGE.write_text("\n".join(parts).rstrip() + "\n")


if __name__ == "__main__":
    main()
