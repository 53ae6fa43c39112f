"""What over-representation and GSEA have in common: parameters, tables, results and notices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field
from scipy import sparse

from nereus.memory.records import Scalar
from nereus.tools.base import Params, Result
from nereus.tools.enrichment.collections import COLLECTIONS
from nereus.tools.enrichment.gene_level import GeneLevel
from nereus.tools.enrichment.representatives import MAX_DRAWN, mark_representatives

SET_COLUMNS = (
    "set_id", "name", "collection", "n_set", "n_measured", "n_hits",
    "effect", "direction", "p", "q", "leading_edge",
)  # fmt: skip
MEMBER_COLUMNS = ("member", "set_id", "gene", "feature", "effect", "z", "p", "q", "hit")

MIN_MAPPING_RATE = 0.2


Collection = Literal["auto", "hallmark", "reactome", "wikipathways", "go_bp", "go_cc", "go_mf"]


class SetParams(Params):
    """Parameters that both enrichment tools take."""

    collections: tuple[Collection, ...] = ("auto",)
    """Collections to test; ``auto`` takes all that exist for the organism."""
    organism: Literal["auto", "human", "mouse", "yeast", "rat", "unknown"] = "auto"
    """Organism of the data; ``auto`` reads it from the data set, the identifiers or how symbols are spelt."""
    min_size: int = Field(10, ge=2)
    """Smallest number of measured members of a set that is tested."""
    max_size: int = Field(500, ge=2)
    """Largest number of measured members of a set that is tested."""
    level: float = Field(0.05, gt=0, lt=1)
    """Level of the adjusted p-value at which sets are counted as significant."""


def refusal(
    genes: GeneLevel, extra_columns: Mapping[str, str], values: Mapping[str, Scalar]
) -> Result | None:
    """Return the result that says why no set can be tested, or None when sets can be tested."""
    if genes.n_features == 0:
        reason, text = "no_tests", "The test table holds no p-value, so there is nothing to rank."
    elif genes.organism not in COLLECTIONS:
        reason = "no_collections"
        text = (
            f"No gene sets ship for organism {genes.organism!r} (they do for {', '.join(COLLECTIONS)}), "
            "so enrichment was not tested."
        )
    elif genes.mapping_rate < MIN_MAPPING_RATE:
        reason = "low_mapping_rate"
        text = (
            f"Only {genes.mapping_rate:.1%} of {genes.n_features} features map to a gene of a "
            f"{genes.organism} gene set (at least {MIN_MAPPING_RATE:.0%} needed), so enrichment was not tested."
        )
    else:
        return None
    return empty_result(reason, text, genes, extra_columns, values)


def no_set_of_size(
    genes: GeneLevel,
    chosen: Sequence[str],
    params: SetParams,
    extra_columns: Mapping[str, str],
    values: Mapping[str, Scalar],
) -> Result:
    """Make the result that says that every set has too few or too many measured genes."""
    text = (
        f"No set of {', '.join(chosen)} has {params.min_size} to {params.max_size} of its genes among the "
        f"{len(genes.table)} tested genes, so enrichment was not tested."
    )
    return empty_result("no_set_of_size", text, genes, extra_columns, values)


def empty_result(
    reason: str, text: str, genes: GeneLevel, extra_columns: Mapping[str, str], values: Mapping[str, Scalar]
) -> Result:
    """Make a result without sets that says why; `extra_columns` maps the tool's columns to their dtype."""
    kinds = dict.fromkeys(SET_COLUMNS, "object") | dict.fromkeys(("effect", "p", "q"), "float64")
    kinds |= dict.fromkeys(("n_set", "n_measured", "n_hits"), "int64") | dict(extra_columns)
    members = dict.fromkeys(MEMBER_COLUMNS, "object") | dict.fromkeys(("effect", "z", "p", "q"), "float64")
    return Result(
        summary=text,
        values={
            "reason": reason,
            "organism": genes.organism,
            "mapping_rate": round(genes.mapping_rate, 6),
            "n_genes": len(genes.table),
            "n_sets_tested": 0,
            "n_significant": 0,
            "n_up": 0,
            "n_down": 0,
            **values,
        },
        tables={
            "sets": pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()}),
            "members": pd.DataFrame(
                {name: pd.Series(dtype=kind) for name, kind in (members | {"hit": "bool"}).items()}
            ),
        },
        warnings=(text,),
        complete=False,
        n_total=0,
        n_returned=0,
    )


