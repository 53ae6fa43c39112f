"""Qwen's decoder: equal to transformers' Qwen2, whatever the way it reads; and what it does beyond the trained length."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nereus.models.language.qwen import Qwen, QwenConfig
from nereus.models.language.qwen.config import PAPER
from nereus.models.language.qwen.long_context import LongContext, alpha
from nereus.models.language.qwen.method import transformers_config
from nereus.models.language.qwen.network import Cache, QwenNetwork
from nereus.models.language.qwen.tokenizer import learned, numbers
from tests.models.cases.qwen import TEXTS

SHAPE = {"layers": 3, "width": 64, "heads": 4, "vocabulary": 300, "context": 64}


def pair(kv_heads: int | None) -> tuple[QwenNetwork, torch.nn.Module]:
    """Our network with random weights and biases, and transformers' with the same."""
    from transformers import Qwen2ForCausalLM

    config = QwenConfig(**SHAPE, kv_heads=kv_heads)  # type: ignore[arg-type]
    torch.manual_seed(0)
    ours = QwenNetwork(config)
    with torch.no_grad():
        for one in ours.parameters():
            one.copy_(torch.randn_like(one) * 0.08 + (one.mean() > 0.5) * 1.0)
    theirs = Qwen2ForCausalLM(transformers_config(config, 300))
    theirs.load_state_dict(ours.state_dict())
    return ours.eval(), theirs.eval()


@pytest.fixture
def tokens() -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(3, 300, (2, 48)))


def apart(a: Tensor, b: Tensor) -> float:
    return float((a.float() - b.float()).abs().max())


@pytest.mark.parametrize("kv_heads", [None, 2, 1])
@torch.no_grad()
def test_equal_to_transformers(kv_heads: int | None, tokens: Tensor, tmp_path: Path) -> None:
    ours, theirs = pair(kv_heads)
    expected = theirs(tokens).logits
    assert expected.std() > 0.5
    assert apart(ours(tokens), expected) <= 1e-5
    # Read as people read it: `.to(bfloat16)` would round transformers' frequencies too, which `from_pretrained` keeps whole.
    theirs.save_pretrained(tmp_path)  # type: ignore[operator]
    their_half = type(theirs).from_pretrained(tmp_path, dtype=torch.bfloat16)  # type: ignore[attr-defined]
    assert their_half.model.rotary_emb.inv_freq.dtype == torch.float32
    half = ours.to(torch.bfloat16)(tokens)
    assert half.dtype == torch.bfloat16
    assert apart(half, expected) > 1e-3, "rounded"
    assert apart(half, their_half(tokens).logits) <= 2e-2


