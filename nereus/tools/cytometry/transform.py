"""From raw counts and intensities of cells to a scale on which populations are round: arcsinh, logicle or log counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.cytometry.cell_table import Values, marker_values
from nereus.tools.cytometry.marker_classes import LINEAGE, NONE, PANEL_SIZE, STATE, TECHNICAL, marker_classes
from nereus.tools.proteomics.matrix import derive, described
from nereus.tools.singlecell.normalise import log_counts

if TYPE_CHECKING:
    from anndata import AnnData

MASS_COFACTOR, FLOW_COFACTOR = 5.0, 150.0
"""Usual widths of the linear part: counts of a mass cytometer, intensities of a flow cytometer."""
_LOOKED_AT = 20_000
"""Cells from which the kind of values is told."""
_TRANSFORMED_BELOW = 20.0
"""Raw counts and intensities pass this somewhere; arcsinh and logarithms do not."""
_FLOW_ABOVE = 20_000.0
"""A mass cytometer's counts stay below this (99.9th percentile); a flow cytometer has five or six decades."""

_FAR_BELOW, _MUCH_BELOW = 5.0, 0.05
"""Cofactors below zero that noise does not reach, and the share of cells there that is worth a word."""

Method = Literal["arcsinh", "logicle", "log_counts", "none"]


class TransformParams(Params):
    """Parameters of `transform_cells`."""

    method: Literal["auto", "arcsinh", "logicle", "log_counts", "none"] = "auto"
    """``arcsinh(x / cofactor)``; ``logicle`` (biexponential; package FlowUtils); ``log_counts`` (each cell scaled to
    one total, then ``log(1 + x)``; package scanpy); ``none`` keeps the values and tells marker classes only.
    """
    cofactor: float | None = Field(default=None, gt=0)
    """Of arcsinh; None takes 5 for mass cytometry and 150 for flow cytometry, told from the data."""
    target_sum: float | None = Field(default=None, gt=0)
    """Total that each cell is scaled to (``log_counts``); None takes the median of the cells' totals."""
    lineage: tuple[str, ...] = ()
    """Markers that define populations, against what panel or names say."""
    state: tuple[str, ...] = ()
    """Markers that change within populations, against what panel or names say."""


