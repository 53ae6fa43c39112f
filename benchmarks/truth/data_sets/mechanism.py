"""Baits, drug targets, sites and organelles."""

from __future__ import annotations

import csv
import gzip
import io
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.neighbors import KNeighborsClassifier

from benchmarks.truth.arms import load, naive_arm
from benchmarks.truth.data_sets.row import CONFIDENT, Files, Report, Row, Score, naive_groups, oriented

BAITS = ("Cbp1", "Cbp2", "Cbp3", "Cbs1", "Cbs2", "Ifm1")
TARGET = "P62942"


def plain(data: str, samples: str | None, folder: Path, work: Path, seed: int) -> Files:
    return Files(folder / data, None if samples is None else folder / samples)


# --------------------------------------------------------------------------------------------------------------- baits


def baits_score(report: Report, files: Files) -> Score:
    tables = report.tables("score_interactome", "baits")
    if not tables:
        return Score(0, len(BAITS), note="the pulldowns were not scored")
    table = tables[0].set_index("bait")
    top = [bait for bait in BAITS if bait in table.index and table.loc[bait, "bait_rank"] == 1]
    told = {
        contrast.rpartition(": ")[2]
        for _, name, _, contrast in report.entities("interactor")
        if name.lower() == contrast.rpartition(": ")[2].lower()
    }
    return Score(
        len(top),
        len(BAITS),
        missing=tuple(b for b in BAITS if b not in top),
        note=f"{len(told & set(BAITS))} of them are told as hypotheses",
    )


def baits_naive(files: Files) -> Score:
    """Rank of the bait by t statistic of its pulldown against the others."""
    data = load(files.data, None)
    label = data.obs["group"].astype(str).to_numpy()
    gene = data.var["gene"].astype(str).to_numpy()
    top = []
    for bait in BAITS:
        claims = naive_arm(
            np.asarray(data.X), list(map(str, range(data.n_vars))), label == bait, f"{bait} vs rest"
        ).claims
        up = claims[claims["direction"] == "up"]
        if len(up) and gene[int(up["feature"].iloc[0])].lower() == bait.lower():
            top.append(bait)
    return Score(len(top), len(BAITS), missing=tuple(b for b in BAITS if b not in top))


UBIQUITIN = ("USP15", "IKBKG", "TBK1")


def _ubiquitin(names: set[str]) -> tuple[int, tuple[str, ...], int]:
    missing = tuple(gene for gene in UBIQUITIN if gene not in names)
    proteasome = sum(name.startswith("PSM") for name in names)
    if proteasome < 6:
        missing = (*missing, "proteasome")
    return len(UBIQUITIN) + 1 - len(missing), missing, proteasome


def ubiquitin_score(report: Report, files: Files) -> Score:
    claims = report.claims
    bound = claims[
        claims["contrast"].str.contains("Ubi[46]", regex=True) & claims["direction"].isin(["up", "present"])
    ]
    names = {part for text in bound["gene"].dropna() for part in str(text).replace(";", " ").split()}
    names |= {name for _, name, _, contrast in report.entities("interactor") if "Ubi" in contrast}
    for table in report.tables("score_interactome", "interactors"):
        names |= set(table[(table["q"] <= 0.05) & table["bait"].isin(["Ubi4", "Ubi6"])]["gene"].astype(str))
    found, missing, proteasome = _ubiquitin(names)
    return Score(found, len(UBIQUITIN) + 1, missing=missing, note=f"{proteasome} subunits of the proteasome")


def ubiquitin_naive(files: Files) -> Score:
    claims = pd.concat([naive_groups(files, "condition", bait, "Ctrl") for bait in ("Ubi4", "Ubi6")])
    found, missing, proteasome = _ubiquitin(set(claims[claims["up"]]["gene"]))
    return Score(found, len(UBIQUITIN) + 1, missing=missing, note=f"{proteasome} subunits of the proteasome")


# -------------------------------------------------------------------------------------------------------- drug targets


