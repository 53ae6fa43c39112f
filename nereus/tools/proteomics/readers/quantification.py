"""What every reader returns: a matrix as the file has it, before removal, scaling and the sample sheet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Level = Literal["protein", "peptide", "site", "fragment", "gene", "cell", "generic"]
"""What one feature is (for ``cell``: what one row of the matrix is; its features are markers)."""
DATA_KIND: dict[str, str] = {
    "protein": "proteins",
    "peptide": "peptides",
    "site": "sites",
    "fragment": "fragments",
    "gene": "genes",
    "cell": "cells",
    "generic": "generic",
}
"""The kind of data that a level stands for, as profiles and plans call it."""
Orientation = Literal["samples_in_rows", "samples_in_columns", "long"]


@dataclass
class Quantification:
    """Values as written in the file, with what it says of features and samples.

    Attributes
    ----------
    software, level, orientation
        Which software wrote the file, what a feature is, and how the file is laid out.
    samples, features
        Names in file order. Features may repeat; the loader makes them unique.
    quantities
        Quantity name -> values, shape (samples, features), NaN where the file has none.
    var
        One row a feature: gene, protein, n_peptides, description, organism (and protein_group for peptides).
    obs
        Metadata found beside the values; index = samples.
    layers
        Per-sample numbers that are no quantity: n_peptides, identified_by.
    contaminant, shared, reverse, by_site
        Flags of features. `shared` marks groups that are led by a protein of the sample and also hold a contaminant.
    raw
        True where the software is known to write raw intensities.
    known_scale
        The scale, where the file says it.
    history
        What was done to the values before, for files that Nereus wrote.
    notes
        What was assumed; becomes warnings.
    data_kind
        The kind of data, where the level alone does not tell it (``fractions``).
    facts
        More that the file says and later steps ask for; goes to ``uns["nereus"]``.
    """

    software: str
    level: Level
    orientation: Orientation
    samples: list[str]
    features: list[str]
    quantities: dict[str, FloatArray]
    var: pd.DataFrame
    obs: pd.DataFrame | None = None
    layers: dict[str, FloatArray] = field(default_factory=dict)
    contaminant: BoolArray | None = None
    shared: BoolArray | None = None
    reverse: BoolArray | None = None
    by_site: BoolArray | None = None
    raw: bool = False
    known_scale: Literal["raw", "log2", "ln"] | None = None
    notes: list[str] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    where: str = ""
    data_kind: str = ""
    facts: dict[str, str | bool | float] = field(default_factory=dict)
