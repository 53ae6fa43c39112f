"""What an oracle answers, and how it is kept so that nothing is measured twice."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nereus.errors import InputError
from nereus.models.training import TrainingCancelled

Oracle = Callable[[int], Any]
"""Measures the molecule of a row: a number, or one a target. An error, or no number, is a measurement that failed; only
`TrainingCancelled` ends the rounds."""
Answer = list[float | None] | str
"""Values, None where one is not known; or why there are none."""


class Answers:
    """An oracle that is asked once for each row, in this process and in those that go on after it.

    Parameters
    ----------
    oracle
        Who is asked.
    targets
        Number of properties.
    folder
        Where answers are kept, if anywhere.
    identity
        Of the molecules: answers of other ones are refused.

    Raises
    ------
    InputError
        The folder holds answers of other molecules, or what cannot be read.
    """

    def __init__(self, oracle: Oracle, targets: int, folder: Path | None, identity: str) -> None:
        self.oracle, self.targets, self.identity = oracle, targets, identity
        self.file = None if folder is None else folder / "answers.json"
        self.known: dict[str, Answer] = {}
        if self.file is None or not self.file.exists():
            return
        try:
            found = json.loads(self.file.read_text(encoding="utf-8"))
            of, self.known = found["of"], found["answers"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"the kept answers cannot be read: {error}",
                where=str(self.file),
                mend="restore or remove the file",
            ) from None
        if of != identity:
            raise InputError(
                "the kept answers are of other molecules or another number of targets",
                where=str(self.file),
                mend="give another checkpoint folder, or remove this one to start anew",
            )

    def of(self, row: int) -> Answer:
        """The answer for a row, asked for where it is not known yet."""
        if str(row) not in self.known:
            self.known[str(row)] = self._ask(row)
            self._keep()
        return self.known[str(row)]

    def _ask(self, row: int) -> Answer:
        try:
            values = np.asarray(self.oracle(row), dtype=np.float64).reshape(-1)
        except TrainingCancelled:
            raise
        except Exception as error:  # noqa: BLE001  a stranger's code, or a laboratory: whatever it raises is an answer
            return f"{type(error).__name__}: {error}"
        if len(values) != self.targets:
            return f"gave {len(values)} values for {self.targets} targets"
        if not np.isfinite(values).any():
            return "gave no number"
        return [float(one) if math.isfinite(one) else None for one in values]

    def _keep(self) -> None:
        if self.file is None:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: a measurement that was paid for must outlive a crash while it is written.
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({"of": self.identity, "answers": self.known}), encoding="utf-8")
        new.replace(self.file)
