"""The state of a training at the end of an epoch: one safetensors file, renamed into place, never pickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from nereus.errors import InputError

FILE = "checkpoint.safetensors"
_KEY = "nereus"


def save(folder: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Keep a state; a killed process leaves the state before it."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{FILE}.new"
    dense = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(dense, fresh, metadata={_KEY: json.dumps(facts, sort_keys=True)})
    fresh.replace(folder / FILE)


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The kept state, or None where there is none.

    Raises
    ------
    InputError
        The file is damaged.
    """
    file = folder / FILE
    if not file.exists():
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            facts = json.loads(opened.metadata()[_KEY])
            return {name: opened.get_tensor(name) for name in opened.keys()}, facts  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the checkpoint cannot be read: {error}", where=str(file), mend="remove it to start anew"
        ) from error


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's tensors, under names of parameter number and kind."""
    state = optimiser.state_dict()["state"]
    return {
        f"{number}.{kind}": torch.as_tensor(value)
        for number, kinds in state.items()
        for kind, value in kinds.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put the tensors of `optimiser_state` back."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, kind = name.partition(".")
        state.setdefault(int(number), {})[kind] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
