"""Claim: moderated t, TREAT, trend, robust, covariates, missing values, weights and blocks equal R limma within 1e-6.

Run ``python -m benchmarks.limma_parity``; needs Rscript with limma and statmod (the oracle of this benchmark
only). Blocks are compared at limma's consensus correlation; the correlation itself is reported beside
limma's, whose restricted maximum likelihood scoring stops at a tolerance of its own.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from benchmarks.limma_cases import Case, all_cases
from benchmarks.limma_oracle import COLUMNS, available, run_limma
from nereus.tools.statistics.linear_model import consensus_correlation
from nereus.tools.statistics.moderated_t import ContrastFit, fit_contrast

RESULT = Path(__file__).parent / "results" / "limma_parity.json"
SEEDS = (1, 2)
SIZES = ((300, 6, 0), (400, 12, 2), (500, 24, 5))
LFC = 0.4
CLAIMED = ("effect", "statistic", "p", "variance", "df_prior", "treat_statistic", "treat_p")
"""The claim is about these; the prior variance and total df are reported, too."""


def nereus_columns(case: Case, correlation: float | None) -> dict[str, np.ndarray]:
    """The same quantities by Nereus, at a given correlation within blocks."""
    options = dict(case.options)
    design = case.design[:, :2] if "fixed" in options else case.design
    shared: dict[str, Any] = {
        "trend": options.get("trend", False),
        "robust": options.get("robust", False),
        "prior_covariate": options.get("covariate"),
        "weights": options.get("weights"),
    }
    if "fixed" in options:
        shared |= {"block": options["fixed"], "block_model": "fixed"}
    if "block" in options:
        shared |= {"block": options["block"], "block_model": "correlated", "correlation": correlation}
    contrast = np.eye(design.shape[1])[1]
    fit: ContrastFit = fit_contrast(case.values, design, contrast, **shared)
    beyond = fit_contrast(case.values, design, contrast, lfc_min=LFC, **shared)
    return {
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


def largest_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest relative error; infinite when one is missing where the other is not."""
    known = np.isfinite(theirs)
    both_infinite = np.isinf(theirs) & np.isinf(ours)
    if (np.isnan(ours) != np.isnan(theirs)).any() or (np.isinf(theirs) & ~both_infinite).any():
        return float("inf")
    zero = known & (theirs == 0)
    if (ours[zero] != 0).any():
        return float("inf")
    known &= theirs != 0
    return float(np.max(np.abs(ours[known] - theirs[known]) / np.abs(theirs[known]))) if known.any() else 0.0


def estimable(design: np.ndarray, observed: np.ndarray) -> bool:
    """Whether the observed samples tell the second coefficient: leaving its column out lowers the rank."""
    seen = design[observed]
    without = np.delete(seen, 1, axis=1)
    return bool(len(seen)) and np.linalg.matrix_rank(seen) > np.linalg.matrix_rank(without)


def compare(case: Case) -> tuple[dict[str, Any], dict[str, str]]:
    """Largest relative errors of one case, and limma's versions."""
    oracle = {k: v for k, v in case.options.items() if k != "fixed"}
    theirs = run_limma(case.values, case.design, lfc=LFC, **oracle)
    ours = nereus_columns(case, theirs["correlation"])
    # With partly missing pairs limma drops block columns until the group column fits, and so reports a
    # comparison between different subjects. Nereus says that the contrast is not estimable; both are checked
    # against the rank.
    answered = np.array([estimable(case.design, row) for row in np.isfinite(case.values)])
    if (np.isfinite(ours["effect"]) != answered).any():
        raise AssertionError(f"{case.name}: estimable contrasts are not those that the design tells")
    errors = {}
    for column in COLUMNS:
        if not np.isnan(
            theirs[column]
        ).all():  # limma's treat() does not work with partly missing coefficients
            errors[column] = largest_error(ours[column][answered], theirs[column][answered])
    unanswered = int((~answered & np.isfinite(theirs["effect"])).sum())
    row: dict[str, Any] = {
        "max_relative_error": errors,
        "n_features": len(case.values),
        "n_samples": case.values.shape[1],
    }
    if unanswered:
        row["not_estimable_but_answered_by_limma"] = unanswered
    if "block" in case.options:
        row["correlation_limma"] = theirs["correlation"]
        row["correlation_nereus"] = consensus_correlation(case.values, case.design, case.options["block"])
    return row, theirs["versions"]


def main() -> int:
    if not available():
        print("Rscript is not on the path: nothing was compared")
        return 1
    rows, versions = {}, {}
    for size in SIZES:
        for seed in SEEDS:
            for case in all_cases(*size, seed=seed):
                if "fixed" in case.options and case.values.shape[1] > 12:
                    continue  # forty block columns by limma's loop teach nothing new
                key = f"{size[0]} features, {size[1]} samples, {size[2]} covariates, seed {seed}: {case.name}"
                rows[key], versions = compare(case)
    worst = {c: max(row["max_relative_error"].get(c, 0.0) for row in rows.values()) for c in COLUMNS}
    claimed = max(worst[column] for column in CLAIMED)
    apart = [
        abs(r["correlation_limma"] - r["correlation_nereus"])
        for r in rows.values()
        if "correlation_limma" in r
    ]
    record = {
        "claim": "moderated t equal to R limma within 1e-6",
        "command": "python -m benchmarks.limma_parity",
        "seeds": list(SEEDS),
        "versions": {
            **versions,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
        "machine": f"{platform.system()} {platform.machine()}",
        "worst_relative_error_claimed": claimed,
        "worst_relative_error": worst,
        "passed": claimed <= 1e-6,
        "largest_difference_of_estimated_correlation": max(apart),
        "cases": rows,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=1) + "\n")
    print(
        f"{len(rows)} cases, worst relative error {claimed:.2g}; estimated correlations differ by "
        f"{max(apart):.2g} at most"
    )
    for key, row in rows.items():
        if max(row["max_relative_error"].values()) > 1e-6:
            print("MISS", key, {k: f"{v:.1e}" for k, v in row["max_relative_error"].items() if v > 1e-6})
    return 0 if claimed <= 1e-6 else 1


if __name__ == "__main__":
    sys.exit(main())
