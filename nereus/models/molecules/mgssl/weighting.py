"""Weights of several losses: the shortest vector in the convex hull of their gradients.

It is a direction in which none of the losses rises; its length is zero where no such direction is left.

References
----------
Desideri, C. R. Math. 2012, 350, 313 (multiple-gradient descent); Sener & Koltun, NeurIPS 2018, arXiv:1810.04650
(Frank-Wolfe); Lacoste-Julien & Jaggi, NeurIPS 2015, arXiv:1511.05932 (away steps).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

_SMALL = 1e-10
"""Duality gap, as a share of the longest gradient's squared length, at which the weights are good."""
_NONE = 1e-15
"""Weights below this are rounding."""


def min_norm_weights(gram: np.ndarray, steps: int = 250) -> np.ndarray:
    """Weights ``l >= 0, sum l = 1`` that minimise ``l^T G l``, by Frank-Wolfe with closed-form steps.

    A step goes towards the gradient that most reduces the length, or away from the one in use that least does: without steps
    of the second kind the iteration zigzags along a face, and has not arrived after any number of steps that one would wait for.

    Parameters
    ----------
    gram
        Inner products of the gradients, (losses, losses).
    steps
        Most iterations.

    Returns
    -------
    ndarray
        (losses,), float64.
    """
    G = np.asarray(gram, dtype=np.float64)
    n = len(G)
    weights = np.full(n, 1.0 / n)
    scale = float(np.trace(G))
    if n == 1 or scale <= 0:
        return weights
    for _ in range(steps):
        slope = G @ weights
        length = float(weights @ slope)
        towards = int(np.argmin(slope))
        if length - slope[towards] <= _SMALL * scale:
            break
        used = np.flatnonzero(weights > 0)
        away = int(used[np.argmax(slope[used])])
        if length - slope[towards] >= slope[away] - length or weights[away] == 1:
            direction, most = -weights, 1.0
            direction[towards] += 1
        else:
            direction, most = weights.copy(), float(weights[away] / (1 - weights[away]))
            direction[away] -= 1
        curvature = float(direction @ G @ direction)
        step = most if curvature <= 0 else min(most, -float(direction @ slope) / curvature)
        weights = weights + step * direction
        weights[weights < _NONE] = 0.0
        weights /= weights.sum()
    return weights


def gradient_weights(
    losses: Sequence[Tensor], shared: Sequence[nn.Parameter], steps: int = 250, unit: bool = False
) -> Tensor:
    """Weights of losses by their gradients with respect to shared parameters.

    Parameters
    ----------
    losses
        Scalars of one graph, which is kept.
    shared
        Parameters that all of them depend on.
    steps
        See `min_norm_weights`.
    unit
        Bring every gradient to length one first; the weights are then used for the losses as they are.

    Returns
    -------
    Tensor
        (losses,), without gradient.
    """
    rows = []
    for loss in losses:
        found = torch.autograd.grad(loss, list(shared), retain_graph=True, allow_unused=True)
        parts = [
            torch.zeros_like(one) if gradient is None else gradient
            for gradient, one in zip(found, shared, strict=True)
        ]
        rows.append(torch.cat([one.flatten() for one in parts]))
    gradients = torch.stack(rows).float()
    with torch.autocast(gradients.device.type, enabled=False):  # products of gradients need all their digits
        gram = (gradients @ gradients.T).cpu().numpy()  # one small transfer a step
    if unit:
        length = np.sqrt(np.maximum(np.diag(gram), np.finfo(gram.dtype).tiny))
        gram = gram / np.outer(length, length)
    return torch.as_tensor(min_norm_weights(gram, steps), dtype=losses[0].dtype, device=losses[0].device)
