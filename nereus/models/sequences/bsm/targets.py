"""Targets as people give them (classes by name, 0 and 1, values) and as a head answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from torch import Tensor

from nereus.errors import InputError


@dataclass(frozen=True)
class Targets:
    """What a head answers.

    Attributes
    ----------
    classes
        Names or numbers of the classes, in order; none for a value.
    mean, deviation
        Of the values that were learned from.
    """

    classes: list[Any] = field(default_factory=list)
    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def of(cls, y: Any, rows: int, head: Literal["auto", "classes", "value"]) -> Targets:
        """What targets are.

        Parameters
        ----------
        y
            (n,); missing where unknown.
        rows
            Number of sequences.
        head
            Classes or a value; ``auto`` takes words, truth values, and 0 with 1 for classes.

        Raises
        ------
        InputError
            None is known, their number is another, all are equal, or a value is no number.
        """
        column = pd.Series(list(y), dtype=object)
        if len(column) != rows:
            raise InputError(f"{len(column)} targets for {rows} sequences", where="bsm", mend="give one each")
        known = column.dropna()
        numbers = pd.to_numeric(known, errors="coerce")
        words = bool(numbers.isna().any()) or known.map(lambda one: isinstance(one, bool)).any()
        if head == "classes" or (head == "auto" and (words or set(numbers) <= {0.0, 1.0})):
            classes = sorted({_plain(one) for one in known}, key=lambda one: (str(type(one)), one))
            if len(classes) < 2:
                raise InputError(
                    f"a classifier needs two classes, the targets are all {classes}",
                    where="bsm",
                    mend="give others too",
                )
            return cls(classes)
        if words or not np.isfinite(numbers.to_numpy(float)).all():
            raise InputError(
                "a target is no number", where="bsm", mend="set head='classes', or mend the column"
            )
        values = numbers.to_numpy(float)
        if not len(values) or np.ptp(values) == 0:
            raise InputError(
                "the targets do not vary", where="bsm", mend="give at least two different values"
            )
        return cls([], float(values.mean()), float(values.std()))

    @property
    def outputs(self) -> int:
        """Outputs of the head."""
        return len(self.classes) or 1

    def numbers(self, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Targets as the head learns them, (n,), and the rows that have one."""
        column = pd.Series(list(y), dtype=object)
        known = np.flatnonzero(column.notna().to_numpy())
        if not self.classes:
            values = pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
            return (values - self.mean) / self.deviation, known
        number = {one: i for i, one in enumerate(self.classes)}
        found = np.full(len(column), -1, dtype=np.int64)
        found[known] = [number[_plain(one)] for one in column.iloc[known]]
        return found, known

    def probabilities(self, answers: Tensor) -> np.ndarray:
        """Of the classes, (n, classes)."""
        if not self.classes:
            raise InputError("it learned a value, which has no probability", where="bsm", mend="call predict")
        return np.asarray(answers.double().softmax(1))

    def values(self, answers: Tensor) -> np.ndarray:
        """The likeliest class or the value, (n,)."""
        if not self.classes:
            return np.asarray(answers[:, 0].double() * self.deviation + self.mean)
        likeliest = self.probabilities(answers).argmax(1)
        return np.asarray([self.classes[one] for one in likeliest])

    def columns(self, answers: Tensor) -> dict[str, np.ndarray]:
        """Columns of a table of predictions."""
        if not self.classes:
            return {"prediction": self.values(answers)}
        p = self.probabilities(answers)
        if len(self.classes) == 2:
            return {"prediction": p[:, 1]}
        each = {f"prediction_{name}": p[:, i] for i, name in enumerate(self.classes)}
        return {"prediction": self.values(answers), **each}

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def _plain(one: Any) -> Any:
    """A class as JSON has it: 1.0 and 1 are one class."""
    value = one.item() if hasattr(one, "item") else one
    return int(value) if isinstance(value, float | bool) and float(value).is_integer() else value
