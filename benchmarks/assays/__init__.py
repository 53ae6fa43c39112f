"""MBP without poses, on the assays of overlapping_assays: what is learned from, what is held out, and what stands beside it."""
