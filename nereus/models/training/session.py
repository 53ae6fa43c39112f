"""What goes along with a training: who is told how far it is, who may stop it, and where it is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from nereus.errors import NereusError


class TrainingCancelled(NereusError):
    """Training was stopped from outside. What was learned up to the last checkpoint is kept where a session keeps any."""


@dataclass(frozen=True)
class Progress:
    """How far a training is."""

    stage: str
    """What is trained: methods of several stages name them."""
    epoch: int
    """Epochs done."""
    epochs: int
    """Epochs planned."""
    losses: dict[str, float]
    """Mean training losses of the epoch, by name; ``validation`` where there is one."""


@dataclass(frozen=True)
class Session:
    """The surroundings of one training. None of it changes what is learned."""

    progress: Callable[[Progress], None] | None = None
    """Called after every epoch."""
    cancelled: Callable[[], bool] | None = None
    """Asked before every batch; True ends the training with `TrainingCancelled`."""
    checkpoints: Path | None = None
    """Folder in which the state is kept; a training that was interrupted goes on from there, and ends as if it had not been."""
    _stage: str = field(default="")
    _purpose: str = field(default="")

    def stage(self, name: str) -> Session:
        """The session of one stage of several, with checkpoints of its own. A stage draws numbers of its own."""
        return replace(self, checkpoints=self._inside(name), _stage=name)

    def purpose(self, name: str) -> Session:
        """The session of one training of several, with checkpoints of its own, that learns what it would learn alone."""
        return replace(self, checkpoints=self._inside(name), _purpose=name)

    def _inside(self, name: str) -> Path | None:
        return None if self.checkpoints is None else self.checkpoints / name

    @property
    def name(self) -> str:
        """Name of the stage."""
        return self._stage

    def tell(self, epoch: int, epochs: int, losses: dict[str, float]) -> None:
        """Tell how far it is: the stage, behind what the training is for where there are several."""
        if self.progress is not None:
            told = ": ".join(filter(None, (self._purpose, self._stage)))
            self.progress(Progress(told, epoch, epochs, losses))

    def check(self) -> None:
        """Raise `TrainingCancelled` when it was cancelled."""
        if self.cancelled is not None and self.cancelled():
            raise TrainingCancelled(
                "training was cancelled",
                where=self._stage or None,
                mend="start it again with the same checkpoint folder to go on"
                if self.checkpoints
                else "give a checkpoint folder to be able to go on",
            )
