"""From a file as the user has it to a data set: recognise, read, remove, scale, and join the sample sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import anndata
import numpy as np
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.memory.records import Scalar
from nereus.tools.base import Capability, Params, Result, SourceFile, finite, tool
from nereus.tools.proteomics.readers import h5ad
from nereus.tools.proteomics.readers.accessions import id_space, main_organism
from nereus.tools.proteomics.readers.diann import read_diann_matrix, read_diann_report, select_report
from nereus.tools.proteomics.readers.generic import read_generic
from nereus.tools.proteomics.readers.maxquant import read_maxquant, select_columns
from nereus.tools.proteomics.readers.quantification import BoolArray, FloatArray, Quantification
from nereus.tools.proteomics.readers.recognise import Unsupported, recognise, recognise_start
from nereus.tools.proteomics.readers.replicates import guess_groups
from nereus.tools.proteomics.readers.sample_sheet import LEAST_MATCH, Match, match_samples, sheet_columns
from nereus.tools.proteomics.readers.scale import (
    SMALL_RAW,
    detect_scale,
    is_uncertain,
    to_log2,
    zeros_are_missing,
)
from nereus.tools.proteomics.readers.source import MAX_MEGABYTES, open_source
from nereus.tools.proteomics.readers.table import read_table

_PREFERRED = ("lfq", "intensity", "abundance", "reporter", "value", "top3", "ibaq", "area", "ratio", "count")
_LEAST_LFQ_COVERAGE = 0.5
_SHOWN = 3


class Drop(Params):
    """Rows that are removed, counted and reported in the table ``removed_rows``."""

    contaminant: bool = True
    """Groups led by a protein of the contaminant database."""
    shared_contaminant: bool = False
    """Also groups led by a protein of the sample that hold a contaminant with the same peptides."""
    reverse: bool = True
    """Reversed (decoy) sequences."""
    only_by_site: bool = True
    """Groups identified by a modified peptide only."""


class LoadParams(Params):
    """Everything is found out from the content by default; a parameter overrides what was found."""

    orientation: Literal["auto", "samples_in_rows", "samples_in_columns"] = "auto"
    """Where the samples are, in generic tables."""
    separator: str = "auto"
    """``tab``, ``comma``, ``semicolon``, ``pipe``, ``space`` or a single character."""
    decimal: Literal["auto", ".", ","] = "auto"
    """Decimal sign."""
    sheet: str | None = None
    """Sheet of a workbook."""
    quantity: Literal[
        "auto", "lfq", "intensity", "ibaq", "top3", "reporter", "abundance", "value", "area", "ratio", "count"
    ] = "auto"
    """Which quantity becomes X where the file has several; ``auto``: LFQ where it covers at least half of the raw
    intensities, else the raw intensities."""
    zero_is_missing: Literal["auto", "yes", "no"] = "auto"
    """Whether zeros stand for missing values."""
    scale: Literal["auto", "raw", "log2", "ln", "log10"] = "auto"
    """Scale of the values in the file. X is always log2."""
    sample_column: str | None = None
    """Column of the sample sheet that names the samples."""
    feature_column: str | None = None
    """Column of a generic table that names the features (or, with samples in rows, the samples)."""
    subject: str | None = None
    """Column of the sample sheet that names the subject (patient, mouse ...) of a sample."""
    drop: Drop = Drop()
    """What is removed."""
    max_missing: float = Field(default=0.8, ge=0, le=1)
    """Largest missing rate that is accepted."""
    q_value: float = Field(default=0.01, gt=0, le=1)
    """Largest precursor and protein q-value that is kept of a DIA-NN report."""
    max_megabytes: int = Field(default=MAX_MEGABYTES, gt=0)
    """Largest size of a file after decompression, in MiB."""


@tool(
    "load_dataset",
    version="1",
    summary="Read a quantification table of MaxQuant, DIA-NN, FragPipe or any wide CSV/TSV/XLSX/h5ad with its sample sheet.",
    outputs=("dataset:dataset", "table:removed_rows", "table:sample_match"),
    capability=Capability.READ,
    seconds=2.0,
)
def load_dataset(data: SourceFile, samples: SourceFile | None, params: LoadParams, *, seed: int) -> Result:
    r"""Read a data file, and the sample sheet that belongs to it.

    The software is recognised from the content. X holds log2 values, shape (samples, features), NaN = missing; a
    file that is logarithmic already is never logged again. Contaminant, reverse and only-by-site rows are removed
    and reported. Without a sheet the column ``group`` is guessed from replicate names.

    Parameters
    ----------
    data
        The quantification table: text (any separator, decimal sign and encoding), gzip, XLSX, Parquet or h5ad.
    samples
        The sample sheet, one row a sample.
    params
        See `LoadParams`.
    seed
        Not used.

    Returns
    -------
    Result
        Data set ``dataset``; tables ``removed_rows`` (feature, reason) and ``sample_match`` (sample, row, how).

    Raises
    ------
    InputError
        Whatever makes the file unusable: names the file, row or column, and the mend.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from nereus.tools.base import SourceFile
    >>> folder = Path(tempfile.mkdtemp())
    >>> text = "Protein,C_R1,C_R2,D_R1,D_R2\nP02768,800,900,100,120\nP04264,512,0,256,300\nQ9H0R8,90,80,70,60\n"
    >>> _ = (folder / "table.csv").write_text(text)
    >>> result = load_dataset(SourceFile(folder / "table.csv", "table.csv"))
    >>> result.dataset().shape, result.values["n_missing"], list(result.dataset().obs["group"])
    ((4, 3), 1, ['C', 'C', 'D', 'D'])
    """
    sheet = None
    if samples is not None:
        source = open_source(samples.path, samples.name, params.max_megabytes)
        sheet = read_table(source, None, max_megabytes=params.max_megabytes)
    source = open_source(data.path, data.name, params.max_megabytes)
    is_h5ad = source.content == "hdf5"
    quantification = h5ad.read_h5ad(data.path, data.name) if is_h5ad else _read(source, sheet, params)
    return _assemble(quantification, sheet, params)


def read(path: str | Path, samples: str | Path | None = None, **params: Any) -> anndata.AnnData:
    r"""The data set in a file, for notebooks: `load_dataset` without the report.

    Parameters
    ----------
    path
        The quantification table.
    samples
        The sample sheet.
    **params
        Fields of `LoadParams`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> file = Path(tempfile.mkdtemp()) / "table.csv"
    >>> _ = file.write_text("Protein,A1,A2,B1,B2\nP02768,8,16,4,4\nQ9H0R8,1024,2048,512,512\n")
    >>> read(file).to_df().loc["A1", "P02768"]
    np.float64(3.0)
    """
    data = SourceFile(Path(path), Path(path).name)
    sheet = None if samples is None else SourceFile(Path(samples), Path(samples).name)
    return load_dataset.run({"data": data, "samples": sheet}, params, 0).dataset()


def _read(source: Any, sheet: Any, params: LoadParams) -> Quantification:
    """Recognise the software and read with its reader."""

    def select(header: list[str]) -> list[int] | None:
        software = recognise(header)
        if software == "diann_report":
            return select_report(header)
        return select_columns(header) if str(software).startswith("maxquant") else None

    if (start := recognise_start(source.data)) is not None:
        raise _unsupported(start, source.where)
    table = read_table(source, params.sheet, params.separator, params.max_megabytes, select)
    software = recognise(table.header)
    if isinstance(software, Unsupported):
        raise _unsupported(software, source.where)
    if software == "maxquant_proteingroups":
        return read_maxquant(table, "protein", params.decimal)
    if software == "maxquant_peptides":
        return read_maxquant(table, "peptide", params.decimal)
    if software == "diann_matrix":
        return read_diann_matrix(table, params.decimal)
    if software == "diann_report":
        return read_diann_report(table, params.decimal, params.q_value)
    return read_generic(
        table,
        sheet,
        software="FragPipe" if software == "fragpipe" else "generic",
        orientation=params.orientation,
        decimal=params.decimal,
        feature_column=params.feature_column,
        sample_column=params.sample_column,
        quantity=params.quantity,
    )


def _unsupported(found: Unsupported, where: str) -> InputError:
    return InputError(
        f"is {found.name}, which is recognised but not supported yet", where=where, mend=found.mend
    )


# ------------------------------------------------------------------------------------------------- assembling


def _assemble(q: Quantification, sheet: Any, params: LoadParams) -> Result:
    warnings = list(q.notes)
    kept, removed, counts = _removals(q, params.drop)
    if not kept.any():
        raise InputError(
            f"all {len(kept)} rows are contaminant, reverse or only-by-site rows",
            where=q.where,
            mend="pass `drop`",
        )
    n_shared = int(q.shared[kept].sum()) if q.shared is not None else 0
    if n_shared and not params.drop.shared_contaminant:
        warnings.append(
            f"{n_shared} groups are led by a protein of the sample and share peptides with a contaminant: kept "
            "(var column shared_contaminant; drop.shared_contaminant removes them)"
        )
    quantities = {name: values[:, kept] for name, values in q.quantities.items()}
    layers = {name: values[:, kept] for name, values in q.layers.items()}
    features, n_duplicates, duplicate_note = unique_ids([q.features[i] for i in np.flatnonzero(kept)])
    warnings += [duplicate_note] if duplicate_note else []
    var = q.var[kept].copy()
    if n_shared:
        assert q.shared is not None
        var["shared_contaminant"] = q.shared[kept].astype(float)
    var.index = pd.Index(features, dtype=object)

    rows, obs, match_table, match_values, match_warnings = _join_sheet(q, sheet, params)
    warnings += match_warnings
    samples = [q.samples[i] for i in rows]
    if len(samples) < 2:
        raise InputError(
            f"found {len(samples)} sample{'s' * (len(samples) != 1)}; a comparison needs at least two",
            where=q.where,
            mend="give a table with one column or row a sample (pass `orientation` or `quantity` if they were not found)",
        )
    quantities = {name: values[rows] for name, values in quantities.items()}
    layers = {name: values[rows] for name, values in layers.items()}

    name = _choose_quantity(quantities, params.quantity, q.where, warnings)
    x, scale, zero_missing, why = _scaled(quantities[name], q, params, samples, features, warnings)
    missing_rate = float(np.isnan(x).mean())
    if missing_rate > params.max_missing:
        raise InputError(
            f"{missing_rate:.0%} of the values are missing (limit {params.max_missing:.0%})",
            where=q.where,
            mend="filter features with few values, choose another `quantity`, or raise max_missing",
        )
    empty = np.isnan(x).all(axis=1)
    if empty.any():
        gone = [samples[i] for i in np.flatnonzero(empty)]
        if len(gone) > len(samples) - 2:
            raise InputError(
                f"samples {gone[:_SHOWN]} have no values", where=q.where, mend="choose another `quantity`"
            )
        warnings.append(f"{len(gone)} samples have no values at all: {gone[:_SHOWN]}")
    for other, values in quantities.items():
        if other == name or other not in ("lfq", "intensity"):
            continue
        layers[other] = _log_layer(values, scale, zero_missing)

    organism = main_organism(var["organism"], len(features))
    space = id_space([str(p) or f for p, f in zip(var["protein"], features, strict=True)], list(var["gene"]))
    if space == "unknown" or (space == "panel" and not any(var["gene"])):
        warnings.append(
            "identifiers belong to no known name space (UniProt, gene symbols, Ensembl): enrichment is disabled"
        )
    dataset = anndata.AnnData(X=x, obs=obs, var=var, layers=layers)
    history = [
        *q.history,
        f"loaded {q.where}: {q.software} {q.level} table, quantity {name}, {scale} values ({why})",
    ]
    if scale != "log2":
        history.append("log2 taken" if scale == "raw" else f"{scale} turned into log2")
    dataset.uns["nereus"] = {
        "software": q.software,
        "level": q.level,
        "quantity": name,
        "scale_found": scale,
        "zero_is_missing": bool(zero_missing),
        "id_space": space,
        "organism": organism,
        "orientation": q.orientation,
        "group_guessed": bool(match_values["group_guessed"]),
        "history": history,
    }
    if params.subject is not None:
        if params.subject not in obs.columns:
            raise InputError(
                f"there is no column {params.subject!r}",
                where=q.where if sheet is None else sheet.where,
                mend=f"columns are {list(obs.columns)[:12]}",
            )
        dataset.uns["nereus"]["subject"] = params.subject
    found: dict[str, Scalar] = {
        "software": q.software,
        "level": q.level,
        "quantity": name,
        "orientation": q.orientation,
        "n_features": len(features),
        "n_samples": len(samples),
        "n_missing": int(np.isnan(x).sum()),
        "missing_rate": finite(missing_rate),
        **counts,
        "n_shared_contaminant": n_shared,
        "n_duplicate_ids": n_duplicates,
        "already_log2": scale != "raw",
        "scale_found": scale,
        "zero_is_missing": bool(zero_missing),
        "organism": organism,
        "id_space": space,
        **match_values,
    }
    n_removed = sum(int(c or 0) for c in counts.values())
    summary = (
        f"{q.software} {q.level} table: {len(features)} features x {len(samples)} samples, quantity {name}, "
        f"{'log2 taken' if scale == 'raw' else f'already {scale}'}, {missing_rate:.1%} missing, {n_removed} rows removed, "
        f"organism {organism}."
    )
    return Result(
        summary=summary,
        values=found,
        tables={"removed_rows": removed, "sample_match": match_table},
        datasets={"dataset": dataset},
        warnings=tuple(warnings),
        n_total=len(q.features),
        n_returned=len(features),
    )


def _removals(q: Quantification, drop: Drop) -> tuple[BoolArray, pd.DataFrame, dict[str, Scalar]]:
    """Which features stay, the table of those that go, and their counts by reason (each row counted once)."""
    n = len(q.features)
    none = np.zeros(n, dtype=bool)
    reasons = (
        ("reverse", q.reverse if drop.reverse and q.reverse is not None else none),
        ("contaminant", q.contaminant if drop.contaminant and q.contaminant is not None else none),
        ("shared_contaminant", q.shared if drop.shared_contaminant and q.shared is not None else none),
        ("only_by_site", q.by_site if drop.only_by_site and q.by_site is not None else none),
    )
    kept: BoolArray = ~none
    rows: list[tuple[str, str]] = []
    counts: dict[str, Scalar] = {}
    for reason, flags in reasons:
        gone = flags & kept
        kept = kept & ~flags
        rows += [(q.features[i], reason) for i in np.flatnonzero(gone)]
        if reason != "shared_contaminant" or drop.shared_contaminant:
            counts[f"n_removed_{reason}"] = int(gone.sum())
    table = pd.DataFrame(rows, columns=["feature", "reason"], dtype=object)
    table["feature"] = unique_ids(list(table["feature"]))[0]
    return kept, table, counts


def unique_ids(ids: list[str]) -> tuple[list[str], int, str]:
    """Ids made unique by ``~2``, ``~3`` behind the repeats; how many repeat; and a note that says so."""
    seen: Counter[str] = Counter()
    taken = set(ids)
    result = []
    for identifier in ids:
        seen[identifier] += 1
        name = identifier
        number = seen[identifier]
        while number > 1 and (name := f"{identifier}~{number}") in taken:
            number += 1
        taken.add(name)
        result.append(name)
    repeated = [identifier for identifier, count in seen.items() if count > 1]
    n = sum(seen[identifier] - 1 for identifier in repeated)
    if not n:
        return result, 0, ""
    return (
        result,
        n,
        f"{n} duplicate feature ids (first: {repeated[:_SHOWN]}): all rows kept, repeats named with ~2, ~3 ...",
    )


def _join_sheet(
    q: Quantification, sheet: Any, params: LoadParams
) -> tuple[list[int], pd.DataFrame, pd.DataFrame, dict[str, Scalar], list[str]]:
    """Rows of samples that stay, their metadata, the match table, its values, and warnings."""
    warnings: list[str] = []
    if repeated := [name for name, count in Counter(q.samples).items() if count > 1]:
        raise InputError(
            f"{len(repeated)} sample names repeat (first: {repeated[:_SHOWN]})",
            where=q.where,
            mend="give each sample its own name",
        )
    if any(not name for name in q.samples):
        raise InputError("a sample has no name", where=q.where, mend="name every sample")
    index = pd.Index(q.samples, dtype=object, name=None)
    obs = q.obs.copy() if q.obs is not None else pd.DataFrame(index=index)
    obs.index = index
    rows = list(range(len(q.samples)))
    match: Match | None = None
    n_extra = n_dropped = 0
    rate: float | None = None
    if sheet is not None:
        match = match_samples(sheet, q.samples, params.sample_column)
        rows = [i for i, row in enumerate(match.rows) if row >= 0]
        n_dropped, n_extra = len(q.samples) - len(rows), sheet.n_rows - len(rows)
        rate = len(rows) / len(q.samples)
        if n_dropped:
            left = [q.samples[i] for i, row in enumerate(match.rows) if row < 0]
            if rate < LEAST_MATCH and n_extra:
                right = [c for i, c in enumerate(sheet.columns[match.column]) if i not in set(match.rows)]
                raise InputError(
                    f"{len(rows)} of {len(q.samples)} samples found in the sheet (match rate {rate:.0%}); "
                    f"without a row: {left[:_SHOWN]}; rows without a sample: {right[:_SHOWN]}",
                    where=sheet.where,
                    mend="make one column of the sheet equal the sample names, or name it with sample_column",
                )
            warnings.append(f"{n_dropped} samples have no row in the sheet and were dropped: {left[:_SHOWN]}")
        if n_extra:
            warnings.append(f"{n_extra} rows of the sheet belong to no sample and were left out")
        warnings += [f"sample sheet: {note}" for note in sheet.notes]
        columns = sheet_columns(sheet, [match.rows[i] for i in rows])
        columns.index = index[rows]
        obs = obs.iloc[rows]
        # Equal names: the sheet is what the user says now, the table what the exporter said.
        obs = pd.concat([obs.drop(columns=[c for c in obs.columns if c in columns.columns]), columns], axis=1)
    guessed = False
    if sheet is None and obs.shape[1] == 0:
        groups = guess_groups(q.samples)
        if groups is not None:
            obs["group"] = pd.Series(groups, index=index, dtype=object)
            guessed = True
            warnings.append(f"no sample sheet: groups {sorted(set(groups))} guessed from the sample names")
    table = pd.DataFrame(
        {
            "sample": pd.Series(q.samples, dtype=object),
            "sheet_row": pd.Series(
                [float(sheet.lines[r]) if r >= 0 else np.nan for r in match.rows] if match else np.nan,
                index=range(len(q.samples)),
                dtype=float,
            ),
            "how": pd.Series(match.how if match else [""] * len(q.samples), dtype=object),
        }
    )
    values: dict[str, Scalar] = {
        "match_rate": finite(rate),
        "match_column": sheet.header[match.column] if match is not None else None,
        "n_samples_without_row": n_dropped,
        "n_rows_without_sample": n_extra,
        "group_guessed": guessed,
    }
    return rows, obs, table, values, warnings


def _choose_quantity(
    quantities: Mapping[str, FloatArray], wanted: str, where: str, warnings: list[str]
) -> str:
    if wanted != "auto":
        if wanted not in quantities:
            raise InputError(
                f"there is no quantity {wanted!r}", where=where, mend=f"quantities are {sorted(quantities)}"
            )
        return wanted
    name = next((n for n in _PREFERRED if n in quantities), next(iter(quantities)))
    if name == "lfq" and "intensity" in quantities:
        covered = [int((np.nan_to_num(quantities[n]) != 0).sum()) for n in ("lfq", "intensity")]
        if covered[0] < _LEAST_LFQ_COVERAGE * covered[1]:
            warnings.append(
                f"LFQ covers {covered[0]} of {covered[1]} raw intensities: raw intensities used instead"
            )
            return "intensity"
    return name


def _scaled(
    values: FloatArray,
    q: Quantification,
    params: LoadParams,
    samples: list[str],
    features: list[str],
    warnings: list[str],
) -> tuple[FloatArray, str, bool, str]:
    """X as log2, the scale found, whether zeros were missing, and why the scale was taken."""
    if params.scale != "auto":
        scale, why = params.scale, "as given"
    elif q.known_scale is not None:
        scale, why = q.known_scale, "as the file says"
    else:
        scale, why = detect_scale(values)
        if scale == "log2" and is_uncertain(values):
            warnings.append(
                f"values up to {np.nanmax(values):.4g} taken as log2; set scale=raw if they are not logarithms"
            )
    if scale == "raw" and params.scale == "auto" and (values < 0).any() and np.nanmax(values) <= SMALL_RAW:
        warnings.append(
            f"{int((values < 0).sum())} negative values (background subtracted?) are taken as missing"
        )
        values = np.where(values < 0, np.nan, values)
    if scale == "raw" and (values < 0).any():
        i, j = map(int, np.argwhere(values < 0)[0])
        raise InputError(
            f"negative value {values[i, j]:g} in a matrix of raw intensities ({int((values < 0).sum())} in all)",
            where=f"{q.where}, sample {samples[i]!r}, feature {features[j]!r}",
            mend="already log-scaled? set scale=log2",
        )
    if q.raw and scale == "log2" and params.scale == "auto":
        warnings.append(
            f"{q.software} writes raw intensities, but these are logarithms already ({why}): not logged again"
        )
    zero_missing = (
        zeros_are_missing(values, scale)
        if params.zero_is_missing == "auto"
        else params.zero_is_missing == "yes"
    )
    if zero_missing:
        values = np.where(values == 0, np.nan, values)
    elif scale == "raw" and (values == 0).any():
        warnings.append("zeros are measurements: log2(x + 1) taken")
        return np.log2(values + 1), scale, False, why
    return to_log2(values, scale), scale, zero_missing, why


def _log_layer(values: FloatArray, scale: str, zero_missing: bool) -> FloatArray:
    if scale == "raw":
        return np.log2(np.where(values > 0, values, np.nan))
    return to_log2(np.where(values == 0, np.nan, values) if zero_missing else values, scale)
