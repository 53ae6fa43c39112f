"""Running statistics of batch norm, measured again under the weights that a training ended with.

While weights move, running means and variances are averages over weights that are gone. After a short training they are far
from what the last weights give, and every answer in evaluation mode is off by as much.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from nereus.models.training.device import derive_seed, seeded
from nereus.models.training.loop import Objective

B = TypeVar("B")


def settle_batch_norm(network: nn.Module, objective: Objective[B], *, seed: int) -> None:
    """Set the running statistics to their mean over one epoch's batches, without dropout.

    A layer that no batch comes through keeps its own.

    Parameters
    ----------
    network
        In its final weights, which stay as they are.
    objective
        Whose batches are read; its losses must need no gradient.
    seed
        Decides the batches.
    """
    norms = [one for one in network.modules() if isinstance(one, _BatchNorm) and one.track_running_stats]
    if not norms:
        return
    before = [(module, module.training) for module in network.modules()]
    kept = [(one.momentum, {name: t.clone() for name, t in one.named_buffers()}) for one in norms]
    network.eval()
    for one in norms:
        one.reset_running_stats()
        one.momentum = None  # the mean over all batches
        one.train()
    drawn = derive_seed(seed, "running statistics")
    try:
        with torch.no_grad(), seeded(drawn):
            for batch in objective.batches(np.random.default_rng(drawn)):
                objective.losses(batch)
    finally:
        for one, (momentum, statistics) in zip(norms, kept, strict=True):
            one.momentum = momentum
            if one.num_batches_tracked == 0:  # no batch came through it: what it knew holds
                for name, value in statistics.items():
                    one.get_buffer(name).copy_(value)
        for module, training in before:
            module.training = training
