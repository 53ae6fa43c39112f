"""Complexes from tables, and what tables say of their affinities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rdkit import Chem

from nereus.errors import InputError
from nereus.models.files import content
from nereus.models.molecules.mbp.complexes import Complex, Variant
from nereus.models.molecules.mbp.config import MBPConfig
from nereus.models.molecules.mbp.measurements import exact_values, molar_logarithms, text_of
from nereus.models.molecules.mbp.structures import read_poses

if TYPE_CHECKING:
    import pandas as pd


def complexes_of(table: pd.DataFrame, named: Mapping[str, list[str]]) -> list[Complex]:
    """A complex of each row of a table; empty cells are not given."""
    roles = [role for role in ("smiles", "ligand", "pocket", "sequence", "protein") if role in named]
    if not {"smiles", "ligand"} & set(roles):
        raise InputError(
            "no ligand is named",
            where="method 'mbp'",
            mend="name a column of SMILES, or of poses (ligand) and pockets",
        )
    rows = zip(*(cells(table, named, role) or [] for role in roles), strict=True)
    return [
        Complex(**{role: str(one) for role, one in zip(roles, row, strict=True) if text_of(one)})
        for row in rows
    ]


def variant_named(named: Mapping[str, Sequence[str]], config: MBPConfig) -> Variant:
    """What is read of a table in which these roles are named."""
    if config.variant != "auto":
        return config.variant
    return "structure" if "ligand" in named else "pose-free"


def exact_affinities(table: pd.DataFrame, named: Mapping[str, list[str]], config: MBPConfig) -> np.ndarray:
    """-log10 of mol/L, (n,), NaN where a relation tells a bound."""
    values = molar_logarithms(table[named["target"][0]].tolist(), cells(table, named, "unit"), config)
    relations = cells(table, named, "relation")
    return values if relations is None else np.where(exact_values(relations, config), values, np.nan)


def formulae(table: pd.DataFrame, named: Mapping[str, list[str]], config: MBPConfig) -> list[str]:
    """SMILES of every row, of poses those of their molecules."""
    complexes = complexes_of(table, named)
    if variant_named(named, config) == "pose-free":
        return [str(one.smiles) for one in complexes]
    return [Chem.MolToSmiles(read_poses(content(str(one.ligand)))[0]) for one in complexes]


def cells(table: pd.DataFrame, named: Mapping[str, list[str]], role: str) -> list[Any] | None:
    """Cells of a role's first column; None where no column is named."""
    return table[named[role][0]].tolist() if named.get(role) else None


def listed(columns: Mapping[str, str | Sequence[str]]) -> dict[str, list[str]]:
    """Role to columns, of those that are named."""
    return {role: [one] if isinstance(one, str) else list(one) for role, one in columns.items() if one}
