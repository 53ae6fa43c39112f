"""Tests that plant for themselves: null data give no confident finding, planted ones are found, seeds hardly matter."""

from __future__ import annotations

from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.tools import registry
from nereus.tools.statistics.claims import compose_claims
from nereus.tools.statistics.fdr import run_wide_fdr
from nereus.tools.statistics.interaction import InteractionParams, build_interaction
from nereus.tools.statistics.survival.outcome import read_outcome
from nereus.tools.statistics.survival.screen import SurvivalParams, SurvivalTest

N_FEATURES = 150
KINDS = ("interaction_test", "longitudinal_test", "survival_screen", "dose_response")


def study(tool: str, seed: int, changed: int) -> tuple[anndata.AnnData, dict[str, Any]]:
    rng = np.random.default_rng(seed)
    params: dict[str, Any]
    if tool == "interaction_test":
        obs = pd.DataFrame({"drug": list("ddccddcc") * 4, "cell": list("xxxxyyyy") * 4})
        values = rng.normal(20, 0.5, (32, N_FEATURES))
        values[((obs["drug"] == "d") & (obs["cell"] == "x")).to_numpy(), :changed] += 2.0
        params = {"contrast": {"factor": "drug", "a": "d", "b": "c"}, "by": "cell", "by_a": "x", "by_b": "y"}
    elif tool == "longitudinal_test":
        obs = pd.DataFrame({"week": [0, 1, 2, 4] * 10, "mouse": np.repeat([f"m{i}" for i in range(10)], 4)})
        values = rng.normal(20, 0.3, (40, N_FEATURES))
        values += np.repeat(rng.normal(0, 0.6, (10, N_FEATURES)), 4, axis=0)
        values[:, :changed] += 0.2 * obs["week"].to_numpy()[:, None]
        params = {"time": "week", "subject": "mouse"}
    elif tool == "survival_screen":
        values = rng.normal(20, 1, (150, N_FEATURES))
        shared = rng.normal(size=150)
        values[:, :changed] += 1.5 * shared[:, None]
        days = rng.exponential(300 * np.exp(-shared * (changed > 0)))
        until = rng.uniform(100, 800, 150)
        obs = pd.DataFrame(
            {"days": np.minimum(days, until), "status": np.where(days < until, "dead", "alive")}
        )
        params = {"time": "days", "event": "status"}
    else:
        dose = np.repeat([0, 1, 10, 100, 1000, 10000], 3)
        values = rng.normal(20, 0.3, (18, N_FEATURES))
        values[:, :changed] += (1.5 * dose / (dose + 50))[:, None]
        obs, params = pd.DataFrame({"nM": dose}), {"dose": "nM"}
    obs.index = [f"s{i}" for i in range(len(obs))]
    var = pd.DataFrame(index=[f"P{i}" for i in range(N_FEATURES)])
    return anndata.AnnData(values, obs=obs, var=var), params


@pytest.mark.parametrize("tool", KINDS)
def test_planted_effects_are_likely_and_chance_is_not(tool: str) -> None:
    data, params = study(tool, 1, 10)
    result = registry.get(tool)(
        data, n_plantings=5, n_subsamples=0 if tool == "dose_response" else 8, seed=1, **params
    )
    sure = result.table()["confidence"].to_numpy()
    assert result.values["calibrated"]
    assert (sure[:10] >= 0.7).mean() >= 0.8
    assert (sure[10:] >= 0.7).sum() <= 1
    assert np.isfinite(sure).all()
    assert result.values["ece"] < 0.15


@pytest.mark.parametrize("tool", KINDS)
def test_no_confident_finding_where_nothing_is(tool: str) -> None:
    data, params = study(tool, 2, 0)
    sure = registry.get(tool)(data, n_plantings=5, n_subsamples=0, seed=1, **params).table()["confidence"]
    assert not (sure >= 0.7).any()


def test_the_seed_hardly_matters() -> None:
    data, params = study("interaction_test", 3, 10)
    drawn = np.array(
        [
            registry.get("interaction_test")(data, n_plantings=10, n_subsamples=30, seed=seed, **params)
            .table()["confidence"]
            .to_numpy()
            for seed in range(4)
        ]
    )
    likely = drawn.mean(axis=0) >= 0.7
    assert likely.sum() >= 8
    assert drawn.std(axis=0)[likely].max() <= 0.05


def test_without_plantings_nothing_is_said() -> None:
    data, params = study("interaction_test", 1, 10)
    result = registry.get("interaction_test")(data, **params)
    assert result.table()["confidence"].isna().all()
    assert not result.values["calibrated"]


def test_planted_effects_are_as_large_as_asked_for() -> None:
    """Mean of the test statistics of effects of four standard errors, in each direction."""
    data, params = study("interaction_test", 4, 0)
    linear = build_interaction(data, InteractionParams(**params))[0]
    rows = np.arange(N_FEATURES)
    size = np.where(rows % 2, 4.0, -4.0)
    moved = linear.planted(rows, size).fit()
    assert np.mean(moved.effect / moved.se * np.sign(size)) == pytest.approx(4.0, abs=0.4)
    data, params = study("survival_screen", 4, 0)
    asked = SurvivalParams(**params)
    test = SurvivalTest(np.asarray(data.X).T, read_outcome(data.obs, asked), asked)
    z, _ = test.p_values((again := test.planted(rows, size)).fit())
    assert np.mean(z * np.sign(size)) == pytest.approx(4.0, abs=0.8)
    assert np.isnan(test.values).sum() == np.isnan(again.values).sum()


def test_claims_take_the_confidence_of_the_test_itself() -> None:
    data, params = study("interaction_test", 1, 10)
    table = registry.get("interaction_test")(data, n_plantings=5, n_subsamples=8, **params).table()
    found = run_wide_fdr({"it": table}).table("findings")
    claims = compose_claims(found, table, contrast="x", abundance_family="it", kind="interaction").table(
        "claims"
    )
    known = table.set_index("feature")["confidence"]
    assert len(claims)
    np.testing.assert_array_equal(claims["confidence"], known[claims["feature"]])
