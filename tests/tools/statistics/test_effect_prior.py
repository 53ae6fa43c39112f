from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nereus.tools.statistics.confidence import Candidates, learn, share_above
from nereus.tools.statistics.effect_prior import SPREADS, design_effect, effect_prior, log_ratios


def some_tests(rng: np.random.Generator, n: int, share: float, spread: float, df: float = 30.0):
    changed = rng.random(n) < share
    t = rng.standard_t(df, n) * np.where(changed, np.sqrt(1 + spread**2), 1.0)
    return 2 * stats.t.sf(np.abs(t), df), np.full(n, df)


def nulls(rng: np.random.Generator, n: int, draws: int = 30):
    return [some_tests(rng, n, 0.0, 1.0) for _ in range(draws)]


def test_share_and_spread_are_found() -> None:
    rng = np.random.default_rng(1)
    prior = effect_prior(*some_tests(rng, 4000, 0.1, 6.0), nulls(rng, 4000))
    assert prior.share == pytest.approx(0.1, abs=0.03)
    assert float(prior.weight @ SPREADS) == pytest.approx(6.0, abs=2.0)
    assert prior.design_effect == pytest.approx(1.0, abs=0.8)


def test_nothing_changed_means_next_to_nothing_expected() -> None:
    rng = np.random.default_rng(2)
    prior = effect_prior(*some_tests(rng, 2000, 0.0, 1.0), nulls(rng, 2000))
    assert prior.share < 0.02


def test_ratio_is_that_of_t_distributions() -> None:
    p, df = np.array([1e-4, 0.3]), np.array([7.0, 12.0])
    t = stats.t.isf(p / 2, df)
    for row, spread in zip(log_ratios(p, df), SPREADS, strict=True):
        scale = np.sqrt(1 + spread**2)
        np.testing.assert_allclose(row, stats.t.logpdf(t, df, scale=scale) - stats.t.logpdf(t, df), rtol=1e-9)


def test_odds_rise_as_p_falls() -> None:
    rng = np.random.default_rng(3)
    prior = effect_prior(*some_tests(rng, 1000, 0.05, 4.0), nulls(rng, 1000))
    odds = prior.log_odds(np.geomspace(1e-12, 1, 40), np.full(40, 20.0))
    assert (np.diff(odds) < 0).all()


def test_correlated_features_count_for_fewer() -> None:
    rng = np.random.default_rng(4)
    n = 1000
    draws = []
    for _ in range(60):
        z = np.sqrt(0.5) * rng.normal(size=n) + np.sqrt(0.5) * rng.normal(size=(1, 10)).repeat(n // 10, 1)[0]
        draws.append((2 * stats.norm.sf(np.abs(z)), np.full(n, np.inf)))
    assert design_effect(draws) > 5
    assert design_effect(nulls(rng, n, 60)) < 2
    assert design_effect([]) == 1.0


def test_one_crowded_labelling_does_not_rule() -> None:
    assert share_above([0] * 49 + [40], 2) == pytest.approx(1 - (1 + 2) / 50 / 2)
    assert share_above([2] * 50, 2) == 0.0
    assert share_above([], 3) is None


def test_weights_bring_planted_copies_to_the_proportions_of_the_data() -> None:
    rng = np.random.default_rng(5)
    copies = []
    for _ in range(20):
        planted = rng.random(400) < 0.5
        x = rng.normal(size=400) + 2.0 * planted
        weight = np.where(planted, 0.05 / 0.5, 0.95 / 0.5)
        copies.append(Candidates(x[:, None], planted, weight))
    model = learn(copies, None).model
    assert model is not None
    # Log odds of two normals two apart, among five in a hundred: 2 x - 2 + log(0.05 / 0.95).
    assert model.slopes[0] == pytest.approx(2.0, abs=0.2)
    assert model.intercept == pytest.approx(-2.0 + np.log(0.05 / 0.95), abs=0.3)
