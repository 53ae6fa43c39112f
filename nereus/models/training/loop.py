"""The one training loop.

Why not Lightning or accelerate: their checkpoints are pickles, which are never opened here, and a training that was
interrupted must end with the weights of one that was not. What remains is short enough to read.

An epoch's random numbers are drawn from (seed, stage, epoch) alone, so a training that goes on from a checkpoint sees the
batches and the dropout that an uninterrupted one sees.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sized
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from nereus.errors import InputError, ToolError
from nereus.models.config import TrainingOptions
from nereus.models.training import checkpoint
from nereus.models.training.compiling import compiled
from nereus.models.training.device import derive_seed, seeded
from nereus.models.training.session import Session

B_co = TypeVar("B_co", covariant=True)
B = TypeVar("B")


class Batches(Sized, Iterable[B_co], Protocol[B_co]):
    """The batches of one epoch; their number is known beforehand. A `torch.utils.data.DataLoader` is one."""


class Objective(Protocol[B]):
    """What is minimised, on which data."""

    def batches(self, rng: np.random.Generator) -> Batches[B]:
        """One epoch's batches; `rng` decides the order. `losses` brings them to the training's device."""

    def losses(self, batch: B) -> Mapping[str, Tensor]:
        """Scalar losses by name, means over the batch: ``total`` is minimised, the others are told."""

    def validate(self) -> float | None:
        """A loss on data that are not trained on (lower is better), or None. The network is in evaluation mode."""


@dataclass
class History:
    """The course of a training."""

    losses: list[dict[str, float]] = field(default_factory=list)
    """Mean losses of every epoch, with ``validation`` where there is one."""
    best_epoch: int | None = None
    """Epoch (from one) whose weights were kept, where a validation loss decided."""
    stopped_early: bool = False
    """Whether training ended before the planned epochs because the validation loss no longer fell."""
    notes: list[str] = field(default_factory=list)
    """What was done to the data that a user should know, in words: tools and the command line tell it as warnings."""

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def train(
    network: nn.Module,
    objective: Objective[B],
    options: TrainingOptions,
    *,
    seed: int,
    session: Session | None = None,
    parameters: Iterable[nn.Parameter] | None = None,
    identity: str = "",
) -> History:
    """Train a network in place.

    Parameters
    ----------
    network
        What is trained; on its device already.
    objective
        Batches and losses.
    options
        Optimiser, schedule, early stop.
    seed
        Decides batches and dropout.
    session
        Progress, cancellation and checkpoints.
    parameters
        What the optimiser changes, where it is not all of the network's.
    identity
        Hash of the method's settings and the data (see `identity_of`): a checkpoint of a training with others is refused.

    Returns
    -------
    History
        Losses by epoch. With `options.patience` the network has its best weights, with `options.average` their average.

    Raises
    ------
    TrainingCancelled
        The session was cancelled.
    InputError
        The checkpoint belongs to another training, or there are no batches.
    ToolError
        The loss, or that of validation, is no longer finite.
    """
    return _Loop(network, objective, options, seed, session or Session(), parameters, identity).run()


class _Loop:
    def __init__(
        self,
        network: nn.Module,
        objective: Objective[Any],
        options: TrainingOptions,
        seed: int,
        session: Session,
        parameters: Iterable[nn.Parameter] | None,
        identity: str,
    ) -> None:
        self.identity = identity
        self.network, self.objective, self.options = network, objective, options
        self.seed, self.session = seed, session
        chosen = network.parameters() if parameters is None else parameters
        self.parameters = [one for one in chosen if one.requires_grad]
        device = self.parameters[0].device
        self.device_type = device.type
        self.optimiser = torch.optim.AdamW(
            self.parameters,
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
            fused=device.type == "cuda",
        )
        self.history = History()
        self.step = 0
        self.average = {name: t.detach().clone() for name, t in self._floats()} if options.average else {}
        self.best: dict[str, Tensor] = {}
        self.best_loss = math.inf

    def run(self) -> History:
        first = self._restore()
        was_training = self.network.training
        with compiled(self.network, self.options.compile):
            self._epochs(first)
        if self.options.patience is not None and not any("validation" in one for one in self.history.losses):
            self.history.notes.append(
                f"patience had no effect, for nothing was set aside to judge by: all {self.options.epochs} epochs were trained"
            )
        if self.best:
            self._put(self.best)
        elif self.average:
            self._put(self.average)
        self.network.train(was_training)
        return self.history

    def _epochs(self, first: int) -> None:
        for epoch in range(first, self.options.epochs):
            if self._worn_out():
                self.history.stopped_early = True
                break
            with seeded(derive_seed(self.seed, self.session.name, epoch)):
                losses = self._epoch(np.random.default_rng(derive_seed(self.seed, self.session.name, epoch)))
                losses |= self._validation(epoch)
            self.history.losses.append(losses)
            if (epoch + 1) % self.options.checkpoint_every == 0 or epoch + 1 == self.options.epochs:
                self._keep(epoch + 1)
            self.session.tell(epoch + 1, self.options.epochs, losses)

    # ------------------------------------------------------------------ one epoch

    def _epoch(self, rng: np.random.Generator) -> dict[str, float]:
        self.network.train()
        batches = self.objective.batches(rng)
        if not len(batches):
            raise InputError("there is nothing to train on: no batch", mend="give more rows")
        together = self.options.accumulate
        total_steps = self.options.epochs * math.ceil(len(batches) / together)
        sums: dict[str, Tensor] = {}
        for number, batch in enumerate(batches, start=1):
            self.session.check()
            with torch.autocast(
                self.device_type, torch.bfloat16, enabled=self.options.precision == "bfloat16"
            ):
                losses = self.objective.losses(batch)
            before = (number - 1) // together * together  # the last step of an epoch may be of fewer batches
            (losses["total"] / min(together, len(batches) - before)).backward()  # type: ignore[no-untyped-call]
            for name, value in losses.items():  # summed on the device: one transfer an epoch
                sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value.detach()
            if number % together == 0 or number == len(batches):
                self._update(total_steps)
        means = {name: float(value) / len(batches) for name, value in sums.items()}
        self._require_finite(means)
        return means

    def _require_finite(self, losses: Mapping[str, float]) -> None:
        if not all(map(math.isfinite, losses.values())):
            raise ToolError(
                f"the loss is no longer finite: {dict(losses)}",
                where=f"epoch {len(self.history.losses) + 1}",
                mend="lower training.learning_rate, or set training.clip_norm",
            )

    def _update(self, total_steps: int) -> None:
        if self.options.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.options.clip_norm)
        if self.options.clip_value is not None:
            torch.nn.utils.clip_grad_value_(self.parameters, self.options.clip_value)
        for group in self.optimiser.param_groups:
            group["lr"] = self.options.learning_rate * _factor(self.options, self.step, total_steps)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        if self.options.average is not None:
            # The usual correction for a short history: early steps count for more.
            decay = min(self.options.average, (1 + self.step) / (10 + self.step))
            for name, tensor in self._floats():
                self.average[name].lerp_(tensor.detach(), 1 - decay)

    def _validation(self, epoch: int) -> dict[str, float]:
        self.network.eval()
        own = self._copy() if self.average else {}
        if self.average:
            self._put(self.average)
        with torch.no_grad():
            loss = self.objective.validate()
        told = {} if loss is None else {"validation": float(loss)}
        self._require_finite(told)
        kept = loss is not None and loss < self.best_loss and self.options.patience is not None
        if kept:
            assert loss is not None
            self.best_loss, self.history.best_epoch = loss, epoch + 1
            self.best = self._copy()
        if own:
            self._put(own)
        return told

    def _worn_out(self) -> bool:
        patience = self.options.patience
        best = self.history.best_epoch
        return patience is not None and best is not None and len(self.history.losses) - best >= patience

    # ------------------------------------------------------------------ weights

    def _floats(self) -> list[tuple[str, Tensor]]:
        state = self.network.state_dict()
        return [(name, tensor) for name, tensor in state.items() if tensor.is_floating_point()]

    def _copy(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}

    def _put(self, tensors: Mapping[str, Tensor]) -> None:
        self.network.load_state_dict(dict(tensors), strict=False)

    # ------------------------------------------------------------------ checkpoints

    def _print(self) -> str:
        """What must be equal for a checkpoint to be this training's."""
        shapes = [(name, tuple(tensor.shape)) for name, tensor in self.network.state_dict().items()]
        told = f"{self.options.model_dump_json()}{self.seed}{shapes}{self.identity}"
        return hashlib.sha256(told.encode()).hexdigest()

    def _keep(self, epoch: int) -> None:
        if self.session.checkpoints is None:
            return
        parts = {"network": self._copy(), "optimiser": checkpoint.optimiser_state(self.optimiser)}
        parts |= {"average": self.average, "best": self.best}
        tensors = {f"{part}/{name}": t for part, named in parts.items() for name, t in named.items()}
        facts = {
            "print": self._print(),
            "epoch": epoch,
            "step": self.step,
            "best_loss": self.best_loss if math.isfinite(self.best_loss) else None,
            "history": self.history.as_json(),
        }
        checkpoint.save(self.session.checkpoints, tensors, facts)

    def _restore(self) -> int:
        found = None if self.session.checkpoints is None else checkpoint.load(self.session.checkpoints)
        if found is None:
            return 0
        tensors, facts = found
        if facts["print"] != self._print():
            raise InputError(
                "the checkpoint is of a training with other options, seed, network or data",
                where=str(self.session.checkpoints),
                mend="give another checkpoint folder, or remove this one to start anew",
            )
        device = self.parameters[0].device
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            part, _, rest = name.partition("/")
            parts.setdefault(part, {})[rest] = tensor.to(device)
        self._put(parts["network"])
        checkpoint.restore_optimiser(self.optimiser, parts.get("optimiser", {}))
        self.average = parts.get("average", {})
        self.best = parts.get("best", {})
        self.best_loss = math.inf if facts["best_loss"] is None else facts["best_loss"]
        self.step = facts["step"]
        self.history = History(**facts["history"])
        return int(facts["epoch"])


def _factor(options: TrainingOptions, step: int, total: int) -> float:
    """Share of the peak step size at a step."""
    warm = int(options.warmup * total)
    if step < warm:
        return (step + 1) / (warm + 1)
    done = (step - warm) / max(1, total - warm)
    if options.schedule == "constant":
        return 1.0
    left = 0.5 * (1 + math.cos(math.pi * min(1.0, done))) if options.schedule == "cosine" else 1 - done
    return options.end_rate + (1 - options.end_rate) * max(0.0, left)
