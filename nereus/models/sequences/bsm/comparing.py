"""Likelihoods beside what they are held against: the sequence alone, and the wild type of a variant.

Both are compared over the same letters. Where the context holds but the beginning of a sequence, only that is compared, and told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from nereus.models.sequences.bsm.examples import Examples
from nereus.models.sequences.bsm.scoring import Likelihood

Judge = Callable[..., Likelihood]
"""Likelihoods of a table of sequences, with the options of `BSM.score` by name."""
_BEYOND = "its difference from the wild type lies beyond what the context holds"


def compared(X: pd.DataFrame, examples: Examples, settings: dict[str, Any], judge: Judge) -> dict[str, Any]:
    """Columns of a table of likelihoods.

    Parameters
    ----------
    X
        Columns by role, one sequence a row.
    examples
        The same, read.
    settings
        Options of `BSM.score`.
    judge
        Gives likelihoods.

    Returns
    -------
    dict
        See `BSM.score_table`.
    """
    total, letters = judge(X, **settings)
    found: dict[str, Any] = {
        "log_likelihood": total,
        "letters": letters,
        "per_letter": total / letters,
        "perplexity": np.exp(-total / letters),
    }
    own = [one.letters for one in examples.sequences]
    partners = examples.partners or [None] * len(own)
    joined = settings["partner"] == "joined"
    added = np.array([len(one.letters) if joined and one is not None else 0 for one in partners])
    judged = letters - added
    cut = judged < np.array([len(one) for one in own])
    notes = [
        f"judged by its first {judged[row]} letters of {len(own[row])}" if cut[row] else ""
        for row in range(len(own))
    ]
    if examples.partners is not None and settings["partner"] == "given":
        alone = X
        if cut.any():
            # What is left out beside the partner is left out alone as well.
            beginnings = [text[:n] for text, n in zip(own, judged, strict=True)]
            alone = X.assign(sequence=beginnings, modality=[one.modality for one in examples.sequences])
        by_itself = judge(alone, partner="ignored", strands=settings["strands"], demonstrations=())
        found["pairing"] = found["per_letter"] - by_itself.log_likelihood / by_itself.letters
    if examples.wild_types is not None:
        known = [row for row, one in enumerate(examples.wild_types) if one is not None]
        wild = [one.letters for one in examples.wild_types if one is not None]
        effect = np.full(len(own), np.nan)
        if known:
            kinds = [examples.sequences[row].modality for row in known]
            first = X.iloc[known].drop(columns="wild_type").assign(sequence=wild, modality=kinds)
            # Most rows share a wild type: each is judged once.
            keys = [tuple(map(str, row)) for row in first.to_numpy()]
            different = dict.fromkeys(keys)
            once = judge(first.iloc[[keys.index(key) for key in different]], **settings)
            number = {key: place for place, key in enumerate(different)}
            at = [number[key] for key in keys]
            effect[known] = total[known] - once.log_likelihood[at]
            for row, text, n in zip(known, wild, (once.letters[at] - added[known]).tolist(), strict=True):
                if not cut[row] and n == len(text):
                    continue
                if n != judged[row] or (own[row][:n] == text[:n] and own[row] != text):
                    effect[row] = np.nan
                    notes[row] = "; ".join(filter(None, (notes[row], _BEYOND)))
        found["effect"] = effect
    if any(notes):
        found["note"] = notes
    return found
