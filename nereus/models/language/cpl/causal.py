"""The same objectives for causal language models: prefixes and steps are text, log-probabilities are sums over tokens.

Works with any `transformers` causal model, adapted whole or through low-rank adapters (`peft`), and with a small one made from
scratch over the characters of the training text.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nereus.errors import InputError
from nereus.models.language.cpl.rows import SolutionPath, StepPair
from nereus.models.language.cpl.step_apo import StepApo, checked_values, win_probability

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WHERE = "training of a language model"
IGNORED = -100


class Tokenizer(Protocol):
    """What is needed of a tokenizer; those of `transformers` have it."""

    def encode(self, text: str, add_special_tokens: bool = ...) -> list[int]:
        """Text to symbols."""

    def decode(self, ids: list[int]) -> str:
        """Symbols to text."""


class Characters:
    """A tokenizer of single characters, made from the training text: 0 fills, 1 ends a step, 2 is unknown.

    Parameters
    ----------
    alphabet
        All characters, in the order of their symbols.
    """

    FILL, END, UNKNOWN = 0, 1, 2

    def __init__(self, alphabet: str) -> None:
        self.alphabet = alphabet
        self._symbols = {one: i for i, one in enumerate(alphabet, start=3)}

    @classmethod
    def of(cls, texts: Sequence[str]) -> Characters:
        """Every character of some texts."""
        return cls("".join(sorted(set("".join(texts)))))

    def __len__(self) -> int:
        return len(self.alphabet) + 3

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Text to symbols."""
        del add_special_tokens
        return [self._symbols.get(one, self.UNKNOWN) for one in text]

    def decode(self, ids: list[int]) -> str:
        """Symbols to text; what is no character is left out."""
        return "".join(self.alphabet[i - 3] for i in ids if i >= 3)


@dataclass(frozen=True)
class Encoded:
    """A prefix with its next step.

    Attributes
    ----------
    ids
        Symbols of both, and the end of the step.
    start
        Where the step begins.
    """

    ids: list[int]
    start: int


@dataclass(frozen=True)
class CausalFitting:
    """How a language model is trained.

    Attributes
    ----------
    epochs
        Passes over the data.
    batch
        Rows (pairs) of a batch.
    rate
        Peak step size of AdamW: cosine, a tenth of warm-up.
    cutoff
        Longest prefix with its step, in tokens; longer ones are left out and counted.
    seed
        Of the order.
    end, fill
        Symbols that end a step and fill up a batch; by default those of the tokenizer.
    steps
        Largest number of batches, whatever the epochs.
    """

    epochs: int = 3
    batch: int = 16
    rate: float = 1e-5
    cutoff: int = 1024
    seed: int = 0
    end: int | None = None
    fill: int | None = None
    steps: int | None = None


@dataclass(frozen=True)
class CausalCourse:
    """How a training went.

    Attributes
    ----------
    losses
        Mean loss of each epoch.
    dropped
        Rows longer than the cutoff.
    batches
        Batches that were seen.
    tokens
        Tokens that were seen.
    """

    losses: list[float]
    dropped: int
    batches: int
    tokens: int


def from_scratch(
    vocabulary: int, *, width: int = 128, layers: int = 4, heads: int = 4, context: int = 256, seed: int = 0
) -> PreTrainedModel:
    """An untrained causal transformer (the Qwen2 architecture of `transformers`), seeded."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from nereus.models.training.device import derive_seed, seeded

    with seeded(derive_seed(seed, "causal model")):
        config = Qwen2Config(
            vocab_size=vocabulary,
            hidden_size=width,
            intermediate_size=3 * width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=context,
            tie_word_embeddings=False,
        )
        return Qwen2ForCausalLM(config)


def adapted(model: PreTrainedModel, rank: int = 16) -> Any:
    """The model with low-rank adapters on all linear layers; only they learn, and switched off they are the reference."""
    from peft import LoraConfig, get_peft_model

    return get_peft_model(
        model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    )


def symbols(tokenizer: Any, end: int | None = None, fill: int | None = None) -> tuple[int, int]:
    """What ends a step and what fills up a batch: as given, else as the tokenizer says.

    Raises
    ------
    InputError
        The tokenizer has no symbol for an end, and none is given.
    """
    if isinstance(tokenizer, Characters):
        known: tuple[int | None, int | None] = (Characters.END, Characters.FILL)
    else:
        known = (getattr(tokenizer, "eos_token_id", None), getattr(tokenizer, "pad_token_id", None))
    end = known[0] if end is None else end
    if end is None:
        raise InputError(
            "the tokenizer has no symbol that ends a text",
            where=WHERE,
            mend="name one of its symbols as `end`",
        )
    fill = known[1] if fill is None else fill
    return end, end if fill is None else fill


def encode(tokenizer: Tokenizer, prompt: str, step: str, end: int) -> Encoded:
    """A prefix with its next step. The two are encoded apart, so that the step's tokens do not depend on how they meet."""
    before = tokenizer.encode(prompt, add_special_tokens=False)
    return Encoded([*before, *tokenizer.encode(step, add_special_tokens=False), end], len(before))