def target_files(name: str, folder: Path, work: Path, seed: int) -> Files:
    """The table as it is; which protein each peptide is of, for the scorer."""
    source = folder / "lip_rapamycin_protti" / name
    table = pd.read_csv(source, usecols=["pg_protein_accessions", "eg_precursor_id"]).drop_duplicates()
    owners = zip(
        table["eg_precursor_id"].astype(str), table["pg_protein_accessions"].astype(str), strict=True
    )
    return Files(source, key=dict(owners))


def target_score(report: Report, files: Files) -> Score:
    """The protein, or peptides of it, as a hypothesis; proteins of which anything else is claimed are false."""
    told = [(files.key.get(entity, entity), direction) for entity, _, direction, _ in report.entities()]
    others = {protein for protein, direction in told if TARGET not in protein and direction != "none"}
    claims = report.claims
    protein = claims["feature"].astype(str).map(lambda feature: files.key.get(feature, feature))
    wrong = ~protein.str.contains(TARGET)
    relations = sorted({str(one["claim"]["relation"]) for one in report.hypotheses})
    return Score(
        float(any(TARGET in one for one, _ in told)),
        1,
        protein[wrong].nunique(),
        protein.nunique(),
        protein[wrong & (claims["confidence"] >= CONFIDENT)].nunique(),
        note=f"counted in proteins; hypotheses say {', '.join(relations) or 'nothing'}; "
        f"{len(others)} of them are about other proteins; {int((~wrong).sum())} claims about the target",
    )


def target_naive(column: str, a: str, b: str, files: Files) -> Score:
    data = load(files.data, files.samples)
    label = data.obs[column].astype(str).to_numpy()
    kept = np.isin(label, [a, b])
    claims = naive_arm(
        np.asarray(data.X)[kept], [str(n) for n in data.var_names], label[kept] == a, f"{a} vs {b}"
    ).claims
    protein = dict(zip(map(str, data.var_names), data.var["protein_group"].astype(str), strict=True))
    proteins = {protein[f] for f in claims["feature"]}
    return Score(
        float(TARGET in proteins),
        1,
        len(proteins - {TARGET}),
        len(proteins),
        note="peptides, target = any of them",
    )


# --------------------------------------------------------------------------------------------------------- phosphosites

SITES = (("AKT1S1", "T247"), ("IRS2", "S556"), ("PRKAA1", "S496"), ("PHLDB2", "S414"))


def insulin_files(folder: Path, work: Path, seed: int) -> Files:
    return Files(folder / "phospho_insulin_cells_phosr" / "phospho_cells_Ins.csv.gz")


def _sites(up: set[str]) -> tuple[int, tuple[str, ...]]:
    missing = tuple(
        f"{gene} {site}"
        for gene, site in SITES
        if not any(gene in feature and site in feature for feature in up)
    )
    return len(SITES) - len(missing), missing


def insulin_score(report: Report, files: Files) -> Score:
    claims = report.claims
    pairs = claims["contrast"].str.contains("Ins") & ~claims["contrast"].str.contains(" x ")
    about = claims[pairs & claims["kind"].isin(["abundance", "detection"])]
    first = about["contrast"].str.split(" vs ").str[0].str.contains("Ins")
    rising = about[(about["direction"].isin(["up", "present"])) == first]
    falling = about[(about["direction"].isin(["up", "present"])) != first]
    found, missing = _sites(set(rising["feature"].astype(str) + " " + rising["gene"].astype(str)))
    against, _ = _sites(set(falling["feature"].astype(str) + " " + falling["gene"].astype(str)))
    active = report.entities("activity")
    akt = [e for e in active if "AKT" in e[1].upper() and e[2] == "up"]
    place = active.index(akt[0]) + 1 if akt else None
    return Score(
        found + bool(akt),
        len(SITES) + 1,
        against,
        found + against,
        missing=missing if akt else (*missing, "AKT activity"),
        note=(
            f"AKT is place {place} of {len(active)} kinases told"
            if akt
            else "no kinase is told as a hypothesis"
        )
        + f"; {len(about)} sites claimed; AKT among the claims: "
        + ("yes" if claims[claims["kind"] == "activity"]["feature"].str.contains("AKT").any() else "no"),
    )


