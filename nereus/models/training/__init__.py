"""One training loop for every method: schedules, averages of weights, early stop, checkpoints, progress, cancellation."""

from nereus.models.training.identity import identity_of
from nereus.models.training.loop import Batches, History, Objective, train
from nereus.models.training.session import Progress, Session, TrainingCancelled

__all__ = [
    "Batches",
    "History",
    "Objective",
    "Progress",
    "Session",
    "TrainingCancelled",
    "identity_of",
    "train",
]
