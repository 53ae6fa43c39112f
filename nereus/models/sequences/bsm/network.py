"""The decoder: transformers' Llama from random weights (rotary positions, gated layers), with a head for targets."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from nereus.models.sequences.bsm import tokenizer
from nereus.models.sequences.bsm.config import BSMConfig


class BSMNetwork(nn.Module):
    """Tokens to vectors, to the next token, and to a target.

    Parameters
    ----------
    config
        Shape.
    outputs
        Classes, or one for a value; 0 has no head.
    """

    def __init__(self, config: BSMConfig, outputs: int = 0) -> None:
        super().__init__()
        shape = LlamaConfig(
            vocab_size=tokenizer.SIZE,
            hidden_size=config.width,
            intermediate_size=config.widening * config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            head_dim=config.width // config.heads,
            max_position_embeddings=config.context,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_base},
            tie_word_embeddings=False,
            pad_token_id=tokenizer.PAD,
            bos_token_id=tokenizer.BOS,
            eos_token_id=tokenizer.EOS,
        )
        shape._attn_implementation = "sdpa"
        self.decoder = LlamaForCausalLM(shape)
        self.head: nn.Linear | None = nn.Linear(config.width, outputs) if outputs else None

    def hot(self) -> list[nn.Module]:
        """What `torch.compile` is worth for: the decoder."""
        return [self.decoder.model]

    def vectors(self, tokens: Tensor, documents: Tensor) -> Tensor:
        """Vectors of the last layer, (rows, length, width).

        Parameters
        ----------
        tokens
            Numbers, (rows, length).
        documents
            Number of each token's document within its row, (rows, length); 0 is padding. A token sees the earlier ones of
            its own document, and positions count from its beginning.
        """
        same = documents[:, :, None] == documents[:, None, :]
        mask = same.tril()[:, None]
        positions = same.tril().sum(-1) - 1
        found: Tensor = self.decoder.model(
            input_ids=tokens, attention_mask=mask, position_ids=positions, use_cache=False
        ).last_hidden_state
        return found

    def next_token_losses(self, tokens: Tensor, documents: Tensor) -> Tensor:
        """Negative log-probability of each token given the earlier ones of its document, in nats, (rows, length).

        0 for the first token of a document and for padding, which nothing foretells.
        """
        logits = self.decoder.lm_head(self.vectors(tokens, documents)[:, :-1]).float()
        losses = nn.functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
        told = (documents[:, 1:] == documents[:, :-1]) & (documents[:, 1:] > 0)
        return nn.functional.pad(losses * told, (1, 0))

    def answers(self, tokens: Tensor, documents: Tensor) -> Tensor:
        """What the head says of each row from its last token, (rows, outputs). Rows hold one document."""
        assert self.head is not None
        last = (documents > 0).sum(1) - 1
        vectors = self.vectors(tokens, documents)
        found: Tensor = self.head(vectors[torch.arange(len(tokens), device=tokens.device), last])
        return found
