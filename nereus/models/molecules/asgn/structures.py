"""Molecules as ASGN reads them: SMILES or molecules with coordinates, packed once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rdkit import Chem

from nereus.errors import InputError
from nereus.models.molecules.asgn.config import ASGNConfig
from nereus.models.molecules.graphs.conformers import in_space, with_hydrogens
from nereus.models.molecules.graphs.features import ELEMENTS
from nereus.models.molecules.graphs.packed import PackedGraphs
from nereus.models.molecules.graphs.read import largest_fragment, pack, read_smiles

MOST_ATOMS = 500
"""Atoms of a molecule, hydrogens too: time and memory grow with their square (a quarter of a million pairs here)."""


@dataclass(frozen=True)
class Structures:
    """Molecules that can be used, and why others cannot.

    Attributes
    ----------
    graphs
        With hydrogens; with coordinates unless distances are along bonds.
    names
        Canonical SMILES without hydrogens.
    rows
        Row of each among those that were given, (molecules,), ascending.
    given
        How many were given.
    problems
        Row to why it cannot be used.
    made
        How many conformers were made.
    cut
        How many had several parts, of which the largest is taken.
    """

    graphs: PackedGraphs
    names: list[str]
    rows: np.ndarray
    given: int
    problems: dict[int, str]
    made: int
    cut: int = 0

    def __len__(self) -> int:
        return len(self.names)

    def composition(self) -> np.ndarray:
        """Number of atoms of each element, (molecules, elements)."""
        owner = torch.repeat_interleave(torch.arange(len(self)), self.graphs.atoms)
        flat = owner * ELEMENTS + self.graphs.x[:, 0].long()
        return np.asarray(torch.bincount(flat, minlength=len(self) * ELEMENTS).reshape(len(self), ELEMENTS))

    def identity(self) -> str:
        """Hash of what is learned from."""
        found = hashlib.sha256("\n".join(self.names).encode())
        found.update(self.rows.tobytes())
        found.update(np.asarray(self.graphs.x).tobytes())
        if self.graphs.positions is not None:
            found.update(np.asarray(self.graphs.positions).tobytes())
        return found.hexdigest()

    def elements(self) -> list[int]:
        """Atomic numbers that occur, ascending."""
        return [int(one) for one in torch.unique(self.graphs.x[:, 0])]

    def known(self, elements: Sequence[int]) -> Structures:
        """Those whose elements are all among these; the others become problems."""
        seen = torch.zeros(ELEMENTS, dtype=torch.bool)
        seen[list(elements)] = True
        owner = np.repeat(np.arange(len(self)), np.asarray(self.graphs.atoms))
        strange = np.flatnonzero(~np.asarray(seen[self.graphs.x[:, 0].long()]))
        if not len(strange):
            return self
        table = Chem.GetPeriodicTable()
        found: dict[int, set[str]] = {}
        for atom in strange.tolist():
            symbol = table.GetElementSymbol(int(self.graphs.x[atom, 0]))
            found.setdefault(int(owner[atom]), set()).add(symbol)
        problems = {
            int(self.rows[one]): f"has {', '.join(sorted(symbols))}, which training did not see"
            for one, symbols in found.items()
        }
        kept = np.setdiff1d(np.arange(len(self)), list(found))
        if not len(kept):
            row, why = next(iter(problems.items()))
            raise InputError(
                f"none of {self.given} molecules can be used; row {row} {why}",
                where="asgn",
                mend="ask about molecules like those of training, or train again with these",
            )
        return Structures(
            self.graphs.take(kept),
            [self.names[one] for one in kept],
            self.rows[kept],
            self.given,
            dict(sorted({**self.problems, **problems}.items())),
            self.made,
            self.cut,
        )

    def whole(self) -> Structures:
        """All molecules, or an error that names one that cannot be used."""
        if self.problems:
            row, why = next(iter(self.problems.items()))
            raise InputError(
                f"{len(self.problems)} of {self.given} molecules cannot be used; row {row} {why}",
                where="asgn",
                mend="correct or remove these rows; tables leave them out and tell",
            )
        return self

    def notes(self, relaxed: bool) -> list[str]:
        """What was done that a user should know."""
        notes = []
        if self.problems:
            row, why = next(iter(self.problems.items()))
            notes.append(f"{len(self.problems)} molecules cannot be used, first row {row}: {why}")
        if self.cut:
            notes.append(f"{self.cut} molecules have several parts, of which the largest is taken")
        if self.made:
            how = "and relaxed in MMFF94" if relaxed else "and not relaxed"
            notes.append(f"conformers were made for {self.made} molecules {how}")
        return notes

    def take(self, rows: Sequence[int] | np.ndarray) -> Structures:
        """Some of the molecules, by their number here."""
        chosen = np.asarray(rows, dtype=np.int64)
        names = [self.names[row] for row in chosen]
        return Structures(self.graphs.take(chosen), names, np.arange(len(chosen)), len(chosen), {}, 0)


def read_structures(X: Sequence[str | Chem.Mol], config: ASGNConfig) -> Structures:
    """Read molecules.

    Parameters
    ----------
    X
        SMILES, or molecules of RDKit with a conformer in space; those without one are placed.
    config
        Whether coordinates are asked for.

    Raises
    ------
    InputError
        A SMILES cannot be read, or no molecule can be used.
    """
    objects = list(X)
    texts = [row for row, one in enumerate(objects) if not isinstance(one, Chem.Mol)]
    molecules: list[Any] = list(objects)
    if texts or not objects:
        # Rows of the whole are named where one cannot be read.
        probe = ["C" if isinstance(one, Chem.Mol) else one for one in objects]
        read, _, _ = read_smiles(probe)
        for row in texts:
            molecules[row] = read[row]
    whole = [largest_fragment(one) for one in molecules]
    problems = {
        row: f"has {size} atoms with its hydrogens, more than {MOST_ATOMS}, of which all pairs would be looked at"
        for row, one in enumerate(whole)
        if (size := one.GetNumAtoms() + sum(atom.GetTotalNumHs() for atom in one.GetAtoms())) > MOST_ATOMS
    }
    small = [row for row in range(len(whole)) if row not in problems]
    made = 0
    if config.geometry == "bonds":
        found: list[Chem.Mol | None] = list(with_hydrogens([whole[row] for row in small]))
    else:
        found, wrong, made = in_space([whole[row] for row in small], config.relax)
        problems |= {small[number]: why for number, why in wrong.items()}
    placed: list[Chem.Mol | None] = [None] * len(whole)
    for row, one in zip(small, found, strict=True):
        placed[row] = one
    rows = [row for row in range(len(objects)) if row not in problems]
    if not rows:
        raise InputError(
            f"none of {len(objects)} molecules can be used; row 0: {problems[0]}",
            where="asgn",
            mend="correct the coordinates, set geometry='bonds', or leave such molecules out",
        )
    usable = [one for row in rows if (one := placed[row]) is not None]
    return Structures(
        pack(usable, positions=config.geometry == "space"),
        [Chem.MolToSmiles(Chem.RemoveHs(one)) for one in usable],
        np.array(rows, dtype=np.int64),
        len(objects),
        dict(sorted(problems.items())),
        made,
        sum(a is not b for a, b in zip(molecules, whole, strict=True)),
    )
