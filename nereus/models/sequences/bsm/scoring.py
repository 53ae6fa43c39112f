"""Likelihoods: of a sequence, of a sequence given another, of the last of several pairs; in windows where the context is short.

References
----------
arXiv:2410.11499, sections on zero-shot fitness (log-likelihood of the whole sequence) and on learning in context (log-probability
of the test protein's tokens after demonstrations).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from nereus.errors import InputError
from nereus.models.sequences.alphabets import Biosequence, Modality, reverse_complement
from nereus.models.sequences.bsm import tokenizer
from nereus.models.sequences.bsm.config import BSMConfig
from nereus.models.sequences.bsm.corpus import cut_together
from nereus.models.sequences.bsm.network import BSMNetwork

_TOKENS = 16_384
"""Tokens that are judged at a time."""
Part = tuple[Modality, np.ndarray]


class Likelihood(NamedTuple):
    """Of each sequence.

    Attributes
    ----------
    log_likelihood
        Sum over its letters, nats, (n,).
    letters
        Number of letters that it is of: fewer than the sequence has where it was cut, (n,).
    """

    log_likelihood: np.ndarray
    letters: np.ndarray


@dataclass(frozen=True)
class _Window:
    """A document that is judged by the letters of its last sequence from `first` on."""

    tokens: np.ndarray
    letters: int
    first: int


def likelihood(
    network: BSMNetwork,
    targets: Sequence[Biosequence],
    before: Sequence[Sequence[Biosequence]],
    config: BSMConfig,
    *,
    both_strands: bool = False,
) -> Likelihood:
    """Log-likelihood of sequences, each after others.

    Parameters
    ----------
    network
        In evaluation mode.
    targets
        What is judged, (n,).
    before
        Sequences that come before each, joined by ``<sep>``; may be none.
    config
        Context, and what is done with what it does not hold.
    both_strands
        DNA that nothing comes before is judged on either strand: the logarithm of the mean of both likelihoods.
    """
    windows: list[_Window] = []
    owner: list[int] = []
    other: list[int] = []
    n = len(targets)
    for row, (target, first) in enumerate(zip(targets, before, strict=True)):
        made = _windows(target, first, config, f"row {row}")
        windows += made
        owner += [row] * len(made)
        if both_strands and target.modality == "dna" and not first:
            made = _windows(Biosequence(reverse_complement(target.letters), "dna"), (), config, f"row {row}")
            windows += made
            owner += [n + row] * len(made)
            other.append(row)
    sums, counts = np.zeros(2 * n), np.zeros(2 * n, dtype=np.int64)
    np.add.at(sums, owner, _judged(network, windows))
    np.add.at(counts, owner, [one.letters - one.first for one in windows])
    both = sums[:n].copy()
    if other:
        both[other] = np.logaddexp(sums[other], sums[n + np.array(other)]) - np.log(2)
    return Likelihood(both, counts[:n])


def best_threshold(scores: np.ndarray, linked: np.ndarray) -> float:
    """The score from which on pairs are called linked with most right: found on validation pairs, never on those that judge.

    Parameters
    ----------
    scores
        Higher for more likely linked, (n,).
    linked
        1 or 0, (n,), both there.

    Raises
    ------
    InputError
        All pairs are of one class.
    """
    truth = np.asarray(linked).astype(bool)
    if truth.all() or not truth.any():
        raise InputError("a threshold needs linked and unlinked pairs", where="threshold", mend="give both")
    levels = np.unique(scores)
    cuts = np.concatenate([[levels[0] - 1.0], (levels[1:] + levels[:-1]) / 2, [levels[-1] + 1.0]])
    right = [float(((scores >= cut) == truth).mean()) for cut in cuts]
    return float(cuts[int(np.argmax(right))])


def _windows(
    target: Biosequence, before: Sequence[Biosequence], config: BSMConfig, where: str
) -> list[_Window]:
    """Documents that judge all letters of a sequence once, or those that are left by the policy."""
    letters = tokenizer.encode(target)
    parts: list[Part] = [(one.modality, tokenizer.encode(one)) for one in before]
    whole = tokenizer.document([*parts, (target.modality, letters)])
    if len(whole) <= config.context:
        return [_Window(whole, len(letters), 0)]
    if config.too_long == "error":
        raise InputError(
            f"{len(whole)} tokens, the context holds {config.context}",
            where=where,
            mend="set too_long to 'truncate' or 'window', or train with a longer context",
        )
    if not parts:
        return _sliding(target.modality, letters, config)
    if len(parts) > 1:
        return [_prompt(parts, (target.modality, letters), config)]
    return _side_by_side(parts[0], (target.modality, letters), config)


def _sliding(modality: Modality, letters: np.ndarray, config: BSMConfig) -> list[_Window]:
    """Windows that overlap by half, so that a letter has half a context before it."""
    room = config.context - 3
    found = [_Window(tokenizer.document([(modality, letters[:room])]), room, 0)]
    if config.too_long == "truncate":
        return found
    done = room
    while done < len(letters):
        end = min(done + room // 2, len(letters))
        window = letters[end - room : end]
        found.append(_Window(tokenizer.document([(modality, window)]), room, room - (end - done)))
        done = end
    return found


def _side_by_side(first: Part, target: Part, config: BSMConfig) -> list[_Window]:
    """Gene and protein in steps of as many codons as fit; others cut once, in proportion."""
    each = sum(1 if kind == "protein" else 3 for kind, _ in (first, target))
    lengths = [len(letters) / (1 if kind == "protein" else 3) for kind, letters in (first, target)]
    coding = first[0] != target[0] and abs(lengths[0] - lengths[1]) <= 1 and all(n == int(n) for n in lengths)
    if not coding or config.too_long == "truncate":
        parts = cut_together([first, target], config.context, config.codons, None)
        return [_Window(tokenizer.document(parts), len(parts[-1][1]), 0)]
    step = min((config.context - 5) // each, config.codons[1])
    found = []
    for start in range(0, int(max(lengths)), step):
        parts = [
            (
                kind,
                letters[start : start + step]
                if kind == "protein"
                else letters[3 * start : 3 * (start + step)],
            )
            for kind, letters in (first, target)
        ]
        if len(parts[1][1]):
            found.append(_Window(tokenizer.document(parts), len(parts[1][1]), 0))
    return found


def _prompt(before: Sequence[Part], target: Part, config: BSMConfig) -> _Window:
    """Demonstrations, each pair cut to an equal part of the context from its beginning."""
    parts = [*before, target]
    pairs = [parts[i : i + 2] for i in range(len(parts) % 2, len(parts), 2)]
    pairs = [parts[: len(parts) % 2], *pairs] if len(parts) % 2 else pairs
    room = (config.context - 1) // len(pairs)
    cut = [one for pair in pairs for one in cut_together(pair, room, config.codons, None)]
    return _Window(tokenizer.document(cut), len(cut[-1][1]), 0)


@torch.no_grad()
def _judged(network: BSMNetwork, windows: Sequence[_Window]) -> np.ndarray:
    """Sum of the log-probabilities of the judged letters of each window, (windows,), float64."""
    device = next(network.parameters()).device
    order = sorted(range(len(windows)), key=lambda i: len(windows[i].tokens))
    found = np.zeros(len(windows))
    while order:
        size = max(1, _TOKENS // len(windows[order[-1]].tokens))
        some, order = order[-size:], order[:-size]
        length = len(windows[some[-1]].tokens)
        # One document a row: what stands beside a sequence never changes its score.
        tokens = np.full((len(some), length), tokenizer.PAD, dtype=np.int64)
        judged = np.zeros((len(some), length), dtype=bool)
        for row, i in enumerate(some):
            one = windows[i]
            end = len(one.tokens)
            tokens[row, :end] = one.tokens
            judged[row, end - 1 - one.letters + one.first : end - 1] = True  # the last token is <eos>
        given = torch.from_numpy(tokens).to(device)
        losses = network.next_token_losses(given, (given != tokenizer.PAD).long())
        found[some] = -(losses.double().cpu().numpy() * judged).sum(1)
    return found
