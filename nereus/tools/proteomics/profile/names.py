"""Groups read from the names of samples, when the sample sheet has nothing to compare."""

from __future__ import annotations

import re

import pandas as pd

from nereus.tools.proteomics.profile import words
from nereus.tools.proteomics.profile.columns import COMPARED, classify

_REPLICATE = re.compile(r"^(?:bio|tech)?(?:replicate|repl|rep|run|r|n|br|tr)?\d{1,3}$", re.IGNORECASE)
_TRAILING = re.compile(r"^(.*?[A-Za-z].*?)\d{1,3}$")
_EXTENSION = re.compile(r"(\.(raw|d|mzml|wiff|dia|thermo|htrms))+$", re.IGNORECASE)


def parts_of_names(names: list[str]) -> list[list[str]] | None:
    """Names cut at ``_ - .`` and blanks, when all then have equally many parts."""
    bare = [_EXTENSION.sub("", name.strip()).strip(" _.-") for name in names]
    for marks in (r"[\s_.\-]+", r"[\s_\-]+", r"[\s_]+", r"_+"):
        cut = [re.split(marks, name) for name in bare]
        if len({len(parts) for parts in cut}) == 1 and len(cut[0]) > 1:
            return cut
    return None


def columns_from_names(index: pd.Index, taken: set[str], max_levels: int) -> dict[str, pd.Series]:
    """Columns that the names' parts make: what varies, repeats, and is no replicate number.

    Parameters
    ----------
    index
        Sample names.
    taken
        Names of columns that exist.
    max_levels
        See `classify`.

    Returns
    -------
    dict
        Column name -> texts. Empty when the names tell no groups of two or more samples.

    Examples
    --------
    >>> found = columns_from_names(pd.Index(["WT_R1", "WT_R2", "KO_R1", "KO_R2"]), set(), 12)
    >>> {name: list(texts) for name, texts in found.items()}
    {'group': ['WT', 'WT', 'KO', 'KO']}
    """
    names = list(map(str, index))
    cut = parts_of_names(names)
    found: dict[str, pd.Series] = {}
    if cut is not None:
        for at in range(len(cut[0])):
            texts = [parts[at] for parts in cut]
            if 1 < len(set(texts)) <= len(names) / 2 and not all(_REPLICATE.match(text) for text in texts):
                found[f"name part {at + 1}"] = pd.Series(texts, index=index, dtype=object)
    if not found:
        stems = [_TRAILING.match(_EXTENSION.sub("", name)) for name in names]
        if all(stems):
            texts = [match[1].rstrip(" _.-") for match in stems if match]
            if 1 < len(set(texts)) <= len(names) / 2:
                found["name part 1"] = pd.Series(texts, index=index, dtype=object)
    if not found:
        return {}
    roles, _ = classify(pd.DataFrame(found, index=index), max_levels)
    kept = {
        column.name: column
        for column in roles
        if column.role in (*COMPARED, "batch") and not column.composite
    }
    if sum(column.role in COMPARED for column in kept.values()) == 0:
        return {}
    named: dict[str, pd.Series] = {}
    for name, column in kept.items():
        label = name
        if column.role in COMPARED and sum(one.role in COMPARED for one in kept.values()) == 1:
            label = "group" if "group" not in taken else name
        elif column.role == "batch":
            prefix = {words.tokens(level)[0] for level in column.levels if words.tokens(level)}
            label = next(iter(prefix)) if len(prefix) == 1 and not next(iter(prefix)).isdigit() else "batch"
        while label in taken or label in named:
            label += "_"
        named[label] = found[name]
    return named
