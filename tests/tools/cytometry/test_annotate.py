"""Names of clusters: what fits is named, what fits nothing or two things is not."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools import registry
from nereus.tools.cytometry.population_table import columns_of, known_names, read_populations
from tests.tools.cytometry.planted import MARKERS, planted_cells
from tests.tools.cytometry.real_cells import bcr_stimulation, gated_centres

transform, cluster = registry.get("transform_cells"), registry.get("cluster_cells")
annotate = registry.get("annotate_clusters")


def clustered() -> anndata.AnnData:
    """Planted cells whose truth is their cluster."""
    cells = transform(planted_cells(n_donors=2, n_cells=300)).dataset()
    cells.obs["cluster"] = (
        cells.obs["truth"]
        .astype(str)
        .map({"CD4 T cells": "C1", "CD8 T cells": "C2", "B cells": "C3", "Monocytes": "C4", "NK cells": "C5"})
    )
    return cells


def names(result: object, data: anndata.AnnData) -> pd.Series:
    return result.table("populations").set_index("cluster")["population"]  # type: ignore[attr-defined]


def test_planted_populations_are_named_after_the_shipped_table() -> None:
    cells = clustered()
    result = annotate(cells)
    truth = cells.obs.groupby("cluster")["truth"].first()
    assert names(result, cells).to_dict() == truth.to_dict()
    assert (result.dataset().obs["population"].astype(str) == cells.obs["truth"].astype(str)).all()


def test_a_population_without_its_markers_stays_unknown() -> None:
    cells = clustered()[:, [name for name in MARKERS if name != "CD56"]].copy()
    found = names(annotate(cells), cells)
    assert found["C5"] == "unknown C5"
    assert found["C3"] == "B cells"


def test_two_populations_that_fit_alike_are_ambiguous() -> None:
    table = pd.DataFrame(
        {
            "population": ["Lymphocytes", "Helper", "Inducer", "Other"],
            "parent": ["", "Lymphocytes", "Lymphocytes", ""],
            "positive": ["CD3", "CD4", "CD4", "CD14"],
        }
    )
    result = annotate(clustered(), table)
    row = result.table("populations").set_index("cluster").loc["C1"]
    assert row["ambiguous"]
    assert row["population"] == "Lymphocytes"  # what both of them are
    orphan = table.assign(parent=["", "", "", ""])
    row = annotate(clustered(), orphan).table("populations").set_index("cluster").loc["C1"]
    assert row["ambiguous"]
    assert row["population"] == "unknown C1"


def test_a_subset_is_named_before_what_it_is_part_of() -> None:
    found = names(annotate(clustered()), clustered())
    assert found["C1"] == "CD4 T cells"
    table = pd.DataFrame({"population": ["T cells"], "positive": ["CD3"], "negative": ["CD19"]})
    assert names(annotate(clustered(), table), clustered())[["C1", "C2"]].tolist() == ["T cells", "T cells"]


def test_no_known_marker_gives_unknown_and_says_so() -> None:
    cells = clustered()
    cells.var_names = [f"ch{i}" for i in range(cells.n_vars)]
    result = annotate(cells)
    assert result.values["n_unknown"] == 5
    assert result.values["n_considered"] == 0
    assert any("no population of the table has its markers" in text for text in result.warnings)


def test_noise_of_an_absent_marker_names_nothing() -> None:
    cells = clustered()
    X = np.array(cells.X)
    X[:, MARKERS.index("CD56")] = np.random.default_rng(0).normal(0, 0.3, len(X))
    cells.X = X
    assert names(annotate(cells), cells)["C5"] == "unknown C5"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"population": ["A"]}), "no column 'positive'"),
        (pd.DataFrame({"population": ["A", "A"], "positive": ["CD3", "CD4"]}), "cannot be told apart"),
        (pd.DataFrame({"population": ["A"], "positive": [" ; "]}), "no positive marker"),
        (pd.DataFrame({"population": ["A"], "positive": ["CD3"], "parent": ["B"]}), "is no population"),
        (
            pd.DataFrame({"population": ["A", "B"], "positive": ["CD3", "CD4"], "parent": ["B", "A"]}),
            "its own ancestor",
        ),
        (pd.DataFrame({"population": [], "positive": []}), "lists no population"),
    ],
)
def test_tables_that_cannot_be_read(table: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_populations(table)


def test_antigens_are_found_by_gene_and_spelling() -> None:
    known = known_names(["MS4A1", "cd8a", "CD8B", "HLADR", "TCRyd", "x"], ["", "", "", "", "", "CD14"])
    assert columns_of("CD20", known) == [0]
    assert columns_of("CD8", known) == [1, 2]
    assert columns_of("HLA-DR", known) == [3]
    assert columns_of("TCRgd", known) == [4]
    assert columns_of("CD14", known) == [5]


def test_every_marker_of_the_shipped_table_is_written_one_way() -> None:
    populations = read_populations(None)
    written = {m for one in populations for group in (*one.positive, *one.negative) for m in group}
    plain: dict[str, set[str]] = {}
    for marker in written:
        plain.setdefault(marker.lower().replace("-", ""), set()).add(marker)
    assert all(len(forms) == 1 for forms in plain.values())


# ------------------------------------------------------------------------------------------------- known truth


def test_blood_of_a_public_panel(shared_data: Path) -> None:
    cells = transform(bcr_stimulation(shared_data)).dataset()
    result = annotate(cluster(cells, n_subsamples=2, seed=1).dataset())
    made = result.dataset()
    found = set(made.obs["population"].astype(str))
    # Populations that the authors named: B, NK, CD4 T, other T, monocytes. CD8 is not in the panel.
    assert {"B cells", "NK cells", "CD4 T cells", "T cells", "Monocytes"} <= found
    assert "CD8 T cells" not in found
    X = pd.DataFrame(np.asarray(made.X), columns=made.var_names)
    medians = X.groupby(made.obs["population"].astype(str).to_numpy()).median()
    assert medians["CD20"].idxmax() == "B cells"
    assert medians.loc["NK cells", "CD7"] > 3 > medians.loc["NK cells", "CD3"] + 2


def test_gates_of_eight_centres_by_a_table_of_its_channels(shared_data: Path) -> None:
    cells = transform(gated_centres(shared_data, 40_000)).dataset()
    table = pd.DataFrame(
        {
            "population": ["Bcells", "CD4Tcells", "CD8Tcells", "Monocytes"],
            "positive": ["ch0", "ch6;ch7", "ch6;ch5", "ch3"],
            "negative": ["ch6;ch3", "ch5;ch0;ch3", "ch7;ch0;ch3", "ch6;ch0"],
        }
    )
    made = annotate(cluster(cells, n_subsamples=2, seed=1).dataset(), table).dataset()
    truth, found = cells.obs["gate"].astype(str), made.obs["population"].astype(str)
    gated = (truth != "ungated").to_numpy()
    named = ~found.str.startswith("unknown").to_numpy()
    assert (truth[gated & named] == found[gated & named]).mean() > 0.97
    assert named[gated].mean() > 0.85
    # Cells in no gate are what stays unknown.
    assert named[~gated].mean() < 0.6
