"""Wide tables with features in rows: the quantity of each column, the identifiers, and what is said of the features."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.readers.accessions import feature_share
from nereus.tools.proteomics.readers.annotation import contaminants, decoys, describe, flag
from nereus.tools.proteomics.readers.column_names import (
    gene_column,
    is_annotation,
    is_summary,
    other_id_columns,
    peptide_column,
    protein_columns,
    quantity_and_sample,
)
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.diann import RUN_SUFFIX, run_names
from nereus.tools.proteomics.readers.numbers import Decimal, FloatArray, is_missing, number_format, to_floats
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.recognise import canonical
from nereus.tools.proteomics.readers.sample_sheet import best_match
from nereus.tools.proteomics.readers.sites import are_sites, describe_sites

_PREFERRED = (
    "lfq",
    "intensity",
    "abundance",
    "reporter",
    "value",
    "top3",
    "ibaq",
    "abundance_raw",
    "area",
    "log",
    "ratio",
)
_PUBLIC = {"abundance_raw": "intensity", "log": "value", "unique_intensity": "intensity"}
_PLEX = re.compile(
    r".+?[\s_.\-]+(?P<plex>(?:set|plex|tmt|mix|mixture|batch|pool)[\s_.\-]?\w{1,3})$", re.IGNORECASE
)
_MOST_CLASSES = 60
"""Text columns of at most so many different entries are classes of features (localisations, markers), and are kept."""
_CLASS_SIZE = 3
"""Smallest mean size of such a class."""


def read_samples_in_columns(
    table: Table,
    sheet: Table | None,
    software: str,
    numeric: list[int],
    text: list[int],
    decimal: Decimal,
    named: int | None,
    sample_column: str | None,
    quantity: str,
    chosen: list[int] | None = None,
) -> Quantification:
    """One row a feature. See `read_generic`; `chosen` are the columns of values, where the caller knows them."""
    header, notes = table.header, list(table.notes)
    gene = gene_column(header)
    peptide = _peptide_ids(table)
    ids, how = _id_column(table, text, named, peptide, gene)
    matched = _matched_columns(table, sheet, numeric, sample_column)
    values = [j for j in numeric if j != ids and (j in matched or not is_annotation(header[j]))]
    single = [j for j in values if j in matched or not is_summary(header[j])]
    # Where all columns are means, they are the samples.
    values = (single if len(single) >= 2 else values) if chosen is None else chosen
    by_kind = _by_quantity(table, values, quantity)
    base = _base_quantity(by_kind, quantity, matched, table)
    if base == "value" and ids is None and how == "repeats":
        raise _long_table(table, text, numeric)
    samples = [name for name, _ in by_kind[base]]
    if len(samples) < 2 and how == "repeats":
        raise _long_table(table, text, numeric)
    if base == "value" and {canonical(n) for n, _ in by_kind.get("lfq", [])} == {
        canonical(n) for n in samples
    }:
        base, by_kind["intensity"] = "intensity", by_kind["value"]
    read: dict[str, list[int]] = {_PUBLIC.get(base, base): [j for _, j in by_kind[base]]}
    plain = by_kind.get("value", [])
    if base in ("lfq", "abundance") and {canonical(n) for n, _ in plain} == {canonical(n) for n in samples}:
        by_kind.setdefault("intensity", plain)  # "A_LFQ" beside "A": the plain column is the raw intensity
    for other in ("intensity", "lfq", "abundance_raw"):
        columns = {canonical(name): j for name, j in by_kind.get(other, [])}
        key = _PUBLIC.get(other, other)
        if key not in read and all(canonical(name) in columns for name in samples):
            read[key] = [columns[canonical(name)] for name in samples]
    used = [j for columns in read.values() for j in columns]
    form = number_format(table, used, decimal)
    quantities = {
        kind: np.stack([to_floats(table, j, form) for j in columns]) for kind, columns in read.items()
    }
    if base == "value" and not matched and chosen is None:
        left = [header[j] for j in numeric if j not in used and j != ids]
        if left:
            notes.append(f"{len(left)} numeric columns taken as annotation: {left[:5]}")
        odd = [header[j] for j in text if j != ids and _between(j, used)]
        if odd:
            notes.append(f"text columns between samples taken as annotation: {odd[:5]}")
    elif base == "value" and (odd := [header[j] for j in matched if j in text]):
        raise InputError(
            f"sample column {odd[0]!r} holds no numbers",
            where=table.where,
            mend="pass `decimal`, or correct it",
        )
    empty = [
        name
        for j, name in enumerate(header)
        if name and j not in numeric and j not in text and not is_annotation(name)
    ]
    if empty:
        notes.append(f"{len(empty)} columns hold no values and were left out: {empty[:5]}")
    if ids is None:
        features = [f"feature_{i + 1}" for i in range(table.n_rows)]
        notes.append("there is no column of identifiers: features are numbered")
    else:
        features = table.columns[ids]
    if "" in features:
        row = features.index("")
        raise InputError(
            "the row has no identifier",
            where=f"{table.where}, row {table.lines[row]}, column {header[ids or 0]!r}",
            mend="fill it in, delete the row, or name another column with feature_column",
        )
    is_peptide = peptide is not None and ids == peptide
    protein = next((j for j in protein_columns(header) if j in text and j != peptide), None)
    groups = list(table.columns[protein]) if is_peptide and protein is not None else list(features)
    if is_peptide and protein is None:
        groups = [""] * len(features)
        notes.append("the peptides name no proteins: they cannot be rolled up")
    # With gene names as ids, proteins may stand beside them, and the other way round.
    prefixed = table.columns[protein] if protein is not None else groups
    flagged = flag(
        _flag_cells(table, ("potential_contaminant", "contaminant", "is_contaminant", "filter")), table.n_rows
    )
    contaminant, shared = contaminants(prefixed, flagged)
    description = _column(
        table, ("description", "protein_names", "protein_name", "protein_description", "protein_descriptions")
    )
    description = description or _column(table, ("first_protein_description", "uniprot_protein_description"))
    var = describe(
        groups if is_peptide or protein is None else prefixed,
        genes=table.columns[gene] if gene is not None else None,
        headers=_column(table, ("fasta_headers", "fasta_header", "master_protein_descriptions"))
        or description,
        organisms=_column(table, ("organism", "species")),
        entry_names=_column(table, ("entry_name", "protein_names")),
        descriptions=description,
        n_peptides=_peptide_numbers(table),
    )
    if is_peptide:
        var["protein_group"] = pd.Series(list(groups), dtype=object)
        var["n_peptides"] = 1.0
    site = not is_peptide and are_sites(features)
    if site:
        var = describe_sites(features, var)
    level = (
        "peptide"
        if is_peptide
        else "site"
        if site
        else "gene"
        if ids is not None and ids == gene
        else "protein"
    )
    if ids is None or (level == "protein" and protein is None and feature_share(features) < 0.3):
        level = "generic"
    _keep_classes(table, [j for j in text if j not in (ids, gene, protein)], var)
    names = run_names(samples) if all(map(RUN_SUFFIX.search, samples)) else samples
    obs = None
    if base == "reporter" and (plexes := _plexes(names)) is not None:
        obs = pd.DataFrame({"plex": plexes}, index=pd.Index(names, dtype=object), dtype=object)
        notes.append(f"plexes {sorted(set(plexes))[:5]} are taken from the names of the samples")
    profiles = _are_profiles(next(iter(quantities.values())))
    if profiles:
        notes.append("the values of each row sum up to one number: taken as a distribution over fractions")
    return Quantification(
        software=software,
        level=level,  # type: ignore[arg-type]
        orientation="samples_in_columns",
        samples=names,
        features=list(features),
        quantities=quantities,
        var=var,
        obs=obs,
        contaminant=contaminant,
        shared=shared,
        reverse=decoys(prefixed, flag(_flag_cells(table, ("reverse", "decoy", "is_decoy")), table.n_rows)),
        notes=notes,
        where=table.where,
        data_kind="fractions" if profiles else "",
    )


def _keep_classes(table: Table, columns: Sequence[int], var: pd.DataFrame) -> None:
    """Add text columns that class the features, under their own names, to `var`."""
    for j in columns:
        name, cells = table.header[j], table.columns[j]
        filled = [cell for cell in cells if not is_missing(cell)]
        n_classes = len(set(filled))
        known = canonical(name) in ("organism", "species") or name in var.columns or not name
        if not known and 2 <= n_classes <= min(_MOST_CLASSES, len(filled) / _CLASS_SIZE):
            var[name] = pd.Series(["" if is_missing(cell) else cell for cell in cells], dtype=object)


def _plexes(samples: Sequence[str]) -> list[str] | None:
    """What the names of reporter columns end in, where that is a set or plex for all of them."""
    found = [_PLEX.match(name) for name in samples]
    plexes = [match["plex"] for match in found if match]
    return plexes if len(plexes) == len(samples) and len(set(plexes)) > 1 else None


def _are_profiles(values: FloatArray) -> bool:
    """Whether rows are distributions: no value above one, and a sum that is the same for nearly all of them."""
    if values.shape[0] < 4 or values.shape[1] < 20 or not np.isfinite(values).any():
        return False
    if np.nanmax(values) > 1 or np.nanmin(values) < 0:
        return False
    total = np.nansum(values, axis=0)
    middle = float(np.median(total))
    return middle > 0 and float(np.mean(np.abs(total - middle) < 0.02 * middle)) > 0.9


def _between(j: int, used: list[int]) -> bool:
    return min(used) < j < max(used)


def _column(table: Table, names: Sequence[str]) -> list[str] | None:
    for wanted in names:
        for name, column in zip(table.header, table.columns, strict=True):
            if canonical(name) == wanted:
                return column
    return None


def _flag_cells(table: Table, names: Sequence[str]) -> list[str] | None:
    return _column(table, names)


def _peptide_numbers(table: Table) -> list[float] | None:
    cells = _column(table, ("razor_unique_peptides", "unique_peptides", "peptides", "n_peptides", "combined_total_peptides",
                            "unique_stripped_peptides", "peptide_count", "n_sequences"))  # fmt: skip
    return None if cells is None else [float(cell) if cell.isdigit() else np.nan for cell in cells]


def _peptide_ids(table: Table) -> int | None:
    """A column by a peptide's name whose cells look like sequences."""
    j = peptide_column(table.header)
    if j is None:
        return None
    cells = [cell for cell in table.columns[j] if cell][:200]
    letters = [re.sub(r"\([^)]*\)+|\[[^\]]*\]|[^A-Za-z]", "", cell) for cell in cells]
    good = sum(len(word) >= 5 and word.isupper() for word in letters)
    return j if cells and good >= 0.8 * len(cells) else None