def insulin_naive(files: Files) -> Score:
    data = load(files.data, None)
    names = data.obs_names.astype(str)
    values, features = np.asarray(data.X), [str(n) for n in data.var_names]
    up: set[str] = set()
    label = dict(
        zip(features, data.var["gene"].astype(str) + " " + data.var["site"].astype(str), strict=True)
    )
    for line in ("FL83B", "Hepa1"):
        inside = np.array([line in name for name in names])
        treated = np.array(["_Ins_" in name for name in names])[inside]
        claims = naive_arm(values[inside], features, treated, "Ins vs Control").claims
        up |= {label[f] for f in claims[claims["direction"] == "up"]["feature"]}
    found, missing = _sites(up)
    return Score(found, len(SITES) + 1, missing=(*missing, "AKT activity"), note="no activity of kinases")


# ----------------------------------------------------------------------------------------------------------- organelles

LOPIT, PLANTS = "hyperLOPIT-SIData-ms3-rep12-intersect.csv.gz", "Dunkley2006.csv.gz"
SAME = {
    "ER": {"ER membrane", "ER lumen"}, "PM": {"PM"}, "Golgi": {"Golgi", "TGN"}, "vacuole": {"vacuole"},
    "mit/plastid": {"Mitochondrion", "Plastid"}, "ER lumen": {"ER lumen"}, "ER membrane": {"ER membrane"}, "TGN": {"TGN"},
    "Mitochondrion": {"Mitochondrion"}, "Plastid": {"Plastid"}, "Ribosome": {"Ribosome"},
}  # fmt: skip


