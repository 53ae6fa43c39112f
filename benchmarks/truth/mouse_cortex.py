"""The mouse cortex table (Higuera et al. 2015): 72 mice, 15 measurements each, three crossed factors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from benchmarks.truth.arms import load
from nereus.tools import registry

FILE = Path("clinical_mouse_cortex_down_syndrome") / "Data_Cortex_Nuclear.csv.gz"
FACTORS = ("Genotype", "Treatment", "Behavior")
SUBJECT = "mouse"


def mice(folder: Path, file: Path = FILE) -> AnnData:
    """One sample a mouse: the mean of its measurements, by the product's reader and aggregation."""
    measured = load(folder / file, None)
    texts = {name: measured.obs[name].astype(str) for name in measured.obs.columns}
    # MouseID is "<mouse>_<measurement>": the mouse is what comes before the last underscore.
    name = next((n for n in texts if n.lower() == "mouseid"), None)
    ids = (
        texts[name]
        if name is not None
        else pd.Series(measured.obs_names.astype(str), index=measured.obs_names)
    )
    measured.obs[SUBJECT] = ids.str.rsplit("_", n=1).str[0].to_numpy()
    return registry.get("aggregate_replicates")(measured, by=SUBJECT).dataset()


def contrasts(obs: pd.DataFrame) -> list[dict[str, object]]:
    """Each factor given the other two."""
    made: list[dict[str, object]] = []
    for factor in FACTORS:
        levels = sorted(obs[factor].astype(str).unique())
        others = tuple(f for f in FACTORS if f != factor)
        made.append({"factor": factor, "a": levels[1], "b": levels[0], "covariates": others})
    return made


def permuted(dataset: AnnData, rng: np.random.Generator) -> AnnData:
    """Hand the factors of the mice out again, all three together."""
    made = dataset.copy()
    order = rng.permutation(made.n_obs)
    for factor in FACTORS:
        made.obs[factor] = dataset.obs[factor].to_numpy()[order]
    return made
