"""What the rows and columns of a data set are: proteins, peptides, sites, organelle fractions, pulldowns or cells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pandas as pd

from nereus.tools.proteomics.profile import words
from nereus.tools.statistics.levels import as_levels

if TYPE_CHECKING:
    from anndata import AnnData

DataKind = Literal["proteins", "peptides", "sites", "fractions", "pulldown", "cells", "genes", "generic"]

_BY_LEVEL: dict[str, DataKind] = {
    "protein": "proteins", "protein_group": "proteins", "proteins": "proteins",
    "peptide": "peptides", "precursor": "peptides", "psm": "peptides", "fragment": "peptides", "peptides": "peptides",
    "site": "sites", "ptm_site": "sites", "ptm": "sites", "sites": "sites", "phosphosite": "sites",
    "gene": "genes", "genes": "genes",
    "cell": "cells", "cells": "cells",
    "fraction": "fractions", "fractions": "fractions",
    "pulldown": "pulldown",
}  # fmt: skip
_SITE = re.compile(r"(?:^|[;_:|\- (])p?([STYKRCHDNM])(\d{1,5})(?:$|[;_:|\- )])")
_PEPTIDE = re.compile(r"^_?[ACDEFGHIKLMNPQRSTVWY]{6,}(?:[_.\[(].*)?$")
_SAMPLED = 400
"""Feature names that are looked at."""
_MOST = 0.6
"""Share of them that must look like sites or peptides."""
_NO_CLASS = frozenset(
    {"unknown", "unclassified", "none", "nan", "na", "n/a", "", "other", "undefined", "no marker"}
)
_CLASSES = (3, 40)
_CLASS_MEMBERS = 5


@dataclass(frozen=True)
class Kind:
    """What the data are, and how it was seen."""

    name: DataKind
    why: str


def kind_of(
    dataset: AnnData, facts: dict[str, object], organelles: pd.DataFrame, pulldowns: pd.DataFrame
) -> Kind:
    """The kind of the data set: from what the loader knows, else from the names of the features.

    Parameters
    ----------
    dataset
        As loaded.
    facts
        ``uns["nereus"]``.
    organelles, pulldowns
        Tables `organelle_table` and `pulldowns.pulldown_table`.
    """
    level = str(facts.get("level", "")).lower()
    said = _BY_LEVEL.get(level)
    if said in ("cells", "fractions", "pulldown"):
        return Kind(said, f"the reader says {level!r}")
    usable = organelles[organelles["testable"].astype(bool)] if len(organelles) else organelles
    if len(usable):
        row = usable.iloc[0]
        return Kind(
            "fractions", f"column {row['column']!r} of the features names {row['n_classes']} organelles"
        )
    sure = pulldowns[pulldowns["cue"] != "possible"] if len(pulldowns) else pulldowns
    if len(sure) and said in (None, "proteins", "genes"):
        return Kind(
            "pulldown", f"{sure.iloc[0]['factor']!r} holds baits and a control: {sure.iloc[0]['why']}"
        )
    names = [str(name) for name in dataset.var_names[:_SAMPLED]]
    if said in (None, "peptides", "proteins") and names:
        share = sum(_SITE.search(name) is not None for name in names) / len(names)
        if share >= _MOST:
            return Kind("sites", "the names of the features hold modified residues")
    if said is not None:
        return Kind(said, f"the reader says {level!r}")
    if names and sum(_PEPTIDE.match(name) is not None for name in names) / len(names) >= _MOST:
        return Kind("peptides", "the names of the features are sequences")
    space = str(facts.get("id_space", ""))
    if space in ("uniprot", "accession", "uniprot_accession"):
        return Kind("proteins", "the names of the features are protein accessions")
    if space in ("symbol", "gene_symbol", "ensembl"):
        return Kind("genes", "the names of the features are genes")
    return Kind("generic", "nothing says what the features are")


def organelle_table(dataset: AnnData) -> pd.DataFrame:
    """Columns of the features that name organelles: the markers of a spatial experiment.

    Returns
    -------
    pandas.DataFrame
        ``column, rank, n_classes, n_markers, n_unlabelled, classes, testable`` (three or more classes of five or more
        markers, and features without a label), ``why``; columns called markers first, then curated ones, of these the fullest.
    """
    rows = []
    for name in map(str, dataset.var.columns):
        said = set(words.tokens(name))
        if not said & words.ORGANELLE_COLUMN:
            continue
        labels = as_levels(dataset.var[name])
        labels = labels.where(~labels.str.lower().isin(_NO_CLASS), None)
        known = labels.dropna()
        sizes = known.value_counts()
        if not _CLASSES[0] <= len(sizes) <= _CLASSES[1]:
            continue
        members = int((sizes >= _CLASS_MEMBERS).sum())
        unlabelled = int(labels.isna().sum())
        enough = members >= _CLASSES[0] and unlabelled > 0
        why = (
            f"{members} classes with {_CLASS_MEMBERS} or more markers, {unlabelled} features without a label"
        )
        rows.append((name, 0, len(sizes), len(known), unlabelled, ";".join(sorted(sizes.index)), enough, why))
    names = ["column", "rank", "n_classes", "n_markers", "n_unlabelled", "classes", "testable", "why"]
    table = pd.DataFrame(rows, columns=names)
    curated = [
        0 if said & {"marker", "markers"} else 1 if "curated" in said else 2
        for said in (set(words.tokens(one)) for one in table["column"])
    ]
    table = table.assign(curated=curated).sort_values(
        ["testable", "curated", "n_markers", "column"],
        ascending=[False, True, False, True],
        kind="stable",
        ignore_index=True,
    )
    table["rank"] = range(1, len(table) + 1)
    return table[names]
