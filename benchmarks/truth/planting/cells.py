"""Cells of a real mass cytometry study under exchanged samples, with markers shifted in one population of one group.

Base: the unstimulated blood cells of the four donors of Bodenmiller et al. 2012. They are pooled, dealt out to samples, and
each sample gets a small shift of every marker of its own, so that samples differ as samples do. The expression data of
blood cells that the protocol also names have no panel of proteins; they are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.truth.planting.study import DATA, SAMPLES, TRUTH, stream
from benchmarks.truth.planting.truth import PlantedClaim, Truth

COFACTOR = 5.0
N_SAMPLES = 12
"""So that a sample holds some twenty cells of the smaller population."""
SAMPLE_SD = 0.15
"""Standard deviation of a marker between samples, in standard deviations between cells."""
SIZES = (0.3, 2.0)
N_PLANTED = 4
STATES = ("pNFkB", "pp38", "pStat5", "pAkt", "pStat1", "pStat3", "pErk", "pS6")


@dataclass
class CellStudy:
    """A planted table of cells.

    Attributes
    ----------
    cells
        Column ``sample`` and linear intensities, one row a cell.
    sheet
        One row a sample.
    truth
        What was planted; members of a claim are cells: their sample, and their number within it from one.
    """

    cells: pd.DataFrame
    sheet: pd.DataFrame
    truth: Truth

    def write(self, folder: Path) -> None:
        """Write the table of cells, the sample sheet, and the truth."""
        folder.mkdir(parents=True, exist_ok=True)
        self.cells.to_csv(folder / DATA, index=False, float_format="%.6g")
        self.sheet.to_csv(folder / SAMPLES, index=False)
        self.truth.write(folder / TRUTH)


@cache
def _reference(folder: Path) -> pd.DataFrame:
    """Unstimulated cells, by the antigens of the panel."""
    where = folder / "cytof_bcrxl_catalyst"
    cells = pd.read_csv(where / "PBMC_fs.csv.gz")
    of = pd.read_csv(where / "PBMC_md.csv")
    still = {f"V{i + 1}" for i, row in enumerate(of["condition"]) if row == "Ref"}
    cells = cells[cells.pop("frame").isin(still)]
    return cells.rename(columns=_panel(folder)).reset_index(drop=True)


@cache
def _panel(folder: Path) -> dict[str, str]:
    """Channel -> antigen."""
    panel = pd.read_csv(folder / "cytof_bcrxl_catalyst" / "PBMC_panel.csv")
    return dict(zip(panel["fcs_colname"], panel["antigen"], strict=True))


def populations(cells: pd.DataFrame) -> dict[str, np.ndarray]:
    """Large populations by plain gates on the lineage markers."""
    high = np.arcsinh(cells / COFACTOR)
    return {
        "B": np.flatnonzero((high["CD20"] > 2.5) & (high["CD3"] < 2.0)),
        "CD4 T": np.flatnonzero((high["CD3"] > 2.5) & (high["CD20"] < 1.5) & (high["CD4"] > 2.5)),
    }


def cluster_study(seed: int, folder: Path, plan: str = "cluster") -> CellStudy:
    """Deal cells out to samples of two groups, and shift states of one population in one of them."""
    raw = _reference(folder)
    rng = stream(seed, "subjects and features")
    order = rng.permutation(len(raw))
    raw = raw.iloc[order].reset_index(drop=True)
    high = np.arcsinh(raw / COFACTOR)
    sample = np.arange(len(raw)) % N_SAMPLES
    treated = rng.permutation(np.arange(N_SAMPLES) % 2).astype(bool)
    sd = high.std()
    high = high + rng.normal(size=(N_SAMPLES, high.shape[1]))[sample] * (SAMPLE_SD * sd.to_numpy())
    truth = Truth(seed, "cytometry", plan)
    drawn = stream(seed, "cluster")
    gates = populations(raw)
    name = str(drawn.choice(sorted(gates)))
    rows = gates[name]
    in_a = treated[sample[rows]]
    names = np.array([f"S{i + 1:02d}" for i in range(N_SAMPLES)])
    numbers = np.arange(len(raw)) // N_SAMPLES + 1  # samples take turns
    members = tuple(f"{names[sample[row]]}:{numbers[row]}" for row in rows)
    for marker in drawn.permutation(STATES)[:N_PLANTED]:
        size, sign = float(drawn.uniform(*SIZES)), int(drawn.choice([-1, 1]))
        within = high.loc[rows, marker]
        # The rows of the other group move up where this marker has nowhere to fall.
        moved = in_a if sign > 0 else ~in_a
        high.loc[rows, marker] = within + size * float(within.std()) * moved
        about = {"factor": "condition", "a": "treated", "b": "control"}
        truth.claims.append(PlantedClaim("cluster", ("state",), about, sign, size, str(marker), members))
    channels = {antigen: channel for channel, antigen in _panel(folder).items()}
    cells = (np.sinh(high) * COFACTOR).round(4).rename(columns=channels)
    cells.insert(0, "sample", names[sample])
    sheet = pd.DataFrame({"sample": names, "condition": np.where(treated, "treated", "control")})
    return CellStudy(cells, sheet, truth)
