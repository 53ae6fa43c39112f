"""Symbols of proteins and of the proteins that peptides belong to; those of the file are kept."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd

from nereus.tools import registry

annotate = registry.get("annotate_genes")


def test_peptides_are_named_after_their_protein_group() -> None:
    var = pd.DataFrame(
        {"protein_group": ["P10636", "P62942;Q9XXX1", "", None], "gene": ["", "", "KEPT", ""]},
        index=["_PEPTIDEK_.2", "_GWEEGVAQ_.1", "_OTHERK_.2", "_LOSTK_.3"],
    )
    data = anndata.AnnData(np.ones((2, 4)), var=var)
    result = annotate(data)
    assert result.table()["gene"].tolist() == ["MAPT", "FKBP1A", "KEPT", ""]
    assert result.table()["feature"].tolist() == list(var.index)
    assert (result.values["n_filled"], result.values["organism"]) == (2, "human")
    assert data.var["gene"].tolist() == ["", "", "KEPT", ""]


def test_proteins_are_named_after_their_own_accessions() -> None:
    data = anndata.AnnData(np.ones((2, 2)), var=pd.DataFrame(index=["P10636", "no accession"]))
    assert annotate(data).table()["gene"].tolist() == ["MAPT", ""]
