"""MaxQuant's tables of modification sites (``Phospho (STY)Sites.txt``, ``GlyGly (K)Sites.txt`` ...).

A site has one intensity for each number of modifications that its peptides carry (``___1``, ``___2``, ``___3``): a
peptide that is modified twice speaks for two sites at once and may change for either. Each is a feature of its own, as
Perseus expands site tables.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.readers.annotation import contaminants, decoys, describe, flag
from nereus.tools.proteomics.readers.channels import channel_columns, channel_of
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.format import Format, ReadOptions
from nereus.tools.proteomics.readers.long import cells_of, wanted_level
from nereus.tools.proteomics.readers.numbers import FloatArray, number_format, to_floats
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.recognise import Header, canonical
from nereus.tools.proteomics.readers.silac import labels_of_samples, ratio_columns

_J = r"[\W_]+"
_QUANTITIES = {
    "reporter": re.compile(
        rf"^\s*reporter{_J}intensity{_J}corrected{_J}(?P<sample>.+?)(?P<rest>_{{3}}[1-9])?\s*$", re.IGNORECASE
    ),
    "intensity": re.compile(
        rf"^\s*intensity(?!_{{3}}[1-9]\s*$)(?:{_J}(?P<sample>(?![lmh](?:_{{3}}|\s*$)).+?))?(?P<rest>_{{3}}[1-9])?\s*$",
        re.IGNORECASE,
    ),
}
_NEEDED = frozenset(
    {"proteins", "positions_within_proteins", "leading_proteins", "protein", "protein_names", "gene_names"}
    | {"fasta_headers", "localization_prob", "amino_acid", "sequence_window", "position", "reverse"}
    | {"potential_contaminant", "contaminant"}
)
_LOCALISED = 0.75
"""Smallest localisation probability (class I sites of Olsen et al. 2006, Cell 127:635)."""

Columns = dict[str, list[tuple[str, int]]]


def _recognise(header: Header) -> bool:
    return header.has("localization_prob", "amino_acid") and header.has_any(
        "positions_within_proteins", "position"
    )


def _columns(header: list[str]) -> list[int]:
    ratios = {j for columns in ratio_columns(header).values() for _, j in columns}
    return [
        j
        for j, name in enumerate(header)
        if canonical(name) in _NEEDED or j in ratios or any(p.match(name) for p in _QUANTITIES.values())
    ]


def read_sites(table: Table, options: ReadOptions) -> Quantification:
    """Sites, one feature for each number of modifications of their peptides, x experiments, channels or ratios of labels.

    Sites that are localised with a probability below 0.75, or not at all, are left out.

    Raises
    ------
    InputError
        No columns of single samples, columns that are missing or differ between multiplicities, text among numbers.
    """
    wanted_level(options, ("site",), table.where)
    quantity, columns = _quantity(table)
    samples = [name for name, _ in next(iter(columns.values()))]
    used = [j for found in columns.values() for _, j in found]
    at = [canonical(name) for name in table.header].index("localization_prob")
    form = number_format(table, [*used, at], options.decimal)
    notes = list(table.notes)
    probability = to_floats(table, at, form)
    position = _positions(table)
    loose = ~(probability >= _LOCALISED)
    if loose.any():
        notes.append(f"{int(loose.sum())} sites localised with a probability below {_LOCALISED} left out")
    nowhere = ~loose & np.array([not cell for cell in position])
    if nowhere.any():
        notes.append(f"{int(nowhere.sum())} sites without a position in a protein left out")
    rows: list[int] = []
    counts: list[str] = []
    blocks: list[FloatArray] = []
    for rest, found in columns.items():
        values = np.stack([to_floats(table, j, form) for _, j in found])
        kept = np.flatnonzero(~loose & ~nowhere & (np.nan_to_num(values) != 0).any(axis=0))
        rows += [int(i) for i in kept]
        counts += [rest.strip("_")] * len(kept)
        blocks.append(values[:, kept])
    if not rows:
        raise InputError(
            f"no localised site (probability {_LOCALISED} or more) has a value",
            where=table.where,
            mend="give Sites.txt as MaxQuant wrote it",
        )
    order = np.argsort(rows, kind="stable")
    rows, counts = [rows[i] for i in order], [counts[i] for i in order]
    matrix = np.concatenate(blocks, axis=1)[:, order]
    return _described(table, quantity, samples, matrix, rows, counts, position, probability, notes)


def _described(
    table: Table,
    quantity: str,
    samples: list[str],
    matrix: FloatArray,
    rows: list[int],
    counts: list[str],
    position: list[str],
    probability: FloatArray,
    notes: list[str],
) -> Quantification:
    def of(*names: str) -> list[str] | None:
        cells = cells_of(table, *names)
        return None if cells is None else [cells[i] for i in rows]

    empty = [""] * len(rows)
    proteins = of("protein", "leading_proteins", "proteins") or empty
    first = [group.split(";")[0] for group in proteins]
    residue = of("amino_acid") or empty
    sites = [f"{letter}{position[i]}" for letter, i in zip(residue, rows, strict=True)]
    windows = [cell.split(";")[0] for cell in of("sequence_window") or empty]
    var = describe(
        first, genes=of("gene_names"), headers=of("fasta_headers"), descriptions=of("protein_names")
    )
    var["protein_group"] = pd.Series(first, dtype=object)
    var["site"] = pd.Series(sites, dtype=object)
    var["sequence"] = pd.Series(windows, dtype=object)
    var["localisation"] = probability[rows]
    if any(counts):
        var["n_modifications"] = [float(count) for count in counts]
    several = {"2", "3"} & set(counts)
    features = [
        f"{protein};{gene};{site};{window}" + (f";x{count}" if several and count not in ("", "1") else "")
        for protein, gene, site, window, count in zip(first, var["gene"], sites, windows, counts, strict=True)
    ]
    obs = None
    if quantity == "reporter":
        parts = [re.split(_J, sample, maxsplit=1) for sample in samples]
        plexes = [part[1] if len(part) > 1 and part[1] else "1" for part in parts]
        obs, more = channel_columns(
            samples, plexes, [channel_of(part[0]) or part[0] for part in parts], matrix
        )
        notes += more
    flagged = flag(of("potential_contaminant", "contaminant"), len(rows))
    contaminant, shared = contaminants(first, flagged)
    if quantity == "ratio":
        notes.append(
            "SILAC: each sample is the normalised ratio of two labels; a label swap has the other sign"
        )
    return Quantification(
        software="MaxQuant",
        level="site",
        orientation="samples_in_columns",
        samples=samples,
        features=features,
        quantities={quantity: matrix},
        var=var,
        obs=obs,
        contaminant=contaminant,
        shared=shared,
        reverse=decoys(first, flag(of("reverse"), len(rows))),
        raw=True,
        known_scale="raw",
        notes=notes,
        where=table.where,
    )


def _quantity(table: Table) -> tuple[str, Columns]:
    """The quantity that is read, and its columns by multiplicity, of the same samples in one order."""
    found: dict[str, Columns] = {"ratio": ratio_columns(table.header)}
    for name, pattern in _QUANTITIES.items():
        columns: Columns = {}
        for j, header in enumerate(table.header):
            match = pattern.match(header)
            if match and match["sample"]:
                columns.setdefault(match["rest"] or "", []).append((match["sample"], j))
        found[name] = columns
    for name in ("reporter", "ratio", "intensity"):
        columns = found[name]
        if name == "reporter":
            columns = {rest: _of_experiments(part) for rest, part in columns.items()}
        # Sums over the numbers of modifications stand beside their parts.
        columns = {rest: part for rest, part in columns.items() if rest} or columns
        if not columns:
            continue
        samples = [sample for sample, _ in next(iter(columns.values()))]
        if len(set(samples)) < len(samples) or any(
            [sample for sample, _ in part] != samples for part in columns.values()
        ):
            raise InputError(
                f"the {name} columns name other samples for each number of modifications, or one twice",
                where=table.where,
                mend="give Sites.txt as MaxQuant wrote it",
            )
        if name == "intensity" and (labels := labels_of_samples(samples)):
            raise InputError(
                f"holds intensities of SILAC labels ({labels[0]!r}) without their normalised ratios",
                where=table.where,
                mend="give Sites.txt with its columns 'Ratio H/L normalized'",
            )
        return name, columns
    raise InputError(
        "no intensity columns of single samples",
        where=table.where,
        mend="search with an experimental design, so that MaxQuant writes one column a sample",
    )


def _of_experiments(part: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Channels of single experiments ("1 MixA") where there are any, else the plain channels ("1")."""
    return [one for one in part if not one[0].strip().isdigit()] or part


def _positions(table: Table) -> list[str]:
    """Position of each site in the protein that stands for it, "" where there is none."""
    single = cells_of(table, "position")
    listed = cells_of(table, "positions_within_proteins")
    proteins, leading = cells_of(table, "proteins"), cells_of(table, "protein", "leading_proteins")
    made = []
    for i in range(table.n_rows):
        places = (listed[i] if listed else "").split(";")
        names = (proteins[i] if proteins else "").split(";")
        wanted = (leading[i] if leading else names[0]).split(";")[0]
        cell = single[i] if single and single[i] else ""
        if wanted in names and names.index(wanted) < len(places):
            cell = places[names.index(wanted)] or cell
        cell = (cell or places[0]).split(";")[0].strip()
        made.append(cell if cell.isdigit() else "")
    return made


FORMAT = Format("a MaxQuant table of sites", _recognise, read_sites, _columns)
