"""Parts of a molecule that can be taken away so that a molecule remains.

A part hangs on the rest by one single bond outside rings; in its place the rest gets a hydrogen. Parts may lie within each other:
an ether's methyl and its methoxy are both asked about.
"""

from __future__ import annotations

from dataclasses import dataclass

from rdkit import Chem, rdBase

SHARE = 0.5
"""Largest share of the atoms that a part may have: what is left must still be the molecule in question."""


@dataclass(frozen=True)
class Part:
    """What hangs on a molecule by one bond.

    Attributes
    ----------
    atoms
        Its atoms, ascending.
    smiles
        The part, with ``*`` where it hangs.
    rest
        The molecule without it; coordinates are kept.
    """

    atoms: tuple[int, ...]
    smiles: str
    rest: Chem.Mol


def parts(molecule: Chem.Mol, share: float = SHARE) -> list[Part]:
    """All parts of a molecule, the smallest first, in the order of their atoms; none of a molecule without such a bond.

    Parameters
    ----------
    molecule
        Hydrogens that are atoms are no parts.
    share
        See `SHARE`.
    """
    heavy = molecule.GetNumHeavyAtoms()
    found: dict[tuple[int, ...], Part] = {}
    for bond in molecule.GetBonds():
        a, b = bond.GetBeginAtom(), bond.GetEndAtom()
        if (
            bond.GetBondType() != Chem.BondType.SINGLE
            or bond.IsInRing()
            or 1 in (a.GetAtomicNum(), b.GetAtomicNum())
        ):
            continue
        for here, there in ((a.GetIdx(), b.GetIdx()), (b.GetIdx(), a.GetIdx())):
            side = _side(molecule, here, there)
            size = sum(molecule.GetAtomWithIdx(atom).GetAtomicNum() > 1 for atom in side)
            if size <= share * heavy and side not in found:
                part = _part(molecule, bond.GetIdx(), side)
                if part is not None:
                    found[side] = part
    return sorted(found.values(), key=lambda one: (len(one.atoms), one.atoms))


def _side(molecule: Chem.Mol, here: int, there: int) -> tuple[int, ...]:
    """Atoms on `here`'s side of the bond between `here` and `there`."""
    seen, open_ = {here}, [here]
    while open_:
        for near in molecule.GetAtomWithIdx(open_.pop()).GetNeighbors():
            if near.GetIdx() not in seen and near.GetIdx() != there:
                seen.add(near.GetIdx())
                open_.append(near.GetIdx())
    return tuple(sorted(seen))


def _part(molecule: Chem.Mol, bond: int, side: tuple[int, ...]) -> Part | None:
    """A part and what remains; None where the rest is no molecule that RDKit accepts."""
    ends = molecule.GetBondWithIdx(bond)
    outside = ends.GetEndAtomIdx() if ends.GetBeginAtomIdx() in side else ends.GetBeginAtomIdx()
    drawn = Chem.FragmentOnBonds(molecule, [bond], dummyLabels=[(0, 0)])
    fragment = next(one for one in Chem.GetMolFrags(drawn) if side[0] in one)
    editable = Chem.RWMol(molecule)
    place = editable.GetAtomWithIdx(outside)
    if place.GetNoImplicit() or (place.GetIsAromatic() and place.GetAtomicNum() != 6):
        place.SetNumExplicitHs(place.GetNumExplicitHs() + 1)
    for atom in sorted(side, reverse=True):
        editable.RemoveAtom(atom)
    rest = editable.GetMol()
    with rdBase.BlockLogs():
        if Chem.SanitizeMol(rest, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
            return None
    Chem.AssignStereochemistry(rest, cleanIt=True, force=True)
    return Part(side, Chem.MolFragmentToSmiles(drawn, list(fragment)), rest)
