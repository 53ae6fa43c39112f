"""What is told of an atom and a bond: categorical features, each with its number of classes.

A feature set maps every atom and bond to small integers; networks embed them. Class 0 of every feature is "anything else", so
an element that training never saw is read, not refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rdkit import Chem

_HYBRIDISATIONS = (
    Chem.HybridizationType.S,
    Chem.HybridizationType.SP,
    Chem.HybridizationType.SP2,
    Chem.HybridizationType.SP3,
    Chem.HybridizationType.SP3D,
    Chem.HybridizationType.SP3D2,
)
_CHIRALITIES = (
    Chem.ChiralType.CHI_TETRAHEDRAL_CW,
    Chem.ChiralType.CHI_TETRAHEDRAL_CCW,
    Chem.ChiralType.CHI_OTHER,
)
_BONDS = (Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE, Chem.BondType.AROMATIC)
_DIRECTIONS = (Chem.BondDir.ENDUPRIGHT, Chem.BondDir.ENDDOWNRIGHT)
_CHARGES = (-3, -2, -1, 0, 1, 2, 3)


def _one_of(values: tuple[Any, ...]) -> dict[Any, int]:
    return {value: number for number, value in enumerate(values, start=1)}


_HYBRIDISATION, _CHIRALITY, _CHARGE = _one_of(_HYBRIDISATIONS), _one_of(_CHIRALITIES), _one_of(_CHARGES)
_BOND, _DIRECTION = _one_of(_BONDS), _one_of(_DIRECTIONS)
_STEREO = _one_of((Chem.BondStereo.STEREOZ, Chem.BondStereo.STEREOE))
ELEMENTS = 119


@dataclass(frozen=True)
class FeatureSet:
    """Which features describe atoms and bonds.

    Attributes
    ----------
    name
        Kept with a trained method.
    atom_classes, bond_classes
        Number of classes of each feature.
    atom, bond
        Classes of one atom and one bond.
    """

    name: str
    atom_classes: tuple[int, ...]
    bond_classes: tuple[int, ...]
    atom: Callable[[Chem.Atom], tuple[int, ...]]
    bond: Callable[[Chem.Bond], tuple[int, ...]]


def _typed_atom(atom: Chem.Atom) -> tuple[int, ...]:
    return (atom.GetAtomicNum(), _CHIRALITY.get(atom.GetChiralTag(), 0))


def _typed_bond(bond: Chem.Bond) -> tuple[int, ...]:
    return (_BOND.get(bond.GetBondType(), 0), _DIRECTION.get(bond.GetBondDir(), 0))


TYPED = FeatureSet(
    "typed",
    (ELEMENTS, 1 + len(_CHIRALITY)),
    (1 + len(_BOND), 1 + len(_DIRECTION)),
    _typed_atom,
    _typed_bond,
)
"""Element and chirality; bond order and direction: what pre-trained graph networks of Hu et al. (ICLR 2020) read."""


def _attributed_atom(atom: Chem.Atom) -> tuple[int, ...]:
    return (
        atom.GetAtomicNum(),
        _CHIRALITY.get(atom.GetChiralTag(), 0),
        min(atom.GetTotalDegree(), 7),
        _CHARGE.get(atom.GetFormalCharge(), 0),
        min(atom.GetTotalNumHs(), 5),
        min(atom.GetNumRadicalElectrons(), 3),
        _HYBRIDISATION.get(atom.GetHybridization(), 0),
        int(atom.GetIsAromatic()),
        int(atom.IsInRing()),
    )


def _attributed_bond(bond: Chem.Bond) -> tuple[int, ...]:
    return (
        _BOND.get(bond.GetBondType(), 0),
        _STEREO.get(bond.GetStereo(), 0),
        int(bond.GetIsConjugated()),
        int(bond.IsInRing()),
    )


ATTRIBUTED = FeatureSet(
    "attributed",
    (ELEMENTS, 1 + len(_CHIRALITY), 8, 1 + len(_CHARGE), 6, 4, 1 + len(_HYBRIDISATION), 2, 2),
    (1 + len(_BOND), 1 + len(_STEREO), 2, 2),
    _attributed_atom,
    _attributed_bond,
)
"""Nine properties of an atom, four of a bond: for networks that are trained from scratch."""

FEATURE_SETS = {one.name: one for one in (TYPED, ATTRIBUTED)}
