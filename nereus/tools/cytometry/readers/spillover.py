"""The spillover matrix of an FCS file, and values without the spillover (compensation).

Source: Spidlen et al. 2010, Cytometry A 77A:97 (keyword ``$SPILLOVER``); Bagwell & Adams 1993, Ann N Y Acad Sci 677:167.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nereus.errors import InputError
from nereus.tools.cytometry.readers.events import FloatArray

_KEYS = ("$spillover", "spillover", "$spill", "spill")
_WORST_CONDITION = 1e4
"""Condition number from which solving for the fluorochromes blows noise up: the matrix cannot be right."""


@dataclass(frozen=True)
class Spillover:
    """Which share of each fluorochrome (row) each detector sees (column), relative to its own detector."""

    channels: tuple[str, ...]
    matrix: FloatArray

    @property
    def is_identity(self) -> bool:
        """Whether nothing spills over: the values were compensated when the file was written."""
        return bool(np.array_equal(self.matrix, np.eye(len(self.channels))))


def read_spillover(text: Mapping[str, str], where: str) -> Spillover | None:
    """The matrix in the keywords of a file (lower-case names), None where there is none.

    Raises
    ------
    InputError
        A matrix that is none, or that cannot be solved.
    """
    written = next((text[key] for key in _KEYS if text.get(key, "").strip()), None)
    if written is None:
        return None
    parts = [part.strip() for part in written.replace("\n", "").split(",")]
    try:
        n = int(parts[0])
        channels = tuple(parts[1 : n + 1])
        matrix = np.array([float(part) for part in parts[n + 1 :]], dtype=np.float64).reshape(n, n)
    except ValueError:
        raise _broken("is not n, n names and n x n numbers", where) from None
    if len(set(channels)) < n or not np.isfinite(matrix).all():
        raise _broken("names a channel twice or holds no finite numbers", where)
    if float(np.linalg.cond(matrix)) > _WORST_CONDITION:
        raise _broken("cannot be solved: some of its fluorochromes look the same", where)
    return Spillover(channels, matrix)


def compensated(values: FloatArray, names: Sequence[str], spillover: Spillover, where: str) -> FloatArray:
    """Values on the linear scale without spillover, shape (cells, channels); other channels stay as they are.

    Raises
    ------
    InputError
        The matrix names a channel that the file does not have.
    """
    if strange := [name for name in spillover.channels if name not in names]:
        raise _broken(f"names channels that the file does not have ({strange[:4]})", where)
    columns = [list(names).index(name) for name in spillover.channels]
    made = values.copy()
    made[:, columns] = np.linalg.solve(spillover.matrix.T, values[:, columns].T).T
    return made


def _broken(what: str, where: str) -> InputError:
    return InputError(
        f"the spillover matrix {what}",
        where=where,
        mend="leave `compensate` out and compensate in the cytometer's software",
    )
