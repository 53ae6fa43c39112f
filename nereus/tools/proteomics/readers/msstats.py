"""The long tables of MSstats and MSstatsTMT, which OpenMS, FragPipe, Proteome Discoverer and Skyline write, too."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from nereus.tools.proteomics.readers.annotation import contaminants, decoys, describe
from nereus.tools.proteomics.readers.channels import channel_columns
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.diann import run_names
from nereus.tools.proteomics.readers.format import Format, ReadOptions
from nereus.tools.proteomics.readers.long import Pivot, cells_of, constants, pivot, several, wanted_level
from nereus.tools.proteomics.readers.numbers import number_format
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.recognise import Header, canonical

_SAMPLE_COLUMNS = ("condition", "bioreplicate", "mixture", "techrepmixture", "run", "isotopelabeltype")


def _recognise(header: Header) -> bool:
    return header.has("proteinname", "intensity", "run") and header.has_any("peptidesequence", "psm")


def read_msstats(table: Table, options: ReadOptions) -> Quantification:
    """Precursors x runs, or x reporter channels of runs; fragments of a precursor are added up unless asked for.

    Of a labelled experiment a sample is a channel of a mixture's technical replicate; its fractions are added up.

    Raises
    ------
    InputError
        Missing columns, a level that the table does not hold, text in a numeric column.
    """
    header = [canonical(name) for name in table.header]
    column = header.index("intensity")
    proteins = cells_of(table, "proteinname") or []
    sequence = cells_of(table, "peptidesequence", "psm") or []
    charge = cells_of(table, "precursorcharge", "charge")
    fragment = cells_of(table, "fragmention")
    has_fragments = fragment is not None and len(set(fragment)) > 1
    level = wanted_level(options, ("peptide", "fragment") if has_fragments else ("peptide",), table.where)
    charges = charge if charge is not None else [""] * table.n_rows
    features = [f"{s}_{z}" if z else s for s, z in zip(sequence, charges, strict=True)]
    if level == "fragment" and fragment is not None:
        product = cells_of(table, "productcharge") or [""] * table.n_rows
        features = ["_".join(parts) for parts in zip(features, fragment, product, strict=True)]
    channel = cells_of(table, "channel")
    run = cells_of(table, "run") or []
    plexes = _plexes(table, run) if channel is not None else run
    samples = (
        run if channel is None else [f"{p}_{c}" if c else "" for p, c in zip(plexes, channel, strict=True)]
    )
    form = number_format(table, [column], options.decimal)
    keep = np.array([bool(cell) for cell in table.columns[column]])
    found = pivot(table, keep, samples, features, {"intensity": column}, form, "sum")
    notes = [
        *table.notes,
        *several(found, "sum", "their sample and precursor (fractions, fragments, spectra)"),
    ]
    kept = {
        table.header[header.index(n)]: header.index(n) for n in _SAMPLE_COLUMNS if n in header and n != "run"
    }
    if channel is not None and "run" in header:
        kept[table.header[header.index("run")]] = header.index("run")
    obs = constants(table, found, kept)
    quantity = "intensity"
    if channel is not None:
        quantity = "reporter"
        first = found.first_of_sample
        columns, more = channel_columns(
            found.samples,
            [plexes[i] for i in first],
            [channel[i] for i in first],
            found.quantities["intensity"],
        )
        notes += more
        obs = pd.concat([columns, obs], axis=1)
    groups = found.by_feature(proteins)
    nothing = np.zeros(len(groups), dtype=bool)
    contaminant, shared = contaminants(groups, nothing)
    names = found.samples if channel is not None else run_names(found.samples)
    if obs is not None:
        obs.index = pd.Index(names, dtype=object)
    return Quantification(
        software="OpenMS" if {"retentiontime", "reference"} <= set(header) else "MSstats",
        level=level,  # type: ignore[arg-type]
        orientation="long",
        samples=names,
        features=found.features,
        quantities={quantity: found.quantities["intensity"]},
        var=_var(
            found, groups, sequence, [f"{s}_{z}" for s, z in zip(sequence, charges, strict=True)], level
        ),
        obs=obs,
        contaminant=contaminant,
        shared=shared,
        reverse=decoys(groups, nothing),
        raw=True,
        known_scale="raw",
        notes=notes,
        where=table.where,
    )


def _plexes(table: Table, run: list[str]) -> list[str]:
    """What was analysed together: a mixture, and its technical replicate where there are several; else the run."""
    mixture, replicate = cells_of(table, "mixture"), cells_of(table, "techrepmixture")
    if mixture is None or not all(mixture):
        return run
    if replicate is None or len({*zip(mixture, replicate, strict=True)}) == len(set(mixture)):
        return mixture
    # OpenMS writes the mixture into its replicate ("3_3").
    return [r if r.startswith(f"{m}_") else f"{m}_{r}" for m, r in zip(mixture, replicate, strict=True)]


def _var(
    found: Pivot, groups: list[str], sequence: list[str], precursor: list[str], level: str
) -> pd.DataFrame:
    var = describe(groups, n_peptides=[1.0] * len(groups))
    var["protein_group"] = pd.Series(groups, dtype=object)
    plain = [bare_sequence(text) for text in found.by_feature(sequence)]
    var["peptide"] = pd.Series(plain, dtype=object)
    if level == "fragment":
        var["precursor"] = pd.Series(found.by_feature(precursor), dtype=object)
    return var


def bare_sequence(text: str) -> str:
    """The amino acids of a peptide in any notation: flanking residues, modifications and numbers taken off.

    >>> bare_sequence("[K].aAGASDVVLYk.[I]"), bare_sequence(".(TMT6plex)AFVEM(Oxidation)K"), bare_sequence("_AC[+57]DK_.2")
    ('AAGASDVVLYK', 'AFVEMK', 'ACDK')
    """
    text = re.sub(r"^\[[^\]]*\]\.|\.\[[^\]]*\]$", "", text.strip())
    while (shorter := re.sub(r"\([^()]*\)|\[[^\[\]]*\]", "", text)) != text:
        text = shorter
    return re.sub(r"[^A-Za-z]", "", text).upper()


FORMAT = Format("an MSstats long table", _recognise, read_msstats)
