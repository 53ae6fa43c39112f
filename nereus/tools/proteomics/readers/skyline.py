"""Skyline reports, one row a transition of a run, to precursors."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.readers.annotation import contaminants, decoys, describe
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.diann import run_names
from nereus.tools.proteomics.readers.format import Format, ReadOptions
from nereus.tools.proteomics.readers.long import cells_of, constants, pivot, several, wanted_level
from nereus.tools.proteomics.readers.msstats import bare_sequence
from nereus.tools.proteomics.readers.numbers import is_missing, number_format
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.recognise import Header, canonical

_SAMPLE_COLUMNS = ("condition", "bioreplicate")
_RUN = ("file_name", "replicate_name", "replicate")
_PROTEIN = ("protein_name", "protein", "protein_accession")
_SEQUENCE = ("peptide_modified_sequence", "modified_sequence", "peptide_sequence", "peptide")


def _recognise(header: Header) -> bool:
    return header.has("fragment_ion", "area") and header.has_any(*_SEQUENCE) and header.has_any(*_RUN)


def read_skyline(table: Table, options: ReadOptions) -> Quantification:
    """Precursors x runs: the areas of a precursor's transitions are added up, unless fragments are asked for.

    Heavy standards of a light and heavy pair are left out and counted; iRT and normalisation standards stay.

    Raises
    ------
    InputError
        Missing columns, a level that the report does not hold, text in a numeric column.
    """
    level = wanted_level(options, ("peptide", "fragment"), table.where)
    proteins, sequence, run = cells_of(table, *_PROTEIN), cells_of(table, *_SEQUENCE), cells_of(table, *_RUN)
    if proteins is None or sequence is None or run is None:
        raise InputError(
            "names no protein, peptide or run",
            where=table.where,
            mend="add Protein Name, Peptide Modified Sequence and File Name to the report",
        )
    header = [canonical(name) for name in table.header]
    area = header.index("area")
    charge = cells_of(table, "precursor_charge") or [""] * table.n_rows
    precursor = [f"{s}_{z}" if z else s for s, z in zip(sequence, charge, strict=True)]
    features = precursor
    if level == "fragment":
        parts = [cells_of(table, name) or [""] * table.n_rows for name in ("fragment_ion", "product_charge")]
        features = ["_".join(cells) for cells in zip(precursor, *parts, strict=True)]
    label = cells_of(table, "isotope_label_type", "isotope_label")
    heavy = (
        np.array([cell.lower() == "heavy" for cell in label]) if label else np.zeros(table.n_rows, dtype=bool)
    )
    keep = np.array([not is_missing(cell) for cell in table.columns[area]])
    notes = list(table.notes)
    if heavy.any() and not heavy.all():
        keep &= ~heavy
        notes.append(f"{int(heavy.sum())} rows of heavy standards left out")
    form = number_format(table, [area], options.decimal)
    found = pivot(table, keep, run, features, {"area": area}, form, "sum")
    notes += several(found, "sum", "their run and precursor (transitions, isotopes)")
    groups = found.by_feature(proteins)
    var = describe(groups, n_peptides=[1.0] * len(groups))
    var["protein_group"] = pd.Series(groups, dtype=object)
    var["peptide"] = pd.Series([bare_sequence(text) for text in found.by_feature(sequence)], dtype=object)
    if level == "fragment":
        var["precursor"] = pd.Series(found.by_feature(precursor), dtype=object)
    nothing = np.zeros(len(groups), dtype=bool)
    contaminant, shared = contaminants(groups, nothing)
    kept = {table.header[header.index(n)]: header.index(n) for n in _SAMPLE_COLUMNS if n in header}
    samples = run_names(found.samples)
    return Quantification(
        software="Skyline",
        level=level,  # type: ignore[arg-type]
        orientation="long",
        samples=samples,
        features=found.features,
        quantities=found.quantities,
        var=var,
        obs=constants(table, found, kept).set_axis(pd.Index(samples, dtype=object)),
        contaminant=contaminant,
        shared=shared,
        reverse=decoys(groups, nothing),
        raw=True,
        known_scale="raw",
        notes=notes,
        where=table.where,
    )


FORMAT = Format("a Skyline report", _recognise, read_skyline)
