"""Spectronaut's long reports, whole or cut down: protein groups, precursors or fragments, with points or commas.

Column names are read in Spectronaut's own spelling (``PG.ProteinGroups``), in that of MSstats' exports and in the
lower case that R packages give them (``pg_protein_groups``).
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.readers.annotation import contaminants, decoys, describe
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.diann import run_names
from nereus.tools.proteomics.readers.format import Format, ReadOptions
from nereus.tools.proteomics.readers.long import cells_of, constants, is_true, pivot, several, wanted_level
from nereus.tools.proteomics.readers.numbers import number_format, to_floats
from nereus.tools.proteomics.readers.quantification import BoolArray, Quantification
from nereus.tools.proteomics.readers.recognise import Header, canonical

_RUN = ("r_filename", "r_file_name", "r_label", "r_condition")
_GROUP = (
    "pg_proteingroups",
    "pg_protein_groups",
    "pg_proteinaccessions",
    "pg_protein_accessions",
    "pg_uniprotids",
)
_PRECURSOR = ("eg_precursorid", "eg_precursor_id")
_MODIFIED = (
    "eg_modifiedsequence",
    "eg_modified_sequence",
    "eg_modifiedpeptide",
    "eg_modified_peptide",
    "fg_labeledsequence",
)
_STRIPPED = ("pep_strippedsequence", "pep_stripped_sequence")
_QUANTITIES = {
    "protein": ("pg_quantity", "pg_ms2quantity", "pg_ms1quantity"),
    "peptide": ("fg_quantity", "fg_ms2quantity", "eg_totalquantity_settings", "eg_targetquantity_settings"),
    "fragment": ("f_peakarea", "f_peak_area", "f_normalizedpeakarea"),
}
_Q_VALUES = ("pg_qvalue", "eg_qvalue", "pg_q_value", "eg_q_value")
_FRAGMENT = ("f_frgion", "f_frg_ion", "f_charge", "f_frglosstype")
_SAMPLE_COLUMNS = ("r_condition", "r_replicate", "r_fraction", "r_label")
_OTHER = (
    "pg_genes",
    "pg_proteinnames",
    "pg_protein_names",
    "pg_proteindescriptions",
    "pg_organisms",
    "fg_charge",
    "fg_id",
)
_FLAGS = (
    "eg_isdecoy",
    "eg_is_decoy",
    "f_excludedfromquantification",
    "pep_isproteotypic",
    "pep_is_proteotypic",
)
_PREFIXED = re.compile(r"(?:R|PG|PEP|EG|FG|F)\.\w|(?:r|pg|pep|eg|fg)_[a-z]")
_PIVOTED = re.compile(r"\.PG\.(Quantity|Log2Quantity|MS\d\w*)$")


def _recognise(header: Header) -> bool:
    prefixed = sum(bool(_PREFIXED.match(name.strip())) for name in header.raw)
    pivoted = sum(bool(_PIVOTED.search(name)) for name in header.raw)
    own = header.has_any(*_RUN, *_GROUP, *_PRECURSOR, *_MODIFIED)
    return own and prefixed >= 3 and pivoted < 2


def _columns(header: list[str]) -> list[int]:
    wanted = {
        *_RUN,
        *_GROUP,
        *_PRECURSOR,
        *_MODIFIED,
        *_STRIPPED,
        *_Q_VALUES,
        *_FRAGMENT,
        *_SAMPLE_COLUMNS,
        *_OTHER,
        *_FLAGS,
    }
    wanted |= {name for names in _QUANTITIES.values() for name in names} | {"e_lfqmethod"}
    return [j for j, name in enumerate(header) if canonical(name) in wanted]


def read_spectronaut(table: Table, options: ReadOptions) -> Quantification:
    """Protein groups where the report has their quantity, else precursors, else fragments.

    Decoys, fragments that Spectronaut excluded from quantification and rows above ``q_value`` are left out. The
    quantity of a protein group or precursor stands in each of its rows and has to agree.

    Raises
    ------
    InputError
        Missing columns, a level that the report does not hold, contradicting quantities, text in a numeric column.
    """
    header = [canonical(name) for name in table.header]
    columns = {
        level: next((header.index(n) for n in names if n in header), None)
        for level, names in _QUANTITIES.items()
    }
    groups = cells_of(table, *_GROUP)
    run = _runs(table)
    if run is None or groups is None:
        raise InputError(
            "names no run (R.FileName) or no protein group (PG.ProteinGroups)",
            where=table.where,
            mend="export the report with these columns",
        )
    precursor = _precursors(table)
    available = [
        level
        for level, j in columns.items()
        if j is not None and (level == "protein" or precursor is not None)
    ]
    if not available:
        raise InputError(
            "holds no quantities (PG.Quantity, FG.Quantity or F.PeakArea)",
            where=table.where,
            mend="export the report with one of these columns",
        )
    level = wanted_level(options, available, table.where)
    column = columns[level]
    assert column is not None
    filters = [header.index(name) for name in _Q_VALUES if name in header]
    form = number_format(table, [column, *filters], options.decimal)
    keep = ~is_true(cells_of(table, "eg_isdecoy", "eg_is_decoy"), table.n_rows)
    for j in filters:
        keep &= ~(to_floats(table, j, form) > options.q_value)
    keep &= np.array([bool(cell) for cell in table.columns[column]])
    if level == "fragment":
        keep &= ~is_true(cells_of(table, "f_excludedfromquantification"), table.n_rows)
    features = _features(table, level, groups, precursor)
    found = pivot(
        table, keep, run, features, {"intensity": column}, form, "max" if level == "fragment" else "same"
    )
    notes = list(table.notes)
    if left_out := int((~keep).sum()):
        notes.append(
            f"{left_out} report rows left out (decoys, q above {options.q_value}, excluded, without a value)"
        )
    notes += several(found, "max", "their run and fragment") if level == "fragment" else []
    named = found.by_feature(groups)
    var = _var(table, found.first_of_feature, named, level)
    method = cells_of(table, "e_lfqmethod")
    lfq = level == "protein" and method is not None and set(method) == {"MaxLFQ"}
    contaminant, shared = contaminants(named, np.zeros(len(named), dtype=bool))
    by_condition = run is cells_of(table, "r_condition")
    if by_condition:
        notes.append("there is no R.FileName: each R.Condition is taken as a run")
    kept = {
        table.header[header.index(n)]: header.index(n)
        for n in _SAMPLE_COLUMNS[: 0 if by_condition else 3]
        if n in header
    }
    return Quantification(
        software="Spectronaut",
        level=level,  # type: ignore[arg-type]
        orientation="long",
        samples=run_names(found.samples),
        features=found.features,
        quantities={"lfq" if lfq else "intensity": found.quantities["intensity"]},
        var=var,
        obs=_told_apart(constants(table, found, kept)),
        contaminant=contaminant,
        shared=shared,
        reverse=decoys(named, np.zeros(len(named), dtype=bool)),
        raw=True,
        known_scale="raw",
        notes=notes,
        where=table.where,
    )


def _told_apart(obs: pd.DataFrame) -> pd.DataFrame:
    """Without columns of the same text for all samples, which Spectronaut fills in ("Not Defined")."""
    kept = obs[[column for column in obs.columns if obs[column].nunique() > 1]]
    kept.index = obs.index
    return kept


def _runs(table: Table) -> list[str] | None:
    return next((cells for name in _RUN if (cells := cells_of(table, name)) is not None and any(cells)), None)


def _precursors(table: Table) -> list[str] | None:
    named = cells_of(table, *_PRECURSOR)
    if named is not None:
        return named
    sequence, charge = (
        cells_of(table, *_MODIFIED) or cells_of(table, *_STRIPPED),
        cells_of(table, "fg_charge"),
    )
    if sequence is None:
        return None
    return (
        sequence
        if charge is None
        else [f"{s}.{z}" if s else "" for s, z in zip(sequence, charge, strict=True)]
    )


def _features(table: Table, level: str, groups: list[str], precursor: list[str] | None) -> list[str]:
    if level == "protein":
        return groups
    assert precursor is not None
    if level == "peptide":
        return precursor
    parts = [cells for name in _FRAGMENT if (cells := cells_of(table, name)) is not None]
    return ["_".join(cells) for cells in zip(precursor, *parts, strict=True)]


def _var(table: Table, rows: np.ndarray, groups: list[str], level: str) -> pd.DataFrame:
    def column(*names: str) -> list[str] | None:
        cells = cells_of(table, *names)
        return None if cells is None else [cells[i] for i in rows]

    var = describe(
        groups,
        genes=column("pg_genes"),
        organisms=column("pg_organisms"),
        entry_names=column("pg_proteinnames", "pg_protein_names"),
        descriptions=column("pg_proteindescriptions"),
        n_peptides=None if level == "protein" else [1.0] * len(groups),
    )
    if level == "protein":
        return var
    var["protein_group"] = pd.Series(groups, dtype=object)
    peptide = column(*_STRIPPED) or column(*_MODIFIED) or column(*_PRECURSOR) or []
    var["peptide"] = pd.Series(
        [re.sub(r"\[[^\]]*\]|\([^)]*\)|[^A-Za-z]", "", text) for text in peptide], dtype=object
    )
    precursor = _precursors(table) or []
    if level == "fragment":
        var["precursor"] = pd.Series([precursor[i] for i in rows], dtype=object)
    proteotypic = cells_of(table, "pep_isproteotypic", "pep_is_proteotypic")
    if proteotypic is not None:
        flags: BoolArray = is_true([proteotypic[i] for i in rows], len(groups))
        var["proteotypic"] = flags.astype(float)
    return var


FORMAT = Format("a Spectronaut long report", _recognise, read_spectronaut, _columns)
