"""A spike-in table read plainly: the tests of the statistics do not depend on the readers."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd


def spike_in(shared_data: Path, name: str) -> anndata.AnnData:
    """log2 intensities of a UPS1-in-yeast table; var column ``spiked`` marks the proteins that truly change."""
    folder = shared_data / "spike_ups1_yeast_ramus"
    raw = pd.read_csv(folder / f"{name}_prot.txt.gz", sep="\t", low_memory=False)
    samples = pd.read_csv(folder / f"samples_{name}.txt", sep=r"\s+")
    ids = raw["Majority_protein_IDs"].astype(str)
    spiked = ids.str.contains("ups", case=False)
    kept = spiked | ~(ids.str.contains("CON__|REV__"))
    X = raw.loc[kept, samples["Sample.name"]].to_numpy(dtype=float).T
    X = np.log2(np.where(X > 0, X, np.nan))
    X -= np.nanmedian(X, axis=1, keepdims=True)
    obs = pd.DataFrame(
        {"group": samples["Condition"].astype(str).to_numpy()}, index=samples["Sample.name"].to_numpy()
    )
    var = pd.DataFrame({"spiked": spiked[kept].to_numpy()}, index=ids[kept].to_numpy())
    first = ~var.index.duplicated()
    return anndata.AnnData(X[:, first], obs=obs, var=var[first])
