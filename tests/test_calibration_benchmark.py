"""Calibration is measured and drawn: perfect, overconfident and useless probabilities are told apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.truth.calibration import measured, verdict
from benchmarks.truth.reliability_diagram import Curve, reliability_svg


def rows(said: np.ndarray, truly: np.ndarray) -> list[dict[str, Any]]:
    """Each probability with an outcome drawn from another one."""
    rng = np.random.default_rng(3)
    return [
        {"confidence": float(p), "q": 1.0 - float(p), "true": bool(rng.random() < t)}
        for p, t in zip(said, truly, strict=True)
    ]


P = np.random.default_rng(1).beta(0.3, 0.3, 4000)


def test_true_probabilities_pass_and_others_do_not() -> None:
    good = measured(rows(P, P), "confidence")
    assert good["ece"] < 0.03
    assert good["skill"] > 0.4
    assert verdict(good)["passed"]
    bold = measured(rows(np.where(P > 0.5, 0.99, 0.01), 0.5 + 0.4 * (P - 0.5)), "confidence")
    assert bold["ece"] > 0.2
    assert not verdict(bold)["passed"]
    useless = measured(rows(np.full(4000, 0.3), np.full(4000, 0.3)), "confidence")
    assert useless["ece"] < 0.03
    assert useless["skill"] == pytest.approx(0.0, abs=0.01)
    assert not verdict(useless)["passed"]


def test_q_is_read_as_one_minus_q_and_rows_without_a_value_are_left_out() -> None:
    made = rows(P, P)
    assert measured(made, "q")["brier"] == pytest.approx(measured(made, "confidence")["brier"])
    made.append({"confidence": None, "q": None, "true": True})
    assert measured(made, "confidence")["n"] == len(P)
    assert measured([made[-1]], "confidence") == {"n": 0}
    assert not verdict({"n": 0})["passed"]


def test_bins_add_up_and_the_drawing_has_equal_bytes() -> None:
    found = measured(rows(P, P), "confidence")
    assert sum(one["n"] for one in found["bins"]) == len(P)
    curves = [Curve("product", found["bins"]), Curve("1 - q", found["bins"])]
    svg = reliability_svg(curves, "P(true)")
    assert svg == reliability_svg(curves, "P(true)")
    assert b"stated probability" in svg
    assert b"product" in svg
