"""Moderated t equals R limma on the numbers stored in tests/data/limma (made by make_reference.py there)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from nereus.tools.statistics.linear_model import block_correlations, consensus_correlation
from nereus.tools.statistics.moderated_t import fit_contrast
from tests.conftest import TEST_DATA

REFERENCE = json.loads((TEST_DATA / "limma" / "reference.json").read_text())


def array(nested: list[Any]) -> np.ndarray:
    return np.array(
        [[np.nan if x is None else float(x) for x in row] if isinstance(row, list) else float("nan" if row is None else row)
         for row in nested]
    )  # fmt: skip


DESIGN = array(REFERENCE["design"])
CONTRAST = np.eye(DESIGN.shape[1])[1]


def fitted(case: dict[str, Any], lfc_min: float = 0.0):
    options = case["options"]
    block = options.get("block")
    return fit_contrast(
        array(REFERENCE["matrices"][case["values"]]),
        DESIGN,
        CONTRAST,
        trend=options.get("trend", False),
        robust=options.get("robust", False),
        prior_covariate=array(options["covariate"]) if "covariate" in options else None,
        weights=array(options["weights"]) if "weights" in options else None,
        block=array(block).astype(int) if block else None,
        block_model="correlated",
        correlation=case["correlation"],
        lfc_min=lfc_min,
    )


@pytest.mark.parametrize("name", list(REFERENCE["cases"]))
def test_equals_limma(name):
    case = REFERENCE["cases"][name]
    theirs = {column: array(numbers) for column, numbers in case["limma"].items()}
    fit, beyond = fitted(case), fitted(case, REFERENCE["lfc"])
    ours = {
        "effect": fit.effect,
        "statistic": fit.statistic,
        "p": fit.p,
        "variance": fit.variance,
        "df_prior": fit.prior.df,
        "variance_prior": fit.prior.variance,
        "df": fit.df,
        "treat_statistic": beyond.statistic,
        "treat_p": beyond.p,
    }
    for column, numbers in ours.items():
        np.testing.assert_allclose(numbers, theirs[column], rtol=1e-6, atol=0, err_msg=column)


@pytest.mark.parametrize("name", [name for name in REFERENCE["cases"] if "correlated" in name])
def test_consensus_correlation_is_near_limmas(name):
    # limma's scoring stops at a tolerance of its own, early for features with few samples near the bounds.
    case = REFERENCE["cases"][name]
    block = array(case["options"]["block"]).astype(int)
    ours = consensus_correlation(array(REFERENCE["matrices"][case["values"]]), DESIGN, block)
    assert ours == pytest.approx(case["correlation"], abs=1e-3 if name.startswith("complete") else 0.03)


def test_block_correlation_is_the_optimum_of_the_restricted_likelihood():
    case = REFERENCE["cases"]["complete nested correlated"]
    values, block = array(REFERENCE["matrices"][case["values"]]), array(case["options"]["block"]).astype(int)
    found = block_correlations(values, DESIGN, block)
    member = np.eye(block.max() + 1)[block]
    q, _ = np.linalg.qr(DESIGN, mode="complete")
    rest = q[:, DESIGN.shape[1] :]
    d, u = np.linalg.eigh(rest.T @ member @ member.T @ rest)

    def deviance(rho: float, square: np.ndarray) -> float:
        scale = 1 - rho + rho * d
        return float(len(d) * np.log(np.sum(square / scale)) + np.sum(np.log(scale)))

    for row in range(0, len(values), 5):
        square = (u.T @ rest.T @ values[row]) ** 2
        for step in (-1e-4, 1e-4):
            inside = np.clip(found[row] + step, -0.99, 0.99)
            assert deviance(found[row], square) <= deviance(inside, square) + 1e-9
