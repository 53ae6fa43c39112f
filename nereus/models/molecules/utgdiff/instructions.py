"""What is asked for, and what is learned from, read: instructions as given, molecules as graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from nereus.errors import InputError
from nereus.models.columns import require_list
from nereus.models.molecules.graphs.read import largest_fragment, read_smiles
from nereus.models.molecules.utgdiff.graphs import Graph, graph_of

NOTHING = Graph((), ())
"""No molecule."""


class Instruction(NamedTuple):
    """What is asked for: a text, a molecule to edit, or both."""

    text: str | None = None
    """What the molecule is, or how the source is to be changed."""
    source: str | None = None
    """SMILES of the molecule to edit."""


def instructions(X: Any) -> list[Instruction]:
    """Instructions as given; empty ones, and what is none, are refused by row."""
    require_list(X)
    found: list[Instruction] = []
    for row, one in enumerate(X):
        if one is None or isinstance(one, str):
            found.append(Instruction(one))
        elif isinstance(one, Sequence) and 1 <= len(one) <= 2:
            found.append(Instruction(*one))
        else:
            raise InputError(
                f"row {row}: {one!r} is no instruction",
                where="utgdiff",
                mend="give a text, None, or a text and the SMILES of a source",
            )
    for row, one in enumerate(found):
        if one.text is not None and (not isinstance(one.text, str) or not one.text.strip()):
            raise InputError(
                f"row {row}: the instruction is empty", where="utgdiff", mend="write one, or give None"
            )
    return found


def graphs(smiles: Sequence[object], notes: list[str]) -> list[Graph | str]:
    """Graphs of molecules, of salts the largest part; where there is none, why."""
    molecules, _, _ = read_smiles(smiles)
    whole = [largest_fragment(one) for one in molecules]
    cut = sum(a is not b for a, b in zip(molecules, whole, strict=True))
    if cut:
        notes.append(f"{cut} molecules have several parts, of which the largest is taken")
    return [graph_of(one) for one in whole]


def sources_of(asked: Sequence[Instruction], notes: list[str]) -> list[Graph | str]:
    """Graphs of the molecules to edit; of no atom where there is none."""
    rows = [row for row, one in enumerate(asked) if one.source is not None]
    found: list[Graph | str] = [NOTHING] * len(asked)
    if rows:
        for row, graph in zip(rows, graphs([asked[row].source for row in rows], notes), strict=True):
            found[row] = graph
    return found
