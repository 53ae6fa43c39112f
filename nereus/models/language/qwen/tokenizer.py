"""Byte-level BPE learned from the texts: no text has an unknown token, and digits stand alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nereus.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END_OF_TEXT, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CONTROL = (END_OF_TEXT, START, END)
"""Control tokens, with the first numbers."""


def learned(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """A tokenizer of so many tokens at most, in which no text becomes a control token."""
    try:
        from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    except ImportError:
        raise InputError(
            "'tokenizers' is not installed", where="method 'qwen'", mend="pip install -e '.[models]'"
        ) from None
    found = Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\p{N}"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    found.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(CONTROL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    found.train_from_iterator(texts, trainer)
    return of(found.to_str())


def of(text: str) -> Tokenizer:
    """A tokenizer from its JSON."""
    from tokenizers import Tokenizer

    found = Tokenizer.from_str(text)
    found.encode_special_tokens = True  # control strings within texts are read as letters
    return found


def numbers(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Numbers of the tokens of texts."""
    return [one.ids for one in tokenizer.encode_batch(list(texts), add_special_tokens=False)]
