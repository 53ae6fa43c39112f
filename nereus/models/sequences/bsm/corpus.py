"""What is learned from: sequences alone, and three kinds of sequences that belong together, drawn as documents.

``pairs``: any of DNA, RNA and protein of one gene in shuffled order; ``related``: sequences of genes that are linked with each
other; ``web``: sequences of one document, in its order. What does not fit the context is cut, gene and protein at equal codons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nereus.models.sequences.alphabets import Biosequence, Modality
from nereus.models.sequences.bsm import tokenizer
from nereus.models.sequences.bsm.config import BSMConfig, Mix

KINDS = ("single", "pairs", "related", "web")
MOST_RELATED = 4
"""Sequences of a document of related genes."""


class Corpus:
    """Documents of every kind over a set of sequences.

    Parameters
    ----------
    sequences
        (n,).
    gene, related, document
        What each belongs to, (n,); None where it belongs to nothing.
    partners
        Pairs of rows that belong together, as a table of pairs gives them.
    rows
        Rows that are used.
    config
        Context, codons, strands.
    """

    def __init__(
        self,
        sequences: Sequence[Biosequence],
        gene: Sequence[object],
        related: Sequence[object],
        document: Sequence[object],
        partners: Sequence[tuple[int, int]],
        rows: np.ndarray,
        config: BSMConfig,
    ) -> None:
        self.config = config
        self.kind_of: list[Modality] = [one.modality for one in sequences]
        self.letters = [tokenizer.encode(one) for one in sequences]
        used = set(rows.tolist())
        self.alone = rows
        by_gene = _groups(gene, used)
        self.pairs = [tuple(group) for group in by_gene if len({self.kind_of[row] for row in group}) > 1]
        self.pairs += [pair for pair in partners if set(pair) <= used]
        # Relatives are of different genes; a locus by itself is a pair.
        self.relatives = [
            tuple(group) for group in _groups(related, used) if len({gene[row] or row for row in group}) > 1
        ]
        self.web = [tuple(group) for group in _groups(document, used) if len(group) >= 3]
        self._complement = _complements()

    def count(self, kind: str) -> int:
        """Number of documents of a kind."""
        counts = {"pairs": len(self.pairs), "related": len(self.relatives), "web": len(self.web)}
        return counts.get(kind, len(self.alone))

    def shares(self, mix: Mix) -> dict[str, float]:
        """Shares of the kinds that there are, summing to one; empty where there is none of the mix."""
        found = {kind: getattr(mix, kind) for kind in KINDS if getattr(mix, kind) and self.count(kind)}
        total = sum(found.values())
        return {kind: share / total for kind, share in found.items()}

    def draw(self, kind: str, number: int, rng: np.random.Generator) -> np.ndarray:
        """Tokens of one document, no more than the context holds.

        Parameters
        ----------
        kind
            One of `KINDS`.
        number
            Which of this kind.
        rng
            Decides strand, order and place of the cut.
        """
        make: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
            "single": self._single,
            "pairs": self._pair,
            "related": self._relatives,
            "web": self._web,
        }
        return make[kind](number, rng)

    # ------------------------------------------------------------------ kinds

    def _single(self, number: int, rng: np.random.Generator) -> np.ndarray:
        row = int(self.alone[number])
        modality, letters = self.kind_of[row], self.letters[row]
        room = self.config.context - 3
        # Half of the windows keep the length of those of pairs, so that tokens at a place are as often seen alone as joined.
        if self.pairs and rng.random() < 0.5:
            room = min(room, int(rng.integers(*self._codons(room))) * (1 if modality == "protein" else 3))
        letters = _window(letters, room, rng, frame=1 if modality == "protein" else 3)
        if modality == "dna" and self.config.reverse_strand and rng.random() < 0.5:
            letters = self._complement[letters][::-1]
        return tokenizer.document([(modality, letters)])

    def _pair(self, number: int, rng: np.random.Generator) -> np.ndarray:
        rows = list(self.pairs[number])
        if len(rows) > 2:  # any combination of at least two
            rows = [rows[i] for i in rng.permutation(len(rows))[: rng.integers(2, len(rows) + 1)]]
        else:
            rows = [rows[i] for i in rng.permutation(len(rows))]
        return self.joined(rows, rng, one_gene=True)

    def _relatives(self, number: int, rng: np.random.Generator) -> np.ndarray:
        rows = self.relatives[number]
        order = rng.permutation(len(rows))[: rng.integers(2, min(MOST_RELATED, len(rows)) + 1)]
        return self.joined([rows[i] for i in order], rng, one_gene=False)

    def _web(self, number: int, rng: np.random.Generator) -> np.ndarray:
        return self.joined(list(self.web[number]), rng, one_gene=False)

    # ------------------------------------------------------------------ joining and cutting

    def joined(self, rows: Sequence[int], rng: np.random.Generator, *, one_gene: bool) -> np.ndarray:
        """Sequences joined by ``<sep>``, cut where the context does not hold them; those of one gene at equal codons."""
        parts = [(self.kind_of[row], self.letters[row]) for row in rows]
        return tokenizer.document(
            cut_together(parts, self.config.context, self.config.codons, rng, one_gene=one_gene)
        )

    def _codons(self, room: int) -> tuple[int, int]:
        fewest, most = self.config.codons
        return fewest, max(fewest, min(most, room // 3)) + 1


def cut_together(
    parts: Sequence[tuple[Modality, np.ndarray]],
    context: int,
    codons: tuple[int, int],
    rng: np.random.Generator | None,
    *,
    one_gene: bool = True,
) -> list[tuple[Modality, np.ndarray]]:
    """Sequences cut so that their document fits the context.

    Gene, transcript and protein of equal numbers of codons are cut at the same codons; others each to its part of the room.

    Parameters
    ----------
    parts
        Kind and letters.
    context
        Tokens of a document.
    codons
        Fewest and most codons of such a window.
    rng
        Decides number and place; None takes the beginning, and as many codons as fit.
    one_gene
        Whether they are of one gene, so that equal numbers of codons mean the same codons.
    """
    room = context - 2 * len(parts) - 1
    counts = {_codon_count(kind, letters) for kind, letters in parts}
    least = min(counts)
    # One may have its stop.
    if one_gene and least > 0 and max(counts) - least <= 1 and len({kind for kind, _ in parts}) > 1:
        each = sum(1 if kind == "protein" else 3 for kind, _ in parts)
        most = min(room // each, least)
        if rng is None:
            n, start = most, 0
            if sum(len(letters) for _, letters in parts) <= room:
                return list(parts)
        else:
            most = min(most, codons[1])
            n = int(rng.integers(min(codons[0], most), most + 1))
            start = int(rng.integers(0, least - n + 1))
        return [
            (kind, letters[start : start + n] if kind == "protein" else letters[3 * start : 3 * (start + n)])
            for kind, letters in parts
        ]
    sizes = np.array([len(letters) for _, letters in parts])
    if sizes.sum() <= room:
        return list(parts)
    # Short ones stay whole; the others share what is left.
    kept = sizes.copy()
    level = room // len(parts)
    for place, i in enumerate(np.argsort(sizes, kind="stable")):
        level = room // (len(parts) - place)
        kept[i] = min(sizes[i], level)
        room -= int(kept[i])
    return [(kind, _window(letters, int(n), rng)) for (kind, letters), n in zip(parts, kept, strict=True)]


def _codon_count(kind: Modality, letters: np.ndarray) -> int:
    """Codons that a sequence may be of; -1 where it is no multiple of three letters."""
    if kind == "protein":
        return len(letters)
    return len(letters) // 3 if len(letters) % 3 == 0 else -1


def _window(letters: np.ndarray, room: int, rng: np.random.Generator | None, frame: int = 1) -> np.ndarray:
    if len(letters) <= room:
        return letters
    start = 0 if rng is None else int(rng.integers(0, (len(letters) - room) // frame + 1)) * frame
    return letters[start : start + room]


def _groups(names: Sequence[object], used: set[int]) -> list[list[int]]:
    """Rows of an equal name, in the order of the first."""
    found: dict[object, list[int]] = {}
    for row, name in enumerate(names):
        if name is not None and row in used:
            found.setdefault(name, []).append(row)
    return [rows for rows in found.values() if len(rows) > 1]


def _complements() -> np.ndarray:
    """The complement of each token of DNA; other tokens are their own."""
    from nereus.models.sequences.alphabets import LETTERS, reverse_complement

    table = np.arange(256, dtype=np.uint8)
    for offset, letter in enumerate(LETTERS["dna"]):
        first = tokenizer.FIRST["dna"]
        table[first + offset] = first + LETTERS["dna"].index(reverse_complement(letter))
    return table
