"""Gene symbols and organism for features that the file names by accession only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from nereus.tools.base import Params, Result, tool
from nereus.tools.enrichment.identifiers import map_genes
from nereus.tools.proteomics.matrix import derive, described

if TYPE_CHECKING:
    from anndata import AnnData


class AnnotateParams(Params):
    """Parameters of `annotate_genes`."""

    organism: str = "auto"
    """``human``, ``mouse``, ``yeast``, or ``auto``: by vote of accessions, entry names and symbols."""


@tool(
    "annotate_genes",
    version="2",
    summary="Fill in gene symbols and the organism from accessions, offline.",
    outputs=("dataset:dataset", "table:genes"),
    seconds=0.5,
)
def annotate_genes(dataset: AnnData, params: AnnotateParams, *, seed: int) -> Result:
    """Give each feature a gene symbol where its file gives none.

    Symbols of the file are kept. Missing ones come from the UniProt and Ensembl identifiers in the feature's name, or
    in its protein group where it is a peptide, by the tables that ship with the package (human, mouse, yeast).

    Parameters
    ----------
    dataset
        Samples x features.
    params
        Organism, where it should not be detected.
    seed
        Not used: nothing is random.

    Returns
    -------
    Result
        The data set with ``var["gene"]`` completed and the organism in its description; table ``genes``:
        ``feature, gene, from_file``.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> data = anndata.AnnData(np.ones((2, 2)), var=pd.DataFrame(index=["P10636", "Q9XXX1"]))
    >>> from nereus.tools.proteomics.annotate import annotate_genes
    >>> annotate_genes(data).table()["gene"].tolist()
    ['MAPT', '']
    """
    features = [str(name) for name in dataset.var_names]
    given = [
        str(gene) if isinstance(gene, str) else ""
        for gene in dataset.var.get("gene", pd.Series("", dataset.var_names))
    ]
    mapping = map_genes(_accessions(dataset), given, params.organism)
    genes = [own or found for own, found in zip(given, mapping.genes, strict=True)]
    known = sum(bool(gene) for gene in genes)
    filled = known - sum(bool(gene) for gene in given)
    annotated = derive(dataset, f"annotate_genes: {filled} genes filled in, organism {mapping.organism}")
    annotated.var["gene"] = genes
    facts = described(annotated)
    if str(facts.get("organism", "unknown")) in ("", "unknown"):
        facts["organism"] = mapping.organism
        annotated.uns["nereus"] = facts
    table = pd.DataFrame({"feature": features, "gene": genes, "from_file": [bool(gene) for gene in given]})
    warnings: tuple[str, ...] = ()
    if not known:
        warnings = ("no feature has a gene symbol: sets of genes cannot be tested",)
    elif known < len(features):
        warnings = (f"{len(features) - known} features have no gene symbol: they keep their identifier",)
    return Result(
        summary=(
            f"{known} of {len(features)} features have a gene symbol, {filled} of them filled in; "
            f"organism {facts.get('organism', mapping.organism)}."
        ),
        values={
            "n_features": len(features),
            "n_with_gene": known,
            "n_filled": filled,
            "set_mapping_rate": mapping.rate,
            "organism": str(facts.get("organism", mapping.organism)),
        },
        tables={"genes": table},
        datasets={"dataset": annotated},
        warnings=warnings,
        n_total=len(features),
        n_returned=known,
        complete=known == len(features),
    )


def _accessions(dataset: AnnData) -> list[str]:
    """What names the protein of each feature: its group, where features are peptides, else its own name."""
    names = [str(name) for name in dataset.var_names]
    if "protein_group" not in dataset.var:
        return names
    groups = dataset.var["protein_group"].astype(object)
    return [
        str(group) if isinstance(group, str) and group else name
        for group, name in zip(groups, names, strict=True)
    ]
