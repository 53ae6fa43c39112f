"""How two groups are compared: by the test, by all that repeats it, and in other subjects."""

from __future__ import annotations

from typing import Any

TEST_OPTIONS: dict[str, Any] = {"background": "auto", "prior_covariate": "auto", "min_per_group": 1}
"""Options of `differential_abundance`, and of stability, null, calibration and replication of the same test."""
