"""Families of similar sequences, and splits that keep a family on one side.

Relatives share many short words. Two sequences are of one family when the words that they share are a large part of the words
of the shorter one, or when a chain of such links joins them.

References
----------
Edgar, Nucleic Acids Res. 2004, 32, 380 (words in common as a measure of relatedness).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from nereus.models.evaluation.splits import Split, cuts
from nereus.models.sequences.alphabets import Biosequence, guess

WORD = {"protein": 5, "dna": 12, "rna": 12}
"""Letters of a word: long enough that unrelated sequences share next to none."""
SHARED = 0.1
"""Least share of the words of the shorter sequence. Close relatives share this many words of five; far ones do not."""
_COMMON = 200
"""A word of more sequences than this tells nothing of descent (repeats, low complexity)."""


def families(sequences: Sequence[Biosequence | str], links: Sequence[Sequence[object]] = ()) -> np.ndarray:
    """Number of each sequence's family.

    Parameters
    ----------
    sequences
        (n,); of text the kind is told from the letters. Only sequences of one kind are compared, empty ones with none.
    links
        Further bonds, each (n,): rows of an equal value (that is not missing) are of one family.

    Returns
    -------
    ndarray
        (n,), int64, from zero.
    """
    n = len(sequences)
    read = [
        one if isinstance(one, Biosequence) else Biosequence(one.upper(), guess(one)) for one in sequences
    ]
    pairs = [_similar(read, kind) for kind in ("dna", "rna", "protein")]
    for link in links:
        first: dict[object, int] = {}  # an empty link joins nothing
        pairs.append(
            np.array(
                [
                    (first.setdefault(one, row), row)
                    for row, one in enumerate(link)
                    if one is not None and one == one
                ],
                dtype=np.int64,
            ).reshape(-1, 2)
        )
    edges = np.concatenate(pairs)
    graph = sparse.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    return np.asarray(labels, dtype=np.int64)


def words(one: Biosequence) -> np.ndarray:
    """The different words of a sequence as numbers, ascending; one word of what is shorter than a word."""
    codes = np.frombuffer(one.letters.encode("ascii", "replace"), dtype=np.uint8).astype(np.int64) - 32
    size = min(WORD[one.modality], len(codes))
    runs = np.lib.stride_tricks.sliding_window_view(
        codes % 32, size
    )  # letters differ in their last five bits
    return np.unique(runs @ 32 ** np.arange(size, dtype=np.int64))


def sharing(sequences: Sequence[Biosequence], others: Sequence[Biosequence], most: int) -> np.ndarray:
    """Whether each sequence shares more than `most` words with the others of its kind taken together, (n,)."""
    known = {
        kind: np.unique(
            np.concatenate([words(one) for one in others if one.modality == kind] or [np.zeros(0, int)])
        )
        for kind in WORD
    }
    return np.array(
        [int(np.isin(words(one), known[one.modality]).sum()) > most for one in sequences], dtype=bool
    ).reshape(len(sequences))


def _similar(read: Sequence[Biosequence], kind: str) -> np.ndarray:
    """Pairs of rows of a kind that share enough words, (pairs, 2)."""
    rows = [row for row, one in enumerate(read) if one.modality == kind and one.letters]
    if not rows:
        return np.zeros((0, 2), dtype=np.int64)
    own = [words(read[row]) for row in rows]
    counts = np.array([len(one) for one in own])
    _, number = np.unique(np.concatenate(own), return_inverse=True)
    at = np.repeat(np.arange(len(rows)), counts)
    has = sparse.csr_matrix((np.ones(len(at), dtype=np.int32), (at, number)))
    few = has[:, np.asarray(has.sum(axis=0)).ravel() <= _COMMON]
    shared = sparse.triu(few @ few.T, k=1).tocoo()
    close = shared.data >= SHARED * np.minimum(counts[shared.row], counts[shared.col])
    # Equal sequences are relatives even when all of their words are common.
    first: dict[str, int] = {}
    equal = np.array([(first.setdefault(read[row].letters, row), row) for row in rows], dtype=np.int64)
    index = np.asarray(rows, dtype=np.int64)
    return np.concatenate([np.column_stack([index[shared.row[close]], index[shared.col[close]]]), equal])


def family_split(
    sequences: Sequence[Biosequence | str],
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    *,
    seed: int = 0,
    links: Sequence[Sequence[object]] = (),
) -> Split:
    """No family is in two parts; families are dealt out at random, so that the shares are met roughly.

    Parameters
    ----------
    sequences, links
        See `families`.
    fractions
        Shares of training, validation and test.
    seed
        Decides which family goes where.
    """
    group = families(sequences, links)
    sizes = np.bincount(group)
    first, second = cuts(len(group), fractions)
    order = np.random.default_rng(seed).permutation(len(sizes))
    ends = np.cumsum(sizes[order])
    middle = ends - sizes[order] / 2
    part = np.where(middle < first, 0, np.where(middle < second, 1, 2))
    of_family = np.empty(len(sizes), dtype=np.int64)
    of_family[order] = part
    return Split(*(np.flatnonzero(of_family[group] == number) for number in range(3)))
