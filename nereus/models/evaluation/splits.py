"""Who is trained on and who is held out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nereus.errors import InputError


@dataclass(frozen=True)
class Split:
    """Rows of each part; disjoint, ascending.

    Attributes
    ----------
    train, valid, test
        Row numbers, (rows of the part,), int64.
    """

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


def random_split(n: int, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), *, seed: int = 0) -> Split:
    """Rows at random.

    Parameters
    ----------
    n
        Number of rows.
    fractions
        Shares of training, validation and test; they sum to one.
    seed
        Decides who goes where.
    """
    first, second = cuts(n, fractions)
    order = np.random.default_rng(seed).permutation(n)
    return Split(*(np.sort(part) for part in np.split(order, [first, second])))


def scaffolds(smiles: Sequence[str]) -> list[str]:
    """Bemis-Murcko scaffold of each molecule as SMILES, without chirality; empty for a molecule without rings.

    References
    ----------
    Bemis & Murcko, J. Med. Chem. 1996, 39, 2887.
    """
    from rdkit import Chem
    from rdkit.Chem.Scaffolds.MurckoScaffold import GetScaffoldForMol

    from nereus.models.molecules.graphs.read import read_smiles

    molecules, _, _ = read_smiles(smiles)
    return [Chem.MolToSmiles(GetScaffoldForMol(molecule), isomericSmiles=False) for molecule in molecules]


def scaffold_split(
    smiles: Sequence[str],
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    *,
    seed: int | None = None,
    even: bool = False,
) -> Split:
    """No scaffold is in two parts.

    Parameters
    ----------
    smiles
        Molecules.
    fractions
        Shares of training, validation and test; groups of one scaffold are never cut, so they are met roughly.
    seed
        None puts the largest groups into training (the usual deterministic split); a number deals the groups out at random.
    even
        Whether groups that would fill more than half of a smaller part go to training first, so that the shares are nearly met
        where many molecules have one scaffold, or none.

    References
    ----------
    Wu et al., Chem. Sci. 2018, 9, 513 (MoleculeNet); Yang et al., J. Chem. Inf. Model. 2019, 59, 3370 (even groups).
    """
    first, second = cuts(len(smiles), fractions)
    groups: dict[str, list[int]] = defaultdict(list)
    for row, scaffold in enumerate(scaffolds(smiles)):
        groups[scaffold].append(row)
    ordered = sorted(groups.values(), key=lambda rows: (-len(rows), rows[0]))
    if seed is not None:
        ordered = [ordered[i] for i in np.random.default_rng(seed).permutation(len(ordered))]
    return _dealt(ordered, first, second, len(smiles) if even else 0)


def group_split(
    groups: Sequence[object],
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    *,
    seed: int = 0,
    even: bool = False,
) -> Split:
    """No group (assay, protein) is in two parts.

    Parameters
    ----------
    groups
        Group of each row.
    fractions
        Shares of training, validation and test; they are met roughly.
    seed
        Decides who goes where.
    even
        See `scaffold_split`.
    """
    first, second = cuts(len(groups), fractions)
    members: dict[object, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)
    rows = list(members.values())
    shuffled = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]
    return _dealt(shuffled, first, second, len(groups) if even else 0)


def _dealt(ordered: list[list[int]], first: int, second: int, even: int = 0) -> Split:
    """Groups of rows, each into the first part that has room: up to `first` rows, up to `second`, the rest.

    With `even`, the number of all rows, groups of more than half of a smaller part come first.
    """
    smaller = [size for size in (second - first, even - second) if size > 0]
    if even and smaller:
        ordered = sorted(ordered, key=lambda rows: 2 * len(rows) <= min(smaller))
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for rows in ordered:
        if len(parts[0]) + len(rows) <= first:
            parts[0].extend(rows)
        elif len(parts[1]) + len(rows) <= second - first:
            parts[1].extend(rows)
        else:
            parts[2].extend(rows)
    return Split(*(np.array(sorted(part), dtype=np.int64) for part in parts))


def cuts(n: int, fractions: tuple[float, float, float]) -> tuple[int, int]:
    """Where the validation and the test rows of `n` begin; `InputError` where the shares do not sum to one."""
    if abs(sum(fractions) - 1) > 1e-9 or min(fractions) < 0:
        raise InputError(
            f"fractions {fractions} do not sum to one", where="split", mend="e.g. (0.8, 0.1, 0.1)"
        )
    return round(n * fractions[0]), round(n * (fractions[0] + fractions[1]))
