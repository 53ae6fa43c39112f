from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools.base import SourceFile
from nereus.tools.proteomics.reference_scaling import internal_reference_scaling
from nereus.tools.statistics.batch import share_beyond
from nereus.tools.statistics.pca import principal_components


def plexes(p: int = 200, missing: float = 0.0) -> tuple[anndata.AnnData, np.ndarray]:
    """Three plexes of a pool and two groups; group means without the plexes' factors."""
    rng = np.random.default_rng(3)
    kinds = np.array(["pool", "a", "a", "b", "b"] * 3)
    plex = np.repeat(["x", "y", "z"], 5)
    effect = np.where(np.arange(p) < 20, 1.0, 0.0)
    truth = rng.normal(20, 2, p) + np.where(kinds == "a", 1, 0)[:, None] * effect
    jumps = rng.normal(0, 1, (3, p))[np.repeat([0, 1, 2], 5)]
    X = truth + jumps + rng.normal(0, 0.05, truth.shape) + rng.normal(0, 0.4, 15)[:, None]
    X[rng.random(X.shape) < missing] = np.nan
    obs = pd.DataFrame({"plex": plex, "kind": kinds}, index=[f"c{i}" for i in range(15)])
    return anndata.AnnData(X, obs=obs), effect


def test_reference_channels_take_the_plexes_out_and_keep_the_groups() -> None:
    data, effect = plexes()
    result = internal_reference_scaling(data, plex="plex", reference_column="kind", reference_level="pool")
    made = np.asarray(result.dataset().X)
    assert result.values["method"] == "reference"
    assert result.values["spread_before"] > 0.9
    assert result.values["spread_after"] < 0.5  # the error of one reference channel remains
    kind = data.obs["kind"].to_numpy()
    found = made[kind == "a"].mean(axis=0) - made[kind == "b"].mean(axis=0)
    assert np.corrcoef(found, effect)[0, 1] > 0.98
    pools = made[kind == "pool"]
    np.testing.assert_allclose(np.ptp(pools, axis=0), 0, atol=1e-9)
    assert result.table("factors")["key"].is_unique
    shorter = internal_reference_scaling(
        data, plex="plex", reference_samples=["c0", "c5", "c10"], drop_reference=True
    ).dataset()
    assert shorter.n_obs == 12
    np.testing.assert_allclose(np.asarray(shorter.X), made[kind != "pool"])


def test_missing_values_stay_and_values_without_a_reference_go() -> None:
    data, _ = plexes(missing=0.1)
    X = np.asarray(data.X).copy()
    options = {"plex": "plex", "reference_column": "kind", "reference_level": "pool"}
    result = internal_reference_scaling(data, **options)
    made = np.asarray(result.dataset().X)
    assert np.isnan(made[np.isnan(X)]).all()
    lost = np.isnan(made) & ~np.isnan(X)
    assert int(lost.sum()) == result.values["n_unmatched"] > 0
    pool_gone = np.isnan(X[data.obs["kind"].to_numpy() == "pool"])
    by_plex = np.repeat([0, 1, 2], 5)
    assert (pool_gone[by_plex][lost]).all()
    kept = np.asarray(internal_reference_scaling(data, **options, unmatched="keep").dataset().X)
    np.testing.assert_array_equal(np.isnan(kept), np.isnan(X))
    np.testing.assert_array_equal(np.asarray(data.X), X)


def test_confounded_plex_means_are_refused_and_unlike_mixtures_named() -> None:
    data, _ = plexes()
    data.obs["same"] = data.obs["plex"]
    with pytest.raises(InputError, match=r"cannot separate 'same'.*Cramér's V = 1\.00"):
        internal_reference_scaling(data, plex="plex", factors=["same"])
    data.obs["half"] = ["u"] * 4 + ["v"] + ["u", "v"] * 5
    result = internal_reference_scaling(data, plex="plex", factors=["half"])
    assert any("unlike mixtures" in text for text in result.warnings)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"plex": "nothing"}, "no sample column"),
        ({"plex": "one"}, "one plex"),
        ({"plex": "gap"}, "have no plex"),
        ({"plex": "plex", "reference_column": "kind"}, "go together"),
        ({"plex": "plex", "reference_column": "kind", "reference_level": "poool"}, "no sample has"),
        ({"plex": "plex", "reference_samples": ["c0"]}, "have no reference channel"),
        ({"plex": "plex", "reference_samples": ["c77"]}, "are not in the data"),
        ({"plex": "plex", "method": "reference"}, "have no reference channel"),
    ],
)
def test_bad_input(options: dict[str, object], text: str) -> None:
    data, _ = plexes()
    data.obs["one"] = "x"
    data.obs["gap"] = ["x", None, *(["y"] * 13)]
    with pytest.raises(InputError, match=text):
        internal_reference_scaling(data, **options)


