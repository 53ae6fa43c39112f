"""Public cells with known truth, read from the folder of larger data sets."""

from __future__ import annotations

import gzip
from pathlib import Path

import anndata
import flowio
import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment


def bcr_stimulation(folder: Path) -> anndata.AnnData:
    """Blood of 4 donors, BCR-crosslinked and not: 5,428 cells x 24 markers, raw counts (Bodenmiller et al. 2012)."""
    at = folder / "cytof_bcrxl_catalyst"
    cells, sheet = pd.read_csv(at / "PBMC_fs.csv.gz"), pd.read_csv(at / "PBMC_md.csv")
    panel = pd.read_csv(at / "PBMC_panel.csv")
    row = sheet.set_axis([f"V{i + 1}" for i in range(len(sheet))]).loc[cells["frame"]]
    obs = pd.DataFrame(
        {
            "sample": row["sample_id"].to_numpy(),
            "condition": row["condition"].to_numpy(),
            "patient": row["patient_id"].to_numpy(),
        },
        index=[f"c{i}" for i in range(len(cells))],
    )
    var = pd.DataFrame({"marker_class": panel["marker_class"].to_numpy()}, index=panel["antigen"].to_numpy())
    return anndata.AnnData(cells.drop(columns="frame").to_numpy(np.float32), obs=obs, var=var)


def gated_centres(folder: Path, n_cells: int, seed: int = 0) -> anndata.AnnData:
    """Cells of 8 samples with manual gates x 8 unnamed channels, raw counts (Kaushik et al. 2021), a part of them."""
    at = folder / "cytof_multicenter_gated"
    parts, rows = [], []
    for sample in (1, 2, 3, 4, 9, 10, 15, 16):
        for gate in ("Bcells", "CD4Tcells", "CD8Tcells", "Monocytes", "ungated"):
            values = pd.read_csv(at / f"sample{sample}_{gate}.csv.gz").to_numpy(np.float32)
            parts.append(values)
            rows += [(f"s{sample}", gate)] * len(values)
    obs = pd.DataFrame(rows, columns=["sample", "gate"])
    obs.index = [f"c{i}" for i in range(len(obs))]
    kept = np.sort(np.random.default_rng(seed).choice(len(obs), n_cells, replace=False))
    var = pd.DataFrame(index=[f"ch{i}" for i in range(8)])
    return anndata.AnnData(np.vstack(parts)[kept], obs=obs.iloc[kept].copy(), var=var)


def gated_spleen(folder: Path) -> anndata.AnnData:
    """19,225 spleen cells x 18 channels of a flow cytometer with one gate each (Van Gassen et al. 2015)."""
    at = folder / "flow_spleen_gated_flowsom"
    data = flowio.FlowData(str(at / "spleen_raw.fcs"))
    names = [
        marker.strip() or channel for channel, marker in zip(data.pnn_labels, data.pns_labels, strict=True)
    ]
    with gzip.open(at / "gating_result.csv.gz", "rt") as stream:
        gates = [line.strip().strip('"') for line in stream]
    obs = pd.DataFrame({"sample": "spleen", "gate": gates}, index=[f"c{i}" for i in range(len(gates))])
    return anndata.AnnData(
        np.asarray(data.as_array(), dtype=np.float32), obs=obs, var=pd.DataFrame(index=names)
    )


def matched_f1(truth: np.ndarray, found: np.ndarray, ungated: tuple[str, ...]) -> dict[str, float]:
    """F1 of each gate under the best one-to-one matching with clusters; cells in no gate do not count."""
    gated = ~np.isin(truth, ungated)
    joint = pd.crosstab(truth[gated], found[gated])
    sizes = joint.sum(axis=0).to_numpy()[None, :] + joint.sum(axis=1).to_numpy()[:, None]
    f1 = 2 * joint.to_numpy() / sizes
    rows, columns = linear_sum_assignment(-f1)
    return {str(joint.index[row]): float(f1[row, column]) for row, column in zip(rows, columns, strict=True)}


def merged_f1(truth: np.ndarray, found: np.ndarray, ungated: tuple[str, ...]) -> dict[str, float]:
    """F1 of each gate when every cluster is named after most of its gated cells."""
    gated = ~np.isin(truth, ungated)
    joint = pd.crosstab(found[gated], truth[gated])
    name = pd.Series(found[gated]).map(joint.idxmax(axis=1)).to_numpy()
    return {
        str(gate): float(
            2
            * ((name == gate) & (truth[gated] == gate)).sum()
            / ((name == gate).sum() + (truth[gated] == gate).sum())
        )
        for gate in joint.columns
    }
