"""Which of a group binds best: each ligand against others of its group, by the learned relation or by affinity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from nereus.errors import InputError
from nereus.models.molecules.mbp.network import Head, MBPNetwork

OPPONENTS = 256
"""Most ligands that one is compared with; of larger groups every k-th is taken."""
_PAIRS = 65_536
"""Pairs that are compared at a time."""


@torch.no_grad()
def wins(network: MBPNetwork, head: str, z: Tensor) -> np.ndarray:
    """Mean probability of binding better than the others of a group, asked both ways round.

    Parameters
    ----------
    network
        Trained.
    head
        Whose relation is asked.
    z
        What the head reads of the group's complexes, (n, 2 width).

    Returns
    -------
    ndarray
        Between 0 and 1, (n,); 0.5 for a group of one.
    """
    module, n = cast(Head, network.heads[head]), len(z)
    others = torch.linspace(0, n - 1, min(n, OPPONENTS), device=z.device).round().long()
    first = torch.arange(n, device=z.device).repeat_interleave(len(others))
    second = others.repeat(n)
    parts = []
    for start in range(0, len(first), _PAIRS):
        a, b = z[first[start : start + _PAIRS]], z[second[start : start + _PAIRS]]
        forth, back = module.compare(a, b).softmax(1)[:, 0], module.compare(b, a).softmax(1)[:, 0]
        parts.append((forth + 1 - back) / 2)
    better = torch.cat(parts).view(n, -1)
    own = (first == second).view(n, -1)
    met = (~own).sum(1)
    mean = better.masked_fill(own, 0).sum(1) / met.clamp(min=1)
    return np.asarray(torch.where(met > 0, mean, 0.5).cpu(), dtype=np.float64)


def require_comparable(groups: pd.Series, heads: np.ndarray, by: str) -> None:
    """Refuse groups in which there is nothing to compare, or whose members are asked for of different types.

    Parameters
    ----------
    groups, heads
        Group of each row, and the head that answers it, (n,).
    by
        Types may be mixed where values are compared, not where the relation of one type is asked.
    """
    if len(groups) and groups.map(groups.value_counts()).max() < 2:
        raise InputError(
            "every group has a single member: there is nothing to rank",
            where=f"group {groups.iloc[0]!r}",
            mend="name the column that tells what is compared, as assay or group",
        )
    for name, rows in groups.groupby(groups).indices.items():
        if by == "relation" and len(set(heads[rows])) > 1:
            raise InputError(
                f"types {sorted(set(heads[rows]))} are asked for in one group",
                where=f"group {name!r}",
                mend="ask for one type a group",
            )


def mean_wins(
    network: MBPNetwork, z: Mapping[str, Tensor], groups: pd.Series, heads: np.ndarray
) -> np.ndarray:
    """`wins` of every row within its group, by the head that answers it, (n,)."""
    found = np.zeros(len(groups))
    for rows in groups.groupby(groups).indices.values():
        read = z[str(heads[rows[0]])]
        found[rows] = wins(network, str(heads[rows[0]]), read[torch.as_tensor(rows, device=read.device)])
    return found
