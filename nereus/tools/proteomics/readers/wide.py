"""Wide tables whose software is known from their columns, and that need no more than the generic reader."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd

from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.format import Format, ReadOptions
from nereus.tools.proteomics.readers.generic import read_generic
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.recognise import Header
from nereus.tools.proteomics.readers.two_header_lines import has_two_header_lines, joined

_CELL = re.compile(r"i\d+\Z")


def _fragpipe(header: Header) -> bool:
    return header.has_any(
        "combined_total_peptides", "combined_spectral_count", "summarized_total_spectral_count"
    )


def _lfqbench(header: Header) -> bool:
    return header.has("proteinid", "species")


def _alphapept(header: Header) -> bool:
    """Unnamed row names, then ``X_LFQ`` and ``X`` for each sample."""
    if len(header.raw) < 5 or header.raw[0]:
        return False
    lfq = {name[: -len("_LFQ")] for name in header.raw if name.endswith("_LFQ")}
    return len(lfq) >= 2 and lfq | {f"{name}_LFQ" for name in lfq} == set(header.raw[1:])


def _scope2(header: Header) -> bool:
    """A column of peptides, then cells numbered i1, i2 ..."""
    return header.has("peptide") and len(header.raw) > 4 and all(_CELL.match(name) for name in header.raw[1:])


def _anything(header: Header) -> bool:
    return True


def read_as(software: str, table: Table, options: ReadOptions) -> Quantification:
    """The generic reader, with the software's name."""
    under_one = joined(table) if has_two_header_lines(table) else None
    q = read_generic(
        table if under_one is None else under_one.table,
        options.sheet,
        software=software,
        orientation=options.orientation,
        decimal=options.decimal,
        feature_column=options.feature_column,
        sample_column=options.sample_column,
        quantity=options.quantity,
        level=options.level,
        values=(under_one.values or None) if under_one is not None else None,
    )
    if (
        under_one is not None
        and under_one.values
        and q.obs is None
        and len(q.samples) == len(under_one.parts)
    ):
        index = pd.Index(q.samples, dtype=object)
        q.obs = pd.DataFrame(under_one.parts, columns=["replicate", "fraction"], index=index, dtype=object)
    return q


def _read_scope2(table: Table, options: ReadOptions) -> Quantification:
    """Peptides x single cells; the values are logarithms of ratios to the reference channel."""
    q = read_as("SCoPE2", table, replace(options, orientation="samples_in_columns"))
    q.facts["single_cell"] = True
    return q


FRAGPIPE = Format("FragPipe", _fragpipe, lambda table, options: read_as("FragPipe", table, options))
LFQBENCH = Format("an LFQbench table", _lfqbench, lambda table, options: read_as("LFQbench", table, options))
ALPHAPEPT = Format("AlphaPept", _alphapept, lambda table, options: read_as("AlphaPept", table, options))
SCOPE2 = Format("a SCoPE2 matrix", _scope2, _read_scope2)
GENERIC = Format("a wide table", _anything, lambda table, options: read_as("generic", table, options))
