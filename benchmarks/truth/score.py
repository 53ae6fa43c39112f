"""Scores of claims against known truth. A true item counts once, matched on feature, contrast and direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.truth.arms import Outcome


@dataclass(frozen=True)
class SpikeTruth:
    """What is true of a two-level spike-in.

    Attributes
    ----------
    changed
        Features that change.
    contrast
        The two levels with their amounts; a claim's contrast names which is a and which is b.
    """

    changed: frozenset[str]
    amounts: dict[str, float]

    def expected(self, contrast: str) -> float | None:
        """log2 effect that a contrast ``a vs b`` should show; None for another contrast."""
        sides = [side.strip() for side in contrast.split(" (")[0].split(" vs ")]
        if len(sides) != 2 or any(side not in self.amounts for side in sides) or sides[0] == sides[1]:
            return None
        return float(np.log2(self.amounts[sides[0]] / self.amounts[sides[1]]))


def score_spike_in(outcome: Outcome, truth: SpikeTruth, top: int = 20) -> dict[str, float | int | None]:
    """Recall, false discovery proportion, sign and size of the claims; precision of the top hypotheses."""
    claims = outcome.claims
    expected = [truth.expected(str(contrast)) for contrast in claims["contrast"]]
    is_changed = claims["feature"].isin(truth.changed).to_numpy(dtype=bool)
    of_contrast = np.array([e is not None for e in expected], dtype=bool)
    sign = np.array([0.0 if e is None else np.sign(e) for e in expected])
    claimed = np.where(claims["direction"] == "up", 1.0, -1.0)
    right = is_changed & of_contrast & (claimed == sign)
    n_claims = len(pd.MultiIndex.from_frame(claims[["feature", "contrast"]]).unique()) if len(claims) else 0
    found = set(claims["feature"][right])
    abundance = (claims["kind"] == "abundance").to_numpy(dtype=bool)
    size = claims["effect"].to_numpy(dtype=float) - np.array([np.nan if e is None else e for e in expected])
    sized = is_changed & of_contrast & abundance
    best = outcome.top[:top]
    hits = 0
    for feature, contrast, direction, _ in best:
        e = truth.expected(contrast)
        hits += feature in truth.changed and e is not None and (direction == "up") == (e > 0)
    n_true = len(truth.changed)
    return {
        "n_true": n_true,
        "n_claims": n_claims,
        "true_claims": len(found),
        "false_claims": int((~right).sum()),
        "recall": len(found) / n_true,
        "fdp": float((~right).mean()) if len(claims) else 0.0,
        "detection_true": int((right & ~abundance).sum()),
        "detection_false": int((~right & ~abundance).sum()),
        "sign_correct": float(right[is_changed & of_contrast].mean())
        if (is_changed & of_contrast).any()
        else None,
        "size_error_median": float(np.median(np.abs(size[sized]))) if sized.any() else None,
        "precision_at_20": hits / len(best) if best else None,
    }


def calibration_error(
    confidence: np.ndarray, true: np.ndarray, bins: int = 10
) -> dict[str, float | int | None]:
    """Expected calibration error over equal bins, Brier score and its skill over the base rate."""
    if not len(confidence):
        return {"n": 0, "ece": None, "brier": None, "base_rate": None}
    of = np.minimum((confidence * bins).astype(int), bins - 1)
    ece = sum(
        (of == b).mean() * abs(confidence[of == b].mean() - true[of == b].mean()) for b in np.unique(of)
    )
    return {
        "n": len(confidence),
        "ece": float(ece),
        "brier": float(np.mean((confidence - true) ** 2)),
        "base_rate": float(np.mean(true)),
    }