@torch.no_grad()
def test_controls_fail(tokens: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pair(2)
    expected = theirs(tokens).logits
    far = torch.from_numpy(np.random.default_rng(2).integers(3, 300, (1, 4000)))
    at_the_end = theirs(far).logits[:, -8:]
    assert apart(ours(far)[:, -8:], at_the_end) <= 5e-5

    whole = QwenNetwork.table

    def coarse(self: QwenNetwork, positions: Tensor, base: float) -> tuple[Tensor, Tensor]:
        cosine, sine = whole(self, positions.bfloat16(), base)
        return cosine, sine

    with monkeypatch.context() as changed:
        changed.setattr(QwenNetwork, "table", coarse)
        assert apart(ours(far)[:, -8:], at_the_end) > 1e-3, "positions in bfloat16"
    for block in ours.model.layers:
        block.self_attn.k_proj.bias.zero_()
        block.self_attn.v_proj.bias.zero_()
    assert apart(ours(tokens), expected) > 1e-3, "without biases"


@pytest.mark.parametrize("sizes", [[1] * 48, [20] + [1] * 28, [5, 11, 32]])
@torch.no_grad()
def test_token_by_token_is_as_at_once(sizes: list[int], tokens: Tensor) -> None:
    ours, _ = pair(2)
    cache = Cache()
    parts = [ours(one, cache=cache) for one in tokens.split(sizes, dim=1)]
    assert apart(torch.cat(parts, dim=1), ours(tokens)) <= 1e-5


@torch.no_grad()
def test_padding_on_the_left_changes_nothing(tokens: Tensor) -> None:
    ours, theirs = pair(2)
    short = tokens[1, 30:]
    padded = tokens.clone()
    padded[1, :30] = 0
    read = torch.ones_like(tokens, dtype=torch.bool)
    read[1, :30] = False
    found = ours(padded, read)
    assert apart(found[0], ours(tokens[:1])[0]) <= 1e-5
    assert apart(found[1, 30:], ours(short[None])[0]) <= 1e-5
    assert apart(found[1, 30:], theirs(padded, attention_mask=read.long()).logits[1, 30:]) <= 1e-5
    cache = Cache()
    ours(padded[:, :40], read[:, :40], cache)
    assert apart(ours(padded[:, 40:], None, cache)[1], found[1, 40:]) <= 1e-5


# ---------------------------------------------------------------------- beyond the trained length


def test_how_far_the_base_is_stretched() -> None:
    assert [alpha(n, 2048) for n in (1, 2048, 2049, 4096, 4097, 8192, 16384)] == [1, 1, 3, 3, 7, 7, 15]
    long = LongContext(2048, "ntk")
    assert long.base(2048, 1e4, 128) == 1e4
    assert long.base(4096, 1e4, 128) == pytest.approx(1e4 * 3 ** (128 / 126))
    assert LongContext(2048).base(9999, 1e4, 128) == 1e4


def test_queries_grow_with_the_logarithm_and_layers_see_further() -> None:
    long = LongContext(64, "logn")
    scale = long.query_scale(torch.arange(200)[None])
    assert scale is not None
    assert torch.equal(scale[0, :64], torch.ones(64))
    assert float(scale[0, 199]) == pytest.approx(math.log(200) / math.log(64))
    assert LongContext(64, "ntk").query_scale(torch.arange(200)[None]) is None
    assert [LongContext(64, "window").window(layer, 4) for layer in range(4)] == [64, 128, 192, None]


@pytest.mark.parametrize("mode", ["ntk", "logn", "window"])
@torch.no_grad()
def test_nothing_changes_within_the_trained_length_and_something_beyond(mode: str, tokens: Tensor) -> None:
    ours, _ = pair(2)
    within = torch.cat([tokens, tokens[:, :16]], dim=1)
    assert within.shape[1] == SHAPE["context"]
    long = LongContext(64, mode)  # type: ignore[arg-type]
    assert torch.equal(ours(within, long=long), ours(within, long=LongContext(64)))
    beyond = torch.cat([within, tokens], dim=1)
    assert apart(ours(beyond, long=long), ours(beyond)) > 1e-3


@torch.no_grad()
def test_a_window_hides_what_is_further_back(tokens: Tensor) -> None:
    """What lies before a layer's window does not reach the tokens after it through this layer."""
    ours, _ = pair(None)
    attention = ours.model.layers[0].self_attn
    long = LongContext(8, "window")
    x = torch.randn(1, 40, 64)
    places = ours._places(tokens[:1, :40], None, None, long)
    changed = x.clone()
    changed[:, :20] += 1.0
    before, after = (attention(one, places, None, long) for one in (x, changed))
    assert apart(before[:, 28:], after[:, 28:]) == 0.0
    assert apart(before[:, 20:27], after[:, 20:27]) > 0


# ---------------------------------------------------------------------- the method


def test_digits_stand_alone_bytes_have_tokens_and_control_strings_are_letters() -> None:
    known = learned(TEXTS, 400)
    tokens = numbers(known, ["1234", "<|im_end|>", "日本\x00"])
    assert len(tokens[0]) == 4
    assert len(tokens[1]) > 1
    assert min(tokens[1]) >= 3
    assert [known.decode(one) for one in tokens] == ["1234", "<|im_end|>", "日本\x00"]


def test_it_learns_and_what_it_exports_says_the_same(tmp_path: Path) -> None:
    from nereus.models.llm.local import LocalChat

    settings = {
        "layers": 2,
        "width": 32,
        "heads": 4,
        "kv_heads": 2,
        "vocabulary": 320,
        "context": 32,
        "tokens": 60_000,
    }
    model = Qwen(**settings, training__epochs=3, training__learning_rate=5e-3).fit(TEXTS * 3)  # type: ignore[arg-type]
    losses = [one["validation"] for one in model.history_.losses]
    assert losses[-1] < 1.5 < math.log(320)
    assert (
        model.score(["the protein binds the plasma"])[0]
        > model.score(["plasma the the binds protein"])[0] + 3
    )
    said = model.generate(["the kinase "], tokens=6)
    chat = LocalChat.of_folder(model.export(tmp_path), device="cpu")
    given = torch.tensor([[0, *numbers(model.tokenizer_, ["the kinase "])[0]]])
    theirs = chat._model.generate(given, max_new_tokens=6, do_sample=False)[0, given.shape[1] :]
    assert chat._tokenizer.decode(theirs, skip_special_tokens=True) == said[0]
    with torch.no_grad():
        assert apart(chat._model(given).logits, model.network_(given)) <= 1e-4


def test_the_shapes_of_the_report_are_accepted() -> None:
    for shape in PAPER.values():
        config = QwenConfig(**shape)
        assert config.inner == pytest.approx(8 / 3 * config.width, rel=0.01)
