"""From a quantification to a data set: remove, choose, scale, join the sample sheet, and say what it is."""

from __future__ import annotations

from collections import Counter

import anndata
import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.memory.records import Scalar
from nereus.tools.base import Params, Result, finite
from nereus.tools.proteomics.readers.accessions import id_space, main_organism
from nereus.tools.proteomics.readers.join_sheet import Joined
from nereus.tools.proteomics.readers.quantification import DATA_KIND, BoolArray, Quantification
from nereus.tools.proteomics.readers.values import choose_quantity, scaled

_TOTALS = frozenset({"total", "totals", "sum", "grand total", "mean", "average", "median"})
"""Names of rows that sum a table up, in lower case: spreadsheets end in them, and no feature is called so."""
_SHOWN = 3
_FEW = 6


class Drop(Params):
    """Rows that are removed, counted and reported in the table ``removed_rows``."""

    contaminant: bool = True
    """Groups led by a protein of the contaminant database."""
    shared_contaminant: bool = False
    """Also groups led by a protein of the sample that hold a contaminant with the same peptides."""
    reverse: bool = True
    """Reversed (decoy) sequences."""
    only_by_site: bool = True
    """Groups identified by a modified peptide only."""
    blank_channel: bool = False
    """Reporter channels that hold nothing (sample column ``blank``)."""


def assemble(
    q: Quantification,
    joined: Joined,
    drop: Drop,
    *,
    quantity: str,
    scale: str,
    zero_is_missing: str,
    max_missing: float,
    subject: str | None,
    layer: str,
    sheet_where: str | None,
) -> Result:
    """The loader's result. Parameters as those of `load_dataset`.

    Raises
    ------
    InputError
        Nothing is left, fewer than two samples, too many missing values, negative raw intensities.
    """
    warnings = list(q.notes)
    totals = [name for name in q.features if name.strip().rstrip(":").lower() in _TOTALS]
    if totals and q.orientation == "samples_in_columns":
        raise InputError(
            f"row {totals[0]!r} sums the others up: it is no feature", where=q.where, mend="delete the row"
        )
    kept, removed, counts = _removals(q, drop)
    if not kept.any():
        raise InputError(
            f"all {len(kept)} rows are contaminant, reverse or only-by-site rows",
            where=q.where,
            mend="pass `drop`",
        )
    n_shared = int(q.shared[kept].sum()) if q.shared is not None else 0
    if n_shared and not drop.shared_contaminant:
        warnings.append(
            f"{n_shared} groups are led by a protein of the sample and share peptides with a contaminant: kept "
            "(var column shared_contaminant; drop.shared_contaminant removes them)"
        )
    features, n_duplicates, duplicate_note = unique_ids([q.features[i] for i in np.flatnonzero(kept)])
    warnings += [duplicate_note] if duplicate_note else []
    var = q.var[kept].copy()
    if n_shared:
        assert q.shared is not None
        var["shared_contaminant"] = q.shared[kept].astype(float)
    var.index = pd.Index(features, dtype=object)
    warnings += joined.warnings
    rows, obs = _without_blanks(joined, drop, warnings)
    samples = [str(name) for name in obs.index]
    if len(samples) < 2:
        raise InputError(
            f"found {len(samples)} sample{'s' * (len(samples) != 1)}; a comparison needs at least two",
            where=q.where,
            mend="give a table with one column or row a sample (pass `orientation` or `quantity` if they were not found)",
        )
    quantities = {name: values[rows][:, kept] for name, values in q.quantities.items()}
    layers = {name: values[rows][:, kept] for name, values in q.layers.items()}
    name = choose_quantity(quantities, quantity, q.where, warnings)
    found = scaled(quantities[name], q, scale, zero_is_missing, samples, features, warnings)
    x = found.x
    missing_rate = float(np.isnan(x).mean())
    _check_missing(x, samples, missing_rate, max_missing, q.where, warnings)
    for other, values in quantities.items():
        if other != name and other in ("lfq", "intensity"):
            layers[other] = found.layer(values)

    organism = main_organism(var["organism"], len(features))
    space = id_space([str(p) or f for p, f in zip(var["protein"], features, strict=True)], list(var["gene"]))
    if space == "unknown" or (space == "panel" and not any(var["gene"])):
        warnings.append(
            "identifiers belong to no known name space (UniProt, gene symbols, Ensembl): enrichment is disabled"
        )
    if q.level == "generic" and len(features) <= _FEW:
        warnings.append(
            f"only {len(features)} features of no known kind: is this a sample sheet rather than the data?"
        )
    kind = q.data_kind or DATA_KIND[q.level]
    dataset = anndata.AnnData(X=x, obs=obs, var=var, layers=layers)
    history = [
        *q.history,
        f"loaded {q.where}: {q.software} {q.level} table, quantity {name}, {found.scale} values ({found.why})",
    ]
    if found.scale in ("raw", "ln", "log10"):
        history.append("log2 taken" if found.scale == "raw" else f"{found.scale} turned into log2")
    dataset.uns["nereus"] = {
        "software": q.software,
        "level": q.level,
        "data_kind": kind,
        "quantity": name,
        "scale": "log2" if q.level != "cell" else q.facts.get("scale", "raw"),
        "scale_found": found.scale,
        "zero_is_missing": bool(found.zero_missing),
        "id_space": space,
        "organism": organism,
        "orientation": q.orientation,
        "layer": layer,
        "group_guessed": bool(joined.values["group_guessed"]),
        **q.facts,
        "history": history,
    }
    if subject is not None:
        if subject not in obs.columns:
            raise InputError(
                f"there is no column {subject!r}",
                where=sheet_where or q.where,
                mend=f"columns are {list(obs.columns)[:12]}",
            )
        dataset.uns["nereus"]["subject"] = subject
    found_values: dict[str, Scalar] = {
        "software": q.software,
        "level": q.level,
        "data_kind": kind,
        "quantity": name,
        "orientation": q.orientation,
        "n_features": len(features),
        "n_samples": int(obs["sample"].nunique()) if q.level == "cell" and "sample" in obs else len(samples),
        "n_proteins_named": _n_named(var),
        "n_missing": int(np.isnan(x).sum()),
        "missing_rate": finite(missing_rate),
        **counts,
        "n_shared_contaminant": n_shared,
        "n_duplicate_ids": n_duplicates,
        "n_blank_channels": int(obs["blank"].sum()) if "blank" in obs.columns else 0,
        "n_plexes": int(obs["plex"].nunique()) if "plex" in obs.columns else 0,
        "already_log2": found.scale not in ("raw", "as stored"),
        "scale_found": found.scale,
        "zero_is_missing": bool(found.zero_missing),
        "organism": organism,
        "id_space": space,
        **({"n_cells": len(samples)} if q.level == "cell" else {}),
        **joined.values,
    }
    n_removed = sum(int(c or 0) for c in counts.values())
    summary = (
        f"{q.software} {q.level} table: {len(features)} features x {len(samples)} samples, quantity {name}, "
        f"{'log2 taken' if found.scale == 'raw' else f'already {found.scale}'}, {missing_rate:.1%} missing, "
        f"{n_removed} rows removed, organism {organism}."
    )
    return Result(
        summary=summary,
        values=found_values,
        tables={"removed_rows": removed, "sample_match": joined.table},
        datasets={"dataset": dataset},
        warnings=tuple(dict.fromkeys(warnings)),
        n_total=len(q.features),
        n_returned=len(features),
    )