def test_mouse_lens_groups_by_set_before_and_by_age_after(shared_data: Path) -> None:
    """Three TMT sets of six ages without a reference channel (Khan et al. 2018)."""
    from nereus.tools.proteomics.load import load_dataset

    name = "iovs-58-13-55_s01.csv.gz"
    data = load_dataset(SourceFile(shared_data / "batch_tmt_mouse_lens" / name, name)).dataset()
    data.obs["set"] = [sample.split("_")[1] for sample in data.obs_names]
    data.obs["age"] = [sample.split("_")[0] for sample in data.obs_names]

    def shares(made: anndata.AnnData) -> dict[str, float]:
        found = principal_components(np.asarray(made.X), 2)
        r2 = {
            column: share_beyond(found.scores, found.ratio, data.obs[column], []) for column in ("set", "age")
        }
        return {column: share[0] for column, share in r2.items() if share is not None}

    before = shares(data)
    result = internal_reference_scaling(data, plex="set", factors=("age",))
    after = shares(result.dataset())
    assert before["set"] > 0.7 > 0.2 > before["age"]
    assert after["age"] > 0.7 > 0.1 > after["set"]
    assert result.values["n_scaled"] + result.values["n_single"] <= data.n_vars
    # The nearest sample is of the same set before; after, of any set, and of the same age or the next stage.
    stage = data.obs["age"].map({"E15": 0, "E18": 1, "P0": 2, "P3": 3, "P6": 4, "P9": 5}).to_numpy()
    sets = data.obs["set"].to_numpy()
    raw, scaled = nearest(np.asarray(data.X)), nearest(np.asarray(result.dataset().X))
    assert (sets[raw] == sets).all()
    assert (sets[scaled] == sets).mean() < 0.4
    assert (np.abs(stage[scaled] - stage) <= 1).all()


def nearest(X: np.ndarray) -> np.ndarray:
    """Position of the sample nearest to each, over complete features."""
    whole = np.isfinite(X).all(axis=0)
    apart = np.linalg.norm(X[:, None, whole] - X[None, :, whole], axis=2) + np.diag([np.inf] * len(X))
    return np.asarray(apart.argmin(axis=1))


def test_references_that_are_empty_or_all_there_is() -> None:
    data, _ = plexes()
    named = {"plex": "plex", "reference_column": "kind", "reference_level": "pool"}
    silent = data.copy()
    silent.X[5] = np.nan
    with pytest.raises(InputError, match=r"plexes \['y'\] hold no value"):
        internal_reference_scaling(silent, **named)
    faint = data.copy()
    faint.X[5] = np.random.default_rng(0).normal(8, 1, data.n_vars)
    told = internal_reference_scaling(faint, **named).warnings
    assert any("plexes ['y'] are far weaker" in warning for warning in told)
    assert not any("far weaker" in w for w in internal_reference_scaling(data, **named).warnings)
    patchy = data.copy()
    patchy.X[5, : int(0.7 * data.n_vars)] = np.nan
    told = internal_reference_scaling(patchy, **named).warnings
    assert any("plexes ['y'] have a reference for less than half" in warning for warning in told)
    pools = data[data.obs["kind"] == "pool"].copy()
    with pytest.raises(InputError, match="nothing would be left"):
        internal_reference_scaling(pools, **named, drop_reference=True)


def test_a_column_of_samples_is_no_plex() -> None:
    data, _ = plexes()
    data.obs["run"] = [str(name) for name in data.obs_names]
    with pytest.raises(InputError, match="one channel"):
        internal_reference_scaling(data, plex="run")
