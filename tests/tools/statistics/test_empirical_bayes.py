"""The variance prior: known parameters are recovered, edges do not break, outliers are let go."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from nereus.tools.statistics.empirical_bayes import (
    fit_variance_prior,
    log_f_sf,
    squeeze_variances,
    trigamma_inverse,
)
from nereus.tools.statistics.treat import t_upper_tail, two_sided_p


def draws(d0: float, s2: float, df: float, n: int = 20000, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    true = d0 * s2 / rng.chisquare(d0, n) if np.isfinite(d0) else np.full(n, s2)
    return true * rng.chisquare(df, n) / df


@pytest.mark.parametrize(("robust", "tolerance"), [(False, 0.1), (True, 0.15)])
def test_recovers_the_prior(robust, tolerance):
    prior = fit_variance_prior(draws(6, 0.3, 8), np.full(20000, 8.0), robust=robust)
    assert prior.df_common == pytest.approx(6, rel=tolerance)
    assert prior.variance[0] == pytest.approx(0.3, rel=0.05)


def test_equal_variances_give_infinite_prior_df():
    variance, df = draws(np.inf, 0.5, 10, n=300, seed=3), np.full(300, 10.0)
    prior = fit_variance_prior(variance * 0 + 0.5, df)
    assert np.isinf(prior.df_common)
    assert squeeze_variances(variance, df, prior).variance == pytest.approx(0.5)
    assert (squeeze_variances(variance, df, prior).df == 3000).all()


def test_robust_lets_outliers_go():
    variance = draws(8, 0.3, 6, n=1000)
    variance[:5] *= 1000
    prior = fit_variance_prior(variance, np.full(1000, 6.0), robust=True)
    assert (prior.df[:5] < 1).all()
    assert np.median(prior.df) == pytest.approx(prior.df_common)
    assert prior.df_common > fit_variance_prior(variance, np.full(1000, 6.0)).df_common


def test_trend_follows_the_covariate():
    level = np.random.default_rng(1).uniform(15, 30, 3000)
    variance = draws(5, 1.0, 6, n=3000) * np.exp(-(level - 22) / 4)
    prior = fit_variance_prior(variance, np.full(3000, 6.0), level)
    assert np.corrcoef(np.log(prior.variance), level)[0, 1] < -0.99
    np.testing.assert_allclose(np.log(prior.variance), -(level - 22) / 4, atol=0.35)


def test_edges():
    nothing = fit_variance_prior(np.array([np.nan, 1.0]), np.array([0.0, 3.0]))
    assert nothing.df_common == 0.0
    still = fit_variance_prior(np.zeros(10), np.full(10, 4.0))
    assert np.isfinite(still.variance).all()
    partly = fit_variance_prior(
        np.r_[np.nan, draws(5, 1, 4, 50)], np.r_[0.0, np.full(50, 4.0)], np.r_[np.nan, np.arange(50.0)]
    )
    assert np.isfinite(partly.variance).all()
    posterior = squeeze_variances(np.r_[np.nan, draws(5, 1, 4, 50)], np.r_[0.0, np.full(50, 4.0)], partly)
    assert posterior.variance[0] == pytest.approx(partly.variance[0])
    constant = fit_variance_prior(draws(5, 1, 4, 50), np.full(50, 4.0), np.full(50, 7.0))
    assert np.ptp(constant.variance) < 1e-12


def test_trigamma_inverse():
    for value in (1e-9, 1e-3, 0.5, 3.0, 1e4, 1e9):
        assert special.polygamma(1, trigamma_inverse(value)) == pytest.approx(value, rel=1e-6)


def test_tails():
    f = np.array([0.1, 1.0, 5.0, 50.0])
    np.testing.assert_allclose(log_f_sf(f, 4.0, 7.0), stats.f.logsf(f, 4, 7), rtol=1e-9)
    far = log_f_sf(np.array([1e40, 1e300]), 6.0, 30.0)
    assert np.isfinite(far).all()
    assert far[1] < far[0] < -1000
    t = np.array([-2.0, 0.0, 0.5, 30.0])
    np.testing.assert_allclose(t_upper_tail(t, 7.0), stats.t.sf(t, 7), rtol=1e-10)
    np.testing.assert_allclose(two_sided_p(t, np.inf), 2 * stats.norm.sf(np.abs(t)), rtol=1e-10)
    assert two_sided_p(np.array([1e-9]), 5e6)[0] == pytest.approx(1.0)
