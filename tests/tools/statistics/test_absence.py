"""Absence judged by the dropout of the table."""

from __future__ import annotations

import numpy as np
import pytest

from nereus.tools.statistics.absence import absence_test, discrete_benjamini_hochberg, fit_dropout

IN_A = np.array([True, True, True, False, False, False])


def table(seed: int, n: int = 2000, absent: int = 0) -> np.ndarray:
    """Values with dropout at low abundance; the first `absent` features, abundant, are taken out of group b."""
    rng = np.random.default_rng(seed)
    values = rng.normal(25, 2.5, (n, 1)) + rng.normal(0, 0.2, (n, 6))
    values[:absent] += 26.0 - values[:absent].mean(axis=1, keepdims=True)
    values[rng.random(values.shape) < 1 / (1 + np.exp(1.2 * (values - 20)))] = np.nan
    values[:absent, 3:] = np.nan
    return values


def test_true_absences_are_found_and_dropout_is_not() -> None:
    result = absence_test(table(0, absent=20), IN_A, ~IN_A)
    assert result is not None
    found = result.q <= 0.05
    assert found[:20].sum() >= 18
    assert found[20:].sum() <= 2
    assert (result.difference[:20][found[:20]] == 1.0).all()
    assert result.curve.half_detection() == pytest.approx(20, abs=1.0)


def test_nothing_is_found_where_only_dropout_is() -> None:
    found = [(absence_test(table(seed), IN_A, ~IN_A).q <= 0.05).sum() for seed in range(12)]  # type: ignore[union-attr]
    assert np.mean(np.array(found) > 0) <= 0.25


def test_true_absences_do_not_bend_the_curve() -> None:
    bent, straight = absence_test(table(3, absent=30), IN_A, ~IN_A), absence_test(table(3), IN_A, ~IN_A)
    assert bent is not None
    assert straight is not None
    assert bent.curve.half_detection() == pytest.approx(straight.curve.half_detection(), abs=0.7)


def test_groups_are_symmetric() -> None:
    values = table(5, absent=10)
    one, other = absence_test(values, IN_A, ~IN_A), absence_test(values, ~IN_A, IN_A)
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(one.q, other.q, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(one.difference, -other.difference)


def test_nothing_to_fit_says_so() -> None:
    assert absence_test(np.ones((50, 6)), IN_A, ~IN_A) is None
    assert absence_test(table(0)[:, [0, 3]], np.array([True, False]), np.array([False, True])) is None


def test_discrete_q_counts_only_attainable_p() -> None:
    # 1,000 tests that can never reach 0.01 must not cost the ten that do.
    p = np.concatenate([np.full(10, 1e-4), np.ones(1000)])
    attainable = np.concatenate([np.full((10, 1), 1e-4), np.full((1000, 1), 0.5)])
    q = discrete_benjamini_hochberg(p, attainable)
    assert q[:10] == pytest.approx(1e-4)
    assert (q[10:] == 1.0).all()


def test_curve_is_a_distribution() -> None:
    values = table(1)
    seen = np.isfinite(values[:, :3]).all(axis=1)
    curve = fit_dropout(
        values[seen, :3].mean(axis=1), np.isfinite(values[seen, 3:]).sum(axis=1), np.full(seen.sum(), 3)
    )
    at = np.array([18.0, 21.0, 26.0])
    assert curve.at_most(3, 3, at) == pytest.approx(1.0)
    assert (np.diff(curve.at_most(0, 3, at)) < 0).all()
