"""Molecules from tables, and answers as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from rdkit import Chem, rdBase

from nereus.errors import InputError
from nereus.models.molecules.asgn.selection import Choice
from nereus.models.molecules.asgn.structures import Structures
from nereus.models.tables import PROBLEM

_NO_BLOCK = "is no mol block that RDKit can read"


def molecules_of(table: pd.DataFrame, columns: Mapping[str, list[str]]) -> list[Any]:
    """Molecules of the column of structures where it has one, else SMILES, one a row."""
    objects: list[Any] = table[columns["smiles"][0]].tolist()
    for row, block in _blocks(table, columns).items():
        found = _molecule(block)
        if found is None:
            raise InputError(f"row {row} {_NO_BLOCK}", where="structure", mend="correct or empty it")
        objects[row] = found
    return objects


def unreadable_blocks(table: pd.DataFrame, columns: Mapping[str, list[str]]) -> dict[int, str]:
    """Row numbers whose mol block cannot be read, with the reason."""
    return {row: _NO_BLOCK for row, one in _blocks(table, columns).items() if _molecule(one) is None}


def _blocks(table: pd.DataFrame, columns: Mapping[str, list[str]]) -> dict[int, str]:
    """Texts of mol blocks by row number."""
    placed = columns.get("structure")
    cells = table[placed[0]].tolist() if placed else []
    return {row: one for row, one in enumerate(cells) if isinstance(one, str) and one.strip()}


def _molecule(block: str) -> Chem.Mol | None:
    """A molecule from the text of a mol block."""
    with rdBase.BlockLogs():
        return Chem.MolFromMolBlock(block, removeHs=False)


def all_rows(table: pd.DataFrame, structures: Structures, found: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Answers of all rows of a table, empty with a ``problem`` where a molecule cannot be used."""
    whole = pd.DataFrame(found, index=structures.rows).reindex(range(len(table)))
    if structures.problems:
        whole[PROBLEM] = [structures.problems.get(row, "") for row in range(len(table))]
    return whole.set_axis(table.index)


def chosen_rows(
    table: pd.DataFrame, structures: Structures, choice: Choice, said: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Rows to measure in their order, their distances, and what is said of them; then those that cannot be used, and why."""
    distance = np.where(np.isfinite(choice.distances), choice.distances, np.nan)
    found = {"order": np.arange(1, len(choice.rows) + 1), "distance": distance, **said}
    chosen = pd.DataFrame(found, index=table.index[structures.rows[choice.rows]])
    if not structures.problems:
        return chosen
    # Rows that cannot be chosen come last and say why, so that nobody takes them for unimportant.
    told = pd.DataFrame({PROBLEM: structures.problems.values()}, index=table.index[list(structures.problems)])
    return pd.concat([chosen.assign(**{PROBLEM: ""}), told])
