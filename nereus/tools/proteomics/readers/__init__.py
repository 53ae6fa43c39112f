"""Readers: from a file as the user has it to a quantification matrix. One file a format.

The way of a file: `source` (bytes, compression, encoding) -> `delimited` or `workbook` (cells) -> `recognise`
(which software wrote it, from its columns) -> `maxquant`, `diann`, `generic` or `h5ad` (a `Quantification`) ->
`scale` (raw or log2) and `sample_sheet` (what each sample is). `nereus.tools.proteomics.load` puts them together.
"""
