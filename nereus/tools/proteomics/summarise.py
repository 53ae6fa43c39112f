"""Fragments and peptides to proteins (or peptides): MaxLFQ's pairwise ratios, or Tukey's median polish."""

from __future__ import annotations

from typing import Any, Literal

import anndata
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse.csgraph import connected_components

from nereus.errors import InputError
from nereus.tools.base import Params, Result, finite, tool

FloatArray = NDArray[np.float64]

_POLISH_ROUNDS = 20
_POLISH_TOLERANCE = 1e-6


class SummariseParams(Params):
    """How peptides become proteins."""

    to: Literal["protein", "peptide"] = "protein"
    """What they become: protein groups, or peptides (from fragments, or from precursors of several charges)."""

    method: Literal["maxlfq", "median_polish"] = "maxlfq"
    """``maxlfq``: least squares over the median peptide ratios of all pairs of samples; ``median_polish``: Tukey's fit
    of peptide and sample effects."""
    min_peptides: int = Field(default=1, ge=1)
    """Proteins with fewer peptides are left out."""


@tool(
    "summarise_peptides",
    version="2",
    summary="Roll fragments or peptides up to proteins by MaxLFQ's pairwise ratios or by Tukey's median polish.",
    outputs=("dataset:dataset", "table:proteins"),
    seconds=10.0,
)
def summarise_peptides(dataset: anndata.AnnData, params: SummariseParams, *, seed: int) -> Result:
    """Protein abundances from a data set of peptides, precursors or fragments.

    They belong to the protein group of ``var["protein_group"]`` (the razor protein, as `load_dataset` writes it;
    ``var["protein"]`` where that is missing), or to the peptide of ``var["peptide"]``. Rows that name none are left out
    and counted. Values are log2 before and after. Fragments are rolled up directly, as iq does (Pham et al. 2020,
    Bioinformatics 36:2611); peptides are then counted, not fragments.

    Parameters
    ----------
    dataset
        Data set of level peptide or fragment; X log2, shape (samples, peptides), NaN = missing.
    params
        See `SummariseParams`.
    seed
        Not used.

    Returns
    -------
    Result
        Data set ``dataset`` with one feature a protein group and the layer ``n_peptides`` (quantified peptides by
        sample); table ``proteins`` (protein, n_peptides, n_samples).

    Raises
    ------
    InputError
        The data set holds neither peptides nor fragments, or no protein has enough peptides.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> x = np.array([[10.0, 12.0], [11.0, 13.0], [12.0, np.nan]])
    >>> var = pd.DataFrame({"protein_group": ["P1", "P1"]}, index=["PEPTIDEK", "SEQVENCER"])
    >>> peptides = anndata.AnnData(X=x, obs=pd.DataFrame(index=["a", "b", "c"]), var=var, uns={"nereus": {"level": "peptide"}})
    >>> proteins = summarise_peptides(peptides).dataset()
    >>> [round(float(v), 6) for v in np.diff(proteins.X[:, 0])]
    [1.0, 1.0]
    """
    meta = dict(dataset.uns.get("nereus", {}))
    wanted = ("peptide",) if params.to == "peptide" else ("protein_group", "protein")
    column = next((name for name in wanted if name in dataset.var.columns), None)
    if meta.get("level") not in ("peptide", "fragment") or column is None:
        raise InputError(
            f"the data set holds {meta.get('level', 'unknown')} values, not peptides"
            + (" that name their sequence" if column is None else ""),
            where="summarise_peptides",
            mend="load a table of peptides, precursors or fragments with columns of sequences and of proteins",
        )
    x = np.asarray(dataset.X, dtype=float)
    groups = dataset.var[column].astype(str)
    quantified = np.isfinite(x).any(axis=0) & (groups != "").to_numpy()
    codes, levels = pd.factorize(groups.where(quantified))
    parts = dataset.var["peptide"].astype(str).to_numpy() if _counts_peptides(dataset, params) else None
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(levels) + 1))
    summarise = maxlfq if params.method == "maxlfq" else median_polish
    kept, columns, counts, members, sizes = [], [], [], [], []
    for group in range(len(levels)):
        peptides = order[bounds[group] : bounds[group + 1]]
        named = peptides if parts is None else parts[peptides]
        if len(set(named)) < params.min_peptides:
            continue
        values = x[:, peptides]
        kept.append(group)
        members.append(peptides)
        sizes.append(float(len(set(named))))
        columns.append(summarise(values.T))
        counts.append(_quantified(values, named))
    if not kept:
        raise InputError(
            f"no protein has {params.min_peptides} quantified peptides",
            where="summarise_peptides",
            mend="lower min_peptides, or check that the table names the protein of each peptide",
        )
    first = [int(peptides[0]) for peptides in members]
    var = pd.DataFrame(index=pd.Index([str(levels[group]) for group in kept], dtype=object))
    names = ("gene", "protein", "description", "organism")
    for name in (*names, "protein_group", "peptide") if params.to == "peptide" else names:
        if name in dataset.var.columns:
            var[name] = dataset.var[name].astype(str).to_numpy(dtype=object)[first]
    var["n_peptides"] = sizes
    matrix, n_peptides = np.column_stack(columns), np.column_stack(counts)
    result = anndata.AnnData(X=matrix, obs=dataset.obs.copy(), var=var, layers={"n_peptides": n_peptides})
    n_left = len(levels) - len(kept)
    source = "fragments" if meta["level"] == "fragment" else "peptides"
    line = f"{int(quantified.sum())} {source} rolled up to {len(kept)} {params.to}s by {params.method}"
    result.uns["nereus"] = {
        **meta,
        "level": params.to,
        "data_kind": f"{params.to}s",
        "quantity": params.method,
        "history": [*map(str, meta.get("history", [])), line],
    }
    table = pd.DataFrame(
        {
            "protein": pd.Series(list(var.index), dtype=object),
            "n_peptides": var["n_peptides"].to_numpy(),
            "n_samples": np.isfinite(matrix).sum(axis=0).astype(float),
        }
    )
    missing = float(np.isnan(matrix).mean())
    return Result(
        summary=f"{line}; {missing:.1%} missing{f', {n_left} {params.to}s with fewer peptides left out' if n_left else ''}.",
        values={
            "method": params.method,
            "n_peptides": int(quantified.sum()),
            "n_proteins": len(kept),
            "n_proteins_left_out": n_left,
            "n_peptides_without_protein": int((groups == "").sum()),
            "median_peptides_per_protein": finite(float(np.median(var["n_peptides"]))),
            "missing_rate": finite(missing),
        },
        tables={"proteins": table},
        datasets={"dataset": result},
        n_total=len(levels),
        n_returned=len(kept),
    )


