"""Tests, error rates, calibration and exploration."""
