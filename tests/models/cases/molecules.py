"""Small molecules that the cases of several methods share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

SMILES = [
    "CCO", "CCN", "CCCO", "CCCN", "CCCCO", "CCCCN", "OCCO", "NCCN", "c1ccccc1O", "c1ccccc1N", "CC(O)C", "CC(N)C",
    "OC1CCCCC1", "NC1CCCCC1", "CC(=O)O", "CC(=O)N", "OCC1CC1", "NCC1CC1", "COCCO", "COCCN", "OC(=O)CCl", "NC(=O)CCl",
    "Oc1ccncc1", "Nc1ccncc1",
]  # fmt: skip
ALCOHOL = np.array([1.0, 0.0] * (len(SMILES) // 2))
OTHERS = ["CCCCCO", "CCCCCN", "CC(C)CO", "CC(C)CN", "OCc1ccccc1"]


def labelled_molecules() -> tuple[pd.DataFrame, dict[str, Any]]:
    return pd.DataFrame({"structure": SMILES, "active": ALCOHOL}), {"smiles": "structure", "target": "active"}


def others() -> tuple[pd.DataFrame, dict[str, Any]]:
    """A table of molecules to ask about."""
    return pd.DataFrame({"structure": OTHERS}), {"smiles": "structure"}
