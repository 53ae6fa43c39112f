"""What makes a study hard without being true: each is a function that spoils a finished study."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.truth.planting.study import Study
from benchmarks.truth.planting.truth import Trap

BATCH_SHARE = 0.3
"""Share of the variance that the batch explains."""
PARTLY = 0.75
"""Share of the samples of one level that are in one batch, where the batch is partly confounded."""
REPLICATES = 3
REPLICATE_NOISE = 0.3
"""Standard deviation of technical replicates, in standard deviations between subjects."""
OUTLIER_NOISE = 4.0
GLOBAL_SHIFT = 1.0
"""log2: all of one group was loaded twice as much."""
WRONG_LABELS = 0.08


def batch_balanced(study: Study, factor: str = "condition") -> None:
    """Two batches, the same share of each level in both."""
    rng = study.stream("batch")
    _batches(study, rng, factor, 0.5, "batch_balanced")


def batch_partly(study: Study, factor: str = "condition") -> None:
    """Two batches, three quarters of one level in one of them."""
    rng = study.stream("batch")
    _batches(study, rng, factor, PARTLY, "batch_partly")


def batch_full(study: Study, factor: str = "condition") -> None:
    """Two batches, one level in each: what differs cannot be told from the batch."""
    rng = study.stream("batch")
    _batches(study, rng, factor, 1.0, "batch_full")


def _batches(study: Study, rng: np.random.Generator, factor: str, share: float, name: str) -> None:
    first = np.zeros(len(study.sheet), dtype=bool)
    b, a = sorted(set(study.sheet[factor]))
    for level, part in ((a, share), (b, 1.0 - share)):
        rows = rng.permutation(np.flatnonzero(study.sheet[factor] == level))
        first[rows[: round(part * len(rows))]] = True
    study.sheet["batch"] = np.where(first, "B1", "B2")
    # Half a shift up and half down has the variance shift**2 / 4.
    typical = 2.0 * np.sqrt(BATCH_SHARE / (1.0 - BATCH_SHARE))
    effect = typical * rng.normal(size=study.values.shape[1]) * study.sd
    study.values += np.outer(np.where(first, 0.5, -0.5), effect)
    study.truth.traps.append(Trap(name, column="batch", of=factor))


def replicates(study: Study) -> None:
    """Every subject is measured three times; the sheet names the subject."""
    rng = study.stream("replicates")
    n = len(study.sheet)
    order = np.repeat(np.arange(n), REPLICATES)
    study.values = study.values[order] + rng.normal(size=(n * REPLICATES, study.values.shape[1])) * (
        REPLICATE_NOISE * study.sd
    )
    sheet = study.sheet.iloc[order].reset_index(drop=True)
    sheet.insert(1, "subject", [f"P{i + 1:03d}" for i in order])
    sheet["sample"] = [f"R{i:03d}" for i in range(1, len(sheet) + 1)]
    study.sheet = sheet
    study.truth.traps.append(Trap("replicates", column="subject", n=n))


def outlier(study: Study) -> None:
    """One sample is mostly noise."""
    rng = study.stream("outlier")
    row = int(rng.integers(len(study.sheet)))
    study.values[row] += OUTLIER_NOISE * study.sd * rng.normal(size=study.values.shape[1])
    study.truth.traps.append(Trap("outlier", samples=(str(study.sheet["sample"].iloc[row]),)))


def global_shift(study: Study, factor: str = "condition") -> None:
    """Everything is higher in one group, since more of it was loaded."""
    a = sorted(set(study.sheet[factor]))[1]
    study.values[(study.sheet[factor] == a).to_numpy()] += GLOBAL_SHIFT
    study.truth.traps.append(Trap("global_shift", of=factor))


def decoy(study: Study, column: str = "cohort_arm") -> None:
    """A factor that nothing follows."""
    study.factor(column, ("arm1", "arm2"), within=_first_factor(study))
    study.truth.traps.append(Trap("decoy", column=column))


def label_noise(study: Study, factor: str = "condition") -> None:
    """As many samples of each level carry the label of the other one."""
    rng = study.stream("label noise")
    b, a = sorted(set(study.sheet[factor]))
    wrong: list[int] = []
    n = max(1, round(WRONG_LABELS * len(study.sheet) / 2))
    labels = study.sheet[factor].to_numpy(dtype=object).copy()
    for level, other in ((a, b), (b, a)):
        rows = rng.permutation(np.flatnonzero(study.sheet[factor] == level))[:n]
        labels[rows] = other
        wrong += [int(row) for row in rows]
    study.sheet[factor] = labels
    samples = tuple(str(study.sheet["sample"].iloc[row]) for row in sorted(wrong))
    study.truth.traps.append(Trap("label_noise", column=factor, of=factor, samples=samples))


def _first_factor(study: Study) -> str | None:
    known: pd.Index = study.sheet.columns
    return "condition" if "condition" in known else None
