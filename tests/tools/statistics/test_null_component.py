"""The background where many features changed: read from the unchanged ones, or not at all."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from nereus.tools import registry
from nereus.tools.statistics.background import Background, against_background, fit_background
from nereus.tools.statistics.moderated_t import ContrastFit, benjamini_hochberg, fit_contrast

CONTRAST = np.array([0.0, 1.0])


def measured(seed: int, effect: np.ndarray, n: int = 3, tails: float | None = None) -> np.ndarray:
    """Values (features, 2 n): replicates that weak features spread more, shifts of single features, effects."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(25, 2, len(effect))
    sd = 0.12 * np.exp(-0.15 * (mean - 25) + 0.2 * rng.normal(size=len(effect)))
    values = mean[:, None] + sd[:, None] * rng.normal(size=(len(effect), 2 * n))
    shift = rng.normal(size=len(effect)) if tails is None else rng.standard_t(tails, len(effect))
    values[:, :n] += (effect + 0.8 * sd * shift)[:, None]
    return values - np.median(values - values.mean(axis=1, keepdims=True), axis=0)


def effects(seed: int, n: int, share: float, kind: str) -> np.ndarray:
    """Zero for unchanged features; changed ones by `kind`."""
    rng = np.random.default_rng(1000 + seed)
    changed = rng.permutation(n)[: round(share * n)]
    made = {
        "two species": np.where(
            rng.random(len(changed)) < 0.6,
            rng.normal(1.0, 0.1, len(changed)),
            rng.normal(-2.0, 0.15, len(changed)),
        ),
        "both sides": rng.normal(0.0, 1.5, len(changed)),
        "one side": 0.2 + rng.gamma(3.0, 0.4, len(changed)),
        "one step": rng.normal(1.0, 0.03, len(changed)),
    }
    effect = np.zeros(n)
    effect[changed] = made[kind]
    return effect


def fitted(values: np.ndarray) -> tuple[ContrastFit, Background]:
    n = values.shape[1] // 2
    design = np.column_stack([np.ones(2 * n), np.repeat([1.0, 0.0], n)])
    fit = fit_contrast(values, design, CONTRAST, trend=True)
    background = fit_background(fit, -fit.linear.mean)
    assert background is not None
    return fit, background


def called(fit: ContrastFit, background: Background, least: float = 0.0) -> np.ndarray:
    """+1, -1 and 0 for what is called at 5 %, beyond a least effect."""
    tested = against_background(fit, background, least)
    return np.where(benjamini_hochberg(tested.p) <= 0.05, np.sign(tested.effect), 0.0)


def scored(calls: np.ndarray, effect: np.ndarray) -> tuple[float, float]:
    """Recall and false discovery proportion; a call of the wrong sign is false."""
    right = (calls != 0) & (calls == np.sign(effect))
    return right.sum() / (effect != 0).sum(), 1.0 - right.sum() / max((calls != 0).sum(), 1)


@pytest.mark.parametrize(
    ("kind", "share", "least"),
    [
        ("two species", 0.35, 0.95),
        ("two species", 0.55, 0.95),
        ("both sides", 0.5, 0.65),
        ("both sides", 0.6, 0.65),
        ("one side", 0.35, 0.9),
    ],
)
def test_many_changes_are_found_and_few_are_false(kind: str, share: float, least: float) -> None:
    scores = []
    for seed in range(3):
        effect = effects(seed, 1200, share, kind)
        fit, background = fitted(measured(seed, effect))
        assert background.verdict == "many"
        # Changes within two standard errors of nothing count as none: the share is an upper limit.
        assert background.unchanged is not None
        assert -0.05 <= background.unchanged - (1.0 - share) <= (0.2 if kind == "both sides" else 0.08)
        scores.append(scored(called(fit, background), effect))
    recall, false = np.mean(scores, axis=0)
    assert recall >= least
    assert false <= 0.05


@pytest.mark.parametrize("kind", ["two species", "one side"])
def test_heavy_tails_among_many_changes_are_no_findings(kind: str) -> None:
    scores = []
    for seed in range(6):
        effect = effects(seed, 1200, 0.33, kind)
        fit, background = fitted(measured(seed, effect, tails=4.0))
        assert background.verdict == "many"
        scores.append(scored(called(fit, background), effect))
    recall, false = np.mean(scores, axis=0)
    assert recall >= 0.9
    assert false <= 0.055


