"""The scale of cells: told from the data, exact, and refused where it makes no sense."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from nereus.errors import InputError
from nereus.tools import registry
from nereus.tools.cytometry.marker_classes import class_of, marker_classes
from tests.tools.cytometry.planted import planted_cells
from tests.tools.cytometry.real_cells import bcr_stimulation, gated_spleen

transform = registry.get("transform_cells")


def test_arcsinh_of_markers_and_nothing_else() -> None:
    cells = planted_cells(n_donors=2, n_cells=50)
    result = transform(cells)
    made = result.dataset()
    assert result.values["cofactor"] == 5.0
    np.testing.assert_allclose(
        np.asarray(made.X)[:, :8], np.arcsinh(np.asarray(cells.X)[:, :8] / 5), rtol=1e-5
    )
    np.testing.assert_array_equal(np.asarray(made.X)[:, 8], np.asarray(cells.X)[:, 8])
    np.testing.assert_array_equal(np.asarray(made.layers["raw"]), np.asarray(cells.X))
    assert marker_classes(made) == ["lineage"] * 6 + ["state"] * 2 + ["technical"]


def test_instrument_is_told_from_the_data(shared_data: Path) -> None:
    assert transform(bcr_stimulation(shared_data)).values["cofactor"] == 5.0
    assert transform(gated_spleen(shared_data)).values["cofactor"] == 150.0


def test_logicle_separates_as_arcsinh_does(shared_data: Path) -> None:
    cells = gated_spleen(shared_data)
    made = np.asarray(transform(cells, method="logicle").dataset()[:, ["CD19"]].X).ravel()
    b_cells = (cells.obs["gate"] == "B cells").to_numpy()
    t_cells = (cells.obs["gate"] == "CD8 T cells").to_numpy()
    assert np.median(made[b_cells]) > np.quantile(made[t_cells], 0.95)


def test_counts_of_genes_are_log_counts_and_stay_sparse() -> None:
    counts = np.random.default_rng(0).poisson(0.4, (60, 300)).astype(float)
    result = transform(anndata.AnnData(sparse.csr_matrix(counts)))
    assert result.values["method"] == "log_counts"
    made = result.dataset().X
    assert sparse.issparse(made)
    total = counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(made.toarray(), np.log1p(counts / total * np.median(total)), rtol=1e-4)


def test_transformed_cells_are_kept_and_never_transformed_twice() -> None:
    once = transform(planted_cells(n_donors=2, n_cells=40)).dataset()
    again = transform(once)
    assert again.values["method"] == "none"
    assert again.warnings
    np.testing.assert_array_equal(np.asarray(again.dataset().X), np.asarray(once.X))
    with pytest.raises(InputError, match="transformed already"):
        transform(once, method="arcsinh")


def test_useless_markers_are_left_out_and_named() -> None:
    cells = planted_cells(n_donors=2, n_cells=40)
    X = np.array(cells.X)
    X[:, 3] = np.nan
    X[:, 5] = 7.0
    cells.X = X
    result = transform(cells)
    assert result.values["n_unusable"] == 2
    assert "CD19, CD56" in result.warnings[0]
    assert result.table().set_index("marker").loc[["CD19", "CD56"], "class"].tolist() == ["none", "none"]


@pytest.mark.parametrize(
    ("X", "params", "message"),
    [
        (np.array([[1.0, -2.0], [3.0, 4.0]]), {"method": "log_counts"}, "negative"),
        (np.full((3, 2), np.nan), {}, "every value is missing"),
        (np.full((3, 2), 5.0), {}, "no marker varies"),
        (np.array([[np.inf, 1.0], [2.0, 3.0]]), {}, "infinite"),
        (np.ones((3, 2)), {"lineage": ("CD99",)}, "unknown marker 'CD99'"),
        (np.ones((3, 2)), {"lineage": ("CD3",), "state": ("CD3",)}, "as lineage and as state"),
    ],
)
def test_what_cannot_be_transformed(X: np.ndarray, params: dict[str, object], message: str) -> None:
    cells = anndata.AnnData(X, var=pd.DataFrame(index=["CD3", "CD19"]))
    with pytest.raises(InputError, match=message):
        transform(cells, **params)


def test_only_technical_channels() -> None:
    cells = anndata.AnnData(np.ones((3, 2)), var=pd.DataFrame(index=["Time", "FSC-A"]))
    with pytest.raises(InputError, match="no channel is a marker"):
        transform(cells)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("CD45RA", "lineage"), ("HLA-DR", "lineage"), ("IL-7Ra", "lineage"), ("PD-1", "lineage"), ("pan-HLA", "lineage"),
        ("pSTAT5", "state"), ("p-ERK", "state"), ("pp38", "state"), ("Ki67", "state"), ("IFNg", "state"), ("TNFa", "state"),
        ("IL-17A", "state"),
        ("SSC-W", "technical"), ("Event_length", "technical"), ("Ir191Di", "technical"), ("BC102", "technical"),
        ("Bead", "technical"), ("L/D", "technical"), ("Live/Dead", "technical"),
    ],
)  # fmt: skip
def test_class_of_a_channel_by_name(name: str, kind: str) -> None:
    assert class_of(name) == kind


def test_the_panel_is_believed_before_the_name() -> None:
    var = pd.DataFrame(
        {"marker_class": ["state", "type", "none", None]}, index=["CD25", "pS6", "FSC-A", "CD3"]
    )
    assert marker_classes(anndata.AnnData(np.ones((2, 4)), var=var)) == [
        "state",
        "lineage",
        "technical",
        "lineage",
    ]


def test_detectors_without_an_antibody_are_no_markers() -> None:
    var = pd.DataFrame({"channel": ["PE-A", "APC-A", "FSC-A"]}, index=["CD4", "APC-A", "FSC-A"])
    assert marker_classes(anndata.AnnData(np.ones((2, 3)), var=var)) == ["lineage", "none", "technical"]
    bare = pd.DataFrame(
        {"channel": ["PE-A", "APC-A"]}, index=["PE-A", "APC-A"]
    )  # no channel is named: all may be meant
    assert marker_classes(anndata.AnnData(np.ones((2, 2)), var=bare)) == ["lineage", "lineage"]


def test_values_that_may_not_be_compensated_are_told() -> None:
    cells = planted_cells(n_donors=1, n_cells=60)
    cells.uns["nereus"] = {**cells.uns["nereus"], "spillover": True}
    assert any("spillover" in text for text in transform(cells).warnings)
