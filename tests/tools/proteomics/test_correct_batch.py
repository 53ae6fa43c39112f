from __future__ import annotations

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools.base import SourceFile
from nereus.tools.proteomics.batch_model import centred, fit_batches, shrunken
from nereus.tools.proteomics.correct_batch import correct_batch
from nereus.tools.proteomics.normalise import normalise
from nereus.tools.statistics.batch import share_beyond
from nereus.tools.statistics.differential import differential_abundance
from nereus.tools.statistics.pca import principal_components

REFERENCE = Path(__file__).parents[2] / "data" / "batch" / "reference.json"


def batches(p: int = 150, missing: float = 0.0) -> anndata.AnnData:
    rng = np.random.default_rng(2)
    batch, group = np.repeat([0, 1, 2], 6), np.tile([0, 0, 0, 1, 1, 1], 3)
    group[:2] = 1
    X = rng.normal(22, 2, p) + rng.normal(0, 1, (3, p))[batch] + rng.normal(0, 0.3, (18, p))
    X[group == 1, :15] += 2
    X[rng.random(X.shape) < missing] = np.nan
    obs = pd.DataFrame(
        {"batch": [f"B{b}" for b in batch], "group": [f"g{g}" for g in group], "age": rng.normal(50, 9, 18)},
        index=[f"s{i}" for i in range(18)],
    )
    return anndata.AnnData(X, obs=obs)


def test_combat_and_centring_are_those_of_r() -> None:
    told = json.loads(REFERENCE.read_text())
    data, expected = told["data"], told["expected"]
    codes, protect = np.array(data["batch"]), np.array(data["group"], float)[:, None]
    X = np.array(data["complete"], float)
    model = fit_batches(X, codes, protect)
    np.testing.assert_allclose(shrunken(X, codes, model), np.array(expected["complete"]["combat"]), atol=1e-8)
    plain = fit_batches(X, codes, np.empty((len(X), 0)))
    np.testing.assert_allclose(
        shrunken(X, codes, plain), np.array(expected["complete"]["combat_plain"]), atol=1e-8
    )
    for kind in ("complete", "gaps"):
        X = np.array(data[kind], float)
        ours = centred(X, codes, fit_batches(X, codes, protect))
        theirs = np.array(expected[kind]["remove"], float)
        # limma keeps the plain mean of the batches, this the mean over samples: a constant for each feature.
        np.testing.assert_allclose(
            ours - np.nanmean(ours, axis=0), theirs - np.nanmean(theirs, axis=0), atol=1e-8, err_msg=kind
        )


@pytest.mark.parametrize("method", ["combat", "centre"])
@pytest.mark.parametrize("missing", [0.0, 0.25])
def test_batches_go_and_groups_stay(method: str, missing: float) -> None:
    data = batches(missing=missing)
    X = np.asarray(data.X).copy()
    result = correct_batch(data, batch="batch", factors=["group"], covariates=["age"], method=method)
    made = np.asarray(result.dataset().X)
    np.testing.assert_array_equal(np.isnan(made), np.isnan(X))
    np.testing.assert_array_equal(np.asarray(data.X), X)
    assert result.values["spread_before"] > 0.7 > 0.2 > result.values["spread_after"]
    group = data.obs["group"].to_numpy()
    effect = np.nanmean(made[group == "g1"], axis=0) - np.nanmean(made[group == "g0"], axis=0)
    assert abs(np.median(effect[:15]) - 2) < 0.15
    assert abs(np.median(effect[15:])) < 0.05
    naked = np.asarray(correct_batch(data, batch="batch", method=method).dataset().X)
    lost = np.nanmean(naked[group == "g1"], axis=0) - np.nanmean(naked[group == "g0"], axis=0)
    assert np.median(lost[:15]) < np.median(effect[:15])


def test_nothing_to_find_stays_nothing() -> None:
    """Without a batch effect, shrinkage leaves the matrix nearly alone, and centring moves it more."""
    rng = np.random.default_rng(9)
    X = rng.normal(20, 1, (12, 400))
    obs = pd.DataFrame({"batch": list("pq" * 6)}, index=[f"s{i}" for i in range(12)])
    moved = {
        method: np.abs(np.asarray(correct_batch(anndata.AnnData(X, obs=obs), batch="batch", method=method,
                                                **({"scale": False} if method == "combat" else {})).dataset().X) - X).mean()
        for method in ("combat", "centre")
    }  # fmt: skip
    assert moved["combat"] < 0.5 * moved["centre"]


def test_a_feature_whose_batches_cannot_be_told_apart_stays() -> None:
    data = batches()
    X = np.asarray(data.X)
    keep = ((data.obs["batch"] == "B0") & (data.obs["group"] == "g1")) | (
        (data.obs["batch"] == "B1") & (data.obs["group"] == "g0")
    )
    X[~keep.to_numpy(), 3] = np.nan
    X[data.obs["batch"].to_numpy() != "B2", 4] = np.nan
    X[:, 5] = np.nan
    for method in ("combat", "centre"):
        result = correct_batch(data, batch="batch", factors=["group"], method=method)
        made, table = np.asarray(result.dataset().X), result.table("features")
        assert table["status"].tolist()[3:6] == ["inseparable", "one batch", "absent"]
        np.testing.assert_array_equal(made[:, 3], X[:, 3])
        np.testing.assert_allclose(made[:, 4], X[:, 4])
        assert any("left as they are" in text for text in result.warnings)