def _counts_peptides(dataset: anndata.AnnData, params: SummariseParams) -> bool:
    """Whether features are parts of peptides (fragments, charges), so that peptides are counted by their sequence."""
    return (
        params.to == "protein"
        and "peptide" in dataset.var.columns
        and bool((dataset.var["peptide"] != "").all())
    )


def _quantified(values: FloatArray, names: NDArray[Any]) -> FloatArray:
    """Number of distinct peptides with a value, by sample."""
    codes, levels = pd.factorize(names)
    if len(levels) == len(names):
        return np.asarray(np.isfinite(values).sum(axis=1), dtype=float)
    known = np.zeros((len(levels), len(values)), dtype=bool)
    np.logical_or.at(known, codes, np.isfinite(values).T)
    return np.asarray(known.sum(axis=0), dtype=float)


def maxlfq(log2: FloatArray) -> FloatArray:
    """One protein by delayed normalisation's second half: least squares over pairwise median peptide ratios.

    For each pair of samples r_ij is the median difference over the peptides that both have; the profile minimises
    sum (x_i - x_j - r_ij)^2 over the pairs. Samples that no pair connects are solved apart. Each connected part is
    shifted so that its summed intensity equals that of its peptides.
    Source: Cox et al. 2014, Mol Cell Proteomics 13:2513, section "Extraction of maximum peptide ratio information".

    Parameters
    ----------
    log2
        Shape (peptides, samples), NaN = missing.

    Returns
    -------
    ndarray
        Shape (samples,); NaN where no peptide was quantified.

    Examples
    --------
    >>> maxlfq(np.array([[1.0, 2.0, np.nan]]))
    array([ 1.,  2., nan])
    """
    known = np.isfinite(log2)
    if log2.shape[0] == 1:
        return np.array(log2[0])
    profile = np.full(log2.shape[1], np.nan)
    present = np.flatnonzero(known.any(axis=0))
    if present.size == 0:
        return profile
    values = log2[:, present]
    ratios = _pairwise_median_ratios(values)
    connected = np.isfinite(ratios)
    n_parts, part = connected_components(connected, directed=False)
    for index in range(n_parts):
        inside = np.flatnonzero(part == index)
        summed = _log2_sum(values[:, inside])
        if inside.size == 1:
            profile[present[inside]] = summed
            continue
        weights = connected[np.ix_(inside, inside)].astype(float)
        np.fill_diagonal(weights, 0.0)
        target = np.where(weights > 0, ratios[np.ix_(inside, inside)], 0.0).sum(axis=1)
        laplacian = np.diag(weights.sum(axis=1)) - weights
        # The Laplacian leaves the level open; the constant matrix fixes its mean at zero and keeps it well conditioned.
        solved = np.linalg.solve(laplacian + 1.0 / inside.size, target)
        profile[present[inside]] = solved + summed - _log2_sum(solved)
    return profile


