"""What a trained network says of complexes: the head of each type, what it reads, and affinities."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from nereus.errors import InputError
from nereus.models.molecules.mbp.complexes import Complex, Protein, pack_read, read_all
from nereus.models.molecules.mbp.config import MBPConfig
from nereus.models.molecules.mbp.learning import BLOCK
from nereus.models.molecules.mbp.measurements import HEADS, affinity_types
from nereus.models.molecules.mbp.network import Head, MBPNetwork
from nereus.models.molecules.mbp.proteins import letters_of


def heads_asked(types: Any, n: int, config: MBPConfig, default: str, learned: Collection[str]) -> list[str]:
    """The head of each row.

    Parameters
    ----------
    types
        Type that each is asked for, (n,); where it is None the `default` head answers.
    n
        Number of rows.
    config
        Which heads there are.
    default
        Head that most was learned of.
    learned
        Heads that learned; others are refused.
    """
    heads = []
    for row, kind in enumerate(affinity_types(types, n, config)):
        head = default if kind is None else HEADS[config.heads][kind]
        if head not in learned:
            raise InputError(
                f"row {row}: nothing of type {kind!r} was learned",
                where="type",
                mend=f"there is {', '.join(learned)}",
            )
        heads.append(head)
    return heads


@torch.no_grad()
def readouts(
    network: MBPNetwork,
    complexes: Sequence[Complex],
    config: MBPConfig,
    proteins: Sequence[Protein],
    device: torch.device,
) -> dict[str, Tensor]:
    """What each head reads, (n, 2 width) by name; of several poses the first.

    Parameters
    ----------
    network
        Trained, in evaluation mode.
    complexes
        What is asked about.
    config
        How complexes are read.
    proteins
        Those that were learned from, without structures.
    device
        Where to compute.
    """
    variant = network.variant
    if variant == "structure" and any(one.ligand is None for one in complexes):
        raise InputError(
            "it learned from poses, and is asked about ligands without",
            where="mbp",
            mend="name the columns of ligand and pocket",
        )
    read, _ = read_all(complexes, variant, config.model_copy(update={"poses": 1}))
    written = [one.written if variant == "pose-free" else None for one in complexes]
    # A sequence that was not learned from is read like any other; a name that was not is any name.
    new = sorted({one for one in written if one is not None and one[0] == "sequence"} - set(proteins))
    number_of = {one: number for number, one in enumerate([*proteins, *new], start=1)}
    targets = np.array([0 if one is None else number_of.get(one, 0) for one in written])
    packed = pack_read(read, targets, variant, config)
    extra = letters_of(new)[1:].to(device) if new else None
    parts = [
        network.readouts(packed.batch(packed.first[start : start + BLOCK], device), extra)
        for start in range(0, len(packed), BLOCK)
    ]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


@torch.no_grad()
def affinities(
    network: MBPNetwork, z: Mapping[str, Tensor], centres: Mapping[str, float]
) -> dict[str, np.ndarray]:
    """Affinities of every head that learned, (n,) each, from what they read and the mean that each counts from."""
    return {
        name: cast(Head, network.heads[name]).value(z[name]).cpu().numpy().astype(np.float64) + mean
        for name, mean in centres.items()
    }


def chosen(every: Mapping[str, np.ndarray], heads: Sequence[str]) -> np.ndarray:
    """The answer of each row's head, (n,)."""
    return np.array([every[head][row] for row, head in enumerate(heads)], dtype=np.float64)
