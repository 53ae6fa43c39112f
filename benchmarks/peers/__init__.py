"""Other tools on the same files: an expert's limma script, AlphaPeptStats, and the product, scored alike."""
