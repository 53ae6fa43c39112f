"""Repeated fits are the single fit, repeated: other labels and subsamples, whatever is missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nereus.tools.statistics.batched_cholesky import factorise
from nereus.tools.statistics.contrast_test import Comparison, TestOptions
from nereus.tools.statistics.design import Design
from nereus.tools.statistics.linear_model import LinearFit, fit_linear_model
from nereus.tools.statistics.moderated_t import ContrastFit
from nereus.tools.statistics.relabelling import relabelling
from nereus.tools.statistics.repeated_fit import RepeatedFit

N_FEATURES, N_SAMPLES = 150, 24


def design_matrix() -> np.ndarray:
    group = np.repeat([1.0, 0.0], N_SAMPLES // 2)
    site = np.eye(3)[np.arange(N_SAMPLES) % 3][:, 1:]
    age = np.linspace(-1, 1, N_SAMPLES) ** 3
    return np.column_stack([np.ones(N_SAMPLES), group, site, age])


def table(seed: int = 5) -> np.ndarray:
    """Values with patterns that miss a few, a whole site, a whole group, nearly all, and all samples."""
    rng = np.random.default_rng(seed)
    values = rng.normal(25, 1, (N_FEATURES, N_SAMPLES))
    values[40:90][rng.random((50, N_SAMPLES)) < 0.35] = np.nan
    values[90:100, ::3] = np.nan  # one site is gone
    values[100:110, : N_SAMPLES // 2] = np.nan  # one group is gone
    values[110:120, 3:] = np.nan
    values[120:125] = np.nan
    values[125:130] = 25.0  # does not vary
    return values


def assert_same(fast: LinearFit, exact: LinearFit) -> None:
    for name in ("n", "df", "mean"):
        np.testing.assert_allclose(getattr(fast, name), getattr(exact, name), rtol=1e-12, err_msg=name)
    for name in ("effect", "unscaled_sd", "variance"):
        np.testing.assert_allclose(
            getattr(fast, name), getattr(exact, name), rtol=1e-9, atol=1e-12, err_msg=name
        )


def test_other_labels_give_the_single_fit() -> None:
    values, design, rng = table(), design_matrix(), np.random.default_rng(1)
    contrast = np.eye(design.shape[1])[1]
    columns = [rng.permutation(design[:, 1]) for _ in range(20)]
    columns.append(design[:, 2])  # spanned by the covariates: no feature can tell it
    fits = list(RepeatedFit(values, design).relabelled(columns))
    assert len(fits) == 21
    for column, fit in zip(columns, fits, strict=True):
        other = design.copy()
        other[:, 1] = column
        assert_same(fit, fit_linear_model(values, other, contrast))
    assert np.isnan(fits[-1].effect).all()
    assert np.isnan(fits[0].effect[120:125]).all()
    assert np.isfinite(fits[0].effect[:40]).all()


def test_subsamples_give_the_single_fit() -> None:
    values, design, rng = table(), design_matrix(), np.random.default_rng(2)
    contrast = np.eye(design.shape[1])[1]
    subsamples = [np.sort(rng.choice(N_SAMPLES, size, replace=False)) for size in (9, 12, 12, 15, 23)]
    subsamples.append(np.flatnonzero(np.arange(N_SAMPLES) % 3 != 1))  # without one site
    subsamples.append(np.arange(N_SAMPLES // 2))  # without group b
    for samples, fit in zip(subsamples, RepeatedFit(values, design).subsampled(subsamples), strict=True):
        assert_same(fit, fit_linear_model(values[:, samples], design[samples], contrast))


def test_nearly_collinear_columns_are_fitted_carefully() -> None:
    rng = np.random.default_rng(3)
    values, design = rng.normal(25, 1, (20, N_SAMPLES)), design_matrix()
    twin = design[:, 1] + 1e-4 * rng.normal(size=N_SAMPLES)
    design = np.column_stack([design, twin])
    samples = np.arange(0, N_SAMPLES, 2)
    fit = next(RepeatedFit(values, design).subsampled([samples]))
    exact = fit_linear_model(values[:, samples], design[samples], np.eye(design.shape[1])[1])
    np.testing.assert_allclose(fit.effect, exact.effect, rtol=1e-6)
    assert (np.abs(exact.effect) > 100).any()  # the two columns are told apart, barely


def compared(continuous: bool = False, **options: object) -> Comparison:
    matrix = design_matrix()
    group = matrix[:, 1]
    scale = 1.0
    if continuous:
        group = np.random.default_rng(7).normal(10, 3, N_SAMPLES)
        scale = float(np.std(group, ddof=1))
        matrix[:, 1] = (group - group.mean()) / scale
    names = tuple(f"c{i}" for i in range(matrix.shape[1]))
    design = Design(np.arange(N_SAMPLES), matrix, names, np.eye(matrix.shape[1])[1], group, scale=scale)
    return Comparison(table(), design, TestOptions.model_validate(options), relabelling(design))


def assert_same_test(fast: ContrastFit, exact: ContrastFit) -> None:
    for name in ("effect", "se", "df", "p"):
        np.testing.assert_allclose(
            getattr(fast, name), getattr(exact, name), rtol=1e-7, atol=1e-12, err_msg=name
        )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"prior_covariate": "precision", "lfc_min": 0.1},
        {"trend": True, "robust": True, "centre": "median"},
        {"method": "ordinary_t", "min_per_group": 4},
    ],
)
@pytest.mark.parametrize("continuous", [False, True])
def test_repeated_tests_are_the_test_repeated(options: dict[str, object], continuous: bool) -> None:
    base = compared(continuous, **options)
    labellings = list(base.labels.draws(18, np.random.default_rng(4)))
    fast = list(base.relabelled_tests(labellings))
    assert len(fast) == 18
    for labels, fit in zip(labellings, fast, strict=True):
        assert_same_test(fit, base.relabelled(labels).test())
    subsamples = [np.flatnonzero(np.arange(N_SAMPLES) % k != 0) for k in (2, 4, 5)]
    for samples, fit in zip(subsamples, base.subsampled_tests(subsamples), strict=True):
        assert_same_test(fit, base.subsample(samples).test())


def test_blocks_and_weights_take_the_general_way() -> None:
    base = compared()
    paired = replace(base, design=replace(base.design, block=np.arange(N_SAMPLES) % (N_SAMPLES // 2)))
    weighted = replace(base, weights=np.random.default_rng(8).uniform(0.5, 2, base.values.shape))
    labels = np.random.default_rng(9).permutation(base.design.group)
    plain = next(base.relabelled_tests([labels]))
    for other in (paired, weighted):
        fit = next(other.relabelled_tests([labels]))
        assert_same_test(fit, other.relabelled(labels).test())
        assert not np.allclose(fit.se[:40], plain.se[:40])
        samples = np.sort(np.random.default_rng(1).permutation(N_SAMPLES)[:18])
        assert_same_test(next(other.subsampled_tests([samples])), other.subsample(samples).test())


def test_singular_matrices_get_a_generalised_inverse() -> None:
    rng = np.random.default_rng(6)
    columns = rng.normal(size=(4, 30, 5))  # (matrices, rows, columns)
    columns[1, :, 3] = columns[1, :, 0] - 2 * columns[1, :, 1]
    columns[2] = 0.0
    gram = np.einsum("mri,mrj->ijm", columns, columns)
    factor = factorise(gram, np.full(4, 30.0))
    assert factor.rank.tolist() == [5, 4, 0, 5]
    y = rng.normal(size=(4, 30))
    right = np.einsum("mri,mr->im", columns, y)
    solved = factor.backward(factor.forward(right))
    for m in range(4):
        by_numpy = columns[m] @ np.linalg.lstsq(columns[m], y[m], rcond=1e-10)[0]
        np.testing.assert_allclose(columns[m] @ solved[:, m], by_numpy, atol=1e-10)
