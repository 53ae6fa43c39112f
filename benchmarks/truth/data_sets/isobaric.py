"""TMT and label-free series: batches of plexes, knock-outs, dilutions, mixtures over channels, null sets."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.truth.anonymise import anonymise_maxquant
from benchmarks.truth.arms import load, naive_arm
from benchmarks.truth.data_sets.row import CONFIDENT, Files, Report, Row, Score, naive_groups, named
from nereus.tools import registry

HUMAN = (
    "O15379", "Q15185", "P15090", "P05089", "P06733", "Q96FW1", "Q9Y2W7", "Q9H0R8-2", "Q14847", "O60861", "P15311",
    "P52292",
)  # fmt: skip
FALLING = ("FIBA", "FIBB", "FIBG", "RNAS1", "TRFE")
RISING = ("CASB", "MYG", "CAH2", "CASA1", "DHE3", "LACB", "PERL")
DILUTION = {"126": 1.0, "127N": 0.78, "128C": 0.61, "129N": 0.42, "130C": 0.20, "131N": 0.11}
EMPTY = {"127C", "128N", "129C", "130N"}
KNOCKED = {"Met6": "MET6", "Pfk2": "PFK2", "Ura2": "URA2"}


# --------------------------------------------------------------------------------- human proteins in constant bacteria


def dangelo_files(folder: Path, work: Path, seed: int) -> Files:
    """The SPS-MS3 table; nobody says which channel holds how much."""
    data = work / "proteinGroups.txt"
    return Files(
        data, key=anonymise_maxquant(folder / "spike_tmt_dangelo" / "MS3_proteinGroups.txt.gz", data, seed)
    )


def dangelo_true(files: Files) -> set[str]:
    return {token for token, original in files.key.items() if set(original.split(";")) & set(HUMAN)}


def dangelo_score(report: Report, files: Files) -> Score:
    """Without groups there is nothing to compare: what the report shows as varying beyond what is usual."""
    true = dangelo_true(files)
    shown = [str(one["entity"]) for one in report.leads()]
    return Score(
        len(true & set(shown)),
        len(true),
        len(report.claims),
        len(report.claims),
        note=f"shown as exploratory, not claimed: {len(shown)} features, of which the first {len(true)} hold "
        f"{len(true & set(shown[: len(true)]))} of them",
    )


def dangelo_naive(files: Files) -> Score:
    """Rank by the coefficient of variation over channels."""
    data = load(files.data, None)
    values = 2.0 ** np.asarray(data.X)
    with np.errstate(all="ignore"):
        variation = np.nan_to_num(np.nanstd(values, axis=0) / np.nanmean(values, axis=0))
    true = dangelo_true(files)
    top = {str(data.var_names[i]) for i in np.argsort(-variation)[: len(true)]}
    return Score(
        len(top & true), len(true), len(top - true), len(top), note="first by coefficient of variation"
    )


# --------------------------------------------------------------------------------------------------------- knock-outs


def knockout_files(folder: Path, work: Path, seed: int) -> Files:
    """The table as it is, and a sheet that says which strain each channel holds (as the banner of the table does)."""
    source = folder / "spike_tmt_yeast_triple_knockout" / "Lumos_protein_summary_TMT.txt.gz"
    read = load(source, None)
    sheet = work / "samples.csv"
    strain = read.obs["label"].astype(str).map(lambda text: re.sub(r"-\d$", "", text))
    pd.DataFrame(
        {
            "sample": read.obs_names,
            "strain": strain.to_numpy(),
            "plex": read.obs["plex"].astype(str).to_numpy(),
        }
    ).to_csv(sheet, index=False)
    return Files(source, sheet)


def _knocked(claims: pd.DataFrame) -> tuple[int, tuple[str, ...], int, int]:
    found, missing, against, sure = 0, [], 0, 0
    for strain, gene in KNOCKED.items():
        about = claims[named(claims, gene=gene)]
        pairs = [str(c).split(" (")[0].split(" vs ") for c in about["contrast"]]
        lower = [
            strain in pair and ((d in ("down", "absent")) == (pair[0] == strain))
            for pair, d in zip(pairs, about["direction"], strict=True)
        ]
        wrong = [
            strain in pair and ((d in ("down", "absent")) != (pair[0] == strain))
            for pair, d in zip(pairs, about["direction"], strict=True)
        ]
        found += any(lower)
        if not any(lower):
            missing.append(gene)
        against += sum(wrong)
        sure += (
            int((about["confidence"][np.array(wrong, dtype=bool)] >= CONFIDENT).sum()) if len(about) else 0
        )
    return found, tuple(missing), against, sure


def knockout_score(report: Report, files: Files) -> Score:
    found, missing, against, sure = _knocked(report.claims)
    return Score(
        found,
        len(KNOCKED),
        against,
        int(sum(named(report.claims, gene=gene).sum() for gene in KNOCKED.values())),
        sure,
        missing,
        note=f"{len(report.claims)} claims in all: strains differ in more than the gene",
    )


def knockout_naive(files: Files) -> Score:
    strains = list(KNOCKED)
    made = pd.concat(
        [
            naive_groups(files, "strain", a, b).assign(contrast=f"{a} vs {b}")
            for i, a in enumerate(strains)
            for b in strains[i + 1 :]
        ]
    )
    found, missing, against, _ = _knocked(made)
    return Score(
        found,
        len(KNOCKED),
        against,
        int(sum(named(made, gene=g).sum() for g in KNOCKED.values())),
        None,
        missing,
    )


# ----------------------------------------------------------------------------------------------------- dilution series


def dilution_files(folder: Path, work: Path, seed: int) -> Files:
    return Files(folder / "spike_tmt_dilution" / "grouped_protein_summary_TMT.csv.gz")


def dilution_tools(files: Files, seed: int) -> Score:
    data = load(files.data, None)
    total = pd.Series(np.nansum(2.0 ** np.asarray(data.X), axis=1), index=data.obs["channel"].astype(str))
    relative = total / total["126"]
    blank = set(data.obs["channel"].astype(str)[data.obs["blank"].to_numpy(dtype=bool)])
    right = sum(abs(relative[channel] - expected) <= 0.006 for channel, expected in DILUTION.items())
    missing = tuple(sorted((EMPTY - blank) | (blank - EMPTY)))
    return Score(
        right + len(EMPTY & blank),
        len(DILUTION) + len(EMPTY),
        len(blank - EMPTY),
        len(blank),
        missing=missing,
        note="sums of six loaded channels, and four empty ones recognised",
    )


# ------------------------------------------------------------------------------------------------ ages of a mouse lens


def lens_files(folder: Path, work: Path, seed: int) -> Files:
    return Files(folder / "batch_tmt_mouse_lens" / "iovs-58-13-55_s01.csv.gz")


def _by_age(scores: np.ndarray, age: np.ndarray, plex: np.ndarray) -> tuple[float, float]:
    """Shares of the variance of the first two components that age and set explain."""

    def share(labels: np.ndarray) -> float:
        total = ((scores - scores.mean(axis=0)) ** 2).sum()
        inside = sum(
            ((scores[labels == one] - scores[labels == one].mean(axis=0)) ** 2).sum()
            for one in np.unique(labels)
        )
        return float(1 - inside / total)

    return share(age), share(plex)


def lens_score(report: Report, files: Files) -> Score:
    tables = report.tables("pca_variance", "scores")
    table = tables[-1]
    names = table.iloc[:, 0].astype(str)
    parts = names.str.extract(r"^(?P<age>[EP]\d+)_(?P<plex>Set\d)")
    by_age, by_set = _by_age(
        table.iloc[:, 1:3].to_numpy(float), parts["age"].to_numpy(), parts["plex"].to_numpy()
    )
    first = _by_age(tables[0].iloc[:, 1:3].to_numpy(float), parts["age"].to_numpy(), parts["plex"].to_numpy())
    scaled = len(report.values("internal_reference_scaling"))
    claims = report.claims
    return Score(
        float(by_age > by_set and scaled > 0),
        1,
        note=f"two components of the prepared matrix follow age {by_age:.2f}, set {by_set:.2f} "
        f"(first look: {first[0]:.2f}, {first[1]:.2f}); {len(claims)} claims",
    )


def lens_naive(files: Files) -> Score:
    data = load(files.data, None)
    values = np.asarray(data.X)
    values = values[:, np.isfinite(values).all(axis=0)]
    values = values - np.median(values, axis=1, keepdims=True)
    u, s, _ = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    by_age, by_set = _by_age(
        (u * s)[:, :2], data.obs["group"].astype(str).to_numpy(), data.obs["plex"].astype(str).to_numpy()
    )
    return Score(float(by_age > by_set), 1, note=f"age {by_age:.2f}, set {by_set:.2f}")


# ------------------------------------------------------------------------------------- twelve proteins over eight mixes


def mixes_files(folder: Path, work: Path, seed: int) -> Files:
    """Fragments as they are; the sheet says which of eight mixes each run holds."""
    source = folder / "spike_dia_bruderer_iq" / "spikeins_fragments.csv.gz"
    table = pd.read_csv(source)
    runs = sorted(table["R.Condition"].unique())
    sheet = work / "samples.csv"
    pd.DataFrame({"sample": runs, "mix": [1 + i // 3 for i in range(len(runs))]}).to_csv(sheet, index=False)
    names = table.drop_duplicates("PG.ProteinGroups").set_index("PG.ProteinGroups")["PG.ProteinNames"]
    return Files(source, sheet, key={str(k): str(v).split("_")[0] for k, v in names.items()})


def _mixes(claims: pd.DataFrame, key: dict[str, str]) -> tuple[int, tuple[str, ...], int]:
    entry = (
        claims["feature"]
        .astype(str)
        .map(lambda f: key.get(f, next((v for k, v in key.items() if k in f), f)))
    )
    found, missing, wrong = 0, [], 0
    for names, direction in ((FALLING, "down"), (RISING, "up")):
        for name in names:
            told = set(claims["direction"][entry == name])
            found += direction in told
            missing += [] if direction in told else [name]
            wrong += len(told - {direction})
    return found, tuple(missing), wrong


def mixes_score(report: Report, files: Files) -> Score:
    claims = report.claims
    about = (
        claims[claims["contrast"].str.startswith("mix")] if (claims["contrast"] == "mix").any() else claims
    )
    found, missing, wrong = _mixes(about, files.key)
    return Score(found, len(FALLING) + len(RISING), wrong, len(claims), missing=missing)


def mixes_naive(files: Files) -> Score:
    """Last mix against the first, proteins as the medians of their centred fragments."""
    data = load(files.data, files.samples)
    mix = data.obs["mix"].astype(float).to_numpy()
    values = np.asarray(data.X) - np.nanmedian(np.asarray(data.X), axis=1, keepdims=True)
    group = data.var["protein_group"].astype(str).to_numpy()
    rows = []
    for name in sorted(set(group)):
        with np.errstate(all="ignore"):
            level = np.nanmedian(
                values[:, group == name] - np.nanmean(values[:, group == name], axis=0), axis=1
            )
        change = np.nanmean(level[mix == 8]) - np.nanmean(level[mix == 1])
        rows.append((name, "up" if change > 0 else "down"))
    found, missing, wrong = _mixes(pd.DataFrame(rows, columns=["feature", "direction"]), files.key)
    return Score(
        found,
        len(FALLING) + len(RISING),
        wrong,
        len(rows),
        missing=missing,
        note="sign of last minus first mix",
    )


# ----------------------------------------------------------------------------------------------------------- a null set


def null_files(folder: Path, work: Path, seed: int) -> Files:
    return Files(folder / "spike_tmt_ups1_msstats" / "input_pd.csv.gz")


def null_score(report: Report, files: Files) -> Score:
    claims = report.claims
    claims = claims[~claims["contrast"].str.contains("Mixture|Run|plex", regex=True)]
    sure = int((claims["confidence"] >= CONFIDENT).sum())
    return Score(
        float(len(claims) == 0),
        1,
        len(claims),
        len(claims),
        sure,
        tuple(f"{r['feature']} in {r['contrast']}" for r in claims.head(3).to_dict("records")),
        note="found = nothing is claimed of ten background proteins",
    )


def null_naive(files: Files) -> Score:
    """Every pair of conditions on proteins by median polish, all channels taken for independent."""
    peptides = load(files.data, None)
    data = registry.get("summarise_peptides")(peptides, method="median_polish").dataset()
    label = data.obs["Condition"].astype(str).to_numpy()
    levels = sorted(set(label) - {"Norm"})
    count = 0
    for i, a in enumerate(levels):
        for b in levels[i + 1 :]:
            kept = np.isin(label, [a, b])
            count += len(
                naive_arm(
                    np.asarray(data.X)[kept],
                    [str(n) for n in data.var_names],
                    label[kept] == a,
                    f"{a} vs {b}",
                ).claims
            )
    return Score(float(count == 0), 1, count, count)


ROWS = (
    Row(
        "spike_tmt_dangelo/MS3",
        "13 human proteins vary in constant E. coli: 12 of them come first by variance; amounts are not known",
        dangelo_files,
        dangelo_score,
        dangelo_naive,
    ),
    Row(
        "spike_tmt_yeast_triple_knockout/Lumos",
        "Met6, Pfk2 and Ura2 are low in the channels of their knock-out; two channels are blank",
        knockout_files,
        knockout_score,
        knockout_naive,
    ),
    Row(
        "spike_tmt_dilution",
        "channel sums 1, .78, .61, .42, .20, .11; four channels are empty",
        dilution_files,
        tools=dilution_tools,
        why="no ids and no groups: nothing for `discover` to compare",
    ),
    Row(
        "batch_tmt_mouse_lens",
        "raw data group by set; after internal reference scaling by age",
        lens_files,
        lens_score,
        lens_naive,
        checked=False,
    ),
    Row(
        "spike_dia_bruderer_iq",
        "5 proteins fall and 7 rise over eight mixes",
        mixes_files,
        mixes_score,
        mixes_naive,
    ),
    Row(
        "spike_tmt_ups1_msstats",
        "10 background proteins in five mixtures: no condition differs",
        null_files,
        null_score,
        null_naive,
    ),
)