def _id_column(
    table: Table, text: list[int], named: int | None, peptide: int | None, gene: int | None
) -> tuple[int | None, str]:
    """The column that names the rows, or None; and whether all candidates repeat (a long table)."""
    if named is not None:
        return named, "named"
    if peptide is not None and len(set(table.columns[peptide])) >= 0.5 * table.n_rows:
        return peptide, "peptide"
    candidates = [j for j in protein_columns(table.header) if j in text]
    candidates += [gene] if gene is not None and gene in text else []
    candidates += [
        j
        for j in other_id_columns(table.header)
        if j in text or (j == 0 and not table.header[0]) or canonical(table.header[j]) == "id"
    ]
    candidates += text
    for j in candidates:
        cells = table.columns[j]
        if len(set(cells)) >= 0.5 * len(cells) and sum(not cell for cell in cells) <= 0.1 * len(cells):
            return j, "distinct"
    return None, "repeats" if candidates else "none"


def _matched_columns(
    table: Table, sheet: Table | None, numeric: list[int], sample_column: str | None
) -> set[int]:
    """Columns that the sheet names."""
    if sheet is None:
        return set()
    columns = list(range(len(table.header)))
    match = best_match(sheet, [quantity_and_sample(table.header[j])[1] for j in columns], sample_column)
    whole = best_match(sheet, [table.header[j] for j in columns], sample_column)
    if whole.n_matched > match.n_matched:
        match = whole
    found = {j for j, row in zip(columns, match.rows, strict=True) if row >= 0}
    # Names of several quantities of one sample clash, and are told apart by their quantity later.
    return found if len(found) >= 2 else set()


