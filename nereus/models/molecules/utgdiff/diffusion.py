"""Noise on classes, and how it is taken back: the discrete diffusion of atoms and of bonds.

After t of T steps a class is still itself with probability 1 - t / T, independently of all others; otherwise it is hidden
(absorbing noise) or any class (uniform noise). Of absorbing noise with this schedule a step hides with probability
1 / (T - t), and everything below has a closed form.

References
----------
Austin, Johnson, Ho, Tarlow & van den Berg: Structured Denoising Diffusion Models in Discrete State-Spaces. NeurIPS 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import one_hot

_TINY = 1e-12


@dataclass(frozen=True)
class Diffusion:
    """Noise on one kind of classes.

    Attributes
    ----------
    steps
        T.
    classes
        Number of classes K; the last is the mask, which no clean graph has.
    noise
        What a class turns into.
    """

    steps: int
    classes: int
    noise: Literal["absorbing", "uniform"] = "absorbing"

    @property
    def mask(self) -> int:
        """The hidden class."""
        return self.classes - 1

    def survival(self, t: Tensor) -> Tensor:
        """Probability that a class is untouched after `t` steps."""
        return 1 - t / self.steps

    def noised(self, x0: Tensor, t: Tensor) -> Tensor:
        """Classes after `t` steps of noise; `x0` (B, ...), `t` (B,)."""
        kept = torch.rand(x0.shape, device=x0.device) < self.survival(_like(t, x0))
        return torch.where(kept, x0, self.noisiest(x0.shape, x0.device))

    def noisiest(self, shape: torch.Size | tuple[int, ...], device: torch.device) -> Tensor:
        """Classes after all steps."""
        if self.noise == "absorbing":
            return torch.full(shape, self.mask, dtype=torch.long, device=device)
        return torch.randint(self.mask, shape, device=device)

    def posterior(self, x_t: Tensor, clean: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """Probabilities of the classes after `s` steps, given those after `t` > `s` and what the clean ones may be.

        Parameters
        ----------
        x_t
            Classes after `t` steps, (B, ...).
        clean
            Probabilities of the clean classes, without the mask, (B, ..., K - 1).
        t, s
            Steps, (B,).

        Returns
        -------
        Tensor
            (B, ..., K).
        """
        a_t, a_s = self.survival(_like(t, clean)), self.survival(_like(s, clean))
        if self.noise == "absorbing":
            shown = (a_s - a_t) / (1 - a_t)
            drawn = torch.cat([shown * clean, (1 - shown).expand(*clean.shape[:-1], 1)], -1)
            return torch.where(
                (x_t == self.mask)[..., None], drawn, one_hot(x_t, self.classes).to(drawn.dtype)
            )
        real = self.mask
        here = one_hot(x_t, real).to(clean.dtype)
        step = a_t / a_s * here + (1 - a_t / a_s) / real  # q(x_t | x_s), by x_s
        weight = clean / (a_t * here + (1 - a_t) / real)  # by x_0
        found = step * (a_s * weight + (1 - a_s) / real * weight.sum(-1, keepdim=True))
        return torch.cat([found, torch.zeros_like(found[..., :1])], -1)

    def divergence(self, x0: Tensor, x_t: Tensor, logits: Tensor, t: Tensor) -> Tensor:
        """KL of the predicted from the true distribution one step before, at every place; the cross-entropy at the last step.

        Parameters
        ----------
        x0, x_t
            Clean classes, and those after `t` steps, (B, ...).
        logits
            Of the clean classes, (B, ..., K - 1).
        t
            Steps, at least one, (B,).

        Returns
        -------
        Tensor
            (B, ...), in nats.
        """
        if self.noise == "absorbing":
            # What is shown stays as it is; what is hidden is shown with probability 1 / t in both distributions.
            surprise = -logits.log_softmax(-1).gather(-1, x0[..., None]).squeeze(-1)
            return torch.where(x_t == self.mask, surprise, 0.0) / _like(t, x0)
        true = self.posterior(x_t, one_hot(x0, self.mask).to(logits.dtype), t, t - 1)
        told = self.posterior(x_t, logits.softmax(-1), t, t - 1)
        return (true * (true.clamp_min(_TINY).log() - told.clamp_min(_TINY).log())).sum(-1)


def mirrored(edges: Tensor) -> Tensor:
    """The upper triangle, also below; (B, S, S), zero on the diagonal."""
    upper = edges.triu(1)
    return upper + upper.transpose(1, 2)


def _like(t: Tensor, x: Tensor) -> Tensor:
    """(B,) with as many further axes of length one as `x` has."""
    return t.reshape(-1, *(1,) * (x.dim() - 1))
