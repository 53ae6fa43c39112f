"""Benchmarks: one runnable file a claim; results are JSON in `results`."""
