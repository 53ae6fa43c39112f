"""The abundance matrix of a data set, and a new data set made from one: inputs are never changed in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nereus.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData


def abundance(dataset: AnnData) -> np.ndarray:
    """Log2 abundance, shape (n_samples, n_features), float64, NaN = missing. Always a copy.

    Raises
    ------
    InputError
        When a value is infinite, all are missing, or the data set has no sample or no feature.
    """
    if dataset.n_obs == 0 or dataset.n_vars == 0:
        raise InputError(
            f"the data set has {dataset.n_obs} samples and {dataset.n_vars} features",
            mend="check the orientation of the table and the filters before this step",
        )
    X = dataset.X.toarray() if hasattr(dataset.X, "toarray") else dataset.X
    values = np.array(X, dtype=float)
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        raise InputError(
            f"{int(np.isinf(values).sum())} values are infinite",
            where=f"sample {dataset.obs_names[row]!r}, feature {dataset.var_names[column]!r}",
            mend="a logarithm of zero? load the table with zero_is_missing=yes",
        )
    if np.isnan(values).all():
        raise InputError(
            "every value is missing", mend="check the quantity and how missing values are written"
        )
    return values


def by_name(dataset: AnnData) -> tuple[np.ndarray, np.ndarray]:
    """Positions of samples and of features by their names: what is drawn in this order does not depend on the file's."""
    rows, columns = (
        np.argsort(np.array([str(name) for name in names]), kind="stable")
        for names in (dataset.obs_names, dataset.var_names)
    )
    return rows, columns


def described(dataset: AnnData) -> dict[str, Any]:
    """The loader's description of the data set (``uns["nereus"]``); empty for a foreign AnnData."""
    found = dataset.uns.get("nereus", {})
    return dict(found) if hasattr(found, "keys") else {}


def derive(dataset: AnnData, line: str, X: np.ndarray | None = None) -> AnnData:
    """A copy of the data set with another matrix, and one more line in its history."""
    derived = dataset.copy()
    if X is not None:
        derived.X = X
    facts = described(dataset)
    facts["history"] = [*(str(entry) for entry in facts.get("history", [])), line]
    derived.uns["nereus"] = facts
    return derived


def obs_column(dataset: AnnData, name: str) -> Any:
    """A column of the sample sheet; `InputError` with the known names where there is none."""
    if name not in dataset.obs.columns:
        raise InputError(
            f"there is no sample column {name!r}",
            where="sample sheet",
            mend=f"columns are {[str(column) for column in dataset.obs.columns]}",
        )
    return dataset.obs[name]
