"""Quality of events and samples: planted doublets and debris, odd samples, and real cells that are left alone."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools import registry
from nereus.tools.cytometry.gates import at_limit, beyond
from tests.tools.cytometry.planted import planted_cells
from tests.tools.cytometry.real_cells import gated_spleen

transform, quality = registry.get("transform_cells"), registry.get("cell_quality")


def scattered(n: int = 2000, seed: int = 0) -> anndata.AnnData:
    """Flow events: 40 doublets, 60 pieces of debris, 30 at the limit of CD3."""
    rng = np.random.default_rng(seed)
    height = rng.normal(80e3, 8e3, n)
    area = height * rng.normal(1.2, 0.03, n)
    area[:40] *= 1.9
    height[40:100], area[40:100] = height[40:100] * 0.03, area[40:100] * 0.03
    cd3 = np.exp(rng.normal(7, 1, n))
    cd3[100:130] = 262143.0
    obs = pd.DataFrame({"sample": np.repeat(["a", "b"], n // 2)}, index=[f"e{i}" for i in range(n)])
    var = pd.DataFrame(index=["FSC-A", "FSC-H", "CD3"])
    return anndata.AnnData(np.column_stack([area, height, cd3]).astype(np.float32), obs=obs, var=var)


def test_planted_events_are_found_and_left_out() -> None:
    cells = scattered()
    result = quality(cells)
    gates = result.table("gates").set_index("gate")["n_found"]
    assert 40 <= gates["doublets"] <= 42
    assert 60 <= gates["debris"] <= 62
    assert gates["limit"] == 30
    assert result.values["n_kept"] >= 1865
    kept = set(result.dataset().obs_names)
    assert not kept & {f"e{i}" for i in range(130)}
    marked = quality(cells, remove=False).dataset()
    assert marked.n_obs == cells.n_obs
    assert (marked.obs["quality"].iloc[:40] == "doublets").all()


def test_gates_work_on_raw_values_after_transformation() -> None:
    cells = scattered()
    assert quality(transform(cells).dataset()).values["n_limit"] == 30


def test_mass_cytometry_is_gated_by_dna() -> None:
    cells = planted_cells(n_donors=2, n_cells=400)
    X = np.array(cells.X)
    X[:12, 8] = 5 * np.sinh(8.0)
    X[12:20, 8] = 0.0
    cells.X = X
    result = quality(cells)
    assert 12 <= result.values["n_doublets"] <= 14
    assert 8 <= result.values["n_debris"] <= 10


def test_real_events_that_were_gated_are_kept(shared_data: Path) -> None:
    cells = gated_spleen(shared_data)
    result = quality(cells, remove=False)
    found = result.dataset().obs["quality"].astype(str) != "good"
    assert result.table("gates")["checked"].tolist() == [True, True, True]
    assert found[(cells.obs["gate"] != "Unlabeled").to_numpy()].mean() < 0.005


def test_a_gate_that_would_take_most_of_a_sample_is_not_applied() -> None:
    cells = scattered()
    X = np.array(cells.X)
    X[1000:1700, 2] = 262143.0
    cells.X = X
    result = quality(cells)
    assert any("would take most of b" in text for text in result.warnings)
    assert result.table("samples").set_index("sample").loc["b", "limit"] == 0.0


def test_small_and_odd_samples_are_told() -> None:
    cells = transform(planted_cells(n_donors=4, n_cells=200)).dataset()
    odd = (cells.obs["sample"] == "d2 resting").to_numpy()
    small = np.flatnonzero((cells.obs["sample"] == "d3 resting").to_numpy())
    X = np.array(cells.X)
    X[odd, :6] += 2.0
    cells.X = X
    cells = cells[np.setdiff1d(np.arange(cells.n_obs), small[40:])].copy()
    result = quality(cells, min_cells=100)
    table = result.table("samples").set_index("sample")
    assert table.index[table["outlier"]].tolist() == ["d2 resting"]
    assert table.index[table["small"]].tolist() == ["d3 resting"]
    assert quality(cells, min_cells=100, remove_small=True).dataset().obs["sample"].nunique() == 7


def test_equal_samples_are_not_odd() -> None:
    for seed in range(5):
        result = quality(
            transform(planted_cells(n_donors=4, n_cells=150, growth=0, state=0, seed=seed)).dataset()
        )
        assert result.values["n_outliers"] == 0


def test_limits_and_bulks() -> None:
    counts = np.concatenate([np.random.default_rng(0).poisson(3, 500), [40.0]])
    assert not at_limit(counts).any()
    assert not at_limit(np.zeros(50)).any()
    assert at_limit(np.concatenate([np.linspace(0, 900, 200), np.full(9, 1000.0)])).sum() == 9
    values, samples = np.array([1.0, 1.1, 0.9, 1.0, 9.0, np.nan]), np.zeros(6, dtype=np.intp)
    assert beyond(values, samples, 1).tolist() == [False] * 4 + [True, False]
    assert not beyond(np.ones(9), np.zeros(9, dtype=np.intp), 1).any()


@pytest.mark.parametrize(
    ("params", "message"),
    [({"sample": "file"}, "no column 'file'"), ({"gates": ("viability",)}, "unknown gates")],
)
def test_what_cannot_be_judged(params: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        quality(scattered(200), **params)


def test_no_event_is_left() -> None:
    with pytest.raises(InputError, match="no event is left"):
        quality(scattered(200), min_cells=1000, remove_small=True)