def lopit_files(folder: Path, work: Path, seed: int) -> Files:
    """Profiles and the markers of the authors; every other column about places is cut."""
    with gzip.open(folder / "spatial_hyperlopit" / LOPIT, "rt", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    second = rows[1]
    kept = [i for i in range(len(second)) if i < 27 or second[i] == "SVM marker set"]
    out = io.StringIO()
    csv.writer(out).writerows([[row[i] for i in kept] for row in rows])
    data = work / "profiles.csv"
    data.write_text(out.getvalue())
    final = second.index("Final Localization Assignment")
    return Files(data, key={row[0]: row[final] for row in rows[2:]})


def plants_files(folder: Path, work: Path, seed: int) -> Files:
    table = pd.read_csv(folder / "spatial_hyperlopit" / PLANTS)
    hidden = [c for c in table.columns if c.startswith("Loc.") or c == "pd.2013"]
    data = work / "profiles.csv"
    table.drop(columns=hidden).to_csv(data, index=False)
    return Files(
        data, key=dict(zip(table["Protein.ID"].astype(str), table["pd.2013"].astype(str), strict=True))
    )


def _placed(place: dict[str, str], key: dict[str, str], marker: set[str]) -> Score:
    """Proteins that are no markers and that the authors place: right ones out of all, wrong ones out of all told."""
    free = {p: t for p, t in key.items() if p not in marker and t not in ("unclassified", "unknown", "")}
    told = {p: place[p] for p in free if p in place}
    right = sum(free[p] in SAME.get(o, {o}) or o in SAME.get(free[p], {free[p]}) for p, o in told.items())
    share = right / len(told) if told else 0.0
    return Score(
        right,
        len(free),
        len(told) - right,
        len(told),
        note=f"{share:.3f} of the placed agree with the authors",
    )


def place_score(report: Report, files: Files) -> Score:
    tables = report.tables("classify_organelles", "localisation")
    if not tables:
        return Score(0, 1, note="nothing was placed")
    table = tables[0]
    placed = table[table["verdict"] == "assigned"]
    known = set(table[table["verdict"] == "marker"].iloc[:, 0].astype(str))
    return _placed(
        dict(zip(placed.iloc[:, 0].astype(str), placed["organelle"].astype(str), strict=True)),
        files.key,
        known,
    )


def place_naive(marker: str, files: Files) -> Score:
    """Five nearest markers."""
    data = load(files.data, None)
    label = data.var[marker].fillna("unknown").astype(str).to_numpy()
    values = np.nan_to_num(2.0 ** np.asarray(data.X).T)
    known = ~np.isin(label, ["unknown", "nan", ""])
    model = KNeighborsClassifier(5).fit(values[known], label[known])
    names = data.var_names.astype(str)
    place = dict(zip(names[~known], model.predict(values[~known]), strict=True))
    return _placed(place, files.key, set(names[known]))


def idh_score(report: Report, files: Files) -> Score:
    contrasts = report.tables("profile_dataset", "contrasts")[0]
    pair = contrasts[
        [set(p) == {"IDHmut", "IDHwt"} for p in zip(contrasts["a"], contrasts["b"], strict=True)]
    ]
    right = len(pair) > 0 and (int(pair["n_a"].iloc[0]), int(pair["n_b"].iloc[0])) == (3, 3)
    about = oriented(report.claims, "IDHmut", "IDHwt")
    return Score(float(right), 1, note=f"groups from the names of the columns; {len(about)} claims")


def idh_naive(files: Files) -> Score:
    return Score(1, 1, note=f"told the groups; {len(naive_groups(files, 'group', 'IDHmut', 'IDHwt'))} claims")


ROWS = (
    Row(
        "cell_bait_ip_yeast_mito",
        "six baits top their own pulldowns",
        partial(plain, "cell_bait_ip_yeast_mito/proteinGroups.txt.gz", None),
        baits_score,
        baits_naive,
    ),
    Row(
        "cell_ubiquitin_interactors_ubilength",
        "ubiquitin binds USP15, IKBKG, TBK1 and the proteasome",
        partial(
            plain,
            "cell_ubiquitin_interactors_ubilength/UbiLength.csv.gz",
            "cell_ubiquitin_interactors_ubilength/UbiLength_ExpDesign.csv",
        ),
        ubiquitin_score,
        ubiquitin_naive,
        checked=False,
    ),
    Row(
        "lip_rapamycin_protti/10uM",
        "FKBP1A (P62942) is the target",
        partial(target_files, "rapamycin_10uM.csv.gz"),
        target_score,
        partial(target_naive, "r_condition", "rapamycin", "control"),
        question="which target does limited proteolysis show?",
    ),
    Row(
        "lip_rapamycin_protti/dose",
        "FKBP1A (P62942) follows the dose",
        partial(target_files, "rapamycin_dose_response.csv.gz"),
        target_score,
        partial(target_naive, "r_condition", "100000000.0", "0.0"),
        question="which target follows the dose in limited proteolysis?",
    ),
    Row(
        "phospho_insulin_cells_phosr",
        "insulin raises AKT1S1 T247, IRS2 S556, PRKAA1 S496, PHLDB2 S414: AKT is active",
        insulin_files,
        insulin_score,
        insulin_naive,
    ),
    Row(
        "spatial_hyperlopit/christoforou",
        "final places of the proteins that are no markers (those columns are cut)",
        lopit_files,
        place_score,
        partial(place_naive, "SVM marker set"),
    ),
    Row(
        "spatial_hyperlopit/dunkley",
        "places of the second analysis of the same data (those columns are cut)",
        plants_files,
        place_score,
        partial(place_naive, "pd.markers"),
    ),
    Row(
        "formats_small/fragpipe_IDH",
        "three IDH mutants against three wild types",
        partial(plain, "formats_small/fragpipe_combined_protein_IDH.tsv.gz", None),
        idh_score,
        idh_naive,
    ),
)
