"""Single cells: proteomes, transcriptomes, cytometry with gates and with stimulation."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, f1_score

from benchmarks.truth.arms import load, naive_arm
from benchmarks.truth.data_sets.row import CONFIDENT, Files, Report, Row, Score
from nereus.tools import registry

RISING = ("pS6", "pPlcg2", "pErk", "pBtk")
GATES = ("Bcells", "CD4Tcells", "CD8Tcells", "Monocytes")
TRAIN = ("sample1", "sample2", "sample9", "sample15")
N_CELLS = 60_000
SPLEEN = "flow_spleen_gated_flowsom"
SPLEEN_MARKERS = ("CD3", "CD4", "CD8", "CD19", "NK1.1", "TCRyd", "CD64", "CD11c", "MHCII", "CD161", "TCRb")


# ------------------------------------------------------------------------------------------------ two lines, no labels


def scope_files(folder: Path, work: Path, seed: int) -> Files:
    """Peptides of 62 cells with run and channel; which line each cell is of stays with the harness."""
    at = folder / "sc_scope2_hek_u937"
    data = load(at / "SingleCell_PeptidesXsamples.txt.gz", at / "SingleCell_ids.txt")
    sets = pd.read_csv(at / "Cellenone_annotation_sc_bulk.csv").set_index("Set")
    key = {}
    for name, row in data.obs.iterrows():
        channel = "RI" + str(row["Reporter.ion"]).rsplit(".", 1)[1]
        key[str(name)] = str(sets.loc[str(row["Raw.file"]), channel])
    return Files(at / "SingleCell_PeptidesXsamples.txt.gz", at / "SingleCell_ids.txt", key=key)


def _lines(names: pd.Series, groups: pd.Series, key: dict[str, str]) -> tuple[float, int]:
    truth = names.astype(str).map(key)
    kept = truth.isin(["sc_h", "sc_u"]).to_numpy()
    return float(adjusted_rand_score(truth[kept], groups.astype(str)[kept])), int(groups.nunique())


def scope_score(report: Report, files: Files) -> Score:
    for tool, table in (("consensus_clusters", "clusters"), ("cluster_cells", "cells")):
        found = report.tables(tool, table)
        if found:
            column = next(c for c in found[0].columns if c in ("cluster", "subtype"))
            ari, k = _lines(found[0].iloc[:, 0], found[0][column], files.key)
            return Score(float(ari >= 0.5), 1, note=f"adjusted Rand index {ari:.2f}, {k} groups")
    return Score(0, 1, note="no clusters were asked for")


def scope_naive(files: Files) -> Score:
    data = load(files.data, files.samples)
    values = pd.DataFrame(np.asarray(data.X), index=data.obs_names)
    values = values.sub(values.median(axis=1), axis=0)
    values = values.loc[:, values.notna().mean() > 0.5]
    values = values.sub(values.mean()).fillna(0.0)
    found = KMeans(2, n_init=10, random_state=0).fit_predict(values.to_numpy())
    ari, _ = _lines(pd.Series(values.index), pd.Series(found), files.key)
    return Score(float(ari >= 0.5), 1, note=f"two means: adjusted Rand index {ari:.2f}")


# ------------------------------------------------------------------------------------------- roles of channels in plexes


def evidence_files(folder: Path, work: Path, seed: int) -> Files:
    at = folder / "sc_scope2_maxquant_evidence"
    return Files(at / "mqScpData.csv.gz", at / "sampleAnnotation.csv")


def evidence_score(report: Report, files: Files) -> Score:
    """Cells against cells are compared; carriers, references, blanks and unused channels are not taken for groups."""
    contrasts = report.tables("profile_dataset", "contrasts")[0]
    pairs = [{str(a), str(b)} for a, b in zip(contrasts["a"], contrasts["b"], strict=True)]
    refused = contrasts["refused"].fillna("").astype(str).ne("")
    asked = [pair for pair, no in zip(pairs, refused, strict=True) if not no]
    cells = {"Macrophage", "Monocyte"} in asked
    technical = {"Carrier", "Reference", "Blank", "Unused"}
    wrong = [pair for pair in asked if pair & technical]
    claims = report.claims
    about = [bool(set(str(c).split(" (")[0].split(" vs ")) & technical) for c in claims["contrast"]]
    sure = claims["confidence"].to_numpy(dtype=float) >= CONFIDENT
    return Score(
        float(cells) + float(not wrong),
        2,
        int(np.sum(about)),
        len(claims),
        int(np.sum(np.array(about, dtype=bool) & sure)),
        missing=() if cells else ("Macrophage against Monocyte",),
        note=f"comparisons with technical channels: {len(wrong)}; single-cell checks: "
        f"{len(report.values('single_cell_quality'))}",
    )


# -------------------------------------------------------------------------------------------------- gates of new samples


def gates_files(folder: Path, work: Path, seed: int) -> Files:
    return Files(folder / "cytof_multicenter_gated")


def _gated(files: Files, seed: int) -> anndata.AnnData:
    cells = load_cells(files.data)
    kept = np.sort(np.random.default_rng(seed).choice(cells.n_obs, N_CELLS, replace=False))
    return registry.get("transform_cells")(cells[kept].copy()).dataset()


def load_cells(folder: Path) -> anndata.AnnData:
    from nereus.tools.proteomics.load import read

    return read(folder, sample_pattern=r"(?P<sample>.+)_(?P<gate>.+)")


def _gate_score(truth: np.ndarray, found: np.ndarray, note: str) -> Score:
    f1 = {gate: float(f1_score(truth == gate, found == gate)) for gate in GATES}
    wrong = int(((truth != found) & (found != "unknown")).sum())
    return Score(
        sum(one >= 0.9 for one in f1.values()),
        len(GATES),
        wrong,
        int((found != "unknown").sum()),
        missing=tuple(gate for gate, one in f1.items() if one < 0.9),
        note=f"{note}; F1 " + ", ".join(f"{gate} {one:.2f}" for gate, one in f1.items()),
    )


def gates_tools(files: Files, seed: int) -> Score:
    cells = _gated(files, seed)
    truth = cells.obs["gate"].astype(str).replace("ungated", "unknown").to_numpy()
    test = ~cells.obs["sample"].astype(str).isin(TRAIN).to_numpy()
    result = registry.get("classify_cells")(cells, label="gate", train=TRAIN, seed=seed)
    found = result.dataset().obs["population"].astype(str).replace("ungated", "unknown").to_numpy()
    return _gate_score(truth[test], found[test], f"{int(test.sum())} cells of four other samples")


def gates_naive(files: Files) -> Score:
    """Three nearest neighbours among the gated cells."""
    from sklearn.neighbors import KNeighborsClassifier

    cells = _gated(files, 0)
    truth = cells.obs["gate"].astype(str).replace("ungated", "unknown").to_numpy()
    train = cells.obs["sample"].astype(str).isin(TRAIN).to_numpy()
    values, named = np.asarray(cells.X), train & (truth != "unknown")
    model = KNeighborsClassifier(3).fit(values[named], truth[named])
    return _gate_score(truth[~train], model.predict(values[~train]), "three nearest neighbours")


# ---------------------------------------------------------------------------------------------------- gates of a spleen


def spleen_files(folder: Path, work: Path, seed: int) -> Files:
    return Files(folder / SPLEEN / "spleen_raw.fcs")


def _spleen_score(files: Files, found: np.ndarray, note: str) -> Score:
    with gzip.open(files.data.parent / "gating_result.csv.gz", "rt") as stream:
        truth = np.array([line.strip().strip('"') for line in stream])
    gated = truth != "Unlabeled"
    joint = pd.crosstab(truth[gated], found[gated])
    sizes = joint.sum(axis=0).to_numpy()[None, :] + joint.sum(axis=1).to_numpy()[:, None]
    f1 = 2 * joint.to_numpy() / sizes
    rows, columns = linear_sum_assignment(-f1)
    by_gate = {
        str(joint.index[r]): float(f1[r, c])
        for r, c in zip(rows, columns, strict=True)
        if joint.iloc[r].sum() > 1
    }
    return Score(
        sum(one >= 0.7 for one in by_gate.values()),
        len(by_gate),
        missing=tuple(gate for gate, one in by_gate.items() if one < 0.7),
        note=f"{note}; mean F1 {np.mean(list(by_gate.values())):.2f}",
    )


def spleen_tools(files: Files, seed: int) -> Score:
    cells = registry.get("transform_cells")(load(files.data, None)).dataset()
    markers = [name for name in SPLEEN_MARKERS if name in set(cells.var_names)]
    result = registry.get("cluster_cells")(cells, markers=tuple(markers), n_subsamples=5, seed=seed)
    found = result.dataset().obs["cluster"].astype(str).to_numpy()
    return _spleen_score(files, found, f"{len(set(found))} clusters, one to one with gates")


def spleen_naive(files: Files) -> Score:
    cells = registry.get("transform_cells")(load(files.data, None)).dataset()
    markers = [name for name in SPLEEN_MARKERS if name in set(cells.var_names)]
    found = KMeans(10, n_init=3, random_state=0).fit_predict(np.asarray(cells[:, markers].X)).astype(str)
    return _spleen_score(files, found, "ten means")


# ---------------------------------------------------------------------------------------------------- stimulated blood


def blood_files(folder: Path, work: Path, seed: int) -> Files:
    """The cells with their sample, and the sheet in the order of the frames."""
    at = folder / "cytof_bcrxl_catalyst"
    with gzip.open(at / "PBMC_fs.csv.gz", "rt", encoding="utf-8") as file:
        text = file.read()
    data, sheet = work / "cells.csv", work / "samples.csv"
    data.write_text("sample" + text.removeprefix("frame"), encoding="utf-8")
    with (at / "PBMC_md.csv").open(encoding="utf-8") as file:
        rows = [
            f"V{i},{row['condition']},{row['patient_id']}" for i, row in enumerate(csv.DictReader(file), 1)
        ]
    sheet.write_text("\n".join(["sample,condition,patient_id", *rows]) + "\n", encoding="utf-8")
    return Files(data, sheet)


def blood_score(report: Report, files: Files) -> Score:
    told = {(identity, direction) for identity, _, direction, _ in report.entities("state")}
    of_b = {(i.split("|")[-1], d) for i, d in told if "B cell" in i or "B-cell" in i}
    found = [marker for marker in RISING if (marker, "up") in of_b]
    against = [marker for marker in RISING if (marker, "down") in of_b]
    fell = "pBtk" in against
    return Score(
        len(found),
        len(RISING),
        len(against),
        len(found) + len(against),
        missing=tuple(m for m in RISING if m not in found),
        note=f"{len(told)} states told"
        + ("; pBtk is reported as falling, which the medians of all four donors show" if fell else ""),
    )


def blood_naive(files: Files) -> Score:
    """Means of all cells of a sample, without populations."""
    cells = pd.read_csv(files.data)
    assert files.samples is not None
    sheet = pd.read_csv(files.samples).set_index("sample")
    means = np.arcsinh(cells.drop(columns="sample") / 5).groupby(cells["sample"]).mean()
    names = [str(c).split("(")[0] for c in means.columns]
    stimulated = (sheet.loc[means.index, "condition"] == "BCRXL").to_numpy()
    claims = naive_arm(means.to_numpy(), names, stimulated, "BCRXL vs Ref").claims
    up = set(claims[claims["direction"] == "up"]["feature"])
    found = [marker for marker in RISING if marker in up]
    return Score(
        len(found), len(RISING), missing=tuple(m for m in RISING if m not in found), note="all cells together"
    )


# -------------------------------------------------------------------------------------------------------- transcriptomes


def pbmc_files(folder: Path, work: Path, seed: int) -> Files:
    return Files(folder / "sc_pbmc68k_reduced" / "10x_pbmc68k_reduced.h5ad")


def pbmc_tools(files: Files, seed: int) -> Score:
    cells = anndata.read_h5ad(files.data)
    truth = cells.obs["bulk_labels"].astype(str).to_numpy()
    found = (
        registry.get("cluster_cells")(cells, n_subsamples=4, seed=seed).dataset().obs["cluster"].astype(str)
    )
    ari = adjusted_rand_score(truth, found)
    published = adjusted_rand_score(truth, cells.obs["louvain"].astype(str))
    return Score(
        float(ari >= published - 0.02),
        1,
        note=f"adjusted Rand index {ari:.2f}; clusters in the file {published:.2f}",
    )


def pbmc_naive(files: Files) -> Score:
    cells = anndata.read_h5ad(files.data)
    truth = cells.obs["bulk_labels"].astype(str).to_numpy()
    found = KMeans(10, n_init=3, random_state=0).fit_predict(np.asarray(cells.X))
    ari = adjusted_rand_score(truth, found)
    published = adjusted_rand_score(truth, cells.obs["louvain"].astype(str))
    return Score(float(ari >= published - 0.02), 1, note=f"ten means: {ari:.2f}")


ROWS = (
    Row(
        "sc_scope2_hek_u937",
        "two lines form two clusters, without labels",
        scope_files,
        scope_score,
        scope_naive,
    ),
    Row(
        "sc_scope2_maxquant_evidence",
        "cells are compared, carriers and blanks are not",
        evidence_files,
        evidence_score,
    ),
    Row(
        "cytof_multicenter_gated",
        "gates of four samples name the cells of the four others",
        gates_files,
        naive=gates_naive,
        tools=gates_tools,
        why="gated cells without any group of samples: nothing to compare",
    ),
    Row(
        SPLEEN,
        "six manual gates of one sample",
        spleen_files,
        naive=spleen_naive,
        tools=spleen_tools,
        why="one sample: nothing to compare",
    ),
    Row(
        "cytof_bcrxl_catalyst",
        "stimulation raises pS6, pPlcg2, pErk, pBtk in B cells",
        blood_files,
        blood_score,
        blood_naive,
    ),
    Row(
        "sc_pbmc68k_reduced",
        "labels of blood cells",
        pbmc_files,
        naive=pbmc_naive,
        tools=pbmc_tools,
        why="one sample of scaled expression: nothing to compare",
    ),
)
