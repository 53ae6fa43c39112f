"""Next steps in text, for many prefixes at once: from a model in this process or an OpenAI-compatible endpoint (vLLM)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from zlib import crc32

import numpy as np

from nereus.errors import InputError

if TYPE_CHECKING:
    import httpx

    from nereus.models.language.cpl.causal import Tokenizer


@dataclass(frozen=True)
class Sample:
    """A sampled text.

    Attributes
    ----------
    text
        The text, with what ended it.
    log_probability
        Mean log-probability of its tokens.
    """

    text: str
    log_probability: float


class StepSampler(Protocol):
    """Samples continuations of many prefixes in one call."""

    id: str

    def sample(
        self, prompts: Sequence[str], counts: Sequence[int], seeds: Sequence[int]
    ) -> list[list[Sample]]:
        """`counts[i]` continuations of `prompts[i]`, drawn with `seeds[i]`."""


class LocalSampler:
    """Samples from a causal model in this process. What is drawn after a prefix does not depend on what is asked beside it.

    Parameters
    ----------
    model, tokenizer
        The model.
    temperature
        Of the draw; 0 takes the likeliest.
    most_tokens
        Of one step.
    end, fill
        Symbols that end a step and fill up a batch; by default those of the tokenizer.
    """

    id = "local model"

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        *,
        temperature: float = 0.7,
        most_tokens: int = 64,
        end: int | None = None,
        fill: int | None = None,
    ) -> None:
        from nereus.models.language.cpl.causal import symbols

        self.model, self.tokenizer = model, tokenizer
        self.temperature, self.most_tokens = temperature, most_tokens
        self.end, self.fill = symbols(tokenizer, end, fill)

    def sample(
        self, prompts: Sequence[str], counts: Sequence[int], seeds: Sequence[int]
    ) -> list[list[Sample]]:
        """See `StepSampler`."""
        import torch

        rows = [
            (i, self.tokenizer.encode(prompt, add_special_tokens=False))
            for i, (prompt, count) in enumerate(zip(prompts, counts, strict=True))
            for _ in range(count)
        ]
        draws = [
            np.random.default_rng((seed, k))
            for seed, count in zip(seeds, counts, strict=True)
            for k in range(count)
        ]
        made: list[list[Sample]] = [[] for _ in prompts]
        if not rows:
            return made
        device = next(self.model.parameters()).device
        longest = max(len(ids) for _, ids in rows)
        ids = torch.full((len(rows), longest), self.fill, dtype=torch.long)
        mask = torch.zeros((len(rows), longest), dtype=torch.long)
        for k, (_, own) in enumerate(rows):  # filled on the left, so that all end together
            ids[k, longest - len(own) :] = torch.tensor(own)
            mask[k, longest - len(own) :] = 1
        ids, mask = ids.to(device), mask.to(device)
        texts: list[list[int]] = [[] for _ in rows]
        sums = [0.0] * len(rows)
        open_rows = torch.ones(len(rows), dtype=torch.bool)
        cache, fed = None, ids
        self.model.eval()
        with torch.no_grad():
            for _ in range(self.most_tokens):
                place = (mask.cumsum(1) - 1).clamp(min=0)[:, -fed.shape[1] :]
                out = self.model(
                    input_ids=fed,
                    attention_mask=mask,
                    position_ids=place,
                    past_key_values=cache,
                    use_cache=True,
                )
                cache = out.past_key_values
                log_p = out.logits[:, -1].float().log_softmax(-1).cpu()
                if self.temperature > 0:  # one number a row: where it falls in the summed probabilities
                    summed = (log_p / self.temperature).double().softmax(-1).cumsum(-1)
                    at = torch.tensor([one.random() for one in draws], dtype=torch.float64)[:, None]
                    token = (summed < at * summed[:, -1:]).sum(-1).clamp(max=summed.shape[1] - 1)
                else:
                    token = log_p.argmax(-1)
                for k in open_rows.nonzero()[:, 0].tolist():
                    texts[k].append(int(token[k]))
                    sums[k] += float(log_p[k, token[k]])
                open_rows &= token != self.end
                if not open_rows.any():
                    break
                fed = torch.where(open_rows, token, torch.full_like(token, self.fill))[:, None].to(device)
                mask = torch.cat([mask, torch.ones((len(rows), 1), dtype=torch.long, device=device)], dim=1)
        for k, (i, _) in enumerate(rows):
            made[i].append(Sample(self.tokenizer.decode(texts[k]), sums[k] / max(1, len(texts[k]))))
        return made


class EndpointSampler:
    """Samples from an OpenAI-compatible ``/completions`` endpoint; vLLM works on all prefixes of a request as one batch.

    Parameters
    ----------
    client
        A client whose base address is the endpoint's (``http://127.0.0.1:8000/v1``) and that carries its key.
    model
        Name of the model there.
    stop
        Texts that end a step; they are kept, since the form of a step is judged with them.
    temperature, most_tokens
        Of the draw, as in the paper.
    """

    id = "endpoint"

    def __init__(
        self,
        client: httpx.Client,
        model: str,
        *,
        stop: Sequence[str] = ("</step>", "</solution>"),
        temperature: float = 0.7,
        most_tokens: int = 1500,
    ) -> None:
        self.client, self.model, self.stop = client, model, list(stop)
        self.temperature, self.most_tokens = temperature, most_tokens

    def sample(
        self, prompts: Sequence[str], counts: Sequence[int], seeds: Sequence[int]
    ) -> list[list[Sample]]:
        """See `StepSampler`. Prefixes with equal counts go in one request.

        A request has one seed, so that here what is drawn after a prefix does depend on what is asked beside it.

        Raises
        ------
        InputError
            The endpoint refuses, or gives no log-probabilities.
        """
        made: list[list[Sample]] = [[] for _ in prompts]
        for count in sorted({one for one in counts if one > 0}):
            at = [i for i, one in enumerate(counts) if one == count]
            body = {
                "model": self.model, "prompt": [prompts[i] for i in at], "n": count, "temperature": self.temperature,
                "max_tokens": self.most_tokens, "stop": self.stop, "include_stop_str_in_output": True, "logprobs": 0,
                "seed": crc32(repr([seeds[i] for i in at]).encode()) >> 1,
            }  # fmt: skip
            reply = self.client.post("completions", json=body)
            if reply.status_code != 200:
                raise InputError(
                    f"the endpoint answered {reply.status_code}: {reply.text[:200]}",
                    where=str(self.client.base_url),
                    mend="check the address and the name of the model",
                )
            choices = sorted(reply.json()["choices"], key=lambda one: int(one["index"]))
            if len(choices) != count * len(at):
                raise InputError(
                    f"{len(choices)} replies to {len(at)} prefixes of {count} each: the endpoint ignores `n` or lists of prompts",
                    where=str(self.client.base_url),
                    mend="serve the model with vLLM, or sample from it in this process",
                )
            for k, choice in enumerate(choices):
                known = [
                    p for p in (choice.get("logprobs") or {}).get("token_logprobs") or [] if p is not None
                ]
                if not known:
                    raise InputError(
                        "the endpoint gives no log-probabilities, which priors are made of",
                        where=str(self.client.base_url),
                        mend="serve the model with vLLM, or sample from it in this process",
                    )
                made[at[k // count]].append(Sample(str(choice["text"]), sum(known) / len(known)))
        return made
