"""Mixtures with known amounts: spike-ins in a constant background, and three species mixed in two ratios."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.truth.anonymise import anonymise_maxquant
from benchmarks.truth.arms import load, naive_arm
from benchmarks.truth.data_sets.row import CONFIDENT, Files, Report, Row, Score, naive_groups, sides

UPS1 = "spike_ups1_yeast_ramus"
EXPECTED = {
    "hye124": {"HUMAN": 0.0, "YEAST": 1.0, "ECOLI": -2.0},
    "hye110": {"HUMAN": 0.0, "YEAST": 3.3, "ECOLI": -3.3},
}


def judged(
    claims: pd.DataFrame, expected: Callable[[str, str], float | None], truths: int, unit: str
) -> Score:
    """Score claims by (feature, contrast) -> expected log2 effect; 0 and None are wrong to claim."""
    right = []
    for row in claims.to_dict("records"):
        effect = expected(str(row["feature"]), str(row["contrast"]))
        up = row["direction"] in ("up", "present")
        right.append(bool(effect) and (effect > 0) == up)
    ok = np.array(right, dtype=bool)
    found = claims["feature"][ok].nunique()
    sure = claims["confidence"].fillna(0.0).to_numpy(dtype=float) >= CONFIDENT
    sized = [
        abs(float(row["effect"]) - float(expected(str(row["feature"]), str(row["contrast"])) or 0))
        for row, good in zip(claims.to_dict("records"), ok, strict=True)
        if good and row["kind"] == "abundance"
    ]
    size = f", median error of log2 effects {np.median(sized):.2f}" if sized else ""
    return Score(
        found,
        truths,
        int((~ok).sum()),
        len(claims),
        int((~ok & sure).sum()),
        note=f"{unit}{size}".removeprefix(", "),
    )


# ------------------------------------------------------------------------------------------------------ UPS1 in yeast


def ups1_files(name: str, folder: Path, work: Path, seed: int) -> Files:
    data, samples = work / "proteinGroups.txt", work / "samples.txt"
    key = anonymise_maxquant(folder / UPS1 / f"{name}_prot.txt.gz", data, seed)
    samples.write_text((folder / UPS1 / f"samples_{name}.txt").read_text())
    return Files(data, samples, key=key)


def ups1_expected(files: Files) -> tuple[Callable[[str, str], float | None], int]:
    assert files.samples is not None
    levels = sorted(set(pd.read_csv(files.samples, sep=r"\s+")["Condition"].astype(str)))
    amount = {level: float(re.sub(r"[^0-9.]", "", level)) for level in levels}
    spiked = {token for token, original in files.key.items() if "ups" in original.lower()}

    def expected(feature: str, contrast: str) -> float | None:
        pair = sides(contrast)
        if pair is None or not set(pair) <= set(amount):
            return None
        return float(np.log2(amount[pair[0]] / amount[pair[1]])) if feature in spiked else 0.0

    return expected, len(spiked)


def ups1_score(report: Report, files: Files) -> Score:
    expected, truths = ups1_expected(files)
    return judged(report.claims, expected, truths, "spiked groups")


def ups1_naive(files: Files) -> Score:
    expected, truths = ups1_expected(files)
    data = load(files.data, files.samples, quantity="intensity")
    condition = data.obs["Condition"].astype(str).to_numpy()
    a, b = condition[0], condition[-1]
    names = [str(name) for name in data.var_names]
    outcome = naive_arm(np.asarray(data.X), names, condition == a, f"{a} vs {b}")
    return judged(outcome.claims, expected, truths, "")


def ups1_row(name: str) -> Row:
    return Row(
        f"{UPS1}/{name}",
        "48 human proteins spiked into constant yeast differ, the yeast does not",
        partial(ups1_files, name),
        ups1_score,
        ups1_naive,
    )


# ------------------------------------------------------------------------------------------------------- CPTAC study 6


def cptac_files(folder: Path, work: Path, seed: int) -> Files:
    """Three spike levels x three labs x three runs; the sheet names both."""
    data, samples = work / "proteinGroups.txt", work / "samples.csv"
    key = anonymise_maxquant(folder / "spike_cptac_study6" / "proteinGroups.txt.gz", data, seed)
    lines = [f"6{level}_{run},{level},lab{(run - 1) // 3 + 1}" for level in "ABC" for run in range(1, 10)]
    samples.write_text("\n".join(["sample,spike,lab", *lines]) + "\n")
    return Files(data, samples, key=key)


CPTAC_AMOUNT = {"A": 0.25, "B": 0.74, "C": 2.2}


def cptac_expected(files: Files) -> tuple[Callable[[str, str], float | None], int]:
    spiked = {token for token, original in files.key.items() if "ups" in original.lower()}

    def expected(feature: str, contrast: str) -> float | None:
        pair = sides(contrast)
        if pair is None or not set(pair) <= set(CPTAC_AMOUNT):
            return None
        return float(np.log2(CPTAC_AMOUNT[pair[0]] / CPTAC_AMOUNT[pair[1]])) if feature in spiked else 0.0

    return expected, len(spiked)


def cptac_score(report: Report, files: Files) -> Score:
    expected, truths = cptac_expected(files)
    return judged(report.claims, expected, truths, "spiked groups in any contrast of A, B, C")


def cptac_naive(files: Files) -> Score:
    expected, truths = cptac_expected(files)
    made = pd.concat(
        [
            naive_groups(files, "spike", a, b, quantity="intensity")
            for a, b in (("B", "A"), ("C", "A"), ("C", "B"))
        ]
    )
    return judged(made, expected, truths, "")


# ------------------------------------------------------------------------------------------------------- three species


def species_files(name: str, folder: Path, work: Path, seed: int) -> Files:
    """The table with tokens for proteins and without the column that tells the species."""
    table = pd.read_csv(folder / "spike_hye_lfqbench" / name, sep="\t")
    rng = np.random.default_rng(seed)
    tokens = [f"X{number:06d}" for number in rng.permutation(len(table))]
    key = dict(zip(tokens, table["species"].astype(str), strict=True))
    data = work / "proteins.tsv"
    table.assign(proteinID=tokens).drop(columns="species").to_csv(data, sep="\t", index=False, na_rep="NA")
    return Files(data, key=key)


def species_expected(name: str, files: Files) -> tuple[Callable[[str, str], float | None], int]:
    effect = EXPECTED[name[:6]]

    def expected(feature: str, contrast: str) -> float | None:
        pair = sides(contrast)
        if pair is None or set(pair) != {"A", "B"} or feature not in files.key:
            return None
        value = next((e for s, e in effect.items() if files.key[feature].upper().startswith(s[:4])), None)
        return None if value is None else value * (1 if pair[0] == "A" else -1)

    changing = sum(1 for species in files.key.values() if not species.upper().startswith("HUMA"))
    return expected, changing


def species_score(name: str, report: Report, files: Files) -> Score:
    expected, truths = species_expected(name, files)
    return judged(report.claims, expected, truths, "yeast and E. coli proteins")


def species_naive(name: str, files: Files) -> Score:
    expected, truths = species_expected(name, files)
    return judged(naive_groups(files, "group", "A", "B"), expected, truths, "")


def species_row(name: str, what: str) -> Row:
    effect = EXPECTED[name[:6]]
    return Row(
        f"spike_hye_lfqbench/{what}",
        f"log2 A/B: yeast {effect['YEAST']:+g}, E. coli {effect['ECOLI']:+g}, human 0",
        partial(species_files, name),
        partial(species_score, name),
        partial(species_naive, name),
    )


ROWS = (
    *(ups1_row(name) for name in ("Exp1_R25", "Exp1_R2", "Exp2_R100", "Exp2_R10", "Exp2_R2")),
    Row(
        "spike_cptac_study6",
        "40 spiked groups rise from A to B to C, yeast does not; runs come from three labs",
        cptac_files,
        cptac_score,
        cptac_naive,
    ),
    species_row("hye124_spectronaut_proteins.tsv", "hye124_spectronaut"),
    species_row("hye124_peakview_proteins.tsv", "hye124_peakview"),
    species_row("hye110_isoquant_proteins.tsv", "hye110_isoquant"),
)
