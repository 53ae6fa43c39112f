"""What a prediction rests on: how it changes when a part of the object is taken away.

Of a molecule the parts are what hangs on it by one bond; each is replaced by a hydrogen, so that a molecule is asked about and
not a mask that training never saw. Of a sequence they are stretches, whose letters are made unknown. That a part matters to the
method does not say that it matters to the molecule: look at how well the method predicts first.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from rdkit import Chem

from nereus.errors import InputError
from nereus.models.files import content
from nereus.models.molecules.graphs.read import read_smiles
from nereus.models.molecules.substituents import parts
from nereus.models.sequences.alphabets import read_sequences

if TYPE_CHECKING:
    from nereus.models.base import Method

_KIND = "modality of the sequence"
"""Column for the kinds that are told from the letters, where no column names them."""
_UNKNOWN = {"dna": "N", "rna": "N", "protein": "X"}
_Variant = tuple[str, str, dict[str, str]]
"""The part, what is left, and the cells that are asked about."""


def explained(
    method: Method[Any], table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]], most: int
) -> pd.DataFrame:
    """Effects of the parts of every row.

    Parameters
    ----------
    method
        Trained, and able to predict numbers.
    table, columns
        See `Method.predict_table`.
    most
        Most parts of a row: of a molecule those with the largest effects, of a sequence the number of stretches.

    Returns
    -------
    DataFrame
        Under ``<row>/<part>``, the largest effect of a row first: ``object_row``, ``part`` (SMILES with ``*`` where it hangs;
        letters with their place), ``without`` (what was asked about instead), ``prediction``, ``prediction_without``, ``effect``
        (what the part adds). Rows without a part have one line with an empty part.
    """
    if most < 1:
        raise InputError(f"{most} parts are asked for", where="explain", mend="ask for one or more")
    named = {role: one if isinstance(one, str) else one[0] for role, one in columns.items() if one}
    asked = table.reset_index(drop=True)
    if "sequence" in named and "modality" not in named:
        # Letters that are made unknown must not change what a sequence is taken for.
        read = read_sequences(asked[named["sequence"]].tolist(), None, "sequence")[0]
        asked = asked.assign(**{_KIND: [one.modality for one in read]})
        columns, named = {**columns, "modality": _KIND}, {**named, "modality": _KIND}
    if "structure" in named and named["structure"] in asked:
        # A part that is taken away leaves no coordinates: all are asked about as formulae.
        asked = asked.assign(**{named["structure"]: None})
    whole = _numbers(method.predict_table(asked, columns), method)
    owners: list[int] = []
    variants: list[_Variant] = []
    for row in range(len(asked)):
        for variant in _variants(method, asked.iloc[row], named, most):
            owners.append(row)
            variants.append(variant)
    without = np.zeros(0)
    if variants:
        changed = asked.iloc[owners].reset_index(drop=True)
        for column in variants[0][2]:
            changed[column] = [one[2][column] for one in variants]
        without = _numbers(method.predict_table(changed, columns), method)
    found = pd.DataFrame(
        {
            "owner": owners,
            "part": [one[0] for one in variants],
            "without": [one[1] for one in variants],
            "prediction": whole[owners] if owners else without,
            "prediction_without": without,
        }
    )
    found["effect"] = found["prediction"] - found["prediction_without"]
    bare = sorted(set(range(len(asked))) - set(owners))
    none = pd.DataFrame({"owner": bare, "part": "", "prediction": whole[bare]})
    found = pd.concat([found, none], ignore_index=True) if bare else found
    found["size"] = -found["effect"].abs()
    found = found.sort_values(["owner", "size"], kind="stable").groupby("owner", sort=False).head(most)
    names = [str(table.index[row]) for row in found["owner"]]
    number = found.groupby("owner").cumcount()
    found.insert(0, "object_row", names)
    found.index = pd.Index([f"{name}/{i}" for name, i in zip(names, number, strict=True)], name="explained")
    return found.drop(columns=["owner", "size"])


def _numbers(answers: pd.DataFrame, method: Method[Any]) -> np.ndarray:
    values = answers["prediction"]
    if values.dtype.kind not in "fiu":
        raise InputError(
            "it predicts names of classes, whose change is no number",
            where=f"method {method.card.name!r}",
            mend="explain a target of two classes or a number",
        )
    found: np.ndarray = values.to_numpy(float)
    return found


def _variants(method: Method[Any], row: pd.Series, named: Mapping[str, str], most: int) -> Iterator[_Variant]:
    if "ligand" in named:
        yield from _of_pose(str(row[named["ligand"]]), named["ligand"])
    elif "smiles" in named:
        (molecule,), _, _ = read_smiles([row[named["smiles"]]])
        for part in parts(molecule):
            text = Chem.MolToSmiles(part.rest)
            yield part.smiles, text, {named["smiles"]: text}
    elif "sequence" in named:
        yield from _of_sequence(row[named["sequence"]], row[named["modality"]], named["sequence"], most)
    else:
        raise InputError(
            "neither a molecule nor a sequence is named",
            where=f"method {method.card.name!r}",
            mend="name the column of SMILES, poses or sequences",
        )


def _of_pose(cell: str, column: str) -> Iterator[_Variant]:
    from nereus.models.molecules.mbp.structures import read_poses

    pose = read_poses(content(cell))[0]
    for part in parts(pose):
        yield part.smiles, Chem.MolToSmiles(part.rest), {column: Chem.MolToMolBlock(part.rest) + "$$$$\n"}


def _of_sequence(text: object, kind: object, column: str, most: int) -> Iterator[_Variant]:
    (sequence,), _ = read_sequences([text], [kind], "explain")
    letters = sequence.letters
    edges = np.linspace(0, len(letters), min(most, len(letters)) + 1).round().astype(int)
    for start, end in itertools.pairwise(edges.tolist()):
        hidden = letters[:start] + _UNKNOWN[sequence.modality] * (end - start) + letters[end:]
        yield f"{start + 1}-{end} {letters[start:end]}", hidden, {column: hidden}
