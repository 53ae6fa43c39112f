"""Many decisions between several steps each, packed into flat arrays with one segment a decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nereus.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Described:
    """What a policy without a language model sees of some steps (or prefixes).

    Attributes
    ----------
    features
        Numbers, shape (rows, features).
    tokens
        Symbols, shape (rows, slots), integers from 0; no columns where the problem has none.
    """

    features: Array
    tokens: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.features)

    @classmethod
    def of(
        cls, features: Sequence[Sequence[float]] | Array, tokens: Sequence[Sequence[int]] | None = None
    ) -> Described:
        """From nested lists; without tokens there are none."""
        matrix = np.asarray(features, dtype=float)
        if matrix.ndim != 2:
            raise InputError(
                f"features have the shape {matrix.shape}, not (steps, features)",
                where="description of steps",
                mend="one row a step, at least one step",
            )
        symbols = (
            np.zeros((len(matrix), 0), dtype=np.int64)
            if tokens is None
            else np.asarray(tokens, dtype=np.int64)
        )
        return cls(matrix, symbols.reshape(len(matrix), -1))

    @classmethod
    def together(cls, parts: Sequence[Described]) -> Described:
        """All rows of several, in order."""
        return cls(np.concatenate([p.features for p in parts]), np.concatenate([p.tokens for p in parts]))


@dataclass(frozen=True)
class Choices:
    """Decisions between steps.

    Attributes
    ----------
    rows
        All steps of all decisions.
    starts
        First row of each decision, and the number of rows at the end, shape (decisions + 1,).
    """

    rows: Described
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, sets: Sequence[Described]) -> Choices:
        """Pack one description a decision."""
        if not sets:
            raise InputError(
                "there is no decision to learn from", where="choices", mend="give at least one solved path"
            )
        return cls(
            Described.together(sets),
            np.concatenate([[0], np.cumsum([len(one) for one in sets])]).astype(np.int64),
        )

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def owner(self) -> NDArray[np.int64]:
        """Decision of each row, (rows,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def log_softmax(self, scores: Array) -> Array:
        """log-probability of each row within its decision, (rows,)."""
        first = self.starts[:-1]
        owner = self.owner
        top = np.maximum.reduceat(scores, first)
        shifted = scores - top[owner]
        made: Array = shifted - np.log(np.add.reduceat(np.exp(shifted), first))[owner]
        return made

    def take(self, decisions: NDArray[np.int64]) -> Choices:
        """Some of the decisions, in the given order."""
        lengths = np.diff(self.starts)[decisions]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.repeat(self.starts[decisions] - starts[:-1], lengths) + np.arange(starts[-1])
        return Choices(Described(self.rows.features[rows], self.rows.tokens[rows]), starts)


@dataclass(frozen=True)
class Imitation:
    """Decisions of solved paths: which step was taken.

    Attributes
    ----------
    choices
        The decisions.
    taken
        Number of the taken step within its decision, shape (decisions,).
    """

    choices: Choices
    taken: NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """Pairs of steps of the same decision.

    Attributes
    ----------
    choices
        One decision a pair.
    chosen, rejected
        Numbers of the two steps within their decision, shape (pairs,).
    q_chosen, q_rejected
        Their values, shape (pairs,).
    """

    choices: Choices
    chosen: NDArray[np.int64]
    rejected: NDArray[np.int64]
    q_chosen: Array
    q_rejected: Array

    def __len__(self) -> int:
        return len(self.chosen)

    def take(self, pairs: NDArray[np.int64]) -> Comparison:
        """Some of the pairs."""
        return Comparison(
            self.choices.take(pairs),
            self.chosen[pairs],
            self.rejected[pairs],
            self.q_chosen[pairs],
            self.q_rejected[pairs],
        )
