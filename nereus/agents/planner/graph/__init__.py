"""The evidence graph: what each tool adds to it, how a run writes it, and what it leads to."""
