"""What is told of atoms, residues and distances.

References
----------
Sixteen properties of an atom and the Gaussians of distances follow Yan et al., Briefings in Bioinformatics 2024, 25, bbad451.
"""

from __future__ import annotations

from rdkit import Chem
from torch import Tensor, arange, exp

from nereus.models.molecules.graphs.features import ATTRIBUTED, FeatureSet

GAUSSIANS = 15
"""Number of Gaussians of a distance."""
RING_SIZES = (3, 4, 5, 6, 7, 8)
AMINO_ACIDS = (
    "ALA", "ARG", "ASN", "ASP", "CYS", "GLN", "GLU", "GLY", "HIS", "ILE", "LEU", "LYS", "MET", "PHE", "PRO", "SER", "THR",
    "TRP", "TYR", "VAL",
)  # fmt: skip
UNKNOWN_RESIDUE = 0
RESIDUE = {name: number for number, name in enumerate(AMINO_ACIDS, start=1)}
"""Class of each amino acid; 0 is any other."""
PROTONATED = {
    "HID": "HIS", "HIE": "HIS", "HIP": "HIS", "HSD": "HIS", "HSE": "HIS", "HSP": "HIS", "CYX": "CYS", "CYM": "CYS",
    "ASH": "ASP", "GLH": "GLU", "LYN": "LYS",
}  # fmt: skip
"""Names that force fields give to protonation states of the twenty."""
LETTERS = "ACDEFGHIKLMNPQRSTVWY"
LETTER = {letter: number for number, letter in enumerate(LETTERS, start=1)}
"""Class of each letter of a sequence; 0 is any other."""


def gaussians(distance: Tensor) -> Tensor:
    """``exp(-(d^2 / 10) / 1.5^k)`` for k = 0 .. 14; (n,) in Angstrom to (n, 15)."""
    scales = 1.5 ** arange(GAUSSIANS, device=distance.device, dtype=distance.dtype)
    return exp(-(distance.square().unsqueeze(1) / 10.0) / scales)


def _bound_atom(atom: Chem.Atom) -> tuple[int, ...]:
    element, chirality, degree, charge, hydrogens, radicals, hybridisation, aromatic, _ = ATTRIBUTED.atom(
        atom
    )
    rings = atom.GetOwningMol().GetRingInfo()
    number = atom.GetIdx()
    return (
        element,
        chirality,
        degree,
        charge,
        min(atom.GetValence(Chem.ValenceType.IMPLICIT), 6),
        hydrogens,
        radicals,
        hybridisation,
        aromatic,
        min(rings.NumAtomRings(number), 4),
        *(int(rings.IsAtomInRingOfSize(number, size)) for size in RING_SIZES),
    )


def _bound_bond(bond: Chem.Bond) -> tuple[int, ...]:
    return (ATTRIBUTED.bond(bond)[0],)


_CLASSES = ATTRIBUTED.atom_classes
BOUND = FeatureSet(
    "bound",
    (*_CLASSES[:4], 7, *_CLASSES[4:8], 5, *(2 for _ in RING_SIZES)),
    (ATTRIBUTED.bond_classes[0],),
    _bound_atom,
    _bound_bond,
)
"""Sixteen properties of an atom; the order of a bond, of which class 0 is none."""
