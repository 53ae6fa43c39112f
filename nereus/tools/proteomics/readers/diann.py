"""DIA-NN: protein, gene and precursor matrices, and the long report (TSV or Parquet)."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.readers.annotation import contaminants, decoys, describe
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.numbers import Decimal, number_format, numeric_share, to_floats
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.recognise import canonical

_ANNOTATION = frozenset(
    {"protein_group", "protein_ids", "protein_names", "genes", "first_protein_description", "proteotypic"}
    | {"stripped_sequence", "modified_sequence", "precursor_charge", "precursor_id", "n_sequences"}
    | {"n_proteotypic_sequences", "all_mapped_proteins", "all_mapped_genes", "channel", "best_site_q_value"}
)
RUN_SUFFIX = re.compile(r"(\.(raw|d|mzml|wiff2?|dia|htrms|gz))+$", re.IGNORECASE)
_Q_VALUES = ("q_value", "global_q_value", "lib_q_value", "pg_q_value", "global_pg_q_value", "lib_pg_q_value")
_QUANTITIES = {"lfq": "pg_maxlfq", "intensity": "pg_quantity"}


def run_names(names: list[str]) -> list[str]:
    """Runs without folder and file suffix, as long as they stay distinct.

    >>> run_names(["D:/data/A_1.raw", "D:/data/A_2.raw"])
    ['A_1', 'A_2']
    """
    short = [RUN_SUFFIX.sub("", re.split(r"[\\/]", name.strip())[-1]) for name in names]
    return short if len(set(short)) == len(set(names)) and all(short) else names


def select_report(header: list[str]) -> list[int]:
    """Columns of a long report that the reader uses."""
    wanted = {
        "run",
        "file_name",
        "protein_group",
        "protein_ids",
        "protein_names",
        "genes",
        "precursor_id",
        "decoy",
    }
    wanted |= {*_Q_VALUES, *_QUANTITIES.values()}
    return [i for i, name in enumerate(header) if canonical(name) in wanted]


def read_diann_matrix(table: Table, decimal: Decimal = "auto") -> Quantification:
    """A DIA-NN matrix: annotation columns, then one column a run.

    Raises
    ------
    InputError
        No run columns, text in one of them, or runs that repeat.
    """
    header = [canonical(name) for name in table.header]
    peptide = "precursor_id" in header or "modified_sequence" in header
    id_name = (
        "precursor_id" if "precursor_id" in header else "modified_sequence" if peptide else "protein_group"
    )
    runs = [j for j, name in enumerate(header) if name not in _ANNOTATION]
    runs = [j for j in runs if table.header[j] or numeric_share(table.columns[j])[1]]
    if any(not table.header[j] for j in runs):
        empty = next(j for j in runs if not table.header[j])
        raise InputError(
            f"column {empty + 1} has no name", where=table.where, mend="name the run, or remove the column"
        )
    if not runs:
        raise InputError(
            "holds no run columns", where=table.where, mend="give pg_matrix.tsv as DIA-NN wrote it"
        )
    form = number_format(table, runs, decimal)
    values = np.stack([to_floats(table, j, form) for j in runs])
    features = table.columns[header.index(id_name)]
    groups = table.columns[header.index("protein_group")] if "protein_group" in header else features
    if "" in features:
        row = features.index("")
        raise InputError(
            "the row has no identifier",
            where=f"{table.where}, row {table.lines[row]}",
            mend="fill it in or delete it",
        )

    def column(name: str) -> list[str] | None:
        return table.columns[header.index(name)] if name in header else None

    counts = column("n_sequences")
    var = describe(
        groups,
        genes=column("genes"),
        entry_names=column("protein_names"),
        descriptions=column("first_protein_description"),
        n_peptides=[1.0] * table.n_rows
        if peptide
        else None
        if counts is None
        else [_number(cell) for cell in counts],
    )
    if peptide:
        var["protein_group"] = pd.Series(groups, dtype=object)
    nothing = np.zeros(table.n_rows, dtype=bool)
    contaminant, shared = contaminants(groups, nothing)
    return Quantification(
        software="DIA-NN",
        level="peptide" if peptide else "protein",
        orientation="samples_in_columns",
        samples=run_names([table.header[j] for j in runs]),
        features=list(features),
        quantities={"intensity" if peptide else "lfq": values},
        var=var,
        contaminant=contaminant,
        shared=shared,
        reverse=decoys(groups, nothing),
        raw=True,
        notes=list(table.notes),
        where=table.where,
    )


def _number(cell: str) -> float:
    return float(cell) if cell.isdigit() else np.nan


def read_diann_report(table: Table, decimal: Decimal = "auto", q_value: float = 0.01) -> Quantification:
    """The long report, one row a precursor and run, pivoted to protein groups x runs.

    Precursors and protein groups above `q_value` (run-wise and global, as far as the columns exist) are left out.
    Protein quantities stand in every row of their group and run; rows that disagree are refused.

    Raises
    ------
    InputError
        Missing columns, text in a numeric column, or contradicting quantities.
    """
    header = [canonical(name) for name in table.header]
    quantities = {name: header.index(column) for name, column in _QUANTITIES.items() if column in header}
    if not quantities:
        raise InputError(
            "holds neither PG.MaxLFQ nor PG.Quantity",
            where=table.where,
            mend="give the main report of DIA-NN, or its pg_matrix",
        )
    run_column = header.index("run") if "run" in header else header.index("file_name")
    filters = [header.index(name) for name in _Q_VALUES if name in header]
    form = number_format(table, [*quantities.values(), *filters], decimal)
    passed = np.ones(table.n_rows, dtype=bool)
    for j in filters:
        passed &= ~(to_floats(table, j, form) > q_value)
    if "decoy" in header:
        passed &= np.array(
            [cell in ("", "0", "False", "0.0") for cell in table.columns[header.index("decoy")]]
        )
    groups, runs = table.columns[header.index("protein_group")], table.columns[run_column]
    passed &= np.array([bool(group) for group in groups])
    if not passed.any():
        raise InputError(f"no row passes q <= {q_value}", where=table.where, mend="raise q_value")
    run_codes, run_levels = pd.factorize(np.array(runs, dtype=object)[passed])
    group_codes, group_levels = pd.factorize(np.array(groups, dtype=object)[passed])
    shape = (len(run_levels), len(group_levels))
    where = np.flatnonzero(passed)
    arrays = {}
    for name, j in quantities.items():
        values = to_floats(table, j, form)[passed]
        matrix = np.full(shape, np.nan)
        known = np.isfinite(values)
        matrix[run_codes[known], group_codes[known]] = values[known]
        different = known & (np.abs(matrix[run_codes, group_codes] - values) > 1e-3 * np.abs(values) + 1e-9)
        if different.any():
            row = int(where[np.flatnonzero(different)[0]])
            raise InputError(
                f"{table.header[j]} of group {groups[row]!r} in run {runs[row]!r} has several values",
                where=f"{table.where}, row {table.lines[row]}",
                mend="give the report as DIA-NN wrote it",
            )
        arrays[name] = matrix
    n_peptides = np.zeros(shape)
    layers = {}
    if "precursor_id" in header:
        precursors = np.array(table.columns[header.index("precursor_id")], dtype=object)[passed]
        unique = pd.DataFrame({"r": run_codes, "g": group_codes, "p": precursors}).drop_duplicates()
        np.add.at(n_peptides, (unique["r"].to_numpy(), unique["g"].to_numpy()), 1.0)
        layers["n_peptides"] = n_peptides
    first = np.full(len(group_levels), -1)
    first[group_codes[::-1]] = where[::-1]

    def column(name: str) -> list[str] | None:
        return [table.columns[header.index(name)][i] for i in first] if name in header else None

    features = [str(group) for group in group_levels]
    total = None
    if layers:
        total = pd.Series(precursors).groupby(group_codes).nunique().to_numpy(dtype=float)
    nothing = np.zeros(len(features), dtype=bool)
    contaminant, shared = contaminants(features, nothing)
    left_out = int((~passed).sum())
    return Quantification(
        software="DIA-NN",
        level="protein",
        orientation="long",
        samples=run_names([str(run) for run in run_levels]),
        features=features,
        quantities=arrays,
        var=describe(features, genes=column("genes"), entry_names=column("protein_names"), n_peptides=total),
        layers=layers,
        contaminant=contaminant,
        shared=shared,
        reverse=decoys(features, nothing),
        raw=True,
        notes=[*table.notes, *([f"{left_out} report rows above q {q_value} left out"] if left_out else [])],
        where=table.where,
    )
