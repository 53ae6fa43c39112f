"""Taking noise back: from graphs that are all noise to graphs, in a few jumps over many steps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from nereus.models.molecules.utgdiff.diffusion import Diffusion, mirrored
from nereus.models.molecules.utgdiff.network import Denoiser
from nereus.models.molecules.utgdiff.packed import Batch


@dataclass(frozen=True)
class Drawing:
    """How graphs are drawn.

    Attributes
    ----------
    jumps
        Jumps from all noise to none.
    temperature
        Divides scores.
    top_k
        Likeliest classes that are drawn from.
    """

    jumps: int
    temperature: float
    top_k: int

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities of the classes that may be drawn."""
        scores = logits.float() / self.temperature
        if self.top_k < scores.shape[-1]:
            least = scores.topk(self.top_k, -1).values[..., -1:]
            scores = scores.masked_fill(scores < least, -torch.inf)
        return scores.softmax(-1)


@torch.no_grad()
def sample(
    network: Denoiser, batch: Batch, noise: tuple[Diffusion, Diffusion], drawing: Drawing
) -> tuple[Tensor, Tensor]:
    """Draw a graph for every row of a batch; what its clean graphs are is not looked at.

    Returns
    -------
    atoms : Tensor
        (B, S).
    edges : Tensor
        (B, S, S), symmetric.
    """
    device = batch.text.device
    rows, slots = batch.atoms.shape
    of_atoms, of_bonds = noise
    atoms = of_atoms.noisiest((rows, slots), device)
    edges = mirrored(of_bonds.noisiest((rows, slots, slots), device))
    positions = torch.arange(slots, device=device).expand(rows, -1)
    jumps = min(drawing.jumps, of_atoms.steps)
    times = torch.linspace(of_atoms.steps, 0, jumps + 1).round().long().tolist()
    for now, then in pairwise(times):
        t, s = (torch.full((rows,), one, device=device) for one in (now, then))
        level = None if network.level is None else t / of_atoms.steps
        atom_logits, edge_logits = network(batch, atoms, edges, positions, level)
        atoms = _drawn(of_atoms.posterior(atoms, drawing.probabilities(atom_logits), t, s))
        edges = mirrored(_drawn(of_bonds.posterior(edges, drawing.probabilities(edge_logits), t, s)))
    return atoms, edges


def _drawn(probabilities: Tensor) -> Tensor:
    """One class of each distribution."""
    flat = probabilities.flatten(0, -2)
    return torch.multinomial(flat, 1).reshape(probabilities.shape[:-1])
