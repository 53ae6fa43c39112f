"""Qwen as an estimator.

References
----------
Qwen Technical Report. arXiv:2309.16609. Code and weights of the report: QwenLM/Qwen; none of either is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nereus.errors import InputError
from nereus.models.base import Method
from nereus.models.language.qwen import tokenizer
from nereus.models.language.qwen.card import CARD
from nereus.models.language.qwen.config import QwenConfig
from nereus.models.language.qwen.corpus import NextToken, joined
from nereus.models.language.qwen.long_context import MODES, LongContext, Mode
from nereus.models.language.qwen.network import Cache, QwenNetwork
from nereus.models.training import Session, identity_of, train

if TYPE_CHECKING:
    import pandas as pd
    from tokenizers import Tokenizer

LONGEST = 32_768
"""Tokens of a text beyond which it is not read in one go."""
_ROWS = 16


class Qwen(Method[QwenConfig]):
    """A language model of texts: the decoder of the Qwen family, learned from nothing.

    ``X`` is a list of texts. `score` tells how likely texts are, `generate` goes on with them, `embed` gives vectors.
    `export` writes a folder that transformers, vLLM and ``nereus llm serve`` read.

    Attributes
    ----------
    network_ : QwenNetwork
        The decoder.
    tokenizer_ : tokenizers.Tokenizer
        Byte-level BPE of the texts.

    Examples
    --------
    >>> from nereus.models.language.qwen import Qwen
    >>> texts = ["the protein binds the membrane", "the membrane holds the protein"] * 20
    >>> model = Qwen(layers=1, width=16, heads=2, vocabulary=300, context=8, tokens=500, training__epochs=1).fit(texts)
    >>> model.score(["the protein"]).shape
    (1,)
    """

    card = CARD
    config_class = QwenConfig
    version: ClassVar[str] = "1"

    network_: QwenNetwork
    tokenizer_: Tokenizer

    # ------------------------------------------------------------------ learning

    def _fit(self, X: Any, y: Any, session: Session) -> None:
        """Learn tokens, then the decoder."""
        config = self.config
        texts = _texts(X)
        kept = min(int(len(texts) * config.validation), len(texts) - 1)
        learned, judged = texts[: len(texts) - kept], texts[len(texts) - kept :]
        known = tokenizer.learned(learned, config.vocabulary)
        row = joined(tokenizer.numbers(known, learned), 0)
        held = joined(tokenizer.numbers(known, judged), 0)
        network = QwenNetwork(config, known.get_vocab_size()).to(self.device)
        objective = NextToken(network, config, row, held, self.device)
        history = train(
            network,
            objective,
            config.training,
            seed=config.random_state,
            session=session,
            identity=identity_of(config, row.tobytes(), held.tobytes(), without={"training"}),
        )
        if (found := known.get_vocab_size()) < config.vocabulary:
            history.notes.append(
                f"the texts give {found} tokens, fewer than the {config.vocabulary} that were asked for"
            )
        self.history_, self.network_, self.tokenizer_ = history, network, known

    # ------------------------------------------------------------------ asking

    def score(self, X: Any, y: Any = None, *, long_context: Mode = "plain") -> np.ndarray:
        """Log-likelihood of each text, in nats, summed over its tokens, (n,).

        Parameters
        ----------
        X
            Texts.
        y
            Not used.
        long_context
            What is done beyond the trained length: nothing, ``ntk``, ``logn`` (with it), ``window`` (with both).
        """
        return self._scored(_texts(X), long_context)[0]

    def token_losses(self, tokens: np.ndarray, long_context: Mode = "plain") -> np.ndarray:
        """Negative log-probability of each token after the first, in nats, (rows, length - 1).

        Parameters
        ----------
        tokens
            Numbers, (rows, length); see `tokens_of`.
        long_context
            See `score`.
        """
        network, given = self._fitted(), torch.as_tensor(np.asarray(tokens)).long().to(self.device)
        long = self._long(long_context)
        with torch.no_grad():
            logits = network(given[:, :-1], long=long).float()
        return functional.cross_entropy(logits.transpose(1, 2), given[:, 1:], reduction="none").cpu().numpy()

    def tokens_of(self, texts: Sequence[str]) -> np.ndarray:
        """Texts as one row of tokens, with the end of a text before each and after the last."""
        self._require_fitted()
        return joined(tokenizer.numbers(self.tokenizer_, _texts(texts)), 0)

    @torch.no_grad()
    def embed(self, X: Any) -> np.ndarray:
        """Mean of the last layer's vectors over a text's tokens, (n, width), float32."""
        network = self._fitted()
        found = []
        for numbers in self._numbers(_texts(X)):
            given = torch.tensor([[0, *numbers]], device=self.device)
            found.append(network.vectors(given)[0, 1:].float().mean(0).cpu().numpy())
        return np.stack(found)

    @torch.no_grad()
    def generate(
        self,
        X: Any,
        *,
        tokens: int = 64,
        temperature: float = 0.0,
        top_p: float = 1.0,
        long_context: Mode = "plain",
        seed: int | None = None,
    ) -> list[str]:
        """What may follow each text.

        Parameters
        ----------
        X
            Texts; an empty one asks for a text from its beginning.
        tokens
            Most tokens that follow.
        temperature
            0 takes the likeliest token.
        top_p
            Share of probability from which tokens are drawn.
        long_context
            See `score`.
        seed
            Of what is drawn; None takes ``random_state``.
        """
        network, long = self._fitted(), self._long(long_context)
        drawing = torch.Generator().manual_seed(self.config.random_state if seed is None else seed)
        found = []
        for numbers in self._numbers(_texts(X, empty=True)):
            cache, new, given = Cache(), [], [0, *numbers]
            for _ in range(tokens):
                logits = network(torch.tensor([given], device=self.device), cache=cache, long=long)[0, -1]
                token = _drawn(logits.float().cpu(), temperature, top_p, drawing)
                if token < len(tokenizer.CONTROL):
                    break
                new.append(token)
                given = [token]
            found.append(self.tokenizer_.decode(new))
        return found

    def export(self, folder: Path | str) -> Path:
        """Write model and tokenizer as a folder that transformers, vLLM and ``nereus llm serve`` read."""
        from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

        network = self._fitted()
        model = Qwen2ForCausalLM(transformers_config(self.config, network.vocabulary))
        model.load_state_dict({name: one.detach().cpu() for name, one in network.state_dict().items()})
        model.save_pretrained(folder)
        wrapped: Any = PreTrainedTokenizerFast
        wrapped(
            tokenizer_object=tokenizer.of(self.tokenizer_.to_str()),
            eos_token=tokenizer.END_OF_TEXT,
            pad_token=tokenizer.END_OF_TEXT,
        ).save_pretrained(folder)
        return Path(folder)

    def _scored(self, texts: Sequence[str], mode: Mode) -> tuple[np.ndarray, np.ndarray]:
        """(log-likelihood, number of tokens) of each text."""
        given = self._numbers(texts)
        losses = [-self.token_losses(np.array([[0, *one]]), mode).sum(dtype=np.float64) for one in given]
        return np.array(losses), np.array([len(one) for one in given])

    def _numbers(self, texts: Sequence[str]) -> list[list[int]]:
        self._require_fitted()
        found = tokenizer.numbers(self.tokenizer_, texts)
        for place, one in enumerate(found):
            if len(one) >= LONGEST:
                raise InputError(
                    f"text {place} has {len(one)} tokens, {LONGEST - 1} are allowed",
                    where="qwen",
                    mend="give it in parts",
                )
        return found

    def _long(self, mode: Mode) -> LongContext:
        if mode not in MODES:
            raise InputError(
                f"there is no way {mode!r} of reading long texts",
                where="long_context",
                mend=f"ways are {', '.join(MODES)}",
            )
        return LongContext(self.config.context, mode)

    def _fitted(self) -> QwenNetwork:
        self._require_fitted()
        self.network_.eval()
        return self.network_

    # ------------------------------------------------------------------ tables

    def _from_table(self, table: pd.DataFrame, columns: Mapping[str, list[str]]) -> tuple[Any, Any]:
        return table[columns["text"][0]].tolist(), None

    def predict_table(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> pd.DataFrame:
        """See `score_table`."""
        return self.score_table(table, columns)

    def score_table(
        self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]], *, long_context: Mode = "plain"
    ) -> pd.DataFrame:
        """Likelihoods of a table's texts: ``log_likelihood`` (nats), ``tokens``, ``per_token`` (nats), ``bits_per_byte``."""
        import pandas as pd

        texts, _ = self._from_table(table, self._checked_columns(table, columns, training=False))
        texts = _texts(texts)
        likelihood, counts = self._scored(texts, long_context)
        size = np.array([len(one.encode()) for one in texts])
        found = {
            "log_likelihood": likelihood,
            "tokens": counts,
            "per_token": likelihood / counts,
            "bits_per_byte": -likelihood / np.log(2) / size,
        }
        return pd.DataFrame(found, index=table.index)

    def generate_table(
        self,
        table: pd.DataFrame,
        columns: Mapping[str, str | Sequence[str]],
        *,
        tokens: int = 64,
        temperature: float = 0.0,
        top_p: float = 1.0,
        long_context: Mode = "plain",
    ) -> pd.DataFrame:
        """Continuations, one a row: ``generated``; options are those of `generate`."""
        import pandas as pd

        texts, _ = self._from_table(table, self._checked_columns(table, columns, training=False))
        made = self.generate(
            texts, tokens=tokens, temperature=temperature, top_p=top_p, long_context=long_context
        )
        return pd.DataFrame({"generated": made}, index=table.index)

    # ------------------------------------------------------------------ keeping

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {f"network.{name}": tensor for name, tensor in self.network_.state_dict().items()}
        return tensors, {"tokenizer": self.tokenizer_.to_str()}

    def _restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        self.tokenizer_ = tokenizer.of(facts["tokenizer"])
        self.network_ = QwenNetwork(self.config, self.tokenizer_.get_vocab_size())
        self.network_.load_state_dict({name.removeprefix("network."): one for name, one in tensors.items()})


