"""Names learnt from gated samples: right on new samples, silent on what was never gated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from nereus.errors import InputError
from nereus.tools import registry
from tests.tools.cytometry.planted import POPULATIONS, planted_cells
from tests.tools.cytometry.real_cells import gated_centres

transform, classify = registry.get("transform_cells"), registry.get("classify_cells")
TRAIN = ("s1", "s2", "s9", "s15")


def test_planted_populations_of_new_donors_are_named() -> None:
    cells = transform(planted_cells(n_donors=4, n_cells=300)).dataset()
    result = classify(cells, label="gate", seed=1)
    made = result.dataset().obs
    new = cells.obs["gate"].isna().to_numpy()
    assert (made["population"].astype(str)[new] == cells.obs["truth"][new]).mean() > 0.95
    assert not made["population_given"][new].any()
    assert result.values["accuracy"] > 0.95
    assert result.values["folds"] == 4
    assert (result.table("classes")["f1"] > 0.95).all()


def test_what_was_never_gated_stays_unknown() -> None:
    cells = transform(planted_cells(n_donors=4, n_cells=300)).dataset()
    cells.obs["gate"] = cells.obs["gate"].where(cells.obs["truth"] != "NK cells")
    made = classify(cells, label="gate", seed=1).dataset().obs
    nk = (cells.obs["truth"] == "NK cells").to_numpy()
    assert (made["population"].astype(str)[nk] == "unknown").mean() > 0.9
    assert (made["population"].astype(str)[~nk] == "unknown").mean() < 0.1


def test_one_gated_sample_cannot_be_judged() -> None:
    cells = transform(planted_cells(n_donors=2, n_cells=300)).dataset()
    result = classify(cells, label="truth", train=("d1 resting",), seed=1)
    assert result.values["accuracy"] is None
    assert any("one sample only" in text for text in result.warnings)
    assert result.table("samples").set_index("sample").loc["d2 resting", "role"] == "predicted"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"label": "no_such"}, "no column 'no_such'"),
        ({"label": "gate", "train": ("d9",)}, "unknown samples"),
        ({"label": "one"}, "populations have 20 gated cells"),
        ({"label": "nothing"}, "no cell has a value"),
    ],
)
def test_what_cannot_be_learnt(params: dict[str, object], message: str) -> None:
    cells = transform(planted_cells(n_donors=2, n_cells=60)).dataset()
    cells.obs["one"], cells.obs["nothing"] = "B cells", None
    with pytest.raises(InputError, match=message):
        classify(cells, **params)


def test_rare_gates_are_left_out_and_named() -> None:
    cells = transform(planted_cells(n_donors=2, n_cells=200)).dataset()
    gates = cells.obs["truth"].astype(object).copy()
    gates.iloc[:5] = "rare thing"
    cells.obs["gate"] = gates
    result = classify(cells, label="gate", seed=1)
    assert any("rare thing" in text for text in result.warnings)
    assert result.table("classes")["population"].tolist() == sorted(POPULATIONS)


# ------------------------------------------------------------------------------------------------- known truth


@pytest.mark.parametrize(
    ("left_out", "least_accuracy", "least_f1"),
    [((), 0.95, 0.95), (("ungated",), 0.92, 0.9), (("Monocytes", "ungated"), 0.94, 0.85)],
)
def test_gates_of_eight_centres(
    shared_data: Path, left_out: tuple[str, ...], least_accuracy: float, least_f1: float
) -> None:
    """Train on four samples of both regions, test on the others; also without gates that the truth has."""
    cells = transform(gated_centres(shared_data, 40_000)).dataset()
    truth = np.array(cells.obs["gate"].astype(str))
    cells.obs["gate"] = cells.obs["gate"].astype(object).where(~cells.obs["gate"].isin(left_out))
    result = classify(cells, label="gate", train=TRAIN, seed=1)
    test = ~cells.obs["sample"].isin(TRAIN).to_numpy()
    found = np.array(result.dataset().obs["population"].astype(str))[test]
    expected = np.where(np.isin(truth, ("ungated", *left_out)), "unknown", truth)[test]
    accuracy = float(np.mean(found == expected))
    assert accuracy > least_accuracy
    named = [gate for gate in ("Bcells", "CD4Tcells", "CD8Tcells", "Monocytes") if gate not in left_out]
    assert min(f1_score(expected == gate, found == gate) for gate in named) > least_f1
    # Forced to name every cell, the same data cannot be as right.
    known = expected != "unknown"
    assert accuracy > known.mean() + 0.1
