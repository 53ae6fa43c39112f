"""Where to compute, and random numbers that depend on a seed and on nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nereus.errors import InputError


def resolve(name: str) -> torch.device:
    """The device of a configuration: ``auto`` takes CUDA, then Apple's MPS, then the CPU.

    Raises
    ------
    InputError
        The device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not here.get(device.type) or (device.index or 0) >= max(1, torch.cuda.device_count()):
        raise InputError(f"there is no device {name!r} here", where="device", mend="use 'auto' or 'cpu'")
    return device


def derive_seed(*parts: object) -> int:
    """A seed that depends on all the parts (a random state, an epoch, a stage's name)."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from `seed` inside; the surroundings' random numbers go on as if nothing had been drawn."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
