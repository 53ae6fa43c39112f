"""A study under construction: values, sample sheet and truth. Effects and traps change it, each from its own stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd

from benchmarks.truth.planting.bases import Base, draw
from benchmarks.truth.planting.truth import Truth

_LETTERS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
MOSTLY_SEEN = 0.8
"""Share of the subjects in which a feature is seen that something is planted into."""
DATA, SAMPLES, TRUTH = "data.csv", "samples.csv", "truth.json"


@dataclass
class Study:
    """A planted study.

    Attributes
    ----------
    values
        log2 abundance, one row a sample, NaN = missing, shape (samples, features).
    features
        Random tokens, or shuffled gene names where a set of genes is planted.
    sheet
        The sample sheet, one row a sample.
    sd
        Standard deviation of each feature before anything is planted: the unit of all sizes.
    truth
        What was planted.
    """

    values: np.ndarray
    features: list[str]
    sheet: pd.DataFrame
    sd: np.ndarray
    truth: Truth
    used: set[int] = field(default_factory=set)

    @classmethod
    def on(cls, base: Base, seed: int, plan: str) -> Study:
        """The untouched background of a study."""
        rng = stream(seed, "subjects and features")
        values, _ = draw(base, rng)
        names = stream(seed, "names")
        features = ["X" + "".join(names.choice(_LETTERS, 7)) for _ in range(values.shape[1])]
        sheet = pd.DataFrame({"sample": [f"S{i:03d}" for i in range(1, len(values) + 1)]})
        sd = np.nanstd(values, axis=0, ddof=1)
        return cls(values.copy(), features, sheet, sd, Truth(seed, base.name, plan))

    def stream(self, what: str) -> np.random.Generator:
        """Random numbers for one purpose; they do not depend on what else was drawn."""
        return stream(self.truth.seed, what)

    def take(self, n: int, rng: np.random.Generator) -> list[int]:
        """Features that nothing was planted into yet and that are mostly seen; they are then taken."""
        seen = np.isfinite(self.values).mean(axis=0) >= MOSTLY_SEEN
        free = [i for i in np.flatnonzero(seen) if int(i) not in self.used]
        chosen = [int(i) for i in rng.permutation(free)[:n]]
        self.used |= set(chosen)
        return chosen

    def factor(self, name: str, levels: Sequence[str], within: str | None = None) -> None:
        """Add a balanced factor, balanced within the levels of another one too."""
        rng = self.stream(f"factor {name}")
        column = np.empty(len(self.sheet), dtype=object)
        blocks = [np.arange(len(self.sheet))]
        if within is not None:
            blocks = [
                np.flatnonzero(self.sheet[within] == level) for level in sorted(set(self.sheet[within]))
            ]
        for start, block in enumerate(blocks):
            order = rng.permutation(block)
            column[order] = [levels[(i + start) % len(levels)] for i in range(len(order))]
        self.sheet[name] = column

    def write(self, folder: Path) -> None:
        """Write the table of intensities (features x samples), the sample sheet, and the truth."""
        folder.mkdir(parents=True, exist_ok=True)
        table = pd.DataFrame(np.exp2(self.values.T), index=self.features, columns=self.sheet["sample"])
        table.index.name = "protein"
        table.to_csv(folder / DATA, float_format="%.8g")
        self.sheet.to_csv(folder / SAMPLES, index=False, float_format="%.8g")
        self.truth.write(folder / TRUTH)


def stream(seed: int, what: str) -> np.random.Generator:
    """Random numbers for one purpose of one seed."""
    return np.random.default_rng([seed, crc32(what.encode())])
