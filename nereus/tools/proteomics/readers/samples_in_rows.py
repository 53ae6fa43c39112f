"""Wide tables with samples in rows, and metadata of the samples beside the values."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.tools.proteomics.readers.accessions import feature_share, is_feature_id
from nereus.tools.proteomics.readers.annotation import contaminants, decoys, describe
from nereus.tools.proteomics.readers.column_names import is_metadata, names_samples
from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.numbers import Decimal, FloatArray, number_format, to_floats
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.recognise import canonical
from nereus.tools.proteomics.readers.sample_sheet import best_match, typed


def read_samples_in_rows(
    table: Table,
    sheet: Table | None,
    software: str,
    numeric: list[int],
    text: list[int],
    decimal: Decimal,
    named: int | None,
    sample_column: str | None,
) -> Quantification:
    """One row a sample. See `read_generic`."""
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
        level="protein" if feature_share(names) >= 0.3 else "generic",
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
        candidates = row_name_candidates(table, text)
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


def row_name_candidates(table: Table, text: list[int]) -> list[int]:
    """Columns that may name the rows."""
    first = [0] if 0 not in text else []
    return [*text[:6], *first]