def step_log_probabilities(model: Any, rows: Sequence[Encoded], fill: int = Characters.FILL) -> Tensor:
    """log-probability of each step given its prefix: the sum over its tokens, (rows,)."""
    longest = max(len(row.ids) for row in rows)
    device = next(model.parameters()).device
    ids = torch.full((len(rows), longest), fill, dtype=torch.long)
    labels = torch.full((len(rows), longest), IGNORED, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        labels[i, row.start : len(row.ids)] = ids[i, row.start : len(row.ids)]
    ids, labels = ids.to(device), labels.to(device)
    mask = (
        torch.arange(longest, device=device)[None, :]
        < torch.tensor([len(r.ids) for r in rows], device=device)[:, None]
    )
    logits = model(input_ids=ids, attention_mask=mask.long()).logits[:, :-1].float()
    token = -functional.cross_entropy(
        logits.transpose(1, 2), labels[:, 1:], ignore_index=IGNORED, reduction="none"
    )
    return token.sum(dim=1)


def preference_losses(
    own_chosen: Tensor,
    own_rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    gap: Tensor,
    wins: Tensor,
    options: StepApo,
) -> Tensor:
    """Step-APO loss of each pair from log-probabilities of its steps under policy and reference, (pairs,)."""
    margin = options.beta * ((own_chosen - ref_chosen) - (own_rejected - ref_rejected)) - options.alpha * gap
    return -wins * functional.logsigmoid(margin) - (1 - wins) * functional.logsigmoid(-margin)


def imitate(
    model: Any, tokenizer: Tokenizer, paths: Sequence[SolutionPath], fitting: CausalFitting
) -> CausalCourse:
    """SFT: make the steps of solved paths likely, each after its prefix."""
    end, fill = symbols(tokenizer, fitting.end, fitting.fill)
    rows = [
        encode(tokenizer, prompt, step, end)
        for path in paths
        for prompt, step in zip(path.prompts, path.steps, strict=True)
    ]
    kept = [row for row in rows if len(row.ids) <= fitting.cutoff]
    _require(kept, len(rows), fitting, "step of a solved path")

    def losses(at: Sequence[int]) -> tuple[Tensor, int]:
        batch = [kept[i] for i in at]
        tokens = sum(len(row.ids) - row.start for row in batch)
        return -step_log_probabilities(model, batch, fill).sum() / tokens, sum(len(r.ids) for r in batch)

    return _loop(model, len(kept), losses, fitting, len(rows) - len(kept))


def prefer(
    model: Any,
    tokenizer: Tokenizer,
    pairs: Sequence[StepPair],
    options: StepApo,
    fitting: CausalFitting,
    reference: Any = None,
) -> CausalCourse:
    """Minimise the Step-APO loss.

    Parameters
    ----------
    model
        What is trained.
    tokenizer
        Of the model.
    pairs
        Steps after the same prefix.
    options
        beta, alpha, soft labels.
    fitting
        Batches and step size.
    reference
        Frozen reference; by default a copy of the model as it is now (with adapters: the model without them).

    Raises
    ------
    InputError
        There are no pairs, all are longer than the cutoff, or the reference is the model itself.
    """
    end, _ = symbols(tokenizer, fitting.end, fitting.fill)
    both = [
        ([encode(tokenizer, p.prompt, p.chosen, end)], [encode(tokenizer, p.prompt, p.rejected, end)])
        for p in pairs
    ]
    values = [(p.q_chosen, p.q_rejected) for p in pairs]
    return _prefer(model, tokenizer, both, values, options, fitting, reference)


def prefer_solutions(
    model: Any,
    tokenizer: Tokenizer,
    pairs: Sequence[tuple[SolutionPath, SolutionPath]],
    options: StepApo,
    fitting: CausalFitting,
    reference: Any = None,
) -> CausalCourse:
    """DPO on whole solutions, the better one first: log-probabilities are summed over the steps of each. See `prefer`."""
    end, _ = symbols(tokenizer, fitting.end, fitting.fill)
    both = [
        tuple(
            [
                encode(tokenizer, prompt, step, end)
                for prompt, step in zip(path.prompts, path.steps, strict=True)
            ]
            for path in pair
        )
        for pair in pairs
    ]
    return _prefer(model, tokenizer, both, [(0.0, 0.0)] * len(both), options, fitting, reference)


def _prefer(
    model: Any,
    tokenizer: Tokenizer,
    both: Sequence[Sequence[Sequence[Encoded]]],
    values: Sequence[tuple[float, float]],
    options: StepApo,
    fitting: CausalFitting,
    reference: Any,
) -> CausalCourse:
    """Of pairs of which each side is one or more steps."""
    if reference is model:
        raise InputError(
            "the reference is the policy itself, so that every ratio is 1", where=WHERE, mend="leave it out"
        )
    _, fill = symbols(tokenizer, fitting.end, fitting.fill)
    at = [i for i, pair in enumerate(both) if max(_lengths(pair)) <= fitting.cutoff]
    _require(at, len(both), fitting, "preference pair")
    kept = [both[i] for i in at]
    q_w, q_l = [values[i][0] for i in at], [values[i][1] for i in at]
    gap = torch.tensor(checked_values(q_w) - checked_values(q_l), dtype=torch.float32)
    wins = torch.tensor(win_probability(q_w, q_l, options), dtype=torch.float32)
    flat = [row for pair in kept for side in pair for row in side]
    single = _reference_log_probabilities(model, reference, flat, fitting.batch, fill)
    known = _by_side(single, [side for pair in kept for side in pair]).view(-1, 2)

    def losses(chosen: Sequence[int]) -> tuple[Tensor, int]:
        sides = [kept[i][side] for side in (0, 1) for i in chosen]
        rows = [row for side in sides for row in side]
        own = _by_side(step_log_probabilities(model, rows, fill), sides)
        index = torch.as_tensor(list(chosen))
        n, device = len(index), own.device
        ref = known[index].to(device)
        made = preference_losses(
            own[:n], own[n:], ref[:, 0], ref[:, 1], gap[index].to(device), wins[index].to(device), options
        )
        return made.mean(), sum(len(row.ids) for row in rows)

    return _loop(model, len(kept), losses, fitting, len(both) - len(kept))


def _lengths(pair: Sequence[Sequence[Encoded]]) -> list[int]:
    return [len(row.ids) for side in pair for row in side]


def _by_side(single: Tensor, sides: Sequence[Sequence[Encoded]]) -> Tensor:
    """Sums of the log-probabilities of the steps of each side, (sides,)."""
    owner = torch.repeat_interleave(torch.tensor([len(side) for side in sides], device=single.device))
    return torch.zeros(len(sides), device=single.device).index_add(0, owner, single)


def _reference_log_probabilities(
    model: Any, reference: Any, rows: Sequence[Encoded], batch: int, fill: int
) -> Tensor:
    """Computed once: the reference never changes."""
    frozen = reference if reference is not None else model
    off = frozen.disable_adapter() if reference is None and hasattr(frozen, "disable_adapter") else None
    was_training = frozen.training
    frozen.eval()
    size = 4 * batch
    with torch.no_grad():
        if off is not None:
            with off:
                parts = [
                    step_log_probabilities(frozen, rows[i : i + size], fill).cpu()
                    for i in range(0, len(rows), size)
                ]
        else:
            parts = [
                step_log_probabilities(frozen, rows[i : i + size], fill).cpu()
                for i in range(0, len(rows), size)
            ]
    frozen.train(was_training)
    return torch.cat(parts)


def _require(kept: Sequence[Any], total: int, fitting: CausalFitting, what: str) -> None:
    if not kept:
        reason = (
            f"all {total} are longer than the cutoff of {fitting.cutoff} tokens" if total else "there are 0"
        )
        raise InputError(
            f"no {what} to learn from: {reason}",
            where=WHERE,
            mend="raise the cutoff, or search more problems",
        )


def _loop(model: Any, count: int, losses: Any, fitting: CausalFitting, dropped: int) -> CausalCourse:
    rng = np.random.default_rng(fitting.seed)
    total = fitting.epochs * math.ceil(count / fitting.batch)
    if fitting.steps is not None:
        total = min(total, fitting.steps)
    learned = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=fitting.rate, weight_decay=0.0)
    warm = max(1, total // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * min(step / max(total, 1), 1.0)))),
    )
    course: list[float] = []
    batches = tokens = 0
    model.train()
    for _ in range(fitting.epochs):
        sums: list[float] = []
        for at in _batches(rng.permutation(count), fitting.batch):
            if batches >= total:
                break
            optimiser.zero_grad(set_to_none=True)
            loss, seen = losses(at)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learned, 1.0)
            optimiser.step()
            schedule.step()
            sums.append(float(loss.detach()))
            batches += 1
            tokens += seen
        if sums:
            course.append(float(np.mean(sums)))
    model.eval()
    return CausalCourse(course, dropped, batches, tokens)


def _batches(order: np.ndarray, size: int) -> Iterator[list[int]]:
    for i in range(0, len(order), size):
        yield [int(k) for k in order[i : i + size]]


def frozen_copy(model: Any) -> Any:
    """An independent copy that does not learn."""
    twin = copy.deepcopy(model)
    for parameter in twin.parameters():
        parameter.requires_grad_(False)
    twin.eval()
    return twin
