"""Likelihoods of sequences that have a partner: given it, together with it, or alone, after demonstrations of other pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from nereus.errors import InputError
from nereus.models.sequences.alphabets import Biosequence, read_sequences
from nereus.models.sequences.bsm.config import BSMConfig
from nereus.models.sequences.bsm.examples import Examples
from nereus.models.sequences.bsm.network import BSMNetwork
from nereus.models.sequences.bsm.scoring import Likelihood, likelihood

Demonstrations = Sequence[tuple[str, str]]


def pair_likelihood(
    network: BSMNetwork,
    examples: Examples,
    config: BSMConfig,
    partner: str,
    strands: str,
    demonstrations: Demonstrations,
) -> Likelihood:
    """Likelihoods of sequences and their partners.

    Parameters
    ----------
    network
        Trained.
    examples
        Sequences, with partners where they have any.
    config
        Context, and what is done with what it does not hold.
    partner, strands, demonstrations
        See `BSM.score`.
    """
    if partner not in ("given", "joined", "ignored") or strands not in ("given", "both"):
        raise InputError(
            f"partner={partner!r}, strands={strands!r}",
            where="score",
            mend="partner is given, joined or ignored; strands is given or both",
        )
    own = examples.partners or [None] * len(examples)
    if examples.partners is None and (partner == "joined" or demonstrations):
        raise InputError(
            "a pair is asked for, and one sequence is given",
            where="score",
            mend="name the column of partners",
        )
    shown = _shown(demonstrations, examples)
    first = [[] if one is None or partner == "ignored" else [one] for one in own]
    before = [[*shown, *one] for one in first]
    found = likelihood(network, examples.sequences, before, config, both_strands=strands == "both")
    if partner != "joined":
        return found
    known = {row: one for row, one in enumerate(own) if one is not None}
    rows = list(known)
    alone = likelihood(network, list(known.values()), [shown for _ in rows], config)
    found.log_likelihood[rows] += alone.log_likelihood
    found.letters[rows] += alone.letters
    return found


def _shown(demonstrations: Demonstrations, asked: Examples) -> list[Biosequence]:
    """Demonstrations, of the kinds that the first pair that is asked for has."""
    texts = [text for one in demonstrations for text in pair_of(one)]
    partner = next((one for one in asked.partners or [] if one is not None), None)
    if not texts or partner is None:
        return []
    kinds = [partner.modality, asked.sequences[0].modality] * len(demonstrations)
    return read_sequences(texts, kinds, "demonstrations")[0]


def pair_of(given: Any) -> tuple[str, str]:
    """Two texts; `InputError` where there are not two."""
    if isinstance(given, str) or len(given) != 2:
        raise InputError(
            f"a pair is asked for, got {json.dumps(given)[:60]}", where="pairs", mend="give (first, second)"
        )
    return given[0], given[1]
