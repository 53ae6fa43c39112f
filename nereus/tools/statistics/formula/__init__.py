"""Closed formulas and rules that tell one column of a table from the others."""
