"""Letters of DNA, RNA and proteins: checked, brought to one spelling, and told apart.

A letter that the alphabet lacks is refused with its position. U in DNA and T in RNA are turned into the other, and told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import pandas as pd

from nereus.errors import InputError

Modality = Literal["dna", "rna", "protein"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
_AMBIGUOUS = "RYSWKMBDHVN"
LETTERS: dict[Modality, str] = {
    "dna": "ACGT" + _AMBIGUOUS,
    "rna": "ACGU" + _AMBIGUOUS,
    "protein": "ACDEFGHIKLMNPQRSTVWY" + "BJOUXZ*",
}
"""Letters in the order of IUPAC's recommendations, ambiguous ones last; ``*`` is a stop."""
_WRONG = {modality: re.compile(f"[^{re.escape(letters)}]") for modality, letters in LETTERS.items()}
_COMPLEMENT = str.maketrans("ACGTRYSWKMBDHVN", "TGCAYRSWMKVHDBN")


class Biosequence(NamedTuple):
    """A sequence in the spelling of its alphabet.

    Attributes
    ----------
    letters
        Upper case, no blanks.
    modality
        What it is.
    """

    letters: str
    modality: Modality


def reverse_complement(dna: str) -> str:
    """The other strand, read in its own direction."""
    return dna.translate(_COMPLEMENT)[::-1]


def guess(letters: str) -> Modality:
    """DNA where all letters are A, C, G, T or N, else RNA with U for T, else protein.

    A peptide of A, C, G and T is misread, and so is DNA with other ambiguous letters, which proteins have too.
    """
    plain = set(letters.upper())
    if plain <= set("ACGTN"):
        return "dna"
    return "rna" if plain <= set("ACGUN") else "protein"


def modality_of(name: object, where: str) -> Modality:
    """A modality by its name.

    Raises
    ------
    InputError
        There is none of this name.
    """
    found = str(name).strip().lower()
    if found not in MODALITIES:
        raise InputError(
            f"there is no modality {name!r}", where=where, mend=f"it is one of {', '.join(MODALITIES)}"
        )
    return found


def read_sequence(text: object, modality: Modality, where: str) -> tuple[Biosequence, bool]:
    """A sequence in the spelling of its alphabet, and whether U or T had to be turned into the other.

    Parameters
    ----------
    text
        Letters in either case; blanks between them are left out.
    modality
        What it is said to be.
    where
        What errors name as the place.

    Raises
    ------
    InputError
        It is empty, or has a letter that the alphabet lacks; the position counts from one.
    """
    if text is None or (isinstance(text, float) and pd.isna(text)) or not str(text).strip():
        raise InputError("the sequence is empty", where=where, mend="leave the row out")
    letters = "".join(str(text).split()).upper()
    spelled = letters
    if modality == "dna":
        spelled = letters.replace("U", "T")
    elif modality == "rna":
        spelled = letters.replace("T", "U")
    if wrong := _WRONG[modality].search(spelled):
        raise InputError(
            f"{wrong.group()!r} at position {wrong.start() + 1} is no letter of {modality}",
            where=where,
            mend="mend the letter, write N (DNA, RNA) or X (protein) for an unknown one, or name the right modality",
        )
    return Biosequence(spelled, modality), spelled != letters


def read_sequences(
    texts: Sequence[object], modalities: Sequence[object] | None, role: str = "sequence"
) -> tuple[list[Biosequence], list[str]]:
    """Sequences, and what is to be told of them.

    Parameters
    ----------
    texts
        Letters, (n,).
    modalities
        Their modalities by name, (n,); None, or an empty one, is told from the letters.
    role
        What they are, for errors.
    """
    found: list[Biosequence] = []
    told_apart: list[int] = []
    spelled: list[int] = []
    for row, text in enumerate(texts):
        where = f"{role}, row {row}"
        name = None if modalities is None else modalities[row]
        if name is None or pd.isna(name) or name == "":
            modality = guess("".join(str(text).split()))
            told_apart.append(row)
        else:
            modality = modality_of(name, where)
        one, changed = read_sequence(text, modality, where)
        found.append(one)
        if changed:
            spelled.append(row)
    notes = []
    if told_apart:
        counts = pd.Series([found[row].modality for row in told_apart]).value_counts()
        kinds = ", ".join(f"{kind} {counts[kind]}" for kind in MODALITIES if kind in counts)
        notes.append(
            f"{role}: kinds were told from the letters ({kinds}); name a column of modalities to be sure"
        )
    if spelled:
        notes.append(
            f"{role}: U in DNA or T in RNA was turned into the other in {len(spelled)} rows; first row {spelled[0]}"
        )
    return found, notes


def problems(texts: Sequence[object], modalities: Sequence[object]) -> dict[int, str]:
    """Rows that cannot be read, with the reason; kinds that are None are told from the letters."""
    found = {}
    for row, text in enumerate(texts):
        try:
            read_sequences([text], [modalities[row]])
        except InputError as error:
            found[row] = error.what
    return found
