"""Instructions as tokens: a tokenizer of RoBERTa's kind, made from the instructions themselves or loaded from a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from nereus.errors import InputError

_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


class TextTokenizer:
    """Byte-level tokens between ``<s>`` and ``</s>``.

    Parameters
    ----------
    content
        The tokenizer as JSON, as `tokenizers` writes it.
    """

    def __init__(self, content: str) -> None:
        self.content = content
        self._tokenizer = Tokenizer.from_str(content)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.start, self.pad, self.stop = (self._required(name) for name in _SPECIAL[:3])

    @classmethod
    def trained(cls, texts: Sequence[str], size: int) -> TextTokenizer:
        """Byte-pair encoding learned from `texts`, of at most `size` tokens."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            min_frequency=2,
            special_tokens=_SPECIAL,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        tokenizer.post_processor = processors.RobertaProcessing(
            ("</s>", 2), ("<s>", 0), add_prefix_space=True
        )
        return cls(tokenizer.to_str())

    @classmethod
    def from_folder(cls, folder: Path) -> TextTokenizer:
        """The tokenizer beside pre-trained weights.

        Raises
        ------
        InputError
            There is none, it cannot be read, or it has no ``<s>``, ``</s>`` and ``<pad>``.
        """
        file = folder / "tokenizer.json"
        if not file.is_file():
            raise InputError(
                "there is no tokenizer.json",
                where=str(folder),
                mend="save the tokenizer with `save_pretrained`",
            )
        try:
            return cls(file.read_text(encoding="utf-8"))
        except InputError:
            raise
        except Exception as error:  # noqa: BLE001  tokenizers raises bare ones
            raise InputError(
                f"tokenizer.json cannot be read: {error}", where=str(folder), mend="save it anew"
            ) from None

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def encode(self, texts: Sequence[str | None], most: int) -> tuple[list[np.ndarray], np.ndarray]:
        """Tokens of texts.

        Parameters
        ----------
        texts
            None has no tokens but start and end.
        most
            Tokens of a text, with start and end; longer ones are cut.

        Returns
        -------
        tokens : list of ndarray
            Of each text.
        cut : ndarray
            Whether each was cut.
        """
        found = self._tokenizer.encode_batch([one or "" for one in texts])
        tokens = [
            np.array([self.start, self.stop] if text is None else one.ids)
            for text, one in zip(texts, found, strict=True)
        ]
        cut = np.array([len(one) > most for one in tokens], dtype=bool)
        return [
            np.append(one[: most - 1], self.stop) if long else one
            for one, long in zip(tokens, cut, strict=True)
        ], cut

    def _required(self, name: str) -> int:
        number = self._tokenizer.token_to_id(name)
        if number is None:
            known = json.loads(self.content).get("model", {}).get("type")
            raise InputError(
                f"the tokenizer ({known}) has no {name}",
                where="tokenizer.json",
                mend="give RoBERTa's tokenizer",
            )
        return int(number)
