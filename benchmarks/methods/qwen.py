"""Qwen: does reading beyond the trained length work without training, and is the decoder that of transformers' Qwen2?

    python -m benchmarks.methods.qwen [--data FOLDER] [--seeds 3] [--tokens 1000000]
    python -m benchmarks.methods.qwen --parity

A decoder is trained on windows of 128 tokens of GSM8K (train) and wikitext-2 (valid), and asked about the last articles of
wikitext-2 (test), in windows of 128, 512 and 1,024 tokens: plain, with dynamic NTK, with LogN, with layered windows. All ways are
measured on the same windows. Control: the same weights on pieces of 128 tokens, which need no long context.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.truth.results import RESULTS, data_folder, store
from nereus.models.language.qwen import Qwen, QwenConfig
from nereus.models.language.qwen.long_context import MODES
from nereus.models.language.qwen.method import transformers_config
from nereus.models.language.qwen.network import QwenNetwork

NAME = "methods/qwen"
CONTEXT = 128
LENGTHS = (128, 512, 1024)
WINDOWS = 24
SETTINGS: dict[str, Any] = {"layers": 4, "width": 128, "heads": 4, "vocabulary": 1024, "context": CONTEXT}


def texts_of(folder: Path) -> tuple[list[str], str]:
    """(texts to learn from, text to judge): questions with answers and articles; the last articles of another part."""
    learned = []
    with gzip.open(folder / "gsm8k" / "train.jsonl.gz", "rt", encoding="utf-8") as stream:
        for line in stream:
            one = json.loads(line)
            learned.append(f"{one['question']}\n{one['answer']}")
    with gzip.open(folder / "wikitext2" / "valid.txt.gz", "rt", encoding="utf-8") as stream:
        valid = stream.read()
    paragraphs = [one.strip() for one in valid.split("\n") if len(one.strip()) > 80]
    rng = np.random.default_rng(0)
    learned = [learned[i] for i in rng.permutation(len(learned))[:3000]] + paragraphs
    learned = [learned[i] for i in rng.permutation(len(learned))]
    with gzip.open(folder / "wikitext2" / "test.txt.gz", "rt", encoding="utf-8") as stream:
        test = stream.read()
    return learned, test[len(test) * 9 // 10 :]


def long_losses(model: Qwen, text: str) -> dict[str, dict[str, float]]:
    """Nats a token by length and way, on the same windows."""
    row = model.tokens_of([text])
    starts = np.linspace(0, len(row) - max(LENGTHS) - 2, WINDOWS).astype(int)
    found: dict[str, dict[str, float]] = {}
    for length in LENGTHS:
        windows = np.stack([row[one : one + length + 1] for one in starts])
        losses = {
            mode: float(
                np.mean([model.token_losses(part, mode).mean() for part in np.array_split(windows, 8)])
            )
            for mode in MODES
        }
        pieces = np.concatenate(
            [windows[:, i : i + CONTEXT + 1] for i in range(0, length - CONTEXT + 1, CONTEXT)]
        )
        losses["pieces"] = float(model.token_losses(pieces).mean())
        found[str(length)] = losses
    return found


def judged(losses: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Rise of the plain loss over that at the trained length, and the share of it that each way takes back."""
    base = losses[str(CONTEXT)]["plain"]
    found: dict[str, Any] = {"equal_within": all(losses[str(CONTEXT)][mode] == base for mode in MODES)}
    for length in LENGTHS[1:]:
        plain = losses[str(length)]["plain"]
        rise = plain - losses[str(length)]["pieces"]
        found[str(length)] = {"rise": rise} | {
            f"recovered_{mode}": (plain - losses[str(length)][mode]) / rise for mode in MODES[1:]
        }
    return found


@torch.no_grad()
def parity() -> dict[str, float]:
    """Largest difference of logits to transformers with the same random weights, and what each control makes of it."""
    from transformers import Qwen2ForCausalLM

    found: dict[str, float] = {}
    for name, kv in (("every_head", 4), ("shared_keys", 2)):
        config = QwenConfig(layers=4, width=128, heads=4, kv_heads=kv, vocabulary=1024, context=128)
        torch.manual_seed(0)
        ours = QwenNetwork(config).eval()
        for one in ours.parameters():
            one.add_(torch.randn_like(one) * 0.05)
        theirs = Qwen2ForCausalLM(transformers_config(config, 1024)).eval()
        theirs.load_state_dict(ours.state_dict())
        tokens = torch.from_numpy(np.random.default_rng(0).integers(3, 1024, (4, 256)))
        expected = theirs(tokens).logits
        found[name] = apart(ours(tokens), expected)
        # Read from a folder: `.to(bfloat16)` would round transformers' frequencies as well.
        with TemporaryDirectory() as folder:
            theirs.save_pretrained(folder)
            half = Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
        rounded = deepcopy(ours).bfloat16()(tokens)
        found[f"{name}_bfloat16"] = apart(rounded, half(tokens).logits)
        found[f"{name}_bfloat16_to_float32"] = apart(rounded, expected)
        for block in ours.model.layers:
            block.self_attn.v_proj.bias.zero_()
        found[f"{name}_without_bias"] = apart(ours(tokens), expected)
    return found


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest difference."""
    return float((a.float() - b.float()).abs().max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--parity", action="store_true", help="only compare with transformers")
    given = parser.parse_args()
    start = time.time()
    more_versions = {name: version(name) for name in ("torch", "transformers", "tokenizers")}
    if given.parity:
        content = {
            "baseline": "transformers' Qwen2ForCausalLM with the same random weights; controls: float32, no bias on values",
            "seeds": [0],
            "more_versions": more_versions,
            "figures": parity(),
        }
        store(
            f"{NAME}_parity",
            content,
            module="benchmarks.methods.qwen",
            arguments=sys.argv[1:],
            seconds=time.time() - start,
        )
        print(json.dumps(content["figures"]))
        return
    learned, text = texts_of(data_folder(given.data))
    torch.set_num_threads(1)
    figures: dict[str, Any] = {"seeds": []}
    for seed in range(given.seeds):
        model = Qwen(**SETTINGS, tokens=given.tokens, random_state=seed, device="cpu", validation=0.02,
                     training__epochs=4, training__batch_size=16).fit(learned)  # fmt: skip
        losses = long_losses(model, text)
        one = {
            "seed": seed,
            "validation": model.history_.losses[-1]["validation"],
            "losses": losses,
            "judged": judged(losses),
        }
        figures["seeds"].append(one)
        print(json.dumps(one), flush=True)
        figures["least"] = {
            str(length): {
                key: min(each["judged"][str(length)][key] for each in figures["seeds"])
                for key in ("rise", "recovered_ntk", "recovered_logn", "recovered_window")
            }
            for length in LENGTHS[1:]
        }
        content = {
            "baseline": "the same weights without any way of reading longer texts (plain), and in pieces of 128 tokens",
            "seeds": [each["seed"] for each in figures["seeds"]],
            "settings": SETTINGS | {"tokens": given.tokens},
            "data": "GSM8K train (3,000 items) and wikitext-2 valid to learn, last tenth of wikitext-2 test to judge",
            "more_versions": more_versions,
            "figures": figures,
        }
        store(
            NAME,
            content,
            module="benchmarks.methods.qwen",
            arguments=sys.argv[1:],
            seconds=time.time() - start,
        )
    print(RESULTS / f"{NAME}.json")


if __name__ == "__main__":
    main()