def transformers_config(config: QwenConfig, vocabulary: int) -> Any:
    """The same shape as transformers' ``Qwen2Config``."""
    from transformers import Qwen2Config

    return Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=config.width,
        intermediate_size=config.inner,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.groups,
        max_position_embeddings=max(config.context, LONGEST),
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_base},
        rms_norm_eps=config.norm_eps,
        tie_word_embeddings=False,
        use_sliding_window=False,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )


def _drawn(logits: Tensor, temperature: float, top_p: float, drawing: torch.Generator) -> int:
    if temperature <= 0:
        return int(logits.argmax())
    weights, order = (logits / temperature).softmax(-1).sort(descending=True)
    weights[weights.cumsum(-1) - weights > top_p] = 0.0
    return int(order[torch.multinomial(weights, 1, generator=drawing)])


def _texts(X: Any, empty: bool = False) -> list[str]:
    given = [X] if isinstance(X, str) else list(X)
    if not given:
        raise InputError("there is no text", where="qwen", mend="give at least one")
    for place, one in enumerate(given):
        if not isinstance(one, str):
            raise InputError(f"text {place} is {type(one).__name__}", where="qwen", mend="give texts")
        if not one and not empty:
            raise InputError(f"text {place} is empty", where="qwen", mend="leave it out")
    return given