@tool(
    "transform_cells",
    version="1",
    summary="Arcsinh, logicle or log counts of cells, chosen from the data; lineage and state markers told apart.",
    outputs=("dataset:dataset", "table:markers"),
    seconds=1.0,
)
def transform_cells(dataset: AnnData, params: TransformParams, *, seed: int) -> Result:
    """Transform raw values of cells.

    ``auto`` takes ``log_counts`` for counts of many features, ``none`` for values that are transformed already, and
    else arcsinh with the cofactor of the instrument. Technical channels (scatter, time, DNA, viability) are left as
    they are.

    Parameters
    ----------
    dataset
        obs = cells, var = markers or genes, X = raw counts or intensities.
    params
        See `TransformParams`.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        ``dataset``: transformed values (float32), layer ``raw`` with those given, var column ``marker_class``
        (lineage, state, technical, none) and ``cofactor``. Table ``markers``: marker, class, cofactor (NaN: not
        arcsinh), median and p99 (after), missing_rate, share_negative (before), usable. Values: method, cofactor,
        n_cells, n_lineage, n_state, n_unusable.

    Raises
    ------
    InputError
        Transformed already; negative counts; an unknown marker; no value at all.

    Notes
    -----
    Cofactors: Bendall et al. 2011, Science 332:687 (mass cytometry). Logicle: Parks, Roederer & Moore 2006,
    Cytometry A 69:541.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> X = np.array([[0.0, 400.0], [5.0, 3.0], [120.0, 0.0]])
    >>> data = anndata.AnnData(X, var=pd.DataFrame(index=["CD3", "pS6"]))
    >>> result = transform_cells(data)
    >>> result.values["method"], result.values["cofactor"], result.table()["class"].tolist()
    ('arcsinh', 5.0, ['lineage', 'state'])
    """
    facts = described(dataset)
    if facts.get("transform") is not None and params.method not in ("auto", "none"):
        raise InputError(
            f"the cells were transformed already ({facts['transform']})",
            where="transform_cells",
            mend="transform the raw cells, or use method='none'",
        )
    names = [str(name) for name in dataset.var_names]
    classes = _classes(dataset, names, params)
    sparse = hasattr(dataset.X, "toarray")
    looked = dataset[:: max(1, dataset.n_obs // _LOOKED_AT)]
    shown = marker_values(looked)
    biological = np.array([one in (LINEAGE, STATE) for one in classes])
    if not biological.any():
        raise InputError(
            "no channel is a marker: all are technical",
            where="transform_cells",
            mend="name the markers with lineage=... and state=...",
        )
    warnings: list[str] = []
    method, cofactor = params.method, params.cofactor
    if method == "auto":
        method, why = _told(shown[:, biological], classes, names, facts)
        warnings += why
    if method == "arcsinh" and cofactor is None:
        cofactor = _instrument(shown[:, biological], names)
    negative = np.array([_share(shown[:, at] < 0, shown[:, at]) for at in range(len(names))])
    columns = np.flatnonzero(biological)
    if method == "log_counts":
        if negative[columns].max() > 0:
            raise InputError(
                "counts cannot be negative: is this already log-scaled or centred?",
                where=f"marker {names[int(columns[np.argmax(negative[columns])])]!r}",
                mend="use method='none'",
            )
        X = log_counts(dataset, params.target_sum)
    elif method == "none":
        X = dataset.X.copy() if sparse else marker_values(dataset)
    else:
        X = marker_values(dataset)
        if method == "arcsinh":
            X[:, columns] = np.arcsinh(X[:, columns] / np.float32(cofactor))
        else:
            X[:, columns] = _logicle(X[:, columns])
    unusable = _unusable(X)
    for at in np.flatnonzero(unusable):
        classes[at] = TECHNICAL if classes[at] == TECHNICAL else NONE
    lost = [names[at] for at in np.flatnonzero(unusable & biological)]
    if len(lost) == biological.sum():
        raise InputError("no marker varies over the cells", where="transform_cells", mend="check the file")
    if lost:
        more = f" and {len(lost) - 6} more" if len(lost) > 6 else ""
        warnings.append(f"markers without a value, or constant, are not used: {', '.join(lost[:6])}{more}")
    # Around zero, noise is on both sides; far below it, a compensation or background was taken off too much.
    far = np.float32(_FAR_BELOW * (cofactor or FLOW_COFACTOR))
    below = [names[at] for at in columns if _share(shown[:, at] < -far, shown[:, at]) > _MUCH_BELOW]
    if below and method in ("arcsinh", "logicle"):
        warnings.append(
            f"many cells are far below zero in {', '.join(below[:6])}: check compensation and background"
        )
    if facts.get("spillover") is True and method in ("arcsinh", "logicle"):
        warnings.append(
            "the file holds a spillover matrix: load with compensate=True if its values were not compensated"
        )
    named = f"arcsinh(x / {cofactor:g})" if method == "arcsinh" else method
    derived = derive(dataset, f"transform_cells: {named}", X)
    if method != "none":
        derived.layers["raw"] = dataset.X.copy() if sparse else marker_values(dataset)
    derived.var["marker_class"] = classes
    used = np.where(biological & (method == "arcsinh"), cofactor if cofactor is not None else np.nan, np.nan)
    derived.var["cofactor"] = used.astype(float)
    derived.uns["nereus"]["transform"] = facts.get("transform", named) if method == "none" else named
    after = marker_values(derived[:: max(1, dataset.n_obs // _LOOKED_AT)])
    table = pd.DataFrame(
        {
            "marker": names,
            "class": classes,
            "cofactor": derived.var["cofactor"].to_numpy(),
            "median": _quantile(after, 0.5),
            "p99": _quantile(after, 0.99),
            "missing_rate": np.isnan(shown).mean(axis=0),
            "share_negative": negative,
            "usable": ~unusable,
        }
    )
    counted = {one: classes.count(one) for one in (LINEAGE, STATE)}
    return Result(
        summary=(
            f"{dataset.n_obs} cells, {named}: {counted[LINEAGE]} lineage and {counted[STATE]} state markers of "
            f"{len(names)} channels."
        ),
        values={
            "method": method,
            "cofactor": finite(cofactor) if method == "arcsinh" else None,
            "n_cells": int(dataset.n_obs),
            "n_lineage": counted[LINEAGE],
            "n_state": counted[STATE],
            "n_unusable": len(lost),
        },
        tables={"markers": table},
        datasets={"dataset": derived},
        warnings=tuple(warnings),
        n_total=int(dataset.n_obs),
        n_returned=int(dataset.n_obs),
    )


def _classes(dataset: AnnData, names: list[str], params: TransformParams) -> list[str]:
    classes = marker_classes(dataset)
    both = sorted(set(params.lineage) & set(params.state))
    if both:
        raise InputError(f"markers {both[:3]} are named as lineage and as state", mend="name each once")
    for chosen, one in ((params.lineage, LINEAGE), (params.state, STATE)):
        for name in chosen:
            if name not in names:
                raise InputError(f"unknown marker {name!r}", where=one, mend=f"markers are {names[:24]}")
            classes[names.index(name)] = one
    return classes


def _told(
    shown: Values, classes: list[str], names: list[str], facts: dict[str, object]
) -> tuple[Method, list[str]]:
    """Method for the values seen, and why it says so where that is not plain."""
    if facts.get("transform") is not None:
        return "none", [f"values were transformed already ({facts['transform']}): they were kept"]
    known = shown[np.isfinite(shown)]
    whole = bool(np.all(known == np.round(known)))
    if shown.shape[1] > PANEL_SIZE:
        if whole and known.min() >= 0:
            return "log_counts", []
        return "none", ["values of many features that are no counts were taken as transformed already"]
    if known.max() <= _TRANSFORMED_BELOW and not whole:
        return "none", [
            "no value is large: the cells were taken as transformed already; name a method otherwise"
        ]
    return "arcsinh", []


def _instrument(shown: Values, names: list[str]) -> float:
    """Cofactor of the instrument: scatter channels or many decades mean flow cytometry."""
    scatter = any(name.upper().startswith(("FSC", "SSC", "FS-", "SS-", "FS ", "SS ")) for name in names)
    tall = float(np.nanpercentile(shown, 99.9)) > _FLOW_ABOVE
    return FLOW_COFACTOR if scatter or tall else MASS_COFACTOR


def _logicle(X: Values) -> Values:
    """Logicle of every column; the top of scale is the data's, the width follows its negative values."""
    try:
        from flowutils import transforms
    except ImportError:
        raise InputError(
            "the logicle transformation needs the package FlowUtils",
            mend="pip install -e '.[singlecell]', or use method='arcsinh'",
        ) from None
    made = np.empty_like(X)
    for at in range(X.shape[1]):
        column = X[:, at].astype(np.float64)
        seen = column[np.isfinite(column)]
        top = max(float(seen.max(initial=0.0)), 1.0)
        below = seen[seen < 0]
        decades = 4.5
        # Parks et al. 2006, equation 7: the width reaches to a low quantile of the negative values.
        width = (
            0.5 if not len(below) else (decades - np.log10(top / abs(float(np.quantile(below, 0.05))))) / 2
        )
        made[:, at] = transforms.logicle(
            column[:, None], [0], t=top, m=decades, w=float(np.clip(width, 0.0, decades / 2)), a=0
        )[:, 0]
    return made


def _unusable(X: Values) -> np.ndarray:
    """Columns without a value or with one value in all cells, shape (columns,)."""
    if hasattr(X, "toarray"):
        low, high = np.asarray(X.min(axis=0).toarray()).ravel(), np.asarray(X.max(axis=0).toarray()).ravel()
    else:
        low, high = np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)
    return np.asarray(~(high > low))


def _share(mask: np.ndarray, values: np.ndarray) -> float:
    known = np.isfinite(values)
    return float(mask[known].mean()) if known.any() else 0.0


def _quantile(values: Values, share: float) -> np.ndarray:
    seen = ~np.isnan(values).all(axis=0)
    made = np.full(values.shape[1], np.nan)
    if seen.any():
        made[seen] = np.nanquantile(values[:, seen].astype(np.float64), share, axis=0)
    return made
