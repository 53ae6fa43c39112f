"""What UTGDiff minimises: the divergence of one step of the reverse diffusion, for atoms and for bonds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from nereus.models.molecules.utgdiff.config import UTGDiffConfig
from nereus.models.molecules.utgdiff.diffusion import Diffusion, mirrored
from nereus.models.molecules.utgdiff.graphs import BOND_CLASSES
from nereus.models.molecules.utgdiff.network import Denoiser, shuffled
from nereus.models.molecules.utgdiff.packed import Batch, PackedExamples
from nereus.models.training import Batches
from nereus.models.training.batches import made, shuffled_rows
from nereus.models.training.device import derive_seed, seeded


def diffusions(config: UTGDiffConfig, classes: int) -> tuple[Diffusion, Diffusion]:
    """The noise on slots, and that on pairs."""
    return (
        Diffusion(config.steps, classes, config.noise),
        Diffusion(config.steps, BOND_CLASSES, config.noise),
    )


class Denoising:
    """The objective.

    Parameters
    ----------
    network
        On its device.
    examples
        What is learned from.
    rows, held
        Rows that are learned from, and those whose loss is told.
    config
        See there.
    """

    def __init__(
        self,
        network: Denoiser,
        examples: PackedExamples,
        rows: np.ndarray,
        held: np.ndarray,
        config: UTGDiffConfig,
    ) -> None:
        self.network, self.examples, self.rows, self.held, self.config = network, examples, rows, held, config
        self.device = next(network.parameters()).device
        self.noise = diffusions(config, network.classes)

    def batches(self, rng: np.random.Generator) -> Batches[Batch]:
        """All rows in random order."""
        options = self.config.training
        parts = [self.rows[one] for one in shuffled_rows(len(self.rows), options.batch_size, rng)]
        return made(parts, self.examples.batch, options.workers)

    def losses(self, batch: Batch) -> Mapping[str, Tensor]:
        """``total``, and the divergences of ``atoms`` and ``bonds`` in nats a place, over all steps.

        The divergence of a step is of the order of 1 / T; everything is multiplied by T, which changes no direction.
        """
        batch = self._withheld(batch.to(self.device))
        steps = self.config.steps
        # Levels of noise are spread evenly over a batch: equal in the mean to independent ones, and less noisy.
        drawn = (
            torch.rand(1, device=self.device)
            + torch.arange(len(batch.atoms), device=self.device) / len(batch.atoms)
        ) % 1
        t = (drawn * steps).long().clamp_max(steps - 1) + 1
        of_atoms, of_bonds = self.noise
        atoms, edges = of_atoms.noised(batch.atoms, t), mirrored(of_bonds.noised(batch.edges, t))
        positions = shuffled(batch.sizes, atoms.shape[1])
        level = None if self.network.level is None else t / steps
        atom_logits, edge_logits = self.network(batch, atoms, edges, positions, level)
        # The slots up to the end and their pairs count; those behind them are learned, too, but do not dilute.
        ends = batch.sizes + 1
        pairs = torch.triu_indices(atoms.shape[1], atoms.shape[1], 1, device=self.device)
        upper = (slice(None), pairs[0], pairs[1])
        parts = {}
        for name, diffusion, x0, x_t, logits, places in (
            ("atoms", of_atoms, batch.atoms, atoms, atom_logits, ends.sum()),
            (
                "bonds",
                of_bonds,
                batch.edges[upper],
                edges[upper],
                edge_logits[upper],
                (ends * (ends - 1) // 2).sum(),
            ),
        ):
            logits = logits.float()
            parts[name] = steps * diffusion.divergence(x0, x_t, logits, t).sum() / places
            parts[f"clean {name}"] = (
                cross_entropy(logits.flatten(0, 1), x0.flatten(), reduction="sum") / places
            )
        clean = parts.pop("clean atoms") + parts.pop("clean bonds")
        return {"total": sum(parts.values()) + steps * self.config.auxiliary * clean, **parts}

    def validate(self) -> float | None:
        """The total of the rows that are held out, always under the same noise."""
        if not len(self.held):
            return None
        size = self.config.training.batch_size
        sums = 0.0
        with seeded(derive_seed(self.config.random_state, "validation")):
            for start in range(0, len(self.held), size):
                rows = self.held[start : start + size]
                sums += float(self.losses(self.examples.batch(rows))["total"]) * len(rows)
        return sums / len(self.held)

    def _withheld(self, batch: Batch) -> Batch:
        """The batch with the instruction of some rows reduced to its first and last mark, and so for rows without any."""
        if not self.network.training or not self.config.no_text:
            return batch
        silent = torch.rand(len(batch.text), 1, device=self.device) < self.config.no_text
        blank, said = silence(batch, self.examples.stop)
        return replace(
            batch, text=torch.where(silent, blank, batch.text), said=torch.where(silent, said, batch.said)
        )


def silence(batch: Batch, stop: int) -> tuple[Tensor, Tensor]:
    """Tokens of a batch without instructions: start and end, and which are there."""
    blank = batch.text.clone()
    blank[:, 1] = stop
    said = torch.zeros_like(batch.said)
    said[:, :2] = True
    return blank, said


def split(n: int, share: float, seed: int) -> Sequence[np.ndarray]:
    """Rows to learn from, and rows whose loss is told."""
    order = np.random.default_rng(derive_seed(seed, "held")).permutation(n)
    held = round(share * n)
    return np.sort(order[held:]), np.sort(order[:held])
