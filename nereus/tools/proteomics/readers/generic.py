"""Wide tables of any origin: features in rows or samples in rows, with annotation or metadata beside the values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.readers.accessions import is_feature_id
from nereus.tools.proteomics.readers.annotation import contaminants, decoys, describe, flag
from nereus.tools.proteomics.readers.column_names import (
    gene_column,
    is_annotation,
    is_metadata,
    names_features,
    names_samples,
    other_id_columns,
    peptide_column,
    protein_columns,
    quantity_and_sample,
)
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.diann import RUN_SUFFIX, run_names
from nereus.tools.proteomics.readers.numbers import (
    Decimal,
    FloatArray,
    number_format,
    numeric_share,
    to_floats,
)
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.recognise import canonical
from nereus.tools.proteomics.readers.sample_sheet import best_match, typed

_NUMERIC = 0.3
"""Share of number-like cells from which a column is meant to be numeric, so that its other cells are errors."""
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


def read_generic(
    table: Table,
    sheet: Table | None,
    *,
    software: str = "generic",
    orientation: str = "auto",
    decimal: Decimal = "auto",
    feature_column: str | None = None,
    sample_column: str | None = None,
    quantity: str = "auto",
) -> Quantification:
    """A wide table as it is.

    Parameters
    ----------
    table
        Cells.
    sheet
        Cells of the sample sheet, which settles the orientation and which columns are samples.
    software
        What to call the origin.
    orientation
        ``auto``, ``samples_in_rows`` or ``samples_in_columns``.
    decimal
        Decimal sign.
    feature_column
        Name of the column that names the rows.
    sample_column
        Name of the sheet's id column.
    quantity
        The quantity that is asked for, where column names hold several.

    Raises
    ------
    InputError
        No numeric columns, an orientation that cannot be told, text in a numeric column, repeated sample names.
    """
    shares = [numeric_share(column) for column in table.columns]
    numeric = [j for j, (share, seen) in enumerate(shares) if seen and share >= _NUMERIC]
    text = [j for j, (share, seen) in enumerate(shares) if seen and share < _NUMERIC]
    if not [j for j in numeric if not is_annotation(table.header[j])]:
        n_annotation = len(numeric)
        beside = f" beside {n_annotation} that describe features" if n_annotation else ""
        raise InputError(
            f"found 0 numeric columns of {len(table.header)} that could be samples{beside}"
            if n_annotation
            else f"found 0 numeric columns of {len(table.header)}",
            where=table.where,
            mend="pass `orientation` or `separator`, and check the decimal sign",
        )
    named = None
    if feature_column is not None:
        found = [j for j, name in enumerate(table.header) if name == feature_column]
        if not found:
            raise InputError(
                f"there is no column {feature_column!r}",
                where=table.where,
                mend=f"columns are {table.header[:12]}",
            )
        named = found[0]
    if orientation == "auto":
        orientation = _orientation(table, sheet, numeric, text, sample_column)
    if orientation == "samples_in_columns":
        return _samples_in_columns(
            table, sheet, software, numeric, text, decimal, named, sample_column, quantity
        )
    return _samples_in_rows(table, sheet, software, numeric, text, decimal, named, sample_column)


# ------------------------------------------------------------------------------------------------ orientation


def _orientation(
    table: Table, sheet: Table | None, numeric: list[int], text: list[int], sample_column: str | None
) -> str:
    """Where the samples are: by the sheet, by identifiers, by the words of the header, by the shape; else refuse."""
    header = table.header
    if sheet is not None:
        in_columns = best_match(
            sheet, [quantity_and_sample(header[j])[1] for j in numeric], sample_column
        ).n_matched
        in_rows = max(
            (
                best_match(sheet, table.columns[j], sample_column).n_matched
                for j in _row_name_candidates(table, text)
            ),
            default=0,
        )
        if in_columns > in_rows and in_columns >= 2 and _feature_share([header[j] for j in numeric]) >= 0.5:
            raise InputError(
                f"names proteins ({in_columns} columns of the table), not samples",
                where=sheet.where,
                mend="give the sheet with one row a sample",
            )
        if in_columns != in_rows and max(in_columns, in_rows) >= 2:
            return "samples_in_columns" if in_columns > in_rows else "samples_in_rows"
    share_rows = max((_feature_share(table.columns[j]) for j in text), default=0.0)
    share_columns = _feature_share([header[j] for j in numeric])
    if max(share_rows, share_columns) >= 0.3 and min(share_rows, share_columns) < 0.3:
        return "samples_in_columns" if share_rows > share_columns else "samples_in_rows"
    if sum(quantity_and_sample(header[j])[0] != "value" for j in numeric) >= max(2, 0.3 * len(numeric)):
        return "samples_in_columns"
    words = [header[j] for j in text] or [header[0]]
    if names_samples(words[0]) and not any(map(names_features, words)):
        return "samples_in_rows"
    if any(map(names_features, words)) and not names_samples(words[0]):
        return "samples_in_columns"
    names = table.columns[text[0]] if text else []
    stems_columns = _stem_share([header[j] for j in numeric])
    stems_rows = _stem_share(names)
    if abs(stems_columns - stems_rows) > 0.5 and len(numeric) >= 4 and table.n_rows >= 4:
        return "samples_in_columns" if stems_columns > stems_rows else "samples_in_rows"
    if table.n_rows >= 3 * len(numeric):
        return "samples_in_columns"
    if len(numeric) >= 3 * table.n_rows:
        return "samples_in_rows"
    raise InputError(
        f"cannot tell whether samples are the {len(numeric)} numeric columns or the {table.n_rows} rows",
        where=table.where,
        mend="pass orientation='samples_in_columns' or 'samples_in_rows', or a sample sheet",
    )


def _feature_share(names: Sequence[str]) -> float:
    return sum(map(is_feature_id, names)) / max(len(names), 1)


def _stem_share(names: Sequence[str]) -> float:
    """Share of names that differ from another one by their last number only, as sample names do."""
    stems = Counter(re.sub(r"\d+$", "", name) for name in names)
    return sum(stems[re.sub(r"\d+$", "", name)] > 1 and name[-1:].isdigit() for name in names) / max(
        len(names), 1
    )


def _row_name_candidates(table: Table, text: list[int]) -> list[int]:
    first = [0] if 0 not in text else []
    return [*text[:6], *first]


# ------------------------------------------------------------------------------------------ samples in columns


def _samples_in_columns(
    table: Table,
    sheet: Table | None,
    software: str,
    numeric: list[int],
    text: list[int],
    decimal: Decimal,
    named: int | None,
    sample_column: str | None,
    quantity: str,
) -> Quantification:
    header, notes = table.header, list(table.notes)
    gene = gene_column(header)
    peptide = _peptide_ids(table)
    ids, how = _id_column(table, text, named, peptide, gene)
    matched = _matched_columns(table, sheet, numeric, sample_column)
    values = [j for j in numeric if j != ids and (j in matched or not is_annotation(header[j]))]
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
    if base == "value" and not matched:
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
    groups = table.columns[protein] if is_peptide and protein is not None else features
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
    level = "peptide" if is_peptide else "gene" if ids is not None and ids == gene else "protein"
    if ids is None or (level == "protein" and protein is None and _feature_share(features) < 0.3):
        level = "generic"
    return Quantification(
        software=software,
        level=level,  # type: ignore[arg-type]
        orientation="samples_in_columns",
        samples=run_names(samples) if all(map(RUN_SUFFIX.search, samples)) else samples,
        features=list(features),
        quantities=quantities,
        var=var,
        contaminant=contaminant,
        shared=shared,
        reverse=decoys(prefixed, flag(_flag_cells(table, ("reverse", "decoy", "is_decoy")), table.n_rows)),
        notes=notes,
        where=table.where,
    )


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
        mend="of long tables only DIA-NN reports are supported yet: pivot it to one row a protein and one column a sample",
    )


# --------------------------------------------------------------------------------------------- samples in rows


def _samples_in_rows(
    table: Table,
    sheet: Table | None,
    software: str,
    numeric: list[int],
    text: list[int],
    decimal: Decimal,
    named: int | None,
    sample_column: str | None,
) -> Quantification:
    header, notes = table.header, list(table.notes)
    ids = named if named is not None else _sample_ids(table, sheet, text, sample_column)
    if ids is None:
        samples = [f"sample_{i + 1}" for i in range(table.n_rows)]
        notes.append("there is no column of sample names: samples are numbered")
    else:
        samples = table.columns[ids]
    if "" in samples:
        raise InputError(
            "the row has no sample name",
            where=f"{table.where}, row {table.lines[samples.index('')]}",
            mend="fill it in or delete the row",
        )
    # Where nearly all columns are named by identifiers, the numbers before and after them describe the samples.
    named_by_ids = [j for j in numeric if is_feature_id(header[j])]
    mostly_ids = len(named_by_ids) >= max(0.8 * len(numeric), 2)
    first, last = (named_by_ids[0], named_by_ids[-1]) if mostly_ids else (0, 0)
    filled = set(numeric) | set(text)
    metadata = [j for j in text if j != ids]
    features: list[int] = []
    for j in range(len(header)):
        if j == ids or j in metadata:
            continue
        if j not in filled:
            if header[j] and not is_metadata(header[j]):
                features.append(j)
        elif header[j] and (is_metadata(header[j]) or (mostly_ids and not first <= j <= last)):
            metadata.append(j)
        else:
            features.append(j)
    if not [j for j in features if j in filled]:
        raise InputError(
            f"found 0 numeric feature columns of {len(header)}", where=table.where, mend="pass `orientation`"
        )
    if unnamed := [j for j in features if not header[j]]:
        raise InputError(
            f"column {unnamed[0] + 1} holds numbers but has no name",
            where=table.where,
            mend="name the column or remove it",
        )
    form = number_format(table, [j for j in features if j in filled], decimal)
    values: FloatArray = np.stack([to_floats(table, j, form) for j in features], axis=1)
    index = pd.Index(samples, dtype=object)
    repeated = [name for name, count in Counter(header[j] for j in metadata).items() if count > 1]
    if repeated:
        raise InputError(f"several columns are called {repeated[0]!r}", where=table.where, mend="rename them")
    obs = pd.DataFrame(
        {header[j] or f"column_{j + 1}": typed(table, j).set_axis(index) for j in sorted(metadata)},
        index=index,
    )
    if metadata:
        notes.append(
            f"columns beside the values kept as sample metadata: {[header[j] for j in sorted(metadata)][:6]}"
        )
    names = [header[j] for j in features]
    return Quantification(
        software=software,
        level="protein" if _feature_share(names) >= 0.3 else "generic",
        orientation="samples_in_rows",
        samples=list(samples),
        features=names,
        quantities={"value": values},
        var=describe(names),
        obs=obs,
        contaminant=contaminants(names, np.zeros(len(names), dtype=bool))[0],
        reverse=decoys(names, np.zeros(len(names), dtype=bool)),
        notes=notes,
        where=table.where,
    )


def _sample_ids(table: Table, sheet: Table | None, text: list[int], sample_column: str | None) -> int | None:
    if sheet is not None:
        candidates = _row_name_candidates(table, text)
        matches = {j: best_match(sheet, table.columns[j], sample_column).n_matched for j in candidates}
        best = max(matches, key=lambda j: (matches[j], -j), default=None)
        if best is not None and matches[best] >= 2:
            return best
    for j in [0, *text]:
        cells = table.columns[j]
        whole = all(re.fullmatch(r"-?\d+\.\d+", cell) is None for cell in cells)
        named = (
            j in text
            or not table.header[j]
            or names_samples(table.header[j])
            or canonical(table.header[j]) in ("id", "index")
        )
        if named and whole and len(set(cells)) == len(cells):
            return j
    # Names that repeat are still names: the loader refuses them and says so.
    return text[0] if text and len(set(table.columns[text[0]])) >= 0.5 * table.n_rows else None
