"""Simulated matrices on which moderated t is compared with limma: heteroscedastic, with outlying variances."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """One comparison: what is fitted, and with which options."""

    name: str
    values: np.ndarray
    design: np.ndarray
    options: dict[str, Any] = field(default_factory=dict)
    """trend, robust, covariate, block, weights."""


def simulate(
    n_features: int, n_samples: int, n_covariates: int, missing: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """log2 abundances (features, samples) and a design of intercept, group and covariates."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(16, 30, n_features)
    sd = 0.3 * np.sqrt(5 / rng.chisquare(5, n_features)) * np.exp(-(level - 23) / 10)
    values = level[:, None] + rng.normal(size=(n_features, n_samples)) * sd[:, None]
    group = (np.arange(n_samples) >= n_samples // 2).astype(float)
    values[: n_features // 10] += group
    wild = rng.choice(n_features, max(2, n_features // 50), replace=False)
    values[wild] += rng.normal(0, 5, size=(len(wild), n_samples))
    covariates = rng.normal(size=(n_samples, n_covariates))
    values += 0.2 * (rng.normal(size=(n_features, n_covariates)) @ covariates.T)
    values[rng.random(values.shape) < missing] = np.nan
    return values, np.column_stack([np.ones(n_samples), group, covariates])


def all_cases(n_features: int, n_samples: int, n_covariates: int, seed: int) -> list[Case]:
    """Every option, on complete data and with 20 % of the values missing."""
    rng = np.random.default_rng(seed + 1000)
    cases = []
    for missing in (0.0, 0.2):
        values, design = simulate(n_features, n_samples, n_covariates, missing, seed)
        kind = "missing" if missing else "complete"
        for trend in (False, True):
            for robust in (False, True):
                options = {"trend": trend, "robust": robust}
                label = "".join([" trend" * trend, " robust" * robust]) or " plain"
                cases.append(Case(f"{kind}{label}", values, design, options))
        peptides = np.log2(1.0 + rng.poisson(5, n_features))
        cases.append(Case(f"{kind} peptide prior", values, design, {"trend": True, "covariate": peptides}))
        weights = rng.uniform(0.5, 2.0, size=values.shape)
        cases.append(Case(f"{kind} weights", values, design, {"weights": weights}))
        for arrangement, block in (
            ("pairs", np.tile(np.arange(n_samples // 2), 2)[:n_samples]),
            ("nested", np.arange(n_samples) // 2),
        ):
            shared = rng.normal(0, 0.3, size=(n_features, int(block.max()) + 1))[:, block]
            cases.append(Case(f"{kind} {arrangement} correlated", values + shared, design, {"block": block}))
        pairs = np.tile(np.arange(n_samples // 2), 2)
        indicators = np.eye(n_samples // 2)[pairs][:, 1:]
        paired = np.column_stack([design[:, :2], indicators])
        cases.append(Case(f"{kind} pairs fixed", values, paired, {"fixed": pairs}))
    return cases
