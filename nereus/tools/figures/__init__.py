"""Figures of results: pure matplotlib, drawn to deterministic SVG."""