def _without_blanks(joined: Joined, drop: Drop, warnings: list[str]) -> tuple[list[int], pd.DataFrame]:
    rows, obs = joined.rows, joined.obs
    if not drop.blank_channel or "blank" not in obs.columns:
        return rows, obs
    blank = obs["blank"].to_numpy(dtype=bool)
    names = [str(name) for name in obs.index[blank]]
    warnings.append(f"{len(names)} blank channels removed: {names[:_SHOWN]}")
    return [row for row, gone in zip(rows, blank, strict=True) if not gone], obs[~blank].drop(columns="blank")


def _check_missing(
    x: np.ndarray, samples: list[str], missing_rate: float, limit: float, where: str, warnings: list[str]
) -> None:
    if missing_rate > limit:
        raise InputError(
            f"{missing_rate:.0%} of the values are missing (limit {limit:.0%})",
            where=where,
            mend="filter features with few values, choose another `quantity`, or raise max_missing",
        )
    empty = np.isnan(x).all(axis=1)
    if not empty.any():
        return
    gone = [samples[i] for i in np.flatnonzero(empty)]
    if len(gone) > len(samples) - 2:
        raise InputError(
            f"samples {gone[:_SHOWN]} have no values", where=where, mend="choose another `quantity`"
        )
    warnings.append(f"{len(gone)} samples have no values at all: {gone[:_SHOWN]}")


def _removals(q: Quantification, drop: Drop) -> tuple[BoolArray, pd.DataFrame, dict[str, Scalar]]:
    """Which features stay, the table of those that go, and their counts by reason (each row counted once)."""
    none = np.zeros(len(q.features), dtype=bool)
    reasons = (
        ("reverse", q.reverse if drop.reverse and q.reverse is not None else none),
        ("contaminant", q.contaminant if drop.contaminant and q.contaminant is not None else none),
        ("shared_contaminant", q.shared if drop.shared_contaminant and q.shared is not None else none),
        ("only_by_site", q.by_site if drop.only_by_site and q.by_site is not None else none),
    )
    kept: BoolArray = ~none
    rows: list[tuple[str, str]] = []
    counts: dict[str, Scalar] = {}
    for reason, flags in reasons:
        gone = flags & kept
        kept = kept & ~flags
        rows += [(q.features[i], reason) for i in np.flatnonzero(gone)]
        if reason != "shared_contaminant" or drop.shared_contaminant:
            counts[f"n_removed_{reason}"] = int(gone.sum())
    table = pd.DataFrame(rows, columns=["feature", "reason"], dtype=object)
    table["feature"] = unique_ids(list(table["feature"]))[0]
    return kept, table, counts


def unique_ids(ids: list[str]) -> tuple[list[str], int, str]:
    """Ids made unique by ``~2``, ``~3`` behind the repeats; how many repeat; and a note that says so."""
    seen: Counter[str] = Counter()
    taken = set(ids)
    result = []
    for identifier in ids:
        seen[identifier] += 1
        name = identifier
        number = seen[identifier]
        while number > 1 and (name := f"{identifier}~{number}") in taken:
            number += 1
        taken.add(name)
        result.append(name)
    repeated = [identifier for identifier, count in seen.items() if count > 1]
    n = sum(seen[identifier] - 1 for identifier in repeated)
    if not n:
        return result, 0, ""
    return (
        result,
        n,
        f"{n} duplicate feature ids (first: {repeated[:_SHOWN]}): all rows kept, repeats named with ~2, ~3 ...",
    )


def _n_named(var: pd.DataFrame) -> int | None:
    """Features whose protein is named; None where there is no such column."""
    column = next((name for name in ("protein_group", "protein") if name in var), None)
    return None if column is None else int(var[column].fillna("").astype(str).str.strip().ne("").sum())
