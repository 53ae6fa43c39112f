"""Remembers: records, artifacts, the run database, checkpoints, and recall by similarity."""
