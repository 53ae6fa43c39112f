"""The parts of `benchmarks.reasoner`: one file a kind of problem, and what can be computed exactly."""
