"""A RoBERTa that others trained, from a folder as transformers saves it; read without unpickling, nothing is fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import RobertaConfig

from nereus.errors import InputError
from nereus.models.molecules.utgdiff.network import Denoiser, shape_of
from nereus.models.molecules.utgdiff.text import TextTokenizer

_WEIGHTS = "model.safetensors"


def read_pretrained(
    place: str, dropout: float, positions: int
) -> tuple[dict[str, Any], dict[str, Tensor], TextTokenizer]:
    """Sizes, weights and tokenizer.

    Parameters
    ----------
    place
        Folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``.
    dropout
        Share of entries to drop, whatever the folder says.
    positions
        Positions that texts and graphs need.

    Raises
    ------
    InputError
        A file is missing or damaged, it is no RoBERTa, or its positions do not reach.
    """
    folder = Path(place)
    for name in ("config.json", _WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(
                f"there is no {name}",
                where=place,
                mend="give the folder that transformers' `save_pretrained` wrote",
            )
    try:
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"config.json cannot be read: {error}", where=place, mend="copy it again") from None
    kind = told.get("model_type") if isinstance(told, dict) else None
    if kind != "roberta":
        raise InputError(
            f"this is a {kind!r}, the denoiser is a 'roberta'",
            where=place,
            mend="give a RoBERTa",
        )
    shape = shape_of(RobertaConfig.from_dict(told))
    shape |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    reach = shape["max_position_embeddings"] - shape["pad_token_id"] - 1
    if reach < positions:
        raise InputError(
            f"it has {reach} positions, {positions} are needed",
            where=place,
            mend="lower text_tokens or most_atoms",
        )
    tokenizer = TextTokenizer.from_folder(folder)
    if len(tokenizer) > shape["vocab_size"] or tokenizer.pad != shape["pad_token_id"]:
        raise InputError("tokenizer and weights do not belong together", where=place)
    try:
        weights = load_file(folder / _WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise InputError(f"the weights cannot be read: {error}", where=place) from error
    return shape, {name.removeprefix("roberta."): tensor for name, tensor in weights.items()}, tokenizer


def put(network: Denoiser, weights: dict[str, Tensor], place: str) -> None:
    """Start the transformer of a network from these weights; heads that they may hold are left aside."""
    own = network.transformer.state_dict()
    if missing := sorted(set(own) - set(weights)):
        raise InputError(f"the weights lack {missing[0]!r}", where=place, mend="give a RoBERTa's weights")
    network.transformer.load_state_dict({name: weights[name] for name in own})