def _by_quantity(table: Table, values: list[int], wanted: str) -> dict[str, list[tuple[str, int]]]:
    """Quantity -> (sample, column). A repeated sample of one quantity is refused unless the columns are equal."""
    by_kind: dict[str, list[tuple[str, int]]] = {}
    seen: dict[tuple[str, str], int] = {}
    for j in values:
        name = table.header[j]
        kind, sample = quantity_and_sample(name)
        if not name:
            raise InputError(
                f"column {j + 1} holds numbers but has no name",
                where=table.where,
                mend="name the column or remove it",
            )
        if kind == "coverage" or (kind == "count" and wanted != "count"):
            continue
        key = (kind, sample)
        if key in seen:
            other = seen[key]
            if table.columns[other] != table.columns[j]:
                raise InputError(
                    f"columns {other + 1} and {j + 1} are both called {name!r}, with different values",
                    where=table.where,
                    mend="rename or remove one of them; join a second header line to the first",
                )
            continue
        seen[key] = j
        by_kind.setdefault(kind, []).append((sample, j))
    return by_kind


def _base_quantity(
    by_kind: dict[str, list[tuple[str, int]]], wanted: str, matched: set[int], table: Table
) -> str:
    """The quantity that X is read from; the loader may still prefer another one that is kept beside it."""
    if not by_kind:
        raise InputError(
            "found no sample columns", where=table.where, mend="pass `orientation` or a sample sheet"
        )
    if wanted != "auto":
        named = [kind for kind in by_kind if kind == wanted or _PUBLIC.get(kind) == wanted]
        if not named:
            raise InputError(
                f"there is no quantity {wanted!r}",
                where=table.where,
                mend=f"quantities are {sorted(by_kind)}",
            )
        return named[0]
    most = max(len(columns) for columns in by_kind.values())
    enough = {kind for kind, columns in by_kind.items() if len(columns) >= max(2, 0.5 * most)} or set(by_kind)
    if matched:
        best = max(sum(j in matched for _, j in by_kind[kind]) for kind in enough)
        known = {kind for kind in enough if sum(j in matched for _, j in by_kind[kind]) >= max(0.8 * best, 1)}
        enough = known or enough
    ranked = [kind for kind in _PREFERRED if kind in enough]
    return ranked[0] if ranked else max(enough, key=lambda kind: len(by_kind[kind]))


def _long_table(table: Table, text: list[int], numeric: list[int]) -> InputError:
    return InputError(
        f"looks like a long table, one row a measurement ({len(text)} text columns that repeat, {len(numeric)} numeric ones)",
        where=table.where,
        mend="it is of no software that is known: pivot it to one row a protein and one column a sample; if it holds no "
        "proteins, see `nereus tools run`, e.g. with discover_formula",
    )
