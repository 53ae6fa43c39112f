"""Progenesis QI exports: three header lines (quantity, condition, run), one row a peptide ion or protein."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.readers.annotation import contaminants, decoys, describe
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.format import Format, ReadOptions
from nereus.tools.proteomics.readers.long import cells_of, is_true, wanted_level
from nereus.tools.proteomics.readers.numbers import FloatArray, number_format, to_floats
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.recognise import Header, canonical

_QUANTITY = {"normalized_abundance": "abundance", "raw_abundance": "intensity"}
_NAMES = frozenset({"accession", "sequence"})


def _recognise(header: Header) -> bool:
    return header.has("normalized_abundance", "raw_abundance") or header.has(
        "accession", "use_in_quantitation"
    )


def read_progenesis(table: Table, options: ReadOptions) -> Quantification:
    """Peptide ions (sequence, modifications, charge) or proteins x runs, normalised and raw.

    Ions that are marked as not used in quantitation are left out; several features of one ion are added up.

    Raises
    ------
    InputError
        The three header lines are not there, or a number is text.
    """
    upper, conditions, table = _header_lines(table)
    starts = [
        (j, _QUANTITY.get(canonical(name), ""))
        for j, name in enumerate(upper)
        if name and not re.fullmatch(r"X(\.\d+)?", name)
    ]
    columns: dict[str, list[int]] = {}
    for (start, quantity), (end, _) in zip(starts, [*starts[1:], (len(upper), "")], strict=True):
        if quantity:
            columns[quantity] = [j for j in range(start, end) if table.header[j]]
    runs = {quantity: [table.header[j] for j in found] for quantity, found in columns.items()}
    if not columns or any(names != next(iter(runs.values())) for names in runs.values()):
        raise InputError(
            "the header lines do not name the runs of normalised and raw abundance alike",
            where=table.where,
            mend="export peptide ions or proteins from Progenesis with its three header lines",
        )
    samples = next(iter(runs.values()))
    form = number_format(table, [j for found in columns.values() for j in found], options.decimal)
    accession, sequence = cells_of(table, "accession"), cells_of(table, "sequence")
    if accession is None:
        raise InputError("there is no column Accession", where=table.where, mend="export it")
    level = wanted_level(options, ("protein",) if sequence is None else ("peptide",), table.where)
    used = cells_of(table, "use_in_quantitation")
    keep = np.ones(table.n_rows, dtype=bool) if used is None else is_true(used, table.n_rows)
    keep &= np.array([bool(cell) for cell in accession])
    notes = list(table.notes)
    if not keep.all():
        notes.append(f"{int((~keep).sum())} rows left out: not used in quantitation or without an accession")
    rows = np.flatnonzero(keep)
    if not rows.size:
        raise InputError(
            "no row is used in quantitation", where=table.where, mend="mark peptide ions in Progenesis"
        )
    if sequence is None:
        names = accession
    else:
        modifications = cells_of(table, "modifications") or [""] * table.n_rows
        charge = cells_of(table, "charge") or [""] * table.n_rows
        names = [
            "_".join(part for part in parts if part)
            for parts in zip(sequence, modifications, charge, strict=True)
        ]
        if "" in (bare := [sequence[i] for i in rows]):
            row = int(rows[bare.index("")])
            raise InputError(
                "the row has no sequence",
                where=f"{table.where}, row {table.lines[row]}",
                mend="fill it in or delete it",
            )
    codes, features = pd.factorize(np.array([names[i] for i in rows], dtype=object))
    first = rows[np.unique(codes, return_index=True)[1]]
    if len(features) < len(rows):
        notes.append(f"{len(rows) - len(features)} rows are further features of an ion: added up")
    quantities = {
        quantity: np.stack([_summed(to_floats(table, j, form)[rows], codes, len(features)) for j in found])
        for quantity, found in columns.items()
    }
    groups = [accession[i] for i in first]
    text = cells_of(table, "description") or [""] * table.n_rows
    var = describe(
        groups,
        headers=[text[i] for i in first],
        descriptions=[text[i].split(" OS=")[0] for i in first],
        n_peptides=None if sequence is None else [1.0] * len(groups),
    )
    if sequence is not None:
        var["protein_group"] = pd.Series(groups, dtype=object)
        var["peptide"] = pd.Series([sequence[i] for i in first], dtype=object)
    nothing = np.zeros(len(groups), dtype=bool)
    contaminant, shared = contaminants(groups, nothing)
    said = _conditions(conditions, next(iter(columns.values())))
    return Quantification(
        software="Progenesis",
        level=level,  # type: ignore[arg-type]
        orientation="samples_in_columns",
        samples=samples,
        features=[str(feature) for feature in features],
        quantities=quantities,
        var=var,
        obs=pd.DataFrame({"condition": said}, index=pd.Index(samples, dtype=object), dtype=object)
        if said
        else None,
        contaminant=contaminant,
        shared=shared,
        reverse=decoys(groups, nothing),
        raw=True,
        notes=notes,
        where=table.where,
    )


def _header_lines(table: Table) -> tuple[list[str], list[str], Table]:
    """The line of quantities, the line of conditions, and the table below the line of names."""
    if _NAMES & {canonical(name) for name in table.header}:
        lines = [line for line in table.before if len(line) == len(table.header)]
        upper = next((line for line in lines if {canonical(c) for c in line} & set(_QUANTITY)), None)
        if upper is not None:
            below = lines[lines.index(upper) + 1 :]
            notes = [note for note in table.notes if "before the header" not in note]
            return (
                upper,
                below[0] if below else [""] * len(upper),
                Table(table.where, table.header, table.columns, table.lines, notes),
            )
    else:
        for row in range(min(3, table.n_rows - 1)):
            names = [column[row] for column in table.columns]
            if _NAMES & {canonical(name) for name in names}:
                conditions = [column[row - 1] for column in table.columns] if row else [""] * len(names)
                columns = [column[row + 1 :] for column in table.columns]
                return (
                    table.header,
                    conditions,
                    Table(table.where, names, columns, table.lines[row + 1 :], table.notes),
                )
    raise InputError(
        "lacks one of Progenesis' three header lines (quantity, condition, run)",
        where=table.where,
        mend="give the export as Progenesis wrote it",
    )


def _conditions(cells: list[str], columns: list[int]) -> list[str]:
    """Conditions stand over their first run only."""
    found: list[str] = []
    for j in columns:
        found.append(cells[j] or (found[-1] if found else ""))
    return found if all(found) else []


def _summed(values: FloatArray, codes: np.ndarray, n: int) -> FloatArray:
    known = np.isfinite(values)
    total = np.bincount(codes[known], weights=values[known], minlength=n)
    total[np.bincount(codes[known], minlength=n) == 0] = np.nan
    return np.asarray(total)


FORMAT = Format("a Progenesis export", _recognise, read_progenesis)
