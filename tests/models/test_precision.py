"""What a GPU asks for works here too: arithmetic in bfloat16, compiled networks, the benchmarks' settings at that scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch

from benchmarks.methods import asgn, bsm, mbp, mgssl, unimatch, utgdiff
from nereus.errors import InputError
from nereus.models import registry
from nereus.models.base import Method
from nereus.models.training import compiling
from nereus.models.training.compiling import compiled, hot_parts
from tests.models.cases import CASES, answers, trained

SIX = ("unimatch", "mgssl", "mbp", "asgn", "utgdiff", "bsm")
QUICK = ("mgssl", "asgn")
"""Methods whose networks are traced in a second."""
SETTINGS: dict[str, Callable[[str], dict[str, Any]]] = {
    "unimatch": lambda device: {**unimatch.SCALES["gpu"], "device": device},
    "mgssl": lambda device: {
        **{key: cast(Any, mgssl.SCALES["gpu"])[key] for key in ("width", "layers")}, "device": device,
    },
    "mbp": lambda device: mbp.settings(mbp.SCALES["gpu"], "free", device, 0),
    "asgn": lambda device: {**asgn.SCALES["gpu"]["settings"], "device": device},
    "utgdiff": lambda device: {**utgdiff.SCALES["gpu"]["settings"], "device": device},
    "bsm": lambda device: {**bsm.SCALES["gpu"]["settings"], "device": device},
}  # fmt: skip
"""The settings with which each benchmark runs at the scale of a GPU."""


class Small(torch.nn.Module):
    """A network of one layer; layers of torch alone are not traced."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.relu(self.layer(x))
        return found


def at_scale(name: str, device: str = "cpu") -> Method[Any]:
    return registry.get(name)(**SETTINGS[name](device))


def shrunk(name: str, **more: Any) -> Method[Any]:
    """The case's tiny network with what a GPU's settings say of its arithmetic."""
    large = at_scale(name).config.training
    told = {"training__precision": large.precision, "training__compile": large.compile}
    return registry.get(name)(**CASES[name].settings).set_params(**told | more)


def fit(method: Method[Any], name: str) -> Method[Any]:
    X, y = CASES[name].data()
    return method.fit(X, y, **CASES[name].told)


def finite(answer: Any) -> bool:
    if isinstance(answer, np.ndarray):
        return bool(np.isfinite(answer).all())
    if hasattr(answer, "select_dtypes"):
        return bool(answer.select_dtypes("number").notna().to_numpy().any())
    return len(answer) > 0


@pytest.mark.parametrize("name", SIX)
def test_benchmarks_ask_for_settings_that_the_method_has(name: str) -> None:
    method = at_scale(name, "cuda")
    assert method.config.device == "cuda"
    assert method.config.training.epochs >= registry.get(name)(**CASES[name].settings).config.training.epochs
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="there is no device 'cuda' here"):
            fit(registry.get(name)(**{**CASES[name].settings, "device": "cuda"}), name)


@pytest.mark.parametrize("name", SIX)
def test_methods_learn_in_bfloat16(name: str) -> None:
    method = fit(shrunk(name, training__precision="bfloat16"), name)
    assert all(one.dtype is torch.float32 for one in method.network_.parameters())
    assert all(np.isfinite(list(one.values())).all() for one in method.history_.losses)
    found = answers(method, CASES[name])
    assert all(map(finite, found.values()))


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.long) for name in SIX if name not in QUICK)]
)
def test_compiled_training_ends_near_a_plain_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The tracing of torch.compile without its code generation, which takes minutes on a processor.
    monkeypatch.setattr(compiling, "BACKEND", "eager")
    torch._dynamo.reset()
    method = fit(shrunk(name, training__compile=True, training__precision="float32"), name)
    plain = trained(name)
    for one, other in zip(method.history_.losses, plain.history_.losses, strict=True):
        for key, value in other.items():
            assert one[key] == pytest.approx(value, rel=1e-3, abs=1e-4), key
    assert all(part._compiled_call_impl is None for part in method.network_.modules())


def test_hot_parts_are_compiled_while_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Small()
    assert hot_parts(network) == [network]
    calls: list[str] = []

    def count(graph: Any, inputs: Any) -> Any:
        calls.append("compiled")
        return graph.forward

    monkeypatch.setattr(compiling, "BACKEND", count)
    torch._dynamo.reset()
    with compiled(network, wanted=False):
        network(torch.ones(1, 2))
    assert calls == []
    with compiled(network, wanted=True):
        network(torch.ones(1, 2))
    assert calls == ["compiled"]
    assert network._compiled_call_impl is None


def test_a_network_that_cannot_be_compiled_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no compiler is here")

    monkeypatch.setattr(compiling, "BACKEND", broken)
    torch._dynamo.reset()
    network = Small()
    with (
        pytest.raises(InputError, match=r"cannot be compiled here(.|\n)*training.compile=false"),
        compiled(network, True),
    ):
        network(torch.ones(1, 2))
