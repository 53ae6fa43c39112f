"""Balanced self-labelling: which molecule belongs to which cluster, all clusters being equally large.

Of all ways to spread ``n`` molecules evenly over ``m`` clusters, the one that the network's own guesses speak for most: optimal
transport with uniform marginals and cost ``-log q(s | G)``, made smooth by an entropy and solved by Sinkhorn's scaling in
logarithms. That the clusters must be equally large is what keeps them from collapsing into one.

References
----------
Cuturi, NeurIPS 2013 (Sinkhorn distances); Asano, Rupprecht & Vedaldi, ICLR 2020 (self-labelling by transport).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

MOST_ITERATIONS = 1000
TOLERANCE = 1e-6
"""Largest relative deviation of a row's share at which scaling stops."""


def balanced_plan(log_q: Tensor, sharpness: float, iterations: int = MOST_ITERATIONS) -> Tensor:
    """The plan of entropic optimal transport between molecules and clusters.

    Parameters
    ----------
    log_q
        Logarithms of the guessed shares, (n, m).
    sharpness
        Inverse of the weight of the entropy (25 in the paper): the larger, the closer to the plan without it.
    iterations
        Most scalings of rows and columns.

    Returns
    -------
    Tensor
        (n, m), float64; rows sum to 1/n, columns to 1/m.
    """
    n, m = log_q.shape
    log_k = sharpness * log_q.double()
    f = torch.full((n,), -math.log(n), dtype=torch.float64, device=log_q.device)
    g = torch.zeros(m, dtype=torch.float64, device=log_q.device)
    for _ in range(iterations):
        g = -math.log(m) - torch.logsumexp(log_k + f[:, None], 0)
        rows = torch.logsumexp(log_k + g[None, :], 1)
        off = float((torch.exp(f + rows) * n - 1).abs().max())
        f = -math.log(n) - rows
        if off < TOLERANCE:
            break
    return torch.exp(log_k + f[:, None] + g[None, :])


def balanced_labels(log_q: Tensor, sharpness: float) -> Tensor:
    """The cluster of each molecule, the largest entry of its row of the plan, (n,), int64."""
    return balanced_plan(log_q, sharpness).argmax(1)


def usage_entropy(labels: Tensor, clusters: int) -> float:
    """Entropy of how often clusters are used, as a share of its largest value; 1 when all are used alike, 0 after a collapse."""
    share = torch.bincount(labels, minlength=clusters).double() / max(1, len(labels))
    known = share[share > 0]
    return float(-(known * known.log()).sum()) / math.log(clusters)
