"""The faults of S11: what is broken, how, and which words must tell of it; one file a kind of thing that breaks."""

from benchmarks.truth.fault_cases import annotation, budgets, inputs, language_model, stores, tools
from benchmarks.truth.fault_cases.scene import CASES, Case, Scene

__all__ = ["CASES", "Case", "Scene", "annotation", "budgets", "inputs", "language_model", "stores", "tools"]
