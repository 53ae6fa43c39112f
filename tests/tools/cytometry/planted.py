"""Cells with known populations, and with differences between groups of donors that were put there."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd

STIMULATION = {"factor": "group", "a": "stimulated", "b": "resting"}
MARKERS = ["CD3", "CD4", "CD8", "CD19", "CD14", "CD56", "pS6", "pErk", "DNA1"]
POPULATIONS = ["CD4 T cells", "CD8 T cells", "B cells", "Monocytes", "NK cells"]
_HAS = {
    "CD4 T cells": ("CD3", "CD4"),
    "CD8 T cells": ("CD3", "CD8"),
    "B cells": ("CD19",),
    "Monocytes": ("CD14",),
    "NK cells": ("CD56",),
}
_SHARE = np.array([0.35, 0.2, 0.15, 0.2, 0.1])


def planted_cells(
    n_donors: int = 4,
    n_cells: int = 400,
    *,
    paired: bool = True,
    growth: float = 1.2,
    state: float = 1.0,
    between: float = 0.2,
    seed: int = 0,
) -> anndata.AnnData:
    """Raw counts of cells of donors in two groups.

    Parameters
    ----------
    n_donors
        Donors: in both groups (paired), or in each.
    n_cells
        Mean number of cells of a sample.
    growth
        Log2 odds by which monocytes grow in ``stimulated``.
    state
        What pS6 rises by in B cells of ``stimulated``, on the scale of arcsinh(x / 5).
    between
        Standard deviation between samples: of log odds of shares, and of the level of states.
    """
    rng = np.random.default_rng(seed)
    rows, sheet = [], []
    donors = [(f"d{i + 1}", group) for group in ("stimulated", "resting") for i in range(n_donors)]
    if not paired:
        donors = [(f"{donor}{group[0]}", group) for donor, group in donors]
    level = {donor: rng.normal(0, between, len(MARKERS)) for donor in sorted({donor for donor, _ in donors})}
    for donor, group in donors:
        log_share = np.log(_SHARE) + rng.normal(0, between, len(_SHARE))
        log_share[3] += growth * np.log(2) * (group == "stimulated")
        share = np.exp(log_share) / np.exp(log_share).sum()
        kinds = rng.choice(len(POPULATIONS), int(n_cells * rng.uniform(0.7, 1.3)), p=share)
        drift = rng.normal(0, between / 2, len(MARKERS))
        for kind in kinds:
            name = POPULATIONS[kind]
            middle = np.array([3.5 if marker in _HAS[name] else 0.2 for marker in MARKERS])
            middle[[6, 7]] = 1.0 + (level[donor] + drift)[[6, 7]]
            middle[6] += state * (name == "B cells") * (group == "stimulated")
            middle[8] = 5.0
            rows.append(5.0 * np.sinh(middle + rng.normal(0, 0.35, len(MARKERS))))
            sheet.append((f"{donor} {group}", donor, group, name))
    obs = pd.DataFrame(sheet, columns=["sample", "donor", "group", "truth"])
    # The first half of the donors is gated, for classifiers.
    gated = obs["donor"].str.extract(r"(\d+)")[0].astype(int) <= max(1, n_donors // 2)
    obs["gate"] = obs["truth"].where(gated, None)
    obs.index = [f"cell{i}" for i in range(len(obs))]
    uns = {"nereus": {"level": "cell", "software": "planted", "organism": "human", "history": []}}
    return anndata.AnnData(
        np.array(rows, dtype=np.float32), obs=obs, var=pd.DataFrame(index=MARKERS), uns=uns
    )
