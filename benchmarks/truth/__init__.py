"""Truth tests: data whose answer is known, scored without an LLM and without a person.

Each file is one claim: ``python -m benchmarks.truth.spike_in --data FOLDER``. The analysis sees anonymised feature ids
and files in a folder of their own; the truth stays in the harness. Beside the product runs a naive arm: log2, sample
medians, moderated t, Benjamini-Hochberg.
"""
