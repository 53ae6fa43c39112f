"""Readers of cells: FCS files and tables with one row a cell, one file or many, with a panel and a sample sheet.

The way of a file: `bundle` (a file, a folder or a zip archive to its parts) -> `fcs` or `cell_table` (`Events`: values
by channel) -> `panel` (what each channel measures) -> `cells` (one data set: obs = cells with their sample).
"""
