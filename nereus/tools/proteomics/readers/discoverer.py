"""Proteome Discoverer's PSM tables with reporter channels: to peptides, or to phosphosites where it was searched for them."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.readers.annotation import contaminants, decoys, describe, flag
from nereus.tools.proteomics.readers.channels import channel_columns, channel_of
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.format import Format, ReadOptions
from nereus.tools.proteomics.readers.long import cells_of, pivot, refuse_unnamed, several, wanted_level
from nereus.tools.proteomics.readers.msstats import bare_sequence
from nereus.tools.proteomics.readers.numbers import is_missing, number_format, to_floats
from nereus.tools.proteomics.readers.quantification import BoolArray, Quantification
from nereus.tools.proteomics.readers.recognise import Header, canonical

_ABUNDANCE = re.compile(r"abundances?_+(1[1-3]\d[nc]?)$")
_SITE = re.compile(r"([A-Z])(\d+)\((Phospho|GlyGly|GG|Acetyl|Ubiquitin\w*)\)")
_SITE_SHARE = 0.5
"""From this share of modified PSMs on, the experiment is taken as one of sites."""
_LOCALISED = 75.0
"""Smallest localisation probability in per cent, as is usual (class I sites of Olsen et al. 2006)."""
_PROBABILITY = re.compile(r"([A-Z])(\d+)\([^)]*\):\s*([\d.,]+)")


def _recognise(header: Header) -> bool:
    psm = header.has("psm_ambiguity") or header.has("spectrum_file", "first_scan")
    return psm and header.count(_ABUNDANCE.pattern) >= 2


def read_psms(table: Table, options: ReadOptions) -> Quantification:
    """Peptidoforms (sequence and modifications) or sites x reporter channels; the spectra of one are added up.

    A plex is a file set of Proteome Discoverer (``F1`` of ``F1.6``, whose files are fractions). PSMs without a master
    protein, of a lower rank, rejected, without any reporter, or with more co-isolated ions than ``max_interference``
    are left out. Sites are positions in the peptide (the PSM table names none in the protein); PSMs whose sites are
    localised with less than 75 % are left out.

    Raises
    ------
    InputError
        Missing columns, a level that the table does not hold, text in a numeric column.
    """
    header = [canonical(name) for name in table.header]
    refuse_unnamed(table)
    reporters = [j for j, name in enumerate(header) if _ABUNDANCE.match(name)]
    interference = next(
        (j for j, name in enumerate(header) if name.startswith("isolation_interference")), None
    )
    sequence = cells_of(table, "annotated_sequence", "sequence")
    proteins = cells_of(table, "master_protein_accessions", "protein_accessions")
    if sequence is None or proteins is None:
        raise InputError(
            "names no sequences or no master proteins",
            where=table.where,
            mend="export PSMs with Annotated Sequence and Master Protein Accessions",
        )
    modifications = cells_of(table, "modifications") or [""] * table.n_rows
    sites = [";".join(f"{m[0]}{m[1]}" for m in _SITE.findall(text)) for text in modifications]
    with_sites = float(np.mean([bool(site) for site in sites]))
    orders = (
        ("site", "peptide")
        if with_sites >= _SITE_SHARE
        else ("peptide", "site")
        if with_sites
        else ("peptide",)
    )
    level = wanted_level(options, orders, table.where)
    # Interference is exported with its own rounding and stands beside the reporters: one notation for all.
    form = number_format(
        table, reporters + ([interference] if interference is not None else []), options.decimal
    )
    notes = list(table.notes)
    keep = _usable(table, proteins, reporters, notes)
    if interference is not None:
        mixed = to_floats(table, interference, form) > options.max_interference
        if (n := int((mixed & keep).sum())) > 0:
            notes.append(f"{n} PSMs with more than {options.max_interference:g} % co-isolated ions left out")
        keep &= ~mixed
    plain = [bare_sequence(text) for text in sequence]
    if level == "site":
        bare = ~np.array([bool(site) for site in sites])
        loose = _loose(
            cells_of(table, "phosphors_best_site_probabilities", "ptmrs_best_site_probabilities"),
            table.n_rows,
        )
        notes += (
            [f"{int((keep & bare).sum())} PSMs without a modified site left out"]
            if (keep & bare).any()
            else []
        )
        if (keep & ~bare & loose).any():
            notes.append(f"{int((keep & ~bare & loose).sum())} PSMs whose sites are not localised left out")
        keep &= ~bare & ~loose
        notes.append("sites are positions in the peptide: the PSM table names none in the protein")
        features = [f"{p};;{s};{q}" for p, s, q in zip(map(_joined, proteins), sites, plain, strict=True)]
    else:
        features = [
            f"{q}_{_label_free(m)}" if _label_free(m) else q
            for q, m in zip(plain, modifications, strict=True)
        ]
    run = cells_of(table, "spectrum_file") or [""] * table.n_rows
    plexes = _plexes(run, cells_of(table, "file_id"))
    channels = [channel_of(table.header[j].replace("Abundance", " ")) for j in reporters]
    quantities = dict(zip(channels, reporters, strict=True))
    if len(quantities) < len(reporters):
        raise InputError(
            "two columns hold the same channel", where=table.where, mend="rename or remove one of them"
        )
    found = pivot(table, keep, plexes, features, quantities, form, "sum")
    notes += several(found, "sum", "their plex and " + ("site" if level == "site" else "peptide"))
    values = np.concatenate(
        [np.stack([m[i] for m in found.quantities.values()]) for i in range(len(found.samples))]
    )
    of_plex = [plex for plex in found.samples for _ in channels]
    of_channel = channels * len(found.samples)
    samples = [f"{p}_{c}" for p, c in zip(of_plex, of_channel, strict=True)]
    obs, more = channel_columns(samples, of_plex, of_channel, values)
    runs_of = {plex: {run[i] for i in found.rows if plexes[i] == plex} for plex in found.samples}
    if all(len(files) == 1 and "" not in files for files in runs_of.values()):
        obs["run"] = pd.Series([next(iter(runs_of[plex])) for plex in of_plex], index=obs.index, dtype=object)
    groups = [_joined(text) for text in found.by_feature(proteins)]
    description = cells_of(table, "master_protein_descriptions", "protein_descriptions")
    contaminated = cells_of(table, "contaminant")
    var = describe(
        groups,
        headers=None if description is None else found.by_feature(description),
        n_peptides=None if level == "site" else [1.0] * len(groups),
    )
    var["protein_group"] = pd.Series(groups, dtype=object)
    var["peptide"] = pd.Series(found.by_feature(plain), dtype=object)
    if level == "site":
        var["site"] = pd.Series(found.by_feature(sites), dtype=object)
        var["sequence"] = pd.Series(found.by_feature(plain), dtype=object)
    contaminant, shared = contaminants(
        groups, flag(found.by_feature(contaminated) if contaminated else None, len(groups))
    )
    return Quantification(
        software="Proteome Discoverer",
        level=level,  # type: ignore[arg-type]
        orientation="long",
        samples=samples,
        features=found.features,
        quantities={"reporter": values},
        var=var,
        obs=obs,
        contaminant=contaminant,
        shared=shared,
        reverse=decoys(groups, np.zeros(len(groups), dtype=bool)),
        raw=True,
        known_scale="raw",
        notes=notes + more,
        where=table.where,
    )


def _usable(table: Table, proteins: list[str], reporters: list[int], notes: list[str]) -> BoolArray:
    """PSMs that name a master protein, were not rejected, are of the first rank and have a reporter."""
    keep = np.array([bool(cell) for cell in proteins])
    rank = cells_of(table, "rank")
    if rank is not None:
        keep &= np.array([cell in ("", "1") for cell in rank])
    ambiguity = cells_of(table, "psm_ambiguity")
    if ambiguity is not None:
        keep &= np.array([cell.lower() not in ("rejected", "ambiguous") for cell in ambiguity])
    keep &= np.array(
        [any(not is_missing(table.columns[j][i]) for j in reporters) for i in range(table.n_rows)]
    )
    if not keep.all():
        notes.append(
            f"{int((~keep).sum())} PSMs without master protein or reporters, rejected or of lower rank left out"
        )
    return keep


def _joined(proteins: str) -> str:
    return ";".join(part.strip() for part in proteins.split(";") if part.strip())


def _label_free(modifications: str) -> str:
    """Modifications without the label and the alkylation, which every peptide carries."""
    parts = [part.strip() for part in modifications.split(";")]
    fixed = re.compile(r"TMT|iTRAQ|Label|Carbamidomethyl|Methylthio|MMTS", re.IGNORECASE)
    return ";".join(part for part in parts if part and not fixed.search(part))


def _loose(cells: list[str] | None, n: int) -> BoolArray:
    """PSMs one of whose sites is localised below the limit. Without the column none is."""
    if cells is None:
        return np.zeros(n, dtype=bool)
    lowest = [
        min((float(m[2].replace(",", ".")) for m in _PROBABILITY.findall(cell)), default=np.nan)
        for cell in cells
    ]
    return np.asarray(np.array(lowest) < _LOCALISED)


def _plexes(run: list[str], file_id: list[str] | None) -> list[str]:
    """File sets: ``F1`` of ``F1.6``. Files that are no fractions are plexes of their own."""
    known = [cell for cell in file_id or [] if cell]
    if file_id is None or not known or not all(re.fullmatch(r"F\d+(\.\d+)?", cell) for cell in known):
        return run
    return [cell.split(".")[0] for cell in file_id]


FORMAT = Format("a Proteome Discoverer PSM table", _recognise, read_psms)
