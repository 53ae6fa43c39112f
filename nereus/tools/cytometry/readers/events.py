"""The cells of one file, as written: one row a cell, one column a channel."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass
class Events:
    """Cells of one file, or of several samples of one file.

    Attributes
    ----------
    name
        Name of the sample: the file's, without folder and suffix.
    values
        Shape (cells, channels), linear scale, never transformed.
    channels
        Detector or column names (``$PnN``).
    markers
        What the file itself says that each channel measures (``$PnS``), "" where it says nothing.
    software
        Which kind of file it was.
    samples
        Sample of each cell, where one file holds several.
    where
        How messages name the file.
    notes
        What was assumed.
    facts
        What later steps need to know, for instance that a spillover matrix was not applied.
    """

    name: str
    values: FloatArray
    channels: list[str]
    markers: list[str]
    software: str
    where: str
    samples: list[str] | None = None
    notes: list[str] = field(default_factory=list)
    facts: dict[str, str | bool | float] = field(default_factory=dict)
