"""Qwen beyond the trained length, on a task that cannot be done without it: to copy what stood far back.

    python -m benchmarks.methods.qwen_copying [--seeds 3] [--steps 4000] [--log FILE]

The mean loss on prose hardly needs what is further back than a hundred tokens, so that a small model loses nothing where it
cannot read that far (`benchmarks/methods/qwen.py`). Here the decoder is trained on windows of 64 tokens of random sequences that
repeat, and then reads a random sequence of 32, 64, 128 and 256 different tokens and the same once more: texts of 64 (the
trained length) to 512 tokens, whose second half is known only from where it stood before. Each way of reading long texts is
asked about the same sequences. Controls: the first half, which nobody can know (a uniform guess), and the trained length, where
all ways are equal.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.truth.results import store
from nereus.models.config import TrainingOptions
from nereus.models.language.qwen.config import QwenConfig
from nereus.models.language.qwen.corpus import NextToken
from nereus.models.language.qwen.long_context import MODES, LongContext
from nereus.models.language.qwen.network import QwenNetwork
from nereus.models.training import Session, train

NAME = "methods/qwen_copying"
CONTEXT = 64
LENGTHS = (64, 128, 256, 512)
ROWS = 32
SETTINGS: dict[str, Any] = {"layers": 2, "width": 64, "heads": 4, "vocabulary": 512, "context": CONTEXT}
BATCH = 32
_FIRST = 3
"""Tokens below it are control tokens."""


def repeated(rng: np.random.Generator, period: int, length: int, vocabulary: int) -> np.ndarray:
    """Different random tokens, over and over."""
    once = rng.permutation(np.arange(_FIRST, vocabulary))[:period]
    return np.resize(once, length)


def texts(seed: int, tokens: int, vocabulary: int) -> np.ndarray:
    """Sequences that repeat after 4 to 48 tokens, one after the other."""
    rng = np.random.default_rng(seed)
    parts = []
    left = tokens
    while left > 0:
        part = repeated(rng, int(rng.integers(4, 49)), 2 * CONTEXT, vocabulary)
        parts += [np.zeros(1, dtype=np.int64), part]
        left -= len(part) + 1
    return np.concatenate(parts)


def trained(seed: int, steps: int, checkpoints: Path | None = None) -> tuple[QwenNetwork, float]:
    """The network, and its loss on windows that were kept out."""
    config = QwenConfig(
        **SETTINGS,
        tokens=steps * BATCH * CONTEXT,
        training=TrainingOptions(
            epochs=8, batch_size=BATCH, learning_rate=3e-3, weight_decay=0.01, schedule="cosine", end_rate=0.05, warmup=0.03,
            clip_norm=1.0,
        ),
    )  # fmt: skip
    torch.manual_seed(seed)
    network = QwenNetwork(config)
    rows = [
        texts(seed, size, config.vocabulary)
        for seed, size in ((1000 + seed, 2_000_000), (2000 + seed, 40_000))
    ]
    objective = NextToken(network, config, rows[0], rows[1], torch.device("cpu"))
    history = train(
        network,
        objective,
        config.training,
        seed=seed,
        session=Session(checkpoints=checkpoints),
        identity=str(seed),
    )
    return network.eval(), float(history.losses[-1]["validation"])


@torch.no_grad()
def copied(network: QwenNetwork, seed: int) -> dict[str, dict[str, dict[str, float]]]:
    """Nats a token and share of tokens that are told rightly, in the second half, by length and way."""
    rng = np.random.default_rng(seed)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for length in LENGTHS:
        half = length // 2
        once = np.stack([repeated(rng, half, length, network.vocabulary) for _ in range(ROWS)])
        tokens = torch.from_numpy(np.concatenate([np.zeros((ROWS, 1), dtype=np.int64), once], axis=1))
        found[str(length)] = {
            mode: _asked(network, tokens[:, : length + 1], half, LongContext(CONTEXT, mode)) for mode in MODES
        }
    return found


def _asked(network: QwenNetwork, tokens: Tensor, half: int, long: LongContext) -> dict[str, float]:
    logits = torch.cat([network(part[:, :-1], long=long) for part in tokens.split(8)])
    losses = functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
    right = (logits.argmax(-1) == tokens[:, 1:]).double()
    # The first token of the second half cannot be known: the sequence might as well go on.
    second = slice(half + 1, None)
    return {
        "nats": float(losses[:, second].mean()),
        "right": float(right[:, second].mean()),
        "nats_first_half": float(losses[:, :half].mean()),
    }


def judged(copies: dict[str, Any]) -> dict[str, Any]:
    """How much the plain way loses over the trained length, and the share of it that each way wins back."""
    base = copies[str(CONTEXT)]["plain"]["nats"]
    found: dict[str, Any] = {
        "equal_within": all(copies[str(CONTEXT)][mode] == copies[str(CONTEXT)]["plain"] for mode in MODES)
    }
    for length in LENGTHS[1:]:
        plain = copies[str(length)]["plain"]["nats"]
        rise = plain - base
        found[str(length)] = {"rise": rise} | {
            f"recovered_{mode}": (plain - copies[str(length)][mode]["nats"]) / rise for mode in MODES[1:]
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument(
        "--log", type=Path, help="keeps what each seed gave, so that an interrupted measurement goes on"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    known: dict[str, Any] = {}
    if given.log is not None and given.log.exists():
        known = json.loads(given.log.read_text())
    for seed in range(given.seeds):
        if str(seed) in known:
            continue
        start = time.process_time()
        network, loss = trained(
            seed, given.steps, None if given.log is None else given.log.with_suffix(f".{seed}")
        )
        copies = copied(network, 100 + seed)
        known[str(seed)] = {
            "seed": seed, "validation": loss, "copies": copies, "judged": judged(copies),
            "processor_s": round(time.process_time() - start, 1),
        }  # fmt: skip
        print(json.dumps(known[str(seed)]), flush=True)
        if given.log is not None:
            given.log.write_text(json.dumps(known))
    seeds = [known[str(seed)] for seed in range(given.seeds)]
    mean = {
        str(length): {
            mode: {
                what: float(np.mean([one["copies"][str(length)][mode][what] for one in seeds]))
                for what in ("nats", "right")
            }
            for mode in MODES
        }
        for length in LENGTHS
    }
    least = {
        str(length): {
            key: min(one["judged"][str(length)][key] for one in seeds)
            for key in ("rise", *(f"recovered_{mode}" for mode in MODES[1:]))
        }
        for length in LENGTHS[1:]
    }
    content = {
        "baseline": "the same weights without any way of reading longer texts (plain); a uniform guess has "
        f"{np.log(SETTINGS['vocabulary'] - _FIRST):.2f} nats",
        "seeds": [one["seed"] for one in seeds],
        "scale": {"name": "laptop"},
        "settings": SETTINGS | {"steps": given.steps, "batch": BATCH},
        "data": "random sequences, once and once more",
        "more_versions": {"torch": version("torch")},
        "figures": {"mean": mean, "least": least, "seeds": seeds},
    }
    seconds = sum(one["processor_s"] for one in seeds)
    store(NAME, content, module="benchmarks.methods.qwen_copying", arguments=sys.argv[1:], seconds=seconds)
    print(json.dumps({"mean": mean, "least": least}))


if __name__ == "__main__":
    main()
