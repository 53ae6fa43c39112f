"""The synthetic tasks of DiscoveryBench (Majumder et al. 2024): data sets, questions, and the gold that only scoring reads."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

ARCHIVE = Path("agent_discoverybench") / "synth_dev.tar.gz"
_CONSTANT = 0.985
_TRAIN = 0.8


@dataclass(frozen=True)
class Gold:
    """What the makers of a task hold for true."""

    columns: frozenset[str]
    expression: str


@dataclass(frozen=True)
class Task:
    """A question about a table.

    Attributes
    ----------
    name
        Folder and number.
    family
        Domain of the data set; families are split into a half to tune on and a half to test on.
    table
        All rows.
    target, question, difficulty
        As given.
    gold
        Read by scoring only.
    """

    name: str
    family: str
    table: pd.DataFrame
    target: str
    question: str
    difficulty: int
    gold: Gold

    @property
    def half(self) -> str:
        """``tuned`` or ``untouched``: by a hash of the family's name, fixed before any gold of the other half was read."""
        odd = int(hashlib.sha256(self.family.encode()).hexdigest(), 16) % 2
        return "tuned" if odd else "untouched"

    @property
    def constant(self) -> bool:
        """Whether the target is the same in almost all rows, so that no data can tell its formula."""
        count = self.table[self.target].value_counts(normalize=True)
        return bool(count.iloc[0] >= _CONSTANT)

    def parts(self, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Rows that the method sees, and rows that only scoring sees."""
        order = np.random.default_rng(seed).permutation(len(self.table))
        cut = round(_TRAIN * len(self.table))
        seen, hidden = np.sort(order[:cut]), np.sort(order[cut:])
        return self.table.iloc[seen].reset_index(drop=True), self.table.iloc[hidden].reset_index(drop=True)


def tasks(data: Path) -> Iterator[Task]:
    """All tasks of the archive, in order of their names."""
    with tarfile.open(data / ARCHIVE) as archive:
        files = {
            member.name: extracted.read()
            for member in archive
            if member.isfile() and (extracted := archive.extractfile(member)) is not None
        }
    for name in sorted(files):
        match = re.fullmatch(r"(?:\./)?dev/([^/]+)/metadata_(\d+)\.json", name)
        if match is None:
            continue
        folder = match.group(1)
        described = json.loads(_decoded(files[name]))
        table = pd.read_csv(io.BytesIO(files[name.rsplit("/", 1)[0] + "/data.csv"]))
        query = described["queries"][0]
        yield Task(
            f"{folder}/{match.group(2)}",
            re.sub(r"(_\d+)+$", "", folder),
            table,
            query["target_col"],
            query["question"],
            int(query["difficulty"]),
            Gold(frozenset(query["relevant_cols"]), query["true_hypothesis_expr"]),
        )


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252")
