"""Quality of cells and samples: events that are no single cells, samples with few cells, samples unlike the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool
from nereus.tools.cytometry.cell_table import (
    SAMPLE,
    FloatArray,
    IntArray,
    Labels,
    Mask,
    Values,
    cell_labels,
    group_means,
    marker_values,
    raw_values,
)
from nereus.tools.cytometry.gates import at_limit, debris, doublets
from nereus.tools.cytometry.marker_classes import LINEAGE, PANEL_SIZE, STATE, marker_classes
from nereus.tools.cytometry.transform import MASS_COFACTOR
from nereus.tools.proteomics.matrix import derive

if TYPE_CHECKING:
    from anndata import AnnData

_OUTLIER_MAD = 5.0
_LEAST_SCALE = 0.25
"""Spread of the distances, as a share of their median, that a few equal samples have by chance."""
_LEAST_SAMPLES = 5
"""Samples from which one can be told to be unlike the others."""
_MANY_OUT = 0.5


class CellQualityParams(Params):
    """Parameters of `cell_quality`."""

    sample: str = SAMPLE
    """Column of the sample of each cell."""
    min_cells: int = Field(default=100, ge=1)
    """Cells left below which a sample is said to be small."""
    gates: tuple[str, ...] = ("doublets", "debris", "limit")
    """Gates that are applied: doublets, debris, limit (values piled up at the instrument's upper limit)."""
    remove: bool = True
    """Leave the events out that a gate finds; otherwise they are only marked."""
    remove_small: bool = False
    """Leave small samples out."""


@tool(
    "cell_quality",
    version="1",
    summary="Quality of cells and samples: doublets, debris, limits, cell counts, samples unlike the others.",
    outputs=("dataset:dataset", "table:samples", "table:gates", "table:channels"),
    seconds=3.0,
)
def cell_quality(dataset: AnnData, params: CellQualityParams, *, seed: int) -> Result:
    """Judge cells and samples, and leave out events that are no single cells.

    Gates use the raw values (layer ``raw`` where the cells were transformed) and only channels that exist. A gate that
    would take more than half of a sample is not applied to it: its channel means something else there.

    Parameters
    ----------
    dataset
        obs = cells with a column of samples, var = channels.
    params
        See `CellQualityParams`.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        ``dataset``: the cells kept, obs column ``quality`` (``good``, or the gate that found the event). Table
        ``samples``: sample, n_cells, n_kept, small, one column a gate with the share found, distance (of its mean
        marker levels from those of the typical sample, in units of their usual spread), outlier. Table ``gates``: gate,
        checked, channels, n_found, share. Table ``channels``: channel, class, missing_rate, share_at_limit, constant,
        share_negative. Values: n_cells, n_kept, share_kept, n_samples, n_small, n_outliers, smallest_sample, median_cells,
        n_constant ...

    Raises
    ------
    InputError
        No column of samples, an unknown gate, or no event left.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> height = rng.normal(60e3, 5e3, 500)
    >>> area = height * rng.normal(1.2, 0.02, 500); area[:10] *= 1.8
    >>> obs = pd.DataFrame({"sample": ["a"] * 500}, index=map(str, range(500)))
    >>> data = anndata.AnnData(np.c_[area, height, rng.normal(300, 90, 500)], obs=obs,
    ...                        var=pd.DataFrame(index=["FSC-A", "FSC-H", "CD3"]))
    >>> result = cell_quality(data)
    >>> int(result.table("gates")["n_found"][0])
    10
    """
    known_gates = ("doublets", "debris", "limit")
    wrong = [gate for gate in params.gates if gate not in known_gates]
    if wrong:
        raise InputError(
            f"unknown gates {wrong}", where="cell_quality", mend=f"gates are {list(known_gates)}"
        )
    samples = cell_labels(dataset, params.sample)
    names = [str(name) for name in dataset.var_names]
    classes = marker_classes(dataset)
    raw = raw_values(dataset)
    # Levels are compared on a scale on which no single cell can pull the mean.
    shown = marker_values(dataset) if "raw" in dataset.layers else np.arcsinh(raw / np.float32(MASS_COFACTOR))
    warnings: list[str] = []
    lost = int((samples.codes < 0).sum())
    if lost:
        warnings.append(f"{lost} cells without a sample were left out")
    limits = np.stack([at_limit(raw[:, at]) for at in range(len(names))], axis=1)
    found = _gate(raw, names, classes, limits, samples.codes, params)
    reason = np.zeros(dataset.n_obs, dtype=np.intp)  # 0 good, then the gates in order
    gate_rows = []
    for number, (gate, (mask, channels)) in enumerate(found.items(), 1):
        if mask is None:
            gate_rows.append((gate, False, "", 0, np.nan))
            continue
        kept_out = _spare(mask, samples, warnings, gate)
        reason[(reason == 0) & kept_out] = number
        gate_rows.append((gate, True, channels, int(kept_out.sum()), float(kept_out.mean())))
    good = (reason == 0) & (samples.codes >= 0)
    counts, left = samples.counts, np.bincount(samples.codes[good], minlength=len(samples.names))
    small = left < params.min_cells
    kept = (samples.codes >= 0) & (good if params.remove else True)
    if params.remove_small:
        kept &= ~np.append(small, True)[samples.codes]
    if not kept.any():
        raise InputError(
            "no event is left", where="cell_quality", mend="lower min_cells, or name fewer gates"
        )
    distance, outlier = _unlike(shown, classes, samples, good)
    table = pd.DataFrame({"sample": samples.names, "n_cells": counts, "n_kept": left, "small": small})
    for number, gate in enumerate(found, 1):
        hit = np.bincount(samples.codes[(reason == number) & (samples.codes >= 0)], minlength=len(counts))
        table[gate] = hit / np.maximum(counts, 1)
    table["distance"], table["outlier"] = distance, outlier
    channels = _channel_table(names, classes, raw, limits)
    if small.any():
        shown_names = [name for name, one in zip(samples.names, small, strict=True) if one]
        warnings.append(f"samples with fewer than {params.min_cells} cells: {', '.join(shown_names[:8])}")
    if outlier.any():
        shown_names = [name for name, one in zip(samples.names, outlier, strict=True) if one]
        warnings.append(
            f"samples unlike the others: {', '.join(shown_names[:8])}; look at them before they are compared"
        )
    constant = channels.loc[channels["constant"] & channels["class"].isin([LINEAGE, STATE]), "channel"]
    if len(constant):
        warnings.append(f"markers without a value, or constant: {', '.join(constant[:6])}")
    line = f"cell_quality: {int(kept.sum())} of {dataset.n_obs} cells kept"
    marked = dataset if bool(kept.all()) else dataset[kept]
    derived = derive(marked, line)
    levels = ["good", *found]
    derived.obs["quality"] = pd.Categorical.from_codes(reason[kept].tolist(), categories=levels)
    unchecked = [row[0] for row in gate_rows if not row[1]]
    return Result(
        summary=(
            f"{int(kept.sum())} of {dataset.n_obs} cells in {len(samples.names)} samples were kept; {int(small.sum())} "
            f"samples are small, {int(outlier.sum())} unlike the others"
            + (f"; no channels for {', '.join(unchecked)}." if unchecked else ".")
        ),
        values={
            "n_cells": int(dataset.n_obs),
            "n_kept": int(kept.sum()),
            "share_kept": finite(float(kept.mean())),
            "n_samples": len(samples.names),
            "n_small": int(small.sum()),
            "n_outliers": int(outlier.sum()),
            "smallest_sample": int(left.min()),
            "median_cells": finite(float(np.median(left))),
            "n_constant": len(constant),
            **{f"n_{row[0]}": int(row[3]) if row[1] else None for row in gate_rows},
        },
        tables={
            "samples": table,
            "gates": pd.DataFrame(gate_rows, columns=["gate", "checked", "channels", "n_found", "share"]),
            "channels": channels,
        },
        datasets={"dataset": derived},
        warnings=tuple(warnings),
        n_total=int(dataset.n_obs),
        n_returned=int(kept.sum()),
    )


def _gate(
    raw: Values,
    names: list[str],
    classes: list[str],
    limits: Mask,
    samples: IntArray,
    params: CellQualityParams,
) -> dict[str, tuple[Mask | None, str]]:
    found: dict[str, tuple[Mask | None, str]] = {}
    for gate in params.gates:
        if gate == "doublets":
            found[gate] = doublets(raw, names, samples)
        elif gate == "debris":
            found[gate] = debris(raw, names, samples)
        else:
            # In a transcriptome a pile at the largest count of a gene is no limit.
            panel = len(names) <= PANEL_SIZE
            piled = [at for at in range(len(names)) if limits[:, at].any() and names[at].lower() != "time"]
            if panel:
                found[gate] = (np.asarray(limits[:, piled].any(axis=1)), ", ".join(names[at] for at in piled))
            else:
                found[gate] = (None, "")
    return found


def _spare(mask: Mask, samples: Labels, warnings: list[str], gate: str) -> Mask:
    """The gate without samples of which it would take most."""
    known = samples.codes >= 0
    share = np.bincount(samples.codes[known & mask], minlength=len(samples.names)) / np.maximum(
        samples.counts, 1
    )
    spared = share > _MANY_OUT
    if spared.any():
        names = [name for name, one in zip(samples.names, spared, strict=True) if one]
        warnings.append(f"gate {gate} would take most of {', '.join(names[:6])} and was not applied there")
    return np.asarray(mask & ~np.append(spared, False)[samples.codes])


def _unlike(values: Values, classes: list[str], samples: Labels, good: Mask) -> tuple[FloatArray, Mask]:
    """Distance of each sample's marker medians from the typical sample, and which are far away."""
    columns = [at for at, one in enumerate(classes) if one in (LINEAGE, STATE)]
    n = len(samples.names)
    # Means, because the median of a marker jumps where about half of the cells have it.
    level = group_means(values[good][:, columns], samples.codes[good], n)
    if n < 3 or not columns:
        return np.full(n, np.nan), np.zeros(n, dtype=bool)
    seen = np.isfinite(level).all(axis=1)
    if seen.sum() < 3:
        return np.full(n, np.nan), np.zeros(n, dtype=bool)
    away = np.abs(level - np.median(level[seen], axis=0))
    spread = 1.4826 * np.median(away[seen], axis=0)
    # One spread for all markers: a marker that hardly varies would make any sample an outlier.
    usual = max(float(np.sqrt(np.mean(spread**2))), 1e-9)
    distance = np.where(seen, np.sqrt(np.mean(away**2, axis=1)) / usual, np.nan)
    if seen.sum() < _LEAST_SAMPLES:
        return distance, np.zeros(n, dtype=bool)
    middle = float(np.median(distance[seen]))
    scale = 1.4826 * float(np.median(np.abs(distance[seen] - middle)))
    return distance, np.asarray(seen & (distance > middle + _OUTLIER_MAD * max(scale, _LEAST_SCALE * middle)))


def _channel_table(names: list[str], classes: list[str], raw: Values, limits: Mask) -> pd.DataFrame:
    low, high = np.fmin.reduce(raw, axis=0), np.fmax.reduce(raw, axis=0)
    return pd.DataFrame(
        {
            "channel": names,
            "class": classes,
            "missing_rate": np.isnan(raw).mean(axis=0),
            "share_at_limit": limits.mean(axis=0),
            "constant": ~(high > low),
            "share_negative": (raw < 0).mean(axis=0),
        }
    )
