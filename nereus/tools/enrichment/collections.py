"""Openly licensed gene-set collections that ship with the package (sources: ``data/README.md``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from nereus.errors import PlanError, ToolError

DATA = Path(__file__).parent / "data"

COLLECTIONS: dict[str, tuple[str, ...]] = {
    "human": ("hallmark", "reactome", "wikipathways", "go_bp", "go_cc", "go_mf"),
    "mouse": ("wikipathways", "go_bp", "go_cc", "go_mf"),
}
"""Organism -> collections, in the order in which they are shown."""

_MAX_ONTOLOGY_DEPTH = 32


@dataclass(frozen=True)
class GeneSets:
    """All sets of one organism.

    Attributes
    ----------
    table
        One row a set: ``set_id, name, collection, n_set`` (n_set = genes in the whole set).
    genes
        Gene symbols, the columns of `members`.
    members
        Boolean sparse matrix, sets x genes. GO rows hold direct annotations.
    ancestors
        Boolean sparse matrix, sets x sets, with the diagonal: row i is true for the sets whose genes belong
        to set i. The identity outside GO; in GO the is-a and part-of descendants (true-path rule).
    """

    table: pd.DataFrame
    genes: tuple[str, ...]
    members: sparse.csr_matrix
    ancestors: sparse.csr_matrix


@dataclass(frozen=True)
class MeasuredSets:
    """Sets restricted to the genes that were measured, without duplicates.

    Attributes
    ----------
    table
        ``set_id, name, collection, n_set, n_measured, same_members``. Sets whose measured members are the
        same cannot be told apart by the data: the most specific one (smallest n_set) stands for all, and
        `same_members` lists the others.
    members
        Boolean sparse matrix, sets x the measured genes in the order in which they were asked for.
    """

    table: pd.DataFrame
    members: sparse.csr_matrix


@cache
def load_sets(organism: str) -> GeneSets:
    """All sets of an organism (``human`` or ``mouse``), read once.

    Raises
    ------
    PlanError
        When there are no sets for the organism.
    """
    if organism not in COLLECTIONS:
        raise PlanError(
            f"no gene sets for {organism!r}", mend=f"organisms with sets are {sorted(COLLECTIONS)}"
        )
    if not (DATA / "sets.parquet").is_file():
        raise ToolError(
            "the table of gene sets is missing",
            where=str(DATA / "sets.parquet"),
            mend="install the package again, which ships it",
        )
    sets = pd.read_parquet(DATA / "sets.parquet")
    rows = np.flatnonzero((sets["organism"] == organism).to_numpy())
    table = sets.iloc[rows][["set_id", "name", "collection", "n_set"]].reset_index(drop=True)
    table = table.astype({"set_id": str, "name": str, "collection": str, "n_set": int})
    pairs = pd.read_parquet(DATA / "members.parquet")
    pairs = pairs[(pairs["set"] >= rows[0]) & (pairs["set"] <= rows[-1])]
    named = pairs["gene"].astype("category").cat.remove_unused_categories().cat
    genes, columns = named.categories.astype(str), named.codes.to_numpy()
    place = (pairs["set"] - rows[0]).to_numpy()
    members = _boolean(place, columns, (len(table), len(genes)))
    return GeneSets(table, tuple(genes), members, _closure(table["set_id"].tolist()))


def _closure(set_ids: list[str]) -> sparse.csr_matrix:
    """Ancestor x descendant matrix with the diagonal, by repeated squaring."""
    place = pd.Series(range(len(set_ids)), index=set_ids)
    edges = pd.read_parquet(DATA / "go_parents.parquet").astype(str)
    edges = edges[edges["child"].isin(place.index) & edges["parent"].isin(place.index)]
    shape = (len(set_ids), len(set_ids))
    closure = _boolean(place[edges["parent"]].to_numpy(), place[edges["child"]].to_numpy(), shape)
    closure = (closure + sparse.identity(len(set_ids), dtype=bool, format="csr")).astype(bool)
    steps = 1
    while steps < _MAX_ONTOLOGY_DEPTH:
        closure = (closure @ closure).astype(bool)
        steps *= 2
    return closure


def _boolean(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.ones(len(rows), dtype=bool), (rows, columns)), shape=shape)


def choose(organism: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """Choose collections: those asked for, or all of the organism where ``auto`` is asked for.

    Raises
    ------
    PlanError
        When a collection does not exist for the organism.
    """
    available = COLLECTIONS.get(organism, ())
    if tuple(wanted) == ("auto",):
        return available
    if wrong := sorted(set(wanted) - set(available)):
        raise PlanError(f"no collections {wrong} for {organism!r}", mend=f"there are {list(available)}")
    return tuple(name for name in available if name in wanted)


@cache
def universe(organism: str) -> frozenset[str]:
    """Upper-case symbols of all genes that occur in any set of the organism."""
    return frozenset(_columns(organism))


@cache
def _columns(organism: str) -> Mapping[str, int]:
    """Column of each gene of an organism's sets, by upper-case symbol."""
    return {gene.upper(): i for i, gene in enumerate(load_sets(organism).genes)}


def measured_sets(
    organism: str, collections: Sequence[str], genes: Sequence[str], min_size: int, max_size: int
) -> MeasuredSets:
    """Restrict sets to measured genes and keep those of a testable size.

    Parameters
    ----------
    organism, collections
        Which sets.
    genes
        Measured gene symbols, unique; compared without regard to case.
    min_size, max_size
        Smallest and largest number of measured members.
    """
    sets = load_sets(organism)
    keep = np.flatnonzero(sets.table["collection"].isin(collections).to_numpy())
    columns = _columns(organism)
    found = [(i, columns[gene.upper()]) for i, gene in enumerate(genes) if gene.upper() in columns]
    pick = _boolean(
        np.array([column for _, column in found], dtype=int),
        np.array([i for i, _ in found], dtype=int),
        (len(sets.genes), len(genes)),
    )
    members = (sets.ancestors[keep] @ (sets.members @ pick)).astype(bool).tocsr()
    members.sort_indices()
    size = np.diff(members.indptr)
    fits = np.flatnonzero((size >= min_size) & (size <= max_size))
    table = sets.table.iloc[keep[fits]].reset_index(drop=True).assign(n_measured=size[fits].astype(int))
    members = members[fits]
    stands_for = _same_members(table, members)
    rows = np.array(sorted(stands_for), dtype=int)
    set_ids = table["set_id"].tolist()
    same = ["; ".join(set_ids[other] for other in others) for _, others in sorted(stands_for.items())]
    return MeasuredSets(table.iloc[rows].reset_index(drop=True).assign(same_members=same), members[rows])


def _same_members(table: pd.DataFrame, members: sparse.csr_matrix) -> dict[int, list[int]]:
    """Row that stands for a group of sets with equal measured members -> the other rows of the group."""
    groups: dict[bytes, list[int]] = {}
    for row in range(members.shape[0]):
        key = members.indices[members.indptr[row] : members.indptr[row + 1]].tobytes()
        groups.setdefault(key, []).append(row)
    n_set = table["n_set"].to_numpy()
    ordered = [sorted(group, key=lambda row: (n_set[row], row)) for group in groups.values()]
    return {group[0]: group[1:] for group in ordered}
