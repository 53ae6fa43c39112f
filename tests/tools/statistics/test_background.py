"""The background of a comparison: what unchanged features differ, and what it does to a test."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from nereus.tools.statistics.background import against_background, fit_background, needs_background
from nereus.tools.statistics.differential import differential_abundance
from nereus.tools.statistics.moderated_t import benjamini_hochberg, fit_contrast
from nereus.tools.statistics.variance_trend import expected_log_variance

DESIGN = np.column_stack([np.ones(6), [1, 1, 1, 0, 0, 0]]).astype(float)
CONTRAST = np.array([0.0, 1.0])


def two_groups(seed: int, shift_sd: float, n: int = 1500) -> tuple[np.ndarray, np.ndarray]:
    """Values (features, samples) with replicate sd 0.15 and shifts of single features; 40 features up by 3."""
    rng = np.random.default_rng(seed)
    values = rng.normal(25, 2, (n, 1)) + rng.normal(0, 0.15, (n, 6))
    values[:, :3] += rng.normal(0.1, shift_sd, n)[:, None]
    changed = np.zeros(n, dtype=bool)
    changed[:40] = True
    values[:40, :3] += 3.0
    return values, changed


def fitted(values: np.ndarray):
    fit = fit_contrast(values, DESIGN, CONTRAST)
    return fit, fit_background(fit, fit.linear.mean)


def test_tau_is_the_spread_of_the_shifts_and_the_centre_their_median() -> None:
    background = fitted(two_groups(0, 0.3)[0])[1]
    assert background is not None
    assert np.median(np.sqrt(background.variance)) == pytest.approx(0.3, rel=0.15)
    assert np.median(background.centre) == pytest.approx(0.1, abs=0.03)
    assert background.ratio == pytest.approx(2.0, rel=0.25)


def test_no_background_leaves_the_test_nearly_as_it_is() -> None:
    fit, background = fitted(two_groups(1, 0.0)[0])
    assert background is not None
    assert background.inflation == pytest.approx(1.0, abs=0.1)
    assert np.median(background.variance / fit.se**2) < 0.1


def test_false_discoveries_are_controlled_where_plain_bh_fails() -> None:
    plain, guarded, power = [], [], []
    for seed in range(5):
        values, changed = two_groups(seed, 0.3)
        fit, background = fitted(values)
        assert background is not None
        for result, into in ((fit, plain), (against_background(fit, background), guarded)):
            found = benjamini_hochberg(result.p) <= 0.05
            into.append((found & ~changed).sum() / max(found.sum(), 1))
        power.append((found & changed).sum() / changed.sum())
    assert np.mean(plain) > 0.5
    assert np.mean(guarded) <= 0.06
    assert np.mean(power) > 0.9


def test_small_panels_and_many_subjects_have_none() -> None:
    assert needs_background(2000, 10.0)
    assert not needs_background(77, 10.0)  # a panel has no bulk
    assert not needs_background(2000, float("inf"))  # exchange of labels is a proof of its own
    values = two_groups(0, 0.3, n=150)[0]
    assert fitted(values)[1] is None


def test_precision_follows_abundance_and_peptides() -> None:
    rng = np.random.default_rng(3)
    n = 3000
    mean, peptides = rng.uniform(20, 32, n), rng.integers(1, 30, n).astype(float)
    log_variance = -3.0 - 0.3 * (mean - 26) - 0.5 * np.log2(peptides)
    df = np.full(n, 4.0)
    variance = np.exp(log_variance) * rng.chisquare(4, n) / 4
    with_peptides = expected_log_variance(variance, df, mean, peptides)
    without = expected_log_variance(variance, df, mean)
    assert np.corrcoef(with_peptides, log_variance)[0, 1] > 0.98
    assert np.corrcoef(without, log_variance)[0, 1] < 0.95
    assert np.abs(np.median(with_peptides - log_variance)) < 0.1


def test_precision_survives_what_tables_hold() -> None:
    few = expected_log_variance(np.ones(10), np.full(10, 4.0), np.arange(10.0))
    assert np.array_equal(np.argsort(few), np.arange(10)[::-1])  # ordered by abundance
    mean, variance = np.full(300, 25.0), np.full(300, 0.1)
    variance[:5], mean[:3] = np.nan, np.nan
    assert np.isfinite(expected_log_variance(variance, np.full(300, 4.0), mean, np.full(300, np.nan))).all()


@pytest.mark.parametrize(("shift_sd", "told"), [(0.6, True), (0.0, False)])
def test_what_the_background_takes_away_is_told(shift_sd: float, told: bool) -> None:
    """Someone who knows the findings of a plain moderated t-test reads why they are not called."""
    values, _ = two_groups(3, shift_sd)
    values = values[40:]
    obs = pd.DataFrame({"group": list("aaabbb")}, index=[f"s{i}" for i in range(6)])
    data = AnnData(values.T, obs=obs, var=pd.DataFrame(index=[f"P{i}" for i in range(len(values))]))
    contrast = {"factor": "group", "a": "a", "b": "b"}
    found = differential_abundance(data, contrast=contrast, background="auto")
    plain = differential_abundance(data, contrast=contrast, background="none")
    assert found.values["n_without_background"] == plain.values["n_significant"]
    assert plain.values["n_without_background"] == plain.values["n_significant"]
    warned = [one for one in found.warnings if "than the replicates vary" in one]
    assert bool(warned) is told
    if told:
        assert warned[0].startswith(f"{plain.values['n_significant']} features")
        assert plain.values["n_significant"] > 100 > found.values["n_significant"]
