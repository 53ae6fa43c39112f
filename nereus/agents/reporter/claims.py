"""``claims.csv``: every feature-level claim that a run makes at its stated error level.

The text is a pure function of the final claim table, so equal seeds give equal bytes: rows are sorted,
numbers have six significant digits (which survive reading and writing again), lines end in a line feed.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from nereus.agents.reporter.sources import Sources, plain
from nereus.errors import ToolError
from nereus.memory.records import Scalar
from nereus.spreadsheets import guarded

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("contrast", "feature", "gene", "direction", "effect", "q", "confidence", "kind")
HEADER = ",".join(COLUMNS)


def claims_table(sources: Sources) -> pd.DataFrame | None:
    """The run's final claim table; None where the run ended before it made one."""
    found = sources.output("claims")
    return None if found is None else sources.table(sources.call(found[0]), found[1])


def claims_csv(table: pd.DataFrame | None) -> str:
    """Write a claim table.

    Parameters
    ----------
    table
        Columns `COLUMNS` and any others; None gives the header alone.

    Raises
    ------
    ToolError
        When a column is missing.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    if table is not None and len(table):
        if missing := [column for column in COLUMNS if column not in table.columns]:
            raise ToolError(f"the claim table lacks the columns {missing}", where="claims.csv")
        rows: list[list[str]] = [
            [guarded(written(plain(cell))) for cell in row]
            for row in table[list(COLUMNS)].itertuples(index=False, name=None)
        ]
        rows.sort(key=_order)
        writer.writerows(rows)
    return out.getvalue()


def written(value: Scalar) -> str:
    """A cell as text: six significant digits, empty where missing."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value or 0.0:.6g}"  # a negative zero is written as zero
    return str(value)


def _order(row: list[str]) -> tuple[str, float, str, str, str]:
    contrast, feature, _, direction, _, q, _, kind = row
    return contrast, float(q) if q else float("inf"), feature, kind, direction