@pytest.mark.parametrize(
    ("change", "options", "text"),
    [
        ({}, {"batch": "nobody"}, "no sample column"),
        ({"batch": "B0"}, {"batch": "batch"}, "one batch"),
        ({"batch": ["B9", *(["B0"] * 17)]}, {"batch": "batch"}, "have one sample"),
        (
            {"group": ["g0"] * 6 + ["g1"] * 12},
            {"batch": "batch", "factors": ["group"]},
            "cannot separate 'group'",
        ),
        ({"group": ["", *(["g1"] * 17)]}, {"batch": "batch", "factors": ["group"]}, "have no value"),
        ({}, {"batch": "batch", "factors": ["batch"]}, "named twice"),
        ({"age": [1.0] * 6 + [2.0] * 6 + [3.0] * 6}, {"batch": "batch", "covariates": ["age"]}, "together"),
    ],
)
def test_bad_input(change: dict[str, object], options: dict[str, object], text: str) -> None:
    data = batches()
    for column, values in change.items():
        data.obs[column] = values
    with pytest.raises(InputError, match=text):
        correct_batch(data, **options)


def shares(X: np.ndarray, obs: pd.DataFrame, columns: tuple[str, ...], n: int = 2) -> dict[str, float]:
    found = principal_components(X, n)
    r2 = {column: share_beyond(found.scores, found.ratio, obs[column], []) for column in columns}
    return {column: share[0] for column, share in r2.items() if share is not None}


def test_laboratories_of_a_spike_in(shared_data: Path) -> None:
    """Three laboratories dominate; corrected, the spike levels do, at the known ratios and a still background."""
    from nereus.tools.proteomics.load import load_dataset

    name = "proteinGroups.txt.gz"
    data = load_dataset(SourceFile(shared_data / "spike_cptac_study6" / name, name)).dataset()
    data.obs["lab"] = [f"L{(int(sample.split('_')[1]) - 1) // 3}" for sample in data.obs_names]
    data = normalise(data, method="median").dataset()
    before = shares(np.asarray(data.X), data.obs, ("lab", "group"))
    assert before["lab"] > 0.8 > 0.2 > before["group"]
    group = data.obs["group"].to_numpy()
    spiked = data.var_names.str.contains("ups")
    for method in ("combat", "centre"):
        made = np.asarray(correct_batch(data, batch="lab", factors=["group"], method=method).dataset().X)
        after = shares(made, data.obs, ("lab", "group"))
        assert after["group"] > 0.3 > 0.05 > after["lab"], method
        effect = np.nanmean(made[group == "6C"], axis=0) - np.nanmean(made[group == "6A"], axis=0)
        assert 2.8 < np.nanmedian(effect[spiked]) < 3.6
        assert abs(np.nanmedian(effect[~spiked])) < 0.05


def test_runs_of_single_cells(shared_data: Path) -> None:
    """Six runs with two cell types each: runs go, types stay (Petelski et al. 2021)."""
    from nereus.tools.proteomics.load import load_dataset

    folder = shared_data / "sc_scope2_hek_u937"
    name = "SingleCell_PeptidesXsamples.txt.gz"
    data = load_dataset(SourceFile(folder / name, name)).dataset()
    ids = pd.read_csv(folder / "SingleCell_ids.txt", sep="\t").set_index("id")
    sheet = pd.read_csv(folder / "Cellenone_annotation_sc_bulk.csv").set_index("Set")
    ids["type"] = [
        sheet.loc[run, f"RI{reporter.split('.')[-1]}"]
        for run, reporter in zip(ids["Raw.file"], ids["Reporter.ion"], strict=True)
    ]
    data.obs["run"] = ids.loc[data.obs_names, "Raw.file"].to_numpy()
    data.obs["type"] = ids.loc[data.obs_names, "type"].to_numpy()
    cells = data[data.obs["type"].isin(["sc_h", "sc_u"]).to_numpy()].copy()
    seen = np.isfinite(np.asarray(cells.X)).mean(axis=0) >= 0.5
    cells = cells[:, seen].copy()
    before = shares(np.asarray(cells.X), cells.obs, ("run", "type"))
    made = correct_batch(cells, batch="run", factors=["type"]).dataset()
    after = shares(np.asarray(made.X), cells.obs, ("run", "type"))
    assert after["run"] < 0.05
    assert after["run"] <= before["run"]
    assert after["type"] >= before["type"] - 0.01
    assert after["type"] > 0.6 > 0.5 > before["type"]


def test_tests_of_corrected_values_say_so() -> None:
    """Unbalanced groups look different after the correction alone; the batch as covariate keeps the level."""
    corrected_share, modelled_share = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        group = np.array(list("a" * 9 + "b" + "a" + "b" * 9))
        batch = np.repeat(["p", "q"], 10)
        X = rng.normal(20, 1, 300) + rng.normal(0, 0.5, (20, 300))
        X[batch == "q"] += rng.normal(0, 1, 300)
        obs = pd.DataFrame({"group": group, "plate": batch}, index=[f"s{i}" for i in range(20)])
        data = anndata.AnnData(X, obs=obs)
        contrast = {"factor": "group", "a": "a", "b": "b"}
        made = correct_batch(data, batch="plate", factors=["group"])
        assert any("look surer than they are" in warning for warning in made.warnings)
        tested = differential_abundance(made.dataset(), contrast=contrast)
        assert any("corrected for 'plate' before" in warning for warning in tested.warnings)
        modelled = differential_abundance(data, contrast={**contrast, "covariates": ["plate"]})
        assert not any("corrected for" in warning for warning in modelled.warnings)
        corrected_share.append(float((tested.table()["p"] < 0.05).mean()))
        modelled_share.append(float((modelled.table()["p"] < 0.05).mean()))
    assert np.mean(modelled_share) < 0.08
    assert np.mean(corrected_share) > 0.15  # why it is said
