"""Real matrices to plant into: backgrounds in which, under exchanged labels, nothing differs.

The leukaemia arrays that the protocol also names are not among the shared data sets and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from benchmarks.truth.arms import load
from benchmarks.truth.mouse_cortex import mice


@dataclass(frozen=True)
class Base:
    """A background.

    Attributes
    ----------
    name
        ``yeast``, ``mouse`` ...
    values
        log2 abundance, one row a subject, NaN = missing, shape (subjects, features).
    genes
        Gene symbol of each feature, empty where unknown.
    """

    name: str
    values: np.ndarray
    genes: tuple[str, ...]


def _base(name: str, dataset: AnnData) -> Base:
    return Base(name, np.asarray(dataset.X, dtype=float), tuple(str(gene) for gene in dataset.var["gene"]))


def _yeast(folder: Path) -> Base:
    """24 different runs of the constant yeast proteome of Ramus et al. 2015, over the proteins that all tables hold.

    The two experiments lie a level apart, which is taken out for each protein; the amounts of the spiked proteins differ
    between runs as they do.
    """
    runs: dict[tuple[str, str], pd.Series] = {}
    for table in ("Exp1_R25", "Exp1_R2", "Exp2_R2", "Exp2_R10", "Exp2_R100"):
        where = folder / "spike_ups1_yeast_ramus"
        read = load(where / f"{table}_prot.txt.gz", where / f"samples_{table}.txt", quantity="intensity")
        read = read[:, [not re.search(r"ups|con__", one, re.IGNORECASE) for one in read.var_names]]
        frame = read.to_df()
        for run in frame.index:
            runs.setdefault((table[:4], str(run)), frame.loc[run])
    joined = pd.DataFrame(runs).dropna(how="all").T
    joined = joined.loc[:, joined.notna().groupby(level=0).sum().min() >= 3]
    joined = joined - joined.groupby(level=0).transform("mean") + joined.mean()
    return Base("yeast", joined.to_numpy(dtype=float), ("",) * joined.shape[1])


def _csf(folder: Path) -> Base:
    return _base("csf", load(folder / "clinical_alzheimer_csf_bader" / "proteome.csv.gz", None))


def _aki(folder: Path) -> Base:
    return _base("aki", load(folder / "clinical_septic_aki_binn" / "sample_datamatrix.csv.gz", None))


def _covid(folder: Path) -> Base:
    where = folder / "clinical_covid_olink_gisby"
    return _base("covid", load(where / "serum_npx_level.csv.gz", where / "serum_sample_level.csv"))


def _mouse(folder: Path) -> Base:
    return _base("mouse", mice(folder))


_READ: dict[str, Callable[[Path], Base]] = {
    "yeast": _yeast,
    "csf": _csf,
    "aki": _aki,
    "covid": _covid,
    "mouse": _mouse,
}
SUBJECTS = {"yeast": 24, "csf": 80, "aki": 80, "covid": 62, "mouse": 72}
"""Subjects of a study on each base, as many as there are or enough for moderate effects."""
FEATURES = 300
LEAST_SEEN = 0.7
"""Share of the subjects in which a feature is seen."""


@cache
def load_base(name: str, folder: Path) -> Base:
    """Read a base; each is read once in a process."""
    return _READ[name](folder)


def draw(base: Base, rng: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """Subjects and features of one study, both in random order: whatever stands in the sheet beside them is exchanged.

    Returns
    -------
    tuple
        Values, shape (subjects, features), and the positions of the features in the base.
    """
    n = min(SUBJECTS[base.name], len(base.values))
    rows = rng.permutation(len(base.values))[:n]
    values = base.values[rows]
    usable = np.flatnonzero(
        (np.isfinite(values).mean(axis=0) >= LEAST_SEEN) & (np.nan_to_num(np.nanstd(values, axis=0)) > 0)
    )
    columns = rng.permutation(usable)[:FEATURES]
    return values[:, columns], [int(one) for one in columns]