def _pairwise_median_ratios(values: FloatArray) -> FloatArray:
    """Median over peptides of x_i - x_j, shape (samples, samples); NaN where two samples share no peptide."""
    n = values.shape[1]
    ratios = np.full((n, n), np.nan)
    for i in range(n):
        # NaN sorts to the end, so that the median of the shared peptides stands at known positions.
        differences = np.sort(values[:, i : i + 1] - values[:, i:], axis=0)
        shared = np.isfinite(differences).sum(axis=0)
        low, high = np.maximum((shared - 1) // 2, 0), np.maximum(shared // 2, 0)
        columns = np.arange(n - i)
        high = np.minimum(high, values.shape[0] - 1)
        median = 0.5 * (differences[low, columns] + differences[high, columns])
        median[shared == 0] = np.nan
        ratios[i, i:], ratios[i:, i] = median, -median
    return ratios


def _log2_sum(values: FloatArray) -> float:
    """log2 of the sum of 2^values, without overflow."""
    finite_values = values[np.isfinite(values)]
    largest = float(finite_values.max())
    return largest + float(np.log2(np.exp2(finite_values - largest).sum()))


def median_polish(log2: FloatArray) -> FloatArray:
    """One protein by Tukey's median polish: overall level + sample effects, peptide effects swept out.

    Source: Tukey 1977, Exploratory Data Analysis, chapter 11; used for probe sets by Irizarry et al. 2003.

    Parameters
    ----------
    log2
        Shape (peptides, samples), NaN = missing.

    Returns
    -------
    ndarray
        Shape (samples,); NaN where no peptide was quantified.

    Examples
    --------
    >>> median_polish(np.array([[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]]))
    array([3., 4., 5.])
    """
    present = np.isfinite(log2).any(axis=0)
    rows = np.isfinite(log2).any(axis=1)
    if rows.sum() <= 1:
        return np.array(log2[rows][0]) if rows.any() else np.full(log2.shape[1], np.nan)
    profile = np.full(log2.shape[1], np.nan)
    if not present.any():
        return profile
    residual = log2[np.ix_(rows, present)].copy()
    overall = 0.0
    peptide, sample = np.zeros(residual.shape[0]), np.zeros(residual.shape[1])
    previous = np.inf
    for _ in range(_POLISH_ROUNDS):
        step = _median_of_rows(residual)
        residual -= step[:, None]
        peptide += step
        shift = float(np.median(sample))
        sample -= shift
        overall += shift
        step = _median_of_rows(residual.T)
        residual -= step[None, :]
        sample += step
        shift = float(np.median(peptide))
        peptide -= shift
        overall += shift
        total = float(np.nansum(np.abs(residual)))
        if abs(previous - total) <= _POLISH_TOLERANCE * max(total, 1e-12):
            break
        previous = total
    profile[present] = overall + sample
    return profile


def _median_of_rows(values: FloatArray) -> FloatArray:
    """Median of each row's finite values; every row has one."""
    ordered = np.sort(values, axis=1)  # NaN sorts to the end
    known = np.isfinite(ordered).sum(axis=1)
    rows = np.arange(len(ordered))
    return np.asarray(0.5 * (ordered[rows, (known - 1) // 2] + ordered[rows, known // 2]))
