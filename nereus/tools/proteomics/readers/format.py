"""What a format is: how it is recognised, which of its columns are needed, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nereus.tools.proteomics.readers.delimited import Table
from nereus.tools.proteomics.readers.numbers import Decimal
from nereus.tools.proteomics.readers.quantification import Quantification
from nereus.tools.proteomics.readers.recognise import Header

WantedLevel = Literal["auto", "protein", "peptide", "site", "fragment", "gene", "cell"]


@dataclass(frozen=True)
class ReadOptions:
    """What the user may override. The fields are those of the loader's parameters."""

    sheet: Table | None = None
    orientation: str = "auto"
    decimal: Decimal = "auto"
    feature_column: str | None = None
    sample_column: str | None = None
    quantity: str = "auto"
    level: WantedLevel = "auto"
    q_value: float = 0.01
    max_interference: float = 50.0


@dataclass(frozen=True)
class Format:
    """One format of one software.

    Attributes
    ----------
    name
        As messages call it.
    recognise
        From the column names alone.
    read
        From cells to a quantification.
    columns
        The columns that the reader uses, so that the rest of a long report is not kept in memory; None = all.
    confirm
        A second look at the cells, where the names could be anybody's.
    """

    name: str
    recognise: Callable[[Header], bool]
    read: Callable[[Table, ReadOptions], Quantification]
    columns: Callable[[list[str]], list[int]] | None = None
    confirm: Callable[[Table], bool] | None = None
