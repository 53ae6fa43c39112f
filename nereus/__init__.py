"""Nereus: an agent platform for scientific discovery that never states a number it cannot recompute."""

__version__ = "0.1.0"
