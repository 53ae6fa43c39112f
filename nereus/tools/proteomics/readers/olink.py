"""Olink's long tables of NPX values, one row an assay of a sample, with limits of detection and warnings."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.readers.annotation import describe
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.format import Format, ReadOptions
from nereus.tools.proteomics.readers.long import Pivot, cells_of, constants, pivot, wanted_level
from nereus.tools.proteomics.readers.numbers import is_missing, number_format, to_floats
from nereus.tools.proteomics.readers.quantification import FloatArray, Quantification
from nereus.tools.proteomics.readers.recognise import Header, canonical

_SAMPLE = ("sampleid", "sample_id", "sample")
_FEATURE_COLUMNS = frozenset(
    {
        "npx",
        "olinkid",
        "olink_id",
        "uniprot",
        "assay",
        "geneid",
        "gene",
        "panel",
        "lod",
        "index",
        "missingfreq",
        "maxlod",
    }
    | {
        "platelod",
        "assay_warning",
        "normalization",
        "panel_version",
        "panel_lot_nr",
        "qc_warning",
        "block",
        "count",
    }
    | {"extnpx", "assayqc", "sampleqc", "platedlod", "explore_version"}
)
_WARNED = frozenset({"warn", "warning", "fail", "flagged", "excluded"})


def _recognise(header: Header) -> bool:
    return (
        header.has("npx")
        and header.has_any(*_SAMPLE)
        and header.has_any("assay", "olinkid", "olink_id", "uniprot")
    )


def read_olink(table: Table, options: ReadOptions) -> Quantification:
    """Assays x samples on the NPX scale, which is log2. Values below the limit of detection stay, and are counted.

    The share of an assay's values below its limit goes to the feature column ``below_lod``, the share of a sample's
    values with a warning to the sample column ``qc_warning``.

    Raises
    ------
    InputError
        No identifiers, an assay twice in one sample, text in a numeric column.
    """
    wanted_level(options, ("protein",), table.where)
    header = [canonical(name) for name in table.header]
    npx = header.index("npx")
    samples = cells_of(table, *_SAMPLE) or []
    uniprot = cells_of(table, "uniprot") or cells_of(table, "olinkid", "olink_id", "assay")
    if uniprot is None:
        raise InputError("names no protein", where=table.where, mend="keep the column UniProt or OlinkID")
    assay = cells_of(table, "olinkid", "olink_id") or uniprot
    panel = cells_of(table, "panel") or [""] * table.n_rows
    features, told = _features(uniprot, assay, panel)
    lod = next((header.index(name) for name in ("lod", "platelod", "maxlod") if name in header), None)
    form = number_format(table, [npx] if lod is None else [npx, lod], options.decimal)
    keep = np.array([bool(cell) for cell in uniprot])
    notes = list(table.notes)
    if not keep.all():
        notes.append(f"{int((~keep).sum())} rows without a protein (controls) left out")
    found = pivot(table, keep, samples, features, {"value": npx}, form, "same", may_be_negative=True)
    notes += [told] if told else []
    if found.n_merged:
        notes.append(f"{found.n_merged} rows repeat an assay of a sample with the same value")
    candidates = {
        table.header[j]: j
        for j, name in enumerate(header)
        if name not in _FEATURE_COLUMNS and name not in _SAMPLE
    }
    obs = constants(table, found, {name: j for name, j in candidates.items() if name})
    # Assay names are spelt in Olink's own way here and there (CASP-8); a column of genes is not.
    genes = cells_of(table, "gene", "geneid", "gene_id", "gene_name", "assay")
    var = describe(
        found.by_feature(uniprot),
        genes=None if genes is None else ["" if is_missing(g) else g for g in found.by_feature(genes)],
    )
    var["panel"] = pd.Series(found.by_feature(panel), dtype=object)
    below = 0
    if lod is not None:
        limits = to_floats(table, lod, form)[found.rows]
        values = to_floats(table, npx, form)[found.rows]
        low = (values < limits).astype(float)
        var["below_lod"] = _mean_by(low, found.feature_of_row, len(found.features))
        below = int(low.sum())
        notes.append(
            f"{below} of {len(low)} values lie below the limit of detection: kept (feature column below_lod)"
        )
    warned = _warnings(table, found)
    if warned is not None:
        obs["qc_warning"] = warned
        if (n := int((warned > 0).sum())) > 0:
            notes.append(f"{n} samples carry Olink's warnings (sample column qc_warning holds their share)")
    return Quantification(
        software="Olink",
        level="protein",
        orientation="long",
        samples=found.samples,
        features=found.features,
        quantities=found.quantities,
        var=var,
        obs=obs,
        known_scale="log2",
        notes=notes,
        facts={"unit": "NPX"},
        where=table.where,
    )


def _features(uniprot: list[str], assay: list[str], panel: list[str]) -> tuple[list[str], str]:
    """The accession, with its panel or assay where one protein is measured several times."""
    keys = [f"{a}\x1f{p}" for a, p in zip(assay, panel, strict=True)]
    assays_of: dict[str, dict[str, None]] = {}
    for name, key in zip(uniprot, keys, strict=True):
        assays_of.setdefault(name, {})[key] = None
    repeated = [name for name, found in assays_of.items() if len(found) > 1]
    if not repeated:
        return uniprot, ""
    by_panel = all(
        len({key.split("\x1f")[1] for key in assays_of[name]}) == len(assays_of[name]) for name in repeated
    )
    which = panel if by_panel else assay
    many = set(repeated)
    features = [f"{u}:{w}" if u in many else u for u, w in zip(uniprot, which, strict=True)]
    return (
        features,
        f"{len(repeated)} proteins are measured by several assays, named with their {'panel' if by_panel else 'assay'}",
    )


def _mean_by(values: FloatArray, codes: np.ndarray, n: int) -> FloatArray:
    return np.asarray(
        np.bincount(codes, weights=values, minlength=n) / np.maximum(np.bincount(codes, minlength=n), 1)
    )


def _warnings(table: Table, found: Pivot) -> FloatArray | None:
    cells = [
        c
        for name in ("qc_warning", "assay_warning", "sampleqc", "assayqc")
        if (c := cells_of(table, name)) is not None
    ]
    if not cells:
        return None
    warned = np.zeros(len(found.rows))
    for column in cells:
        warned = np.maximum(warned, [column[i].strip().lower() in _WARNED for i in found.rows])
    return _mean_by(warned, found.sample_of_row, len(found.samples))


FORMAT = Format("an Olink long table", _recognise, read_olink)
