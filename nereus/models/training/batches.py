"""Batches of an epoch, made here or ahead in other processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np
from torch.utils.data import DataLoader, Dataset

I = TypeVar("I")  # noqa: E741
B = TypeVar("B")


class _Made(Dataset[B], Generic[I, B]):
    """What `make` makes of each item."""

    def __init__(self, items: Sequence[I], make: Callable[[I], B]) -> None:
        self._items, self._make = items, make

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, number: int) -> B:
        return self._make(self._items[number])


def made(items: Sequence[I], make: Callable[[I], B], workers: int = 0) -> DataLoader[B]:
    """One batch an item (rows, an episode), in order.

    Parameters
    ----------
    items
        What each batch is made of; equal in every process.
    make
        Makes a batch on the CPU; draws no random numbers of its own.
    workers
        Processes that make batches ahead.
    """
    return DataLoader(_Made(items, make), batch_size=None, num_workers=workers)


def shuffled_rows(n: int, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """All rows in random order, cut into batches; a last batch of one row joins the one before (batch norm needs two)."""
    order = rng.permutation(n)
    parts = [order[start : start + size] for start in range(0, n, size)]
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [np.concatenate(parts[-2:])]
    return parts
