"""Sequences drawn letter by letter: further letters of a sequence, or a new one that belongs to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch

from nereus.errors import InputError
from nereus.models.sequences.alphabets import Biosequence, Modality, modality_of
from nereus.models.sequences.bsm import tokenizer
from nereus.models.sequences.bsm.config import BSMConfig
from nereus.models.sequences.bsm.network import BSMNetwork
from nereus.models.training.device import derive_seed, seeded


def continuations(
    network: BSMNetwork,
    sequences: Sequence[Biosequence],
    config: BSMConfig,
    *,
    n: int,
    then: Modality | None,
    letters: int,
    temperature: float,
    top_p: float,
) -> list[list[str]]:
    """New letters, n times for each sequence; see `BSM.generate`.

    Each row draws from a seed of its own: what stands beside it changes nothing.
    """
    if n < 1 or letters < 1 or temperature <= 0 or not 0 < top_p <= 1:
        raise InputError(
            f"n={n}, letters={letters}, temperature={temperature}, top_p={top_p} make no sense",
            where="generate",
            mend="n and letters from one, temperature above zero, top_p in (0, 1]",
        )
    then = None if then is None else modality_of(then, "generate")
    device = next(network.parameters()).device
    found = []
    for row, one in enumerate(sequences):
        kind = then or one.modality
        prompt = _prompt(one, then, config.context - min(letters, config.context // 2))
        given = torch.from_numpy(prompt)[None].to(device)
        allowed = {*tokenizer.letters_of(kind), tokenizer.EOS, tokenizer.SEP}
        with seeded(derive_seed(config.random_state, "generate", row)), torch.no_grad():
            made = cast(Any, network.decoder).generate(
                given,
                attention_mask=torch.ones_like(given),
                do_sample=True,
                num_return_sequences=n,
                max_new_tokens=min(letters, config.context - len(prompt)),
                temperature=temperature,
                top_p=top_p,
                top_k=0,
                suppress_tokens=sorted(set(range(tokenizer.SIZE)) - allowed),
                eos_token_id=[tokenizer.EOS, tokenizer.SEP],
                pad_token_id=tokenizer.PAD,
            )
        first = tokenizer.FIRST[kind]
        texts = [
            "".join(tokenizer.VOCABULARY[token].partition(":")[2] for token in tokens if token >= first)
            for tokens in made[:, len(prompt) :].tolist()
        ]
        found.append(texts)
    return found


def _prompt(one: Biosequence, then: Modality | None, room: int) -> np.ndarray:
    """A document that is left open; the beginning of what does not fit is left out."""
    prompt = tokenizer.document([(one.modality, tokenizer.encode(one))])[:-1].astype(np.int64)
    if then is not None:
        prompt = np.append(prompt, [tokenizer.SEP, tokenizer.TAG[then]])
    return prompt if len(prompt) <= room else np.append(prompt[:2], prompt[-(room - 2) :])
