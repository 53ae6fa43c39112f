"""Patients, mice and cell lines: groups with proteins or gene sets that are known to differ."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from benchmarks.truth.arms import load, naive_arm
from benchmarks.truth.data_sets.row import (
    CONFIDENT,
    Files,
    Report,
    Row,
    Score,
    naive_groups,
    named,
    oriented,
    present,
)

Truths = tuple[tuple[str, str, bool], ...]
AD_UP: Truths = tuple(
    (accession, gene, True)
    for accession, gene in (
        ("P10636", "MAPT"), ("P04075", "ALDOA"), ("P00338", "LDHA"), ("P63104", "YWHAZ"), ("P61981", "YWHAG"),
        ("P14618", "PKM"), ("P14174", "MIF"), ("P00441", "SOD1"),
    )
)  # fmt: skip
AKI_UP: Truths = tuple(
    (accession, gene, True)
    for accession, gene in (
        ("P08571", "CD14"), ("P59665", "DEFA1"), ("P16070", "CD44"), ("P61769", "B2M"), ("P05362", "ICAM1"),
        ("Q86VB7", "CD163"), ("P01034", "CST3"),
    )
)  # fmt: skip
COVID_UP: Truths = tuple(
    ("", gene, True) for gene in ("EIF4G1", "DDX58", "TRIM21", "CASP8", "TRIM5", "ITGB1BP2", "IRF9")
)
MICE = "clinical_mouse_cortex_down_syndrome"
CLASS = "_primary biochemical AD classification"


def given(data: str, samples: str | None, folder: Path, work: Path, seed: int) -> Files:
    """Files as they lie in the folder."""
    return Files(folder / data, None if samples is None else folder / samples)


def groups_score(a: str, b: str, truths: Truths, report: Report, files: Files) -> Score:
    """Proteins that are known to differ between two groups; those told the other way round are false."""
    about = oriented(report.claims, a, b)
    found, missing, against = present(about, truths)
    sure = 0
    for accession, gene, up in truths:
        rows = about[named(about, accession, gene)]
        sure += int(((rows["up"] != up) & (rows["confidence"] >= CONFIDENT)).sum())
    told = [e for e in report.entities() if e[2] in ("up", "down", "present", "absent")]
    first = next((i for i, e in enumerate(told, 1) if _is(e, truths)), None)
    return Score(
        found,
        len(truths),
        against,
        int(sum(named(about, accession, gene).sum() for accession, gene, _ in truths)),
        sure,
        missing,
        note=f"{len(about)} claims of this contrast; first of them is hypothesis {first}"
        if first
        else f"{len(about)} claims of this contrast; none is a hypothesis",
    )


def _is(entity: tuple[str, str, str, str], truths: Truths) -> bool:
    return any(
        (accession and accession in entity[0]) or (gene and gene in entity[1].split())
        for accession, gene, _ in truths
    )


def groups_naive(column: str, a: str, b: str, truths: Truths, files: Files) -> Score:
    claims = naive_groups(files, column, a, b)
    found, missing, against = present(claims, truths)
    count = int(sum(named(claims, accession, gene).sum() for accession, gene, _ in truths))
    return Score(found, len(truths), against, count, None, missing, note=f"{len(claims)} claims")


# ------------------------------------------------------------------------------------------------------ ovarian cancer

OVARIAN = "clinical_ovarian_coscia"


def _rank(table: pd.DataFrame, rank_by: pd.Series) -> int | None:
    order = table.assign(rank_by=rank_by).sort_values("rank_by", kind="stable").reset_index(drop=True)
    at = order.index[named(order.assign(gene=order["gene"].fillna("")), "Q5HYN5", "")]
    return int(at[0]) + 1 if len(at) else None


def ovarian_score(report: Report, files: Files) -> Score:
    """CT45 as a claim, or among the first three of what the report shows below its error rate."""
    claims = report.claims
    about = oriented(claims, "Sensitive", "Resistant")
    claimed = bool((named(about, "Q5HYN5", "CT45A1") & about["up"]).any())
    leads = report.leads()
    place = next((int(one["rank"]) for one in leads if "Q5HYN5" in one["entity"]), None)
    other = claims[~claims["contrast"].str.contains("Sensitive")]
    return Score(
        float(claimed or (place is not None and place <= 3)),
        1,
        int((named(about, "Q5HYN5", "CT45A1") & ~about["up"]).sum()),
        len(about),
        int((other["confidence"] >= CONFIDENT).sum()),
        note=("claimed" if claimed else f"not claimed; place {place} of the leads below the error rate")
        + f"; {len(claims)} claims in all",
    )


def ovarian_naive(files: Files) -> Score:
    data = load(files.data, files.samples)
    label = data.obs["PlatinumValue"].astype(str).to_numpy()
    claims = naive_arm(
        np.asarray(data.X), [str(n) for n in data.var_names], label == "Sensitive", "Sensitive vs Resistant"
    ).claims
    about = claims[claims["feature"].astype(str).str.contains("Q5HYN5")]
    return Score(float((about["direction"] == "up").any()), 1, 0, len(claims), note=f"{len(claims)} claims")


# --------------------------------------------------------------------------------------------- subtypes without labels


def subtype_files(folder: Path, work: Path, seed: int) -> Files:
    return Files(folder / "clinical_septic_aki_binn" / "sample_datamatrix.csv.gz")


def _aki_groups(folder: Path) -> pd.Series:
    sheet = pd.read_csv(folder / "sample_design_matrix.tsv", sep="\t", dtype=str)
    return sheet.set_index("sample")["group"]


def subtype_score(report: Report, files: Files) -> Score:
    truth = _aki_groups(files.data.parent)
    tables = report.tables("consensus_clusters", "clusters")
    values = report.values("consensus_clusters")
    if not tables:
        return Score(0, 1, note="no question about subtypes was asked")
    table = tables[0]
    column = next(c for c in table.columns if c in ("cluster", "subtype"))
    ari = adjusted_rand_score(truth.loc[table.iloc[:, 0].astype(str)], table[column].astype(str))
    k = values[0].get("k", values[0].get("n_clusters"))
    told = any(one["claim"]["relation"] in ("subtypes", "clusters", "subtype") for one in report.hypotheses)
    return Score(
        float(ari >= 0.3 and told),
        1,
        note=f"adjusted Rand index {ari:.2f}, {k} groups, {'told' if told else 'not told'}",
    )


def subtype_naive(files: Files) -> Score:
    data = load(files.data, None)
    values = pd.DataFrame(np.asarray(data.X), index=data.obs_names)
    values = values.loc[:, values.notna().mean() > 0.7].sub(values.median(axis=1), axis=0)
    values = (values - values.mean()) / values.std()
    found = KMeans(2, n_init=10, random_state=0).fit_predict(values.fillna(0.0).to_numpy())
    ari = adjusted_rand_score(_aki_groups(files.data.parent).loc[values.index], found)
    return Score(float(ari >= 0.3), 1, note=f"two means: adjusted Rand index {ari:.2f}")


# ------------------------------------------------------------------------------------------------- mice with repeats


def mice_score(report: Report, files: Files) -> Score:
    """The mouse is the unit; the triplicated gene leads for genotype; classes can be told apart by subject."""
    profile = report.values("profile_dataset")[0]
    unit = profile.get("n_subjects") == 72 and profile.get("repeats") == "technical"
    about = oriented(report.claims, "Ts65Dn", "Control")
    first = about.sort_values("confidence", ascending=False, kind="stable")
    app = bool(len(first) and str(first["feature"].iloc[0]).startswith("APP") and first["up"].iloc[0])
    panels = report.values("biomarker_panel")
    split = all(one.get("n_subjects") in (72, 34, 38) for one in panels if "n_subjects" in one)
    return Score(
        float(unit) + float(app),
        2,
        note=f"unit: {profile.get('n_subjects')} subjects; first claim for genotype: "
        f"{first['feature'].iloc[0] if len(first) else 'none'}; panels by subject: {split and bool(panels)}",
    )


def mice_naive(files: Files) -> Score:
    rows = load(files.data, None)
    label = rows.obs["Genotype"].astype(str).to_numpy()
    claims = naive_arm(
        np.asarray(rows.X), [str(n) for n in rows.var_names], label == "Ts65Dn", "Ts65Dn vs Control"
    ).claims
    app = bool(len(claims) and str(claims["feature"].iloc[0]).startswith("APP"))
    return Score(
        float(app), 2, note=f"rows taken for subjects: {len(claims)} of {rows.n_vars} proteins significant"
    )


def mice_files(folder: Path, work: Path, seed: int) -> Files:
    copy = work / "Data_Cortex_Nuclear.csv.gz"
    shutil.copy(folder / MICE / copy.name, copy)
    return Files(copy)


# -------------------------------------------------------------------------------------------------- p53 in cell lines


def p53_files(folder: Path, work: Path, seed: int) -> Files:
    """Expression as it is; the class file as a sample sheet."""
    source = folder / "genesets" / "gsea_p53_expression.txt.gz"
    samples = list(pd.read_csv(source, sep="\t", nrows=1).columns[2:])
    status = (folder / "genesets" / "gsea_p53.cls").read_text().splitlines()[2].split()
    sheet = work / "samples.csv"
    pd.DataFrame({"sample": samples, "p53": status}).to_csv(sheet, index=False)
    return Files(source, sheet)


def p53_score(report: Report, files: Files) -> Score:
    told = [
        e
        for e in report.entities()
        if "p53" in f"{e[0]} {e[1]}".lower() and "p53" not in e[3].lower().split(" ")
    ]
    rows = [
        table[table.iloc[:, :2].astype(str).agg(" ".join, axis=1).str.contains("p53", case=False)]
        for table in report.tables("enrichment_gsea", "sets")
    ]
    count = sum(len(one) for one in rows)
    significant = sum(int((one["q"] <= 0.05).sum()) for one in rows)
    return Score(
        float(bool(told)),
        1,
        note=f"{significant} of {count} tested sets named after p53 have q <= .05; {len(told)} told",
    )


def p53_naive(files: Files) -> Score:
    claims = naive_groups(files, "p53", "WT", "MUT")
    return Score(0, 1, note=f"{len(claims)} single genes; no test of sets")


ROWS = (
    Row(
        "clinical_alzheimer_csf_bader",
        "eight proteins are up in Alzheimer's disease; the site of collection confounds",
        partial(
            given, "clinical_alzheimer_csf_bader/proteome.csv.gz", "clinical_alzheimer_csf_bader/meta.csv"
        ),
        partial(groups_score, "biochemical AD", "biochemical control", AD_UP),
        partial(groups_naive, CLASS, "biochemical AD", "biochemical control", AD_UP),
    ),
    Row(
        OVARIAN,
        "CT45 (Q5HYN5) is high in tumours that answer to platinum; not the smallest p",
        partial(given, f"{OVARIAN}/omics.csv.gz", f"{OVARIAN}/meta_patients.csv"),
        ovarian_score,
        ovarian_naive,
    ),
    Row(
        "clinical_septic_aki_binn/groups",
        "seven proteins are up in subphenotype 2",
        partial(
            given,
            "clinical_septic_aki_binn/sample_datamatrix.csv.gz",
            "clinical_septic_aki_binn/sample_design_matrix.tsv",
        ),
        partial(groups_score, "2", "1", AKI_UP),
        partial(groups_naive, "group", "2.0", "1.0", AKI_UP),
    ),
    Row(
        "clinical_septic_aki_binn/blind",
        "the two subphenotypes, without being told who is in which",
        subtype_files,
        subtype_score,
        subtype_naive,
        checked=False,
    ),
    Row(
        "clinical_covid_olink_gisby",
        "seven proteins are up in infected patients",
        partial(
            given,
            "clinical_covid_olink_gisby/serum_npx_level.csv.gz",
            "clinical_covid_olink_gisby/serum_sample_level.csv",
        ),
        partial(groups_score, "POSITIVE", "NEGATIVE", COVID_UP),
        partial(groups_naive, "Case_Control", "POSITIVE", "NEGATIVE", COVID_UP),
    ),
    Row(
        MICE,
        "1,080 rows are 72 mice: repeats stay together; APP leads for genotype",
        mice_files,
        mice_score,
        mice_naive,
    ),
    Row(
        "genesets/gsea_p53",
        "p53 sets are high in wild type against mutant",
        p53_files,
        p53_score,
        p53_naive,
        checked=False,
    ),
)
