"""Vectors of documents from the decoder's last layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from nereus.models.sequences.bsm import tokenizer
from nereus.models.sequences.bsm.finetuning import padded
from nereus.models.sequences.bsm.network import BSMNetwork

ROWS = 32
"""Documents that are read at a time."""


@torch.no_grad()
def pooled(
    network: BSMNetwork, documents: Sequence[np.ndarray], pooling: str, device: torch.device
) -> np.ndarray:
    """(documents, width), float32.

    Parameters
    ----------
    network
        Trained.
    documents
        Tokens of each.
    pooling
        ``mean`` over the letters, or ``last``, the token that has seen all.
    device
        Where to compute.
    """
    found = []
    for start in range(0, len(documents), ROWS):
        tokens, numbers = padded(documents[start : start + ROWS], device)
        vectors = network.vectors(tokens, numbers)
        if pooling == "last":
            found.append(vectors[torch.arange(len(tokens)), numbers.sum(1) - 1])
        else:
            letters = (tokens >= len(tokenizer.SPECIAL)).unsqueeze(-1)
            found.append((vectors * letters).sum(1) / letters.sum(1))
    return np.asarray(torch.cat(found).float().cpu())
