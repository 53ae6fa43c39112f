"""Readers: from a file as the user has it to a quantification matrix. One file a format, one line each in `formats`.

The way of a file: `source` (bytes, compression, encoding) -> `delimited` or `workbook` (cells) -> `formats` (which
software wrote it, from its columns, and by whom it is read) -> the format's reader (a `Quantification`), most of which
share `long` (one row a measurement), `channels` (reporter ions) or `generic` (wide tables) -> `join_sheet` (what each
sample is) -> `assemble` (removal, `values`: quantity and scale, the data set). `nereus.tools.proteomics.load` puts them
together; cells are read by `nereus.tools.cytometry.readers`.

To add a format: a file with a `Format` (how it is recognised, how it is read), a line in `formats`, a kind in the mutation
tests, and its public files in ``tests/tools/proteomics/readers/test_every_file.py``.
"""
