"""Cells by markers: transform, judge, cluster, name and compare populations of flow, mass and single-cell cytometry."""
