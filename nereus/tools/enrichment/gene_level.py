"""One row a gene, from a test table with one row a feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from nereus.errors import InputError
from nereus.tools.enrichment.identifiers import map_genes

if TYPE_CHECKING:
    from anndata import AnnData

NEEDED = ("feature", "effect", "p")


@dataclass(frozen=True)
class GeneLevel:
    """Tested genes of one test table.

    Attributes
    ----------
    table
        ``gene, feature, effect, z, p, q``, highest z first. `z` is the two-sided p as a signed normal
        deviate.
    organism
        Organism that gene sets were chosen for.
    mapping_rate
        Share of tested features whose gene occurs in a gene set of the organism.
    n_features
        Features with a p-value: the background.
    n_merged
        Features left out because another feature of the same gene has the larger ``|z|``.
    """

    table: pd.DataFrame
    organism: str
    mapping_rate: float
    n_features: int
    n_merged: int


def signed_z(effect: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Signed normal deviates of two-sided p-values, so that tests of different kinds compare.

    Examples
    --------
    >>> signed_z(np.array([1.0, -2.0]), np.array([1.0, 0.05])).round(2).tolist()
    [0.0, -1.96]
    """
    z: np.ndarray = np.sign(effect) * np.abs(stats.norm.isf(np.clip(p, 1e-300, 1.0) / 2))
    return z


def gene_level(table: pd.DataFrame, dataset: AnnData | None = None, organism: str = "auto") -> GeneLevel:
    """Map features to genes and keep the feature with the largest ``|z|`` of each gene.

    Parameters
    ----------
    table
        Test table; needs ``feature, effect, p`` and uses ``gene`` and ``q`` where present.
    dataset
        Data set of the test: names the organism, and gives genes that the table lacks.
    organism
        ``auto``, or an organism.

    Raises
    ------
    InputError
        When a needed column is missing.
    """
    if lacking := [column for column in NEEDED if column not in table.columns]:
        raise InputError(
            f"columns {lacking} are missing",
            where="test table",
            mend="give the table of a test, one row a feature",
        )
    tested = table[np.isfinite(table["p"].astype(float)) & np.isfinite(table["effect"].astype(float))]
    features = tested["feature"].astype(str).tolist()
    genes = tested["gene"].fillna("").astype(str).tolist() if "gene" in tested else [""] * len(tested)
    if dataset is not None:
        if organism == "auto":
            organism = str(dataset.uns.get("nereus", {}).get("organism", "auto"))
        if "gene" in dataset.var:
            named = dataset.var["gene"].astype(str).to_dict()
            genes = [gene or named.get(feature, "") for feature, gene in zip(features, genes, strict=True)]
    mapping = map_genes(features, genes, organism)
    effect, p = tested["effect"].to_numpy(float), tested["p"].to_numpy(float)
    level = pd.DataFrame(
        {
            "gene": mapping.genes,
            "feature": features,
            "effect": effect,
            "z": signed_z(effect, p),
            "p": p,
            "q": tested["q"].to_numpy(float) if "q" in tested else stats.false_discovery_control(p),
        }
    )
    # Features without a gene stay in the background under their own name.
    level["gene"] = np.where(level["gene"] == "", level["feature"], level["gene"])
    level = level.assign(size=level["z"].abs(), upper=[str(gene).upper() for gene in level["gene"]])
    level = level.sort_values(["size", "feature"], ascending=[False, True], kind="stable").drop_duplicates(
        "upper"
    )
    # Equal z are ordered by effect, then by name, so that the ranking never depends on the order of the file.
    level = level.sort_values(["z", "effect", "gene"], ascending=[False, False, True], kind="stable")
    level = level.drop(columns=["size", "upper"]).reset_index(drop=True)
    return GeneLevel(level, mapping.organism, mapping.rate, len(tested), len(tested) - len(level))
