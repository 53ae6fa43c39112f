"""Tasks for meta-training where there are no related assays: properties that RDKit computes from the structures.

Each property is cut at its median. They stand in for assays poorly, but teach the network what tells molecules apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors


def _log_p(molecule: Chem.Mol) -> float:
    return float(rdMolDescriptors.CalcCrippenDescriptors(molecule)[0])


def _refractivity(molecule: Chem.Mol) -> float:
    return float(rdMolDescriptors.CalcCrippenDescriptors(molecule)[1])


PROPERTIES = (
    rdMolDescriptors.CalcExactMolWt,
    _log_p,
    _refractivity,
    rdMolDescriptors.CalcTPSA,
    rdMolDescriptors.CalcLabuteASA,
    rdMolDescriptors.CalcFractionCSP3,
    rdMolDescriptors.CalcNumHBD,
    rdMolDescriptors.CalcNumHBA,
    rdMolDescriptors.CalcNumRotatableBonds,
    rdMolDescriptors.CalcNumAromaticRings,
    rdMolDescriptors.CalcNumAliphaticRings,
    rdMolDescriptors.CalcNumHeterocycles,
    rdMolDescriptors.CalcNumAmideBonds,
    rdMolDescriptors.CalcKappa2,
    rdMolDescriptors.CalcChi2v,
)


def property_tasks(molecules: Sequence[Chem.Mol]) -> np.ndarray:
    """Labels of every property, (molecules, properties): 1 above the median, 0 at or below it."""
    values = np.array([[of(molecule) for of in PROPERTIES] for molecule in molecules], dtype=np.float64)
    return (values > np.median(values, axis=0)).astype(np.float64)