@pytest.mark.parametrize("tails", [2.0, 2.5])
def test_tails_heavier_than_the_model_are_halved_beyond_twice_the_width_of_the_unchanged(
    tails: float,
) -> None:
    plain, beyond = [], []
    for seed in range(6):
        effect = effects(seed, 1200, 0.33, "two species")
        fit, background = fitted(measured(seed, effect, tails=tails))
        assert background.unchanged_sd is not None
        plain.append(scored(called(fit, background), effect))
        beyond.append(scored(called(fit, background, 2.0 * background.unchanged_sd), effect))
    recall, false = np.mean(beyond, axis=0)
    assert recall >= 0.9
    assert false <= 0.06
    assert false <= 0.5 * np.mean(plain, axis=0)[1]


@pytest.mark.parametrize("n", [4, 5, 6])
def test_the_groups_may_be_larger_and_the_table_shorter(n: int) -> None:
    effect = effects(n, 500, 0.55, "two species")
    fit, background = fitted(measured(n, effect, n))
    recall, false = scored(called(fit, background), effect)
    assert background.verdict == "many"
    assert recall >= 0.95
    assert false <= 0.06


@pytest.mark.parametrize("tails", [None, 4.0, 2.5])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.15])
def test_a_heavy_tailed_background_with_few_changes_is_not_taken_apart(
    tails: float | None, share: float
) -> None:
    for seed in range(3):
        effect = effects(seed, 600, share, "one side")
        _fit, background = fitted(measured(seed, effect, tails=tails))
        assert background.verdict == "few"
        assert background.unchanged is None
        assert background.unchanged_sd is None
        assert background.warnings() == []


def test_nothing_is_called_where_nothing_changed() -> None:
    calls = 0
    for seed in range(10):
        fit, background = fitted(measured(seed, np.zeros(500)))
        assert background.verdict == "few"
        calls += int((called(fit, background) != 0).any())
    assert calls <= 2


@pytest.mark.parametrize("share", [0.45, 0.55, 0.7])
def test_two_groups_that_differ_by_a_step_are_a_warning_and_no_claim(share: float) -> None:
    effect = effects(1, 1200, share, "one step")
    rng = np.random.default_rng(2)
    values = rng.normal(25, 2, (1200, 1)) + rng.normal(0, 0.1, (1200, 6))
    values[:, :3] += (effect + rng.normal(0, 0.05, 1200))[:, None]
    fit, background = fitted(values - np.median(values, axis=0))
    assert background.verdict == "rival"
    assert not called(fit, background).any()
    assert "cannot be told" in background.warnings()[0]


@pytest.mark.parametrize("share", [0.7, 0.9])
def test_where_nearly_all_changes_in_one_direction_there_is_a_warning_and_no_claim(share: float) -> None:
    for seed in range(3):
        effect = effects(seed, 1200, share, "one side")
        fit, background = fitted(measured(seed, effect))
        assert background.verdict != "many"
        assert (called(fit, background) != 0).mean() < 0.01
        assert background.warnings()


def test_the_tool_says_that_many_differ_and_has_one_centre() -> None:
    effect = effects(5, 500, 0.5, "two species")
    data = anndata.AnnData(
        measured(5, effect).T,
        obs=pd.DataFrame({"group": list("aaabbb")}, index=[f"s{i}" for i in range(6)]),
        var=pd.DataFrame(index=[f"P{i}" for i in range(500)]),
    )
    options = {"contrast": {"factor": "group", "a": "a", "b": "b"}, "background": "auto"}
    result = registry.get("differential_abundance")(data, **options)
    assert result.values["unchanged_share"] == pytest.approx(0.5, abs=0.08)
    assert any("of the tested features differ" in warning for warning in result.warnings)
    table = result.table()
    assert np.abs(np.median(table["effect"][effect == 0])) < 0.05
    again = registry.get("differential_abundance")(data, **options, centre="intensity")
    pd.testing.assert_frame_equal(table, again.table())
