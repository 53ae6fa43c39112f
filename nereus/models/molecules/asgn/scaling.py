"""Targets in units that a network learns well, and back; what decides the units is labelled molecules alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.linear_model import Ridge
from torch import Tensor, from_numpy

_ALPHA = 1e-2
"""Of the ridge on counts of elements: enough for counts that always go together, too little to matter otherwise."""


@dataclass(frozen=True)
class Scale:
    """A target is ``reference(composition) + spread * standardised``.

    Attributes
    ----------
    elements
        What an atom of each element counts, (elements, targets).
    offset, spread
        (targets,).
    """

    elements: np.ndarray
    offset: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, composition: np.ndarray, reference: Literal["mean", "composition"]) -> Scale:
        """The scale of labelled molecules.

        Parameters
        ----------
        y
            (labelled, targets), NaN where unknown.
        composition
            (labelled, elements).
        reference
            See `ASGNConfig.reference`.
        """
        elements = np.zeros((composition.shape[1], y.shape[1]))
        offset, spread = np.zeros(y.shape[1]), np.ones(y.shape[1])
        for target, column in enumerate(y.T):
            known = np.isfinite(column)
            if not known.any():
                continue
            if reference == "composition":
                ridge = Ridge(alpha=_ALPHA).fit(composition[known], column[known])
                elements[:, target], offset[target] = ridge.coef_, ridge.intercept_
            else:
                offset[target] = column[known].mean()
            deviation = (column[known] - composition[known] @ elements[:, target] - offset[target]).std()
            spread[target] = deviation if deviation > 0 else 1.0
        return cls(elements, offset, spread)

    def to_standard(self, y: np.ndarray, composition: np.ndarray) -> np.ndarray:
        """Targets as the network learns them, (molecules, targets)."""
        return np.asarray((y - self.reference(composition)) / self.spread)

    def to_units(self, standard: np.ndarray, composition: np.ndarray) -> np.ndarray:
        """What the network says, in the targets' own units, (molecules, targets)."""
        return np.asarray(standard * self.spread + self.reference(composition))

    def reference(self, composition: np.ndarray) -> np.ndarray:
        """What the composition alone says, (molecules, targets)."""
        return np.asarray(composition @ self.elements + self.offset)

    def tensors(self) -> dict[str, Tensor]:
        """To be kept."""
        return {
            f"scale.{name}": from_numpy(getattr(self, name).copy())
            for name in ("elements", "offset", "spread")
        }

    @classmethod
    def kept(cls, tensors: Mapping[str, Tensor]) -> Scale:
        """What `tensors` gave."""
        return cls(*(np.asarray(tensors[f"scale.{name}"]) for name in ("elements", "offset", "spread")))
