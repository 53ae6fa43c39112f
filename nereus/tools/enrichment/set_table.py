"""What over-representation and GSEA have in common: parameters, tables, near duplicates and notices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from nereus.memory.records import Scalar
from nereus.tools.base import Params, Result
from nereus.tools.enrichment.collections import COLLECTIONS
from nereus.tools.enrichment.gene_level import GeneLevel

SET_COLUMNS = (
    "set_id", "name", "collection", "n_set", "n_measured", "n_hits",
    "effect", "direction", "p", "q", "leading_edge",
)  # fmt: skip
MEMBER_COLUMNS = ("member", "set_id", "gene", "feature", "effect", "z", "p", "q", "hit")

MIN_MAPPING_RATE = 0.2
_NEAR_DUPLICATE = 0.5
_MAX_DRAWN = 60
_MAX_COMPARED = 400

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


def mark_near_duplicates(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """Add `cluster` and `representative`, so that a report need not tell one finding ten times.

    Significant sets are visited from the smallest p; a set joins the first representative of its direction
    with which its leading edge has a Jaccard index of at least 0.5, else it represents a cluster of its
    own. The same is done beyond the significant sets for as many as are likely to be shown; all others
    stand alone.

    Parameters
    ----------
    table
        Set table sorted by p, with `leading_edge` as genes joined by ";".
    level
        Level of q.
    """
    compared = max(int((table["q"] <= level).sum()), _MAX_DRAWN)
    leaders: list[tuple[str, str, frozenset[str]]] = []
    cluster: list[str] = []
    for place, row in enumerate(table[["set_id", "direction", "leading_edge"]].itertuples(index=False)):
        found = row.set_id
        if place < min(compared, _MAX_COMPARED * 10):
            genes = frozenset(filter(None, row.leading_edge.split(";")))
            for leader, direction, other in leaders[:_MAX_COMPARED]:
                if direction == row.direction and _jaccard(genes, other) >= _NEAR_DUPLICATE:
                    found = leader
                    break
            else:
                leaders.append((row.set_id, row.direction, genes))
        cluster.append(found)
    return table.assign(
        cluster=cluster, representative=[c == s for c, s in zip(cluster, table["set_id"], strict=True)]
    )


def _jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared) if shared else 0.0


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
    shown = table.head(_MAX_DRAWN)
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
