"""DIA-NN: protein, gene and precursor matrices, and the long report (TSV or Parquet)."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.readers.annotation import contaminants, decoys, describe
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.format import Format, ReadOptions
from nereus.tools.proteomics.readers.long import is_true, pivot, wanted_level
from nereus.tools.proteomics.readers.numbers import number_format, numeric_share, to_floats
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.recognise import Header, canonical

_ANNOTATION = frozenset(
    {"protein_group", "protein_ids", "protein_names", "genes", "first_protein_description", "proteotypic"}
    | {"stripped_sequence", "modified_sequence", "precursor_charge", "precursor_id", "n_sequences"}
    | {"n_proteotypic_sequences", "all_mapped_proteins", "all_mapped_genes", "channel", "best_site_q_value"}
)
RUN_SUFFIX = re.compile(r"(\.(raw|d|mzml|wiff2?|dia|htrms|gz))+$", re.IGNORECASE)
_Q_VALUES = ("q_value", "global_q_value", "lib_q_value", "pg_q_value", "global_pg_q_value", "lib_pg_q_value")
_QUANTITIES = {"lfq": "pg_maxlfq", "intensity": "pg_quantity"}
_PRECURSOR = {"intensity": "precursor_quantity", "abundance": "precursor_normalised"}


def _is_report(header: Header) -> bool:
    return header.has("protein_group", "precursor_id") and header.has_any("run", "file_name")


def _is_matrix(header: Header) -> bool:
    if not header.has("protein_group") or header.has("subgroup"):
        return False
    return header.has("protein_names", "genes") or header.has("protein_ids")


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
    wanted |= {
        *_Q_VALUES,
        *_QUANTITIES.values(),
        *_PRECURSOR.values(),
        "stripped_sequence",
        "modified_sequence",
    }
    return [i for i, name in enumerate(header) if canonical(name) in wanted]


def read_diann_matrix(table: Table, options: ReadOptions) -> Quantification:
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
    wanted_level(options, ("peptide",) if peptide else ("protein",), table.where)
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
    form = number_format(table, runs, options.decimal)
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


def read_diann_report(table: Table, options: ReadOptions) -> Quantification:
    """The long report, one row a precursor and run, pivoted to protein groups x runs (or precursors, where asked for).

    Precursors and protein groups above `q_value` (run-wise and global, as far as the columns exist) are left out.
    Protein quantities stand in every row of their group and run; rows that disagree are refused.

    Raises
    ------
    InputError
        Missing columns, text in a numeric column, or contradicting quantities.
    """
    header = [canonical(name) for name in table.header]
    of_level = {
        level: {name: header.index(column) for name, column in columns.items() if column in header}
        for level, columns in (("protein", _QUANTITIES), ("peptide", _PRECURSOR))
    }
    available = [level for level, columns in of_level.items() if columns]
    if not available:
        raise InputError(
            "holds neither PG.MaxLFQ nor PG.Quantity",
            where=table.where,
            mend="give the main report of DIA-NN, or its pg_matrix",
        )
    level, q_value = wanted_level(options, available, table.where), options.q_value
    quantities = of_level[level]
    run_column = header.index("run") if "run" in header else header.index("file_name")
    filters = [header.index(name) for name in _Q_VALUES if name in header]
    form = number_format(table, [*quantities.values(), *filters], options.decimal)
    passed = np.ones(table.n_rows, dtype=bool)
    for j in filters:
        passed &= ~(to_floats(table, j, form) > q_value)
    if "decoy" in header:
        passed &= ~is_true(table.columns[header.index("decoy")], table.n_rows)
    groups, runs = table.columns[header.index("protein_group")], table.columns[run_column]
    passed &= np.array([bool(group) for group in groups])
    if not passed.any():
        raise InputError(f"no row passes q <= {q_value}", where=table.where, mend="raise q_value")
    precursors = table.columns[header.index("precursor_id")]
    features = groups if level == "protein" else precursors
    found = pivot(table, passed, runs, features, quantities, form, "same")
    shape = (len(found.samples), len(found.features))
    layers = {}
    total = np.ones(shape[1])
    if level == "protein":
        of_row = np.array([precursors[i] for i in found.rows], dtype=object)
        unique = pd.DataFrame(
            {"r": found.sample_of_row, "g": found.feature_of_row, "p": of_row}
        ).drop_duplicates()
        layers["n_peptides"] = np.zeros(shape)
        np.add.at(layers["n_peptides"], (unique["r"].to_numpy(), unique["g"].to_numpy()), 1.0)
        total = pd.Series(of_row).groupby(found.feature_of_row).nunique().to_numpy(dtype=float)

    def column(name: str) -> list[str] | None:
        return found.by_feature(table.columns[header.index(name)]) if name in header else None

    named = found.by_feature(groups)
    var = describe(named, genes=column("genes"), entry_names=column("protein_names"), n_peptides=list(total))
    if level == "peptide":
        var["protein_group"] = pd.Series(named, dtype=object)
        if (peptide := column("stripped_sequence")) is not None:
            var["peptide"] = pd.Series(peptide, dtype=object)
    nothing = np.zeros(len(named), dtype=bool)
    contaminant, shared = contaminants(named, nothing)
    left_out = int((~passed).sum())
    return Quantification(
        software="DIA-NN",
        level=level,  # type: ignore[arg-type]
        orientation="long",
        samples=run_names(found.samples),
        features=found.features,
        quantities=found.quantities,
        var=var,
        layers=layers,
        contaminant=contaminant,
        shared=shared,
        reverse=decoys(named, nothing),
        raw=True,
        known_scale="raw",
        notes=[*table.notes, *([f"{left_out} report rows above q {q_value} left out"] if left_out else [])],
        where=table.where,
    )


REPORT = Format("a DIA-NN report", _is_report, read_diann_report, select_report)
MATRIX = Format("a DIA-NN matrix", _is_matrix, read_diann_matrix)