@dataclass(frozen=True)
class RankedSets:
    """Tested sets in the order of their evidence.

    Attributes
    ----------
    table
        Set table, sorted, with `cluster` and `representative`.
    members
        Measured members of its first sets.
    n_significant, n_up, n_down
        Sets at the level, in all and by direction.
    n_clusters
        Clusters that hold one.
    """

    table: pd.DataFrame
    members: pd.DataFrame
    n_significant: int
    n_up: int
    n_down: int
    n_clusters: int

    def result(
        self,
        summary: str,
        genes: GeneLevel,
        chosen: Sequence[str],
        own_values: Mapping[str, Scalar],
        warnings: tuple[str, ...],
    ) -> Result:
        """Result of a tool that tested them; `own_values` are those that only it gives."""
        return Result(
            summary=summary,
            values={
                "reason": None,
                "organism": genes.organism,
                "collections": ", ".join(chosen),
                "mapping_rate": round(genes.mapping_rate, 6),
                "n_genes": len(genes.table),
                "n_merged_features": genes.n_merged,
                "n_sets_tested": len(self.table),
                "n_significant": self.n_significant,
                "n_up": self.n_up,
                "n_down": self.n_down,
                "n_clusters": self.n_clusters,
                **own_values,
            },
            tables={"sets": self.table, "members": self.members},
            warnings=warnings,
            n_total=len(self.table),
            n_returned=len(self.table),
        )


def ranked_sets(
    found: pd.DataFrame,
    members: sparse.csr_matrix,
    genes: pd.DataFrame,
    *,
    by: Sequence[str],
    level: float,
    counts: Sequence[str] = (),
) -> RankedSets:
    """Sort tested sets, and see which of them tell the same.

    Parameters
    ----------
    found
        Set table, one row a set, with `same_members`.
    members
        Their measured members, sets x genes.
    genes
        Gene-level table.
    by
        Columns to sort by.
    level
        Level of q.
    counts
        Columns of whole numbers, beside those of every set table.
    """
    order = found.sort_values(list(by), kind="stable").index.to_numpy()
    found = found.loc[order].reset_index(drop=True)
    found = mark_representatives(found[[*found.columns.drop("same_members"), "same_members"]], level)
    found = found.astype(dict.fromkeys(("n_set", "n_measured", "n_hits", *counts), "int64"))
    significant = found["q"] <= level
    up = significant & (found["direction"] == "up")
    shown = [members.indices[members.indptr[i] : members.indptr[i + 1]] for i in order[:MAX_DRAWN]]
    return RankedSets(
        found,
        member_table(found, shown, genes),
        int(significant.sum()),
        int(up.sum()),
        int((significant & ~up).sum()),
        int(found.loc[significant, "cluster"].nunique()),
    )


def member_table(table: pd.DataFrame, members: Sequence[np.ndarray], genes: pd.DataFrame) -> pd.DataFrame:
    """Measured members, with their effects, of the first sets of a table: what is drawn and cited.

    Parameters
    ----------
    table
        Set table, sorted; the first 60 rows are taken.
    members
        For each of its rows, the row numbers of the set's members in `genes`.
    genes
        Gene-level table.
    """
    shown = table.head(MAX_DRAWN)
    places = [np.sort(rows) for _, rows in zip(range(len(shown)), members, strict=False)]
    every = np.concatenate(places) if places else np.empty(0, dtype=int)
    set_ids = np.repeat(shown["set_id"].to_numpy(dtype=object), list(map(len, places)))
    edges = dict(zip(shown["set_id"], (set(edge.split(";")) for edge in shown["leading_edge"]), strict=True))
    whole = genes.iloc[every].reset_index(drop=True)
    symbols = whole["gene"].to_numpy(dtype=object)
    whole = whole.assign(
        member=[f"{set_id}|{gene}" for set_id, gene in zip(set_ids, symbols, strict=True)],
        set_id=set_ids,
        hit=[gene in edges[set_id] for set_id, gene in zip(set_ids, symbols, strict=True)],
    )
    return whole[list(MEMBER_COLUMNS)]
