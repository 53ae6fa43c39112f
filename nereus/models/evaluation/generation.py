"""How well generated molecules fit what was asked for. Validity stands beside every similarity, for what is no molecule has none.

References
----------
Edwards et al.: Translation between Molecules and Natural Language. EMNLP 2022 (similarities on three fingerprints).
Polykovskiy et al., Front. Pharmacol. 2020, 11, 565644 (validity, uniqueness, novelty).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rdkit import Chem, DataStructs, rdBase
from rdkit.Chem import rdFingerprintGenerator, rdMolDescriptors

from nereus.errors import InputError

FINGERPRINTS = ("maccs", "rdk", "morgan")


def flat(smiles: str | None) -> str | None:
    """Canonical SMILES without stereo; None where it cannot be read."""
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles) if smiles else None
    return None if molecule is None else Chem.MolToSmiles(molecule, isomericSmiles=False)


def fit_to_targets(targets: Sequence[str], generated: Sequence[str | None]) -> dict[str, float]:
    """Validity, exact matches without stereo, and Tanimoto similarity on MACCS keys, RDKit paths and Morgan fingerprints.

    Parameters
    ----------
    targets
        Readable SMILES, (n,).
    generated
        One for each; None where there is no molecule, (n,).

    Returns
    -------
    dict
        ``valid`` and ``exact`` as shares of all; ``maccs, rdk, morgan`` as means over the valid, and ``<name>_of_all`` as
        means in which an invalid one counts zero. Without a valid one the former are NaN.

    Raises
    ------
    InputError
        A target cannot be read, or the numbers differ.
    """
    if len(targets) != len(generated) or not len(targets):
        raise InputError(
            f"{len(targets)} targets, but {len(generated)} molecules", where="similarity to targets"
        )
    wanted, made = [flat(one) for one in targets], [flat(one) for one in generated]
    if None in wanted:
        raise InputError(
            f"target {targets[wanted.index(None)]!r} cannot be read", where="similarity to targets"
        )
    valid = np.array([one is not None for one in made])
    found = {
        "valid": float(valid.mean()),
        "exact": float(np.mean([a == b for a, b in zip(wanted, made, strict=True)])),
    }
    pairs = [(a, b) for a, b in zip(wanted, made, strict=True) if b is not None]
    similar = np.array([similarities(str(a), b) for a, b in pairs]).reshape(-1, len(FINGERPRINTS))
    for name, column in zip(FINGERPRINTS, similar.T, strict=True):
        found[name] = float(column.mean()) if len(column) else float("nan")
        found[f"{name}_of_all"] = float(column.sum() / len(targets))
    return found


def similarities(a: str, b: str) -> tuple[float, float, float]:
    """Tanimoto similarity of two molecules on MACCS keys, RDKit paths, and Morgan fingerprints of radius 2."""
    morgan = rdFingerprintGenerator.GetMorganGenerator(radius=2)
    one, other = Chem.MolFromSmiles(a), Chem.MolFromSmiles(b)
    prints = (rdMolDescriptors.GetMACCSKeysFingerprint, Chem.RDKFingerprint, morgan.GetFingerprint)
    first, second, third = (DataStructs.TanimotoSimilarity(of(one), of(other)) for of in prints)
    return first, second, third


def diversity(generated: Sequence[str | None], known: Sequence[str]) -> dict[str, float]:
    """Shares of valid molecules among all, of different ones among the valid, and of new ones among the different.

    Parameters
    ----------
    generated
        SMILES, None where there is no molecule.
    known
        Molecules that were learned from.
    """
    made = [one for one in map(flat, generated) if one is not None]
    different, seen = set(made), {flat(one) for one in known}
    return {
        "valid": len(made) / max(1, len(generated)),
        "unique": len(different) / len(made) if made else float("nan"),
        "novel": len(different - seen) / len(different) if different else float("nan"),
    }
