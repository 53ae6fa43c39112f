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
from typing import Literal

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


def balanced_labels(
    log_q: Tensor, sharpness: float, rounding: Literal["balanced", "argmax"] = "balanced"
) -> Tensor:
    """The cluster of each molecule, (n,), int64.

    Parameters
    ----------
    log_q, sharpness
        See `balanced_plan`.
    rounding
        See `evenly` for ``balanced``; ``argmax`` takes the largest entry of each row of the plan, by which clusters may differ in
        size where the plan is flat.
    """
    plan = balanced_plan(log_q, sharpness)
    return evenly(plan) if rounding == "balanced" else plan.argmax(1)


def evenly(plan: Tensor) -> Tensor:
    """Whole molecules for the shares of a plan: ``n // m`` to each cluster, then of what is left one at most to each.

    Both times the largest entry of the plan whose molecule is free and whose cluster is not full comes next, so no molecule and
    cluster could both do better with each other; where ``m`` divides ``n``, the entries taken sum to half of the largest sum at
    least. Equal entries of a cluster go to the lower row.

    Parameters
    ----------
    plan
        (n, m).

    Returns
    -------
    Tensor
        Cluster of each molecule, (n,), int64; the sizes of clusters differ by one at most.

    References
    ----------
    Gale & Shapley, Am. Math. Mon. 1962, 69, 9 (deferred acceptance, by which it is done for all molecules at a time); Preis,
    STACS 1999 (the half).
    """
    n, m = plan.shape
    found = torch.full((n,), -1, dtype=torch.int64, device=plan.device)
    for seats in (n // m, 1):
        rows = torch.nonzero(found < 0)[:, 0]
        if seats and len(rows):
            found[rows] = _seated(plan[rows], seats)
    return found


def _seated(plan: Tensor, seats: int) -> Tensor:
    """The cluster of each molecule where each has `seats`, -1 where all are taken, (n,)."""
    left = plan.clone()
    while True:
        best, wish = left.max(1)
        # By cluster, then by entry, then by row: both sorts are stable. Who comes after the last seat is sent on.
        order = torch.argsort(best, descending=True, stable=True)
        order = order[torch.argsort(wish[order], stable=True)]
        ask = wish[order]
        place = torch.arange(len(ask), device=ask.device) - torch.searchsorted(ask, ask)
        away = order[(place >= seats) & torch.isfinite(best[order])]
        if not len(away):
            return torch.where(torch.isfinite(best), wish, -1)
        left[away, wish[away]] = -torch.inf


def usage_entropy(labels: Tensor, clusters: int) -> float:
    """Entropy of how often clusters are used, as a share of its largest value; 1 when all are used alike, 0 after a collapse."""
    share = torch.bincount(labels, minlength=clusters).double() / max(1, len(labels))
    known = share[share > 0]
    return float(-(known * known.log()).sum()) / math.log(clusters)
