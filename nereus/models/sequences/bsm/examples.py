"""What a method for sequences is given, read once: sequences, what they are, and what each belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.models.columns import require_list
from nereus.models.sequences.alphabets import Biosequence, read_sequences
from nereus.models.sequences.bsm import tokenizer
from nereus.models.sequences.bsm.config import BSMConfig
from nereus.models.sequences.bsm.corpus import Corpus, cut_together
from nereus.models.sequences.families import families, sharing

ROLES = ("sequence", "modality", "partner", "partner_modality", "gene", "related", "document", "wild_type")
_OVERLAP = 20
"""Words that a piece of the genome may share with held-out genes before it is left out as well: thirty letters of overlap."""


@dataclass(frozen=True)
class Examples:
    """Sequences as they were given.

    Attributes
    ----------
    sequences
        (n,).
    partners
        The second sequence of each, None where there is none; None where there is no such column.
    wild_types
        What each is a variant of, likewise.
    gene, related, document
        What each belongs to, (n,), None where to nothing.
    notes
        What is to be told of the reading.
    """

    sequences: list[Biosequence]
    partners: list[Biosequence | None] | None
    wild_types: list[Biosequence | None] | None
    gene: list[object]
    related: list[object]
    document: list[object]
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sequences)

    def identity(self) -> str:
        """Hash of all that is learned from."""
        told = repr([self.sequences, self.partners, self.gene, self.related, self.document])
        return hashlib.sha256(told.encode()).hexdigest()

    def corpora(self, config: BSMConfig) -> tuple[Corpus, Corpus | None]:
        """What is learned from, and what judges: a share of the families, with all that belongs to them."""
        n = len(self)
        partners = self.partners or [None] * n
        second = {row: n + i for i, row in enumerate(r for r in range(n) if partners[r] is not None)}
        sequences = [*self.sequences, *(partners[row] for row in second)]
        padded = [None] * len(second)
        gene, related = [*self.gene, *padded], [*self.related, *padded]
        document = [*self.document, *padded]
        couples = list(second.items())
        made = [one for one in sequences if one is not None]

        def corpus(rows: np.ndarray) -> Corpus:
            return Corpus(made, gene, related, document, couples, rows, config)

        everything = np.arange(len(made))
        if not config.validation:
            return corpus(everything), None
        held = _held_out(made, gene, related, couples, config)
        if not held.any():
            return corpus(everything), None
        free = [row for row in everything[~held] if gene[row] is None and row not in second]
        if any(one is not None for one in gene) and free:
            # Pieces of the genome would show the letters of the genes that judge.
            judges = [made[row] for row in everything[held]]
            held_free = np.array(free)[sharing([made[row] for row in free], judges, _OVERLAP)]
            return corpus(np.setdiff1d(everything[~held], held_free)), corpus(everything[held])
        return corpus(everything[~held]), corpus(everything[held])


def _held_out(
    sequences: Sequence[Biosequence],
    gene: Sequence[object],
    related: Sequence[object],
    couples: Sequence[tuple[int, int]],
    config: BSMConfig,
) -> np.ndarray:
    """Rows of the families that judge, (n,)."""
    n = len(sequences)
    bound = np.array([one is not None for one in gene])
    for pair in couples:
        bound[list(pair)] = True
    if not bound.any():
        bound[:] = True
    couple: list[object] = [None] * n
    for number, pair in enumerate(couples):
        for row in pair:
            couple[row] = number
    # Genes of proteins are compared as proteins: relatives are seen farther off.
    coding = {gene[row] for row in range(n) if sequences[row].modality == "protein"} - {None}
    rows: list[int] = np.flatnonzero(bound).tolist()
    compared = [
        sequences[row]
        if sequences[row].modality == "protein" or gene[row] not in coding
        else Biosequence("", "protein")
        for row in rows
    ]
    some = [i for i, one in enumerate(compared) if one.letters]
    similar = families([compared[i] for i in some])
    alike: list[object] = [None] * len(rows)
    for i, family in zip(some, similar.tolist(), strict=True):
        alike[i] = family
    links = [alike, *([column[row] for row in rows] for column in (gene, related, couple))]
    group = families([Biosequence("", "protein")] * len(rows), links)
    rng = np.random.default_rng(config.random_state)
    order = rng.permutation(int(group.max()) + 1)
    sizes = np.bincount(group)[order]
    wanted = config.validation * len(rows)
    chosen = order[np.cumsum(sizes) - sizes / 2 < wanted]
    held = np.zeros(n, dtype=bool)
    if len(chosen) < len(order):
        held[np.array(rows)[np.isin(group, chosen)]] = True
    return held


def read_examples(X: Any, config: BSMConfig) -> Examples:
    """What was given, checked.

    Parameters
    ----------
    X
        Sequences, or a DataFrame with the columns of `ROLES`, of which only ``sequence`` must be there.
    config
        What sequences are where nothing says so.

    Raises
    ------
    InputError
        There is no sequence, one cannot be read, or a column is unknown.
    """
    require_list(X)
    frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame({"sequence": list(X)}, dtype=object)
    if unknown := [str(one) for one in frame.columns if one not in ROLES]:
        raise InputError(
            f"there is no role {unknown[0]!r}", where="bsm", mend=f"roles are {', '.join(ROLES)}"
        )
    if "sequence" not in frame or not len(frame):
        raise InputError("there is no sequence", where="bsm", mend="give at least one")
    usual: list[object] | None = None if config.modality == "auto" else [config.modality] * len(frame)

    def kinds(column: str) -> list[object] | None:
        if column not in frame:
            return usual
        return [
            one if one is not None and one == one and one != "" else config.modality_or_none
            for one in frame[column]
        ]

    sequences, notes = read_sequences(frame["sequence"].tolist(), kinds("modality"))
    partners = wild_types = None
    if "partner" in frame:
        partners, told = _optional(frame["partner"], kinds("partner_modality"), "partner")
        notes += told
    if "wild_type" in frame:
        own = [one.modality for one in sequences]
        wild_types, told = _optional(frame["wild_type"], own, "wild_type")
        notes += told

    def names(column: str) -> list[object]:
        if column not in frame:
            return [None] * len(frame)
        return [str(one) if one is not None and one == one and one != "" else None for one in frame[column]]

    return Examples(
        sequences, partners, wild_types, names("gene"), names("related"), names("document"), notes
    )


def _optional(
    texts: pd.Series, kinds: Sequence[object] | None, role: str
) -> tuple[list[Biosequence | None], list[str]]:
    """Sequences where there are any."""
    rows = [row for row, one in enumerate(texts) if one is not None and one == one and str(one).strip()]
    found: list[Biosequence | None] = [None] * len(texts)
    read, notes = read_sequences(
        [texts.iloc[row] for row in rows], None if kinds is None else [kinds[row] for row in rows], role
    )
    for row, one in zip(rows, read, strict=True):
        found[row] = one
    return found, notes


def documents(examples: Examples, config: BSMConfig) -> list[np.ndarray]:
    """Tokens of one document a row, the partner before the sequence; cut where the context does not hold it.

    Raises
    ------
    InputError
        Pairs are given and a partner is missing, or a document is longer than the context and must not be cut.
    """
    found = []
    partners = examples.partners or [None] * len(examples)
    for row, (one, partner) in enumerate(zip(examples.sequences, partners, strict=True)):
        if examples.partners is not None and partner is None:
            raise InputError(
                "a pair is asked for, and one sequence is given", where=f"row {row}", mend="give its partner"
            )
        parts = [(each.modality, tokenizer.encode(each)) for each in (partner, one) if each is not None]
        whole = tokenizer.document(parts)
        if len(whole) > config.context:
            if config.too_long == "error":
                raise InputError(
                    f"{len(whole)} tokens, the context holds {config.context}",
                    where=f"row {row}",
                    mend="set too_long to 'truncate' or 'window', or a longer context",
                )
            whole = tokenizer.document(cut_together(parts, config.context, config.codons, None))
        found.append(whole)
    return found
