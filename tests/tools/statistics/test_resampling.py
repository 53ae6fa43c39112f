"""Subsamples of units, counts of null findings, and residuals with missing values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from nereus.tools.statistics.combination import combined_p_values
from nereus.tools.statistics.resampling import Tested, drawn_units, null_values, stability_share
from nereus.tools.statistics.residuals import residuals


def test_half_of_each_stratum() -> None:
    strata = np.repeat([0, 1], [10, 7])
    drawn = list(drawn_units(strata, 5, np.random.default_rng(1)))
    assert len(drawn) == 5
    for units in drawn:
        assert np.bincount(strata[units]).tolist() == [5, 4]
        assert len(np.unique(units)) == len(units)


def test_small_strata_lose_one_unit_each() -> None:
    strata = np.repeat([0, 1], [3, 4])
    everything = list(drawn_units(strata, 50, np.random.default_rng(1)))
    assert len(everything) == 12
    assert len({tuple(units) for units in everything}) == 12
    assert all(np.bincount(strata[units]).tolist() == [2, 3] for units in everything)
    some = list(drawn_units(strata, 6, np.random.default_rng(1)))
    assert len({tuple(units) for units in some}) == 6


@dataclass
class Fixed:
    """A test with given answers."""

    p: np.ndarray
    effect: np.ndarray
    nulls: tuple[np.ndarray, ...] = ()

    def tested(self) -> Tested:
        return Tested(self.effect, self.p)

    def null_draws(self, n: int, rng: np.random.Generator) -> Iterator[Fixed]:
        yield from (Fixed(p, self.effect) for p in self.nulls[:n])

    def subsamples(self, n: int, rng: np.random.Generator) -> Iterator[Fixed]:
        yield from (Fixed(p, np.sign(p - 0.02)) for p in self.nulls[:n])


def test_null_findings_are_counted() -> None:
    nothing, one = np.full(4, 0.9), np.array([1e-4, 0.9, 0.9, np.nan])
    design = Fixed(one, np.ones(4), (nothing, nothing, one, nothing))
    values = null_values(design, one, 4, 0.05, seed=1)
    assert values == {
        "n_permutations": 4,
        "null_mean": 0.25,
        "null_p95": pytest.approx(0.85),
        "null_p_value": pytest.approx(2 / 5),
    }
    assert null_values(design, one, 0, 0.05, seed=1)["null_mean"] is None


def test_stability_needs_sign_and_p() -> None:
    again = (np.array([0.04, 0.01, 0.9, 0.04]), np.array([0.03, 0.03, 0.03, 0.03]))
    design = Fixed(np.array([0.01, 0.01, 0.01, np.nan]), np.ones(4), again)
    share, n = stability_share(design, design.tested(), 2, 0.05, seed=1)
    assert n == 2
    assert share[:3].tolist() == [1.0, 0.5, 0.5]
    assert np.isnan(share[3])


@pytest.mark.parametrize("constant", [True, False])
def test_residuals_are_least_squares_with_missing_values(constant) -> None:
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(30, 3)) * [1e-3, 1, 1e3]
    if constant:
        matrix = np.column_stack([np.ones(30), matrix])
    values = rng.normal(1000, 1, size=(20, 30))
    for missing in (0.0, 0.3):
        values[rng.random(values.shape) < missing] = np.nan
        left = residuals(values, matrix)
        for row in range(20):
            seen = np.isfinite(values[row])
            beta = np.linalg.lstsq(matrix[seen], values[row, seen], rcond=None)[0]
            np.testing.assert_allclose(left[row, seen], values[row, seen] - matrix[seen] @ beta, atol=1e-7)
            assert np.isnan(left[row, ~seen]).all()


def test_combined_p_values() -> None:
    p = np.array([0.02, 0.9, 0.03, np.nan, 0.5, 1.0, 1e-250])
    owner = np.array([0, 0, 0, 1, 2, 2, 3])
    simes = combined_p_values(p, owner, "simes")
    assert simes[0] == pytest.approx(min(0.02 * 3, 0.03 * 3 / 2, 0.9))
    assert np.isnan(simes[1])
    assert simes[3] == pytest.approx(1e-250)
    acat = combined_p_values(p, owner, "acat")
    assert acat[0] == pytest.approx(0.5 - np.arctan(np.mean(np.tan((0.5 - p[:3]) * np.pi))) / np.pi)
    assert acat[3] == pytest.approx(1e-250, rel=1e-6)
    assert 0 < acat[2] < 1


@pytest.mark.parametrize("how", ["simes", "acat"])
@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_combined_p_values_hold_for_peptides_that_go_together(how, shared) -> None:
    from scipy import special

    rng = np.random.default_rng(2)
    z = np.sqrt(shared) * rng.normal(size=(4000, 1)) + np.sqrt(1 - shared) * rng.normal(size=(4000, 12))
    p = 2 * special.ndtr(-np.abs(z))
    combined = combined_p_values(p.ravel(), np.repeat(np.arange(4000), 12), how)
    assert np.mean(combined < 0.05) < 0.062
    assert np.mean(combined < 0.005) < 0.0085
