"""All pairs of atoms of each molecule with their distance, made for a whole batch by index arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nereus.models.molecules.graphs.packed import GraphBatch

BOND_LENGTH = 1.5
"""Angstrom that a bond counts where distances are numbers of bonds."""


@dataclass(frozen=True)
class Pairs:
    """Ordered pairs of different atoms of one molecule; the second half are those of the first, turned round.

    Attributes
    ----------
    index
        Numbers of the atoms, (2, pairs), int64: row 0 sends, row 1 receives.
    distance
        Angstrom, (pairs,), float32.
    """

    index: Tensor
    distance: Tensor


def complete_pairs(graph: GraphBatch) -> Tensor:
    """All ordered pairs of different atoms of one molecule, (2, pairs), int64."""
    sizes = graph.sizes()
    first = torch.cumsum(sizes, 0) - sizes
    partners = sizes[graph.batch]
    sender = torch.repeat_interleave(torch.arange(len(partners), device=partners.device), partners)
    start = torch.cumsum(partners, 0) - partners
    within = torch.arange(len(sender), device=partners.device) - start[sender]
    receiver = first[graph.batch[sender]] + within
    different = sender != receiver
    return torch.stack([sender[different], receiver[different]])


def pairs_of(graph: GraphBatch, reach: float) -> Pairs:
    """Pairs that are closer than `reach`: in space where the molecules have coordinates, else along their bonds.

    Parameters
    ----------
    graph
        Molecules.
    reach
        Angstrom.
    """
    index = complete_pairs(graph)
    index = index[:, index[0] < index[1]]
    if graph.positions is None:
        distance = _along_bonds(graph, index, reach)
    else:
        distance = (graph.positions[index[0]] - graph.positions[index[1]]).norm(dim=1)
    close = distance < reach
    index, distance = index[:, close], distance[close]
    return Pairs(torch.cat([index, index.flip(0)], 1), torch.cat([distance, distance]))


def _along_bonds(graph: GraphBatch, index: Tensor, reach: float) -> Tensor:
    """`BOND_LENGTH` times the bonds of the shortest path, infinite beyond `reach`, (pairs,).

    Paths grow by one bond at a time in all molecules at once: a product of (molecules, atoms, atoms) matrices each.
    """
    sizes = graph.sizes()
    first = torch.cumsum(sizes, 0) - sizes
    place = torch.arange(len(graph.batch), device=sizes.device) - first[graph.batch]
    widest = int(sizes.max())
    bonds = torch.zeros(graph.graphs, widest, widest, device=sizes.device)
    a, b = graph.edge_index
    bonds[graph.batch[a], place[a], place[b]] = 1
    steps = torch.full_like(bonds, torch.inf)
    reached = torch.diag_embed(torch.ones(graph.graphs, widest, device=sizes.device))
    frontier, hop = reached, 0
    while BOND_LENGTH * (hop + 1) < reach and hop < widest:
        hop += 1
        frontier = ((frontier @ bonds > 0) & (reached == 0)).float()
        steps = torch.where(frontier > 0, float(hop), steps)
        reached = reached + frontier
    return BOND_LENGTH * steps[graph.batch[index[0]], place[index[0]], place[index[1]]]
