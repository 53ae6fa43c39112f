"""Letters as numbers: one token a letter, other numbers for each kind of sequence, so that A of a gene is not alanine.

A document is ``<bos> <tag> letters <sep> <tag> letters ... <eos>``, where the tag tells what follows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nereus.errors import InputError
from nereus.models.sequences.alphabets import LETTERS, MODALITIES, Biosequence, Modality

SPECIAL = ("<pad>", "<unk>", "<bos>", "<eos>", "<sep>", "<dna>", "<rna>", "<prot>")
PAD, UNK, BOS, EOS, SEP = range(5)
TAG: dict[Modality, int] = {"dna": 5, "rna": 6, "protein": 7}
VOCABULARY: tuple[str, ...] = (
    *SPECIAL,
    *(f"{modality}:{letter}" for modality in MODALITIES for letter in LETTERS[modality]),
)
"""Every token by number."""
SIZE = len(VOCABULARY)
FIRST: dict[Modality, int] = {
    modality: len(SPECIAL) + sum(len(LETTERS[other]) for other in MODALITIES[:place])
    for place, modality in enumerate(MODALITIES)
}
"""Number of the first letter of each kind."""
_NUMBER = np.full((len(MODALITIES), 128), UNK, dtype=np.uint8)
for _place, _modality in enumerate(MODALITIES):
    for _offset, _letter in enumerate(LETTERS[_modality]):
        _NUMBER[_place, ord(_letter)] = FIRST[_modality] + _offset


def letters_of(modality: Modality) -> range:
    """Numbers of the letters of a kind."""
    return range(FIRST[modality], FIRST[modality] + len(LETTERS[modality]))


def encode(one: Biosequence) -> np.ndarray:
    """Numbers of the letters alone, (letters,), uint8; ``<unk>`` for what the alphabet lacks."""
    codes = np.frombuffer(one.letters.encode("ascii", "replace"), dtype=np.uint8)
    return np.asarray(_NUMBER[MODALITIES.index(one.modality)][np.minimum(codes, 127)])


def document(parts: Sequence[tuple[Modality, np.ndarray]]) -> np.ndarray:
    """Numbers of a whole document, (letters + 2 * parts + 1,), uint8.

    Parameters
    ----------
    parts
        Kind and letters of each sequence, in order.
    """
    pieces: list[np.ndarray] = []
    for place, (modality, letters) in enumerate(parts):
        pieces += [np.array([SEP if place else BOS, TAG[modality]], dtype=np.uint8), letters]
    return np.concatenate([*pieces, np.array([EOS], dtype=np.uint8)])


def decode(tokens: Sequence[int] | np.ndarray) -> list[Biosequence]:
    """Sequences of a document; the inverse of `document` over `encode`.

    Raises
    ------
    InputError
        A letter comes without a tag, or is of another kind than its tag says.
    """
    found: list[tuple[Modality, list[str]]] = []
    by_tag = {number: modality for modality, number in TAG.items()}
    for place, token in enumerate(map(int, tokens)):
        if token in by_tag:
            found.append((by_tag[token], []))
        elif token in (PAD, BOS, EOS, SEP):
            continue
        elif not found or (token != UNK and token not in letters_of(found[-1][0])):
            raise InputError(
                f"token {VOCABULARY[token]!r} at {place} does not follow a tag of its kind", where="tokens"
            )
        else:
            found[-1][1].append("?" if token == UNK else VOCABULARY[token].partition(":")[2])
    return [Biosequence("".join(letters), modality) for modality, letters in found]
