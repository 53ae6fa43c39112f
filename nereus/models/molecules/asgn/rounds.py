"""The rounds of teacher and student: what each learns from, what is chosen, and what is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from nereus.errors import InputError
from nereus.models.molecules.asgn.answers import Answers, Oracle
from nereus.models.molecules.asgn.config import ASGNConfig
from nereus.models.molecules.asgn.network import ASGNNetwork, Backbone
from nereus.models.molecules.asgn.scaling import Scale
from nereus.models.molecules.asgn.selection import Choice, covering_radius, k_centres
from nereus.models.molecules.asgn.structures import Structures
from nereus.models.molecules.asgn.teaching import BLOCK, Studying, TeacherState, Teaching
from nereus.models.molecules.graphs.packed import PackedGraphs
from nereus.models.training import History, Session, identity_of, train
from nereus.models.training.device import derive_seed

LEAST_VALIDATION = 4


@dataclass
class Round:
    """What one round of choosing did."""

    number: int
    """From one."""
    labelled: int
    """Molecules with a label after it."""
    chosen: list[int]
    """Rows in the order chosen."""
    failed: dict[int, str]
    """Rows whose measurement failed, and how."""
    radius: float
    """Largest distance, in the space in which was chosen, of a molecule to its nearest measured or chosen one."""
    random_radius: float
    """The same had as many been chosen at random."""
    error: float | None = None
    """Mean absolute error of the student on the labelled molecules that it does not learn from; of several targets the mean, in
    standard units."""

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return {**vars(self), "failed": {str(row): why for row, why in self.failed.items()}}


@dataclass
class Rounds:
    """Teacher and student over some molecules.

    Parameters
    ----------
    structures
        All molecules.
    labels
        (molecules, targets), NaN where unknown.
    config
        Of the method.
    device
        Where to compute.
    session
        Progress, cancellation, checkpoints.
    """

    structures: Structures
    labels: np.ndarray
    config: ASGNConfig
    device: torch.device
    session: Session
    network: ASGNNetwork = field(init=False)
    scale: Scale | None = field(default=None, init=False)
    history: History = field(default_factory=History, init=False)
    valid: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64), init=False)
    done: list[Round] = field(default_factory=list, init=False)
    taught: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64), init=False)
    """Labelled molecules that teacher or student may have learned from."""
    tried: np.ndarray = field(init=False)
    """Molecules whose measurement failed: they are not asked for again."""

    def __post_init__(self) -> None:
        n = len(self.structures)
        clusters = max(2, min(self.config.clusters, n // 2))
        self.network = ASGNNetwork(self.config, self.labels.shape[1], clusters).to(self.device)
        self.labels = self.labels.copy()
        self.tried = np.zeros(n, dtype=bool)
        self.composition = self.structures.composition()
        self.state = TeacherState(self.network.teacher, n)
        self.pseudo = np.full_like(self.labels, np.nan)
        self.number = 0
        self._prepare()

    # ------------------------------------------------------------------ learning

    @property
    def labelled(self) -> np.ndarray:
        """Molecules with a label, ascending."""
        return np.flatnonzero(np.isfinite(self.labels).any(1))

    @property
    def learned_from(self) -> np.ndarray:
        """Labelled molecules without those that judge, ascending."""
        return np.setdiff1d(self.labelled, self.valid)

    def _prepare(self) -> None:
        """Molecules that judge, and units of the targets, from what is labelled now.

        Judges are drawn once, as soon as there are enough labels, of molecules that have taught nothing yet. Units follow the
        labels from round to round, as the first few may be a poor sample; what the networks say does not change with them (with
        ``reference="composition"``, in the mean over all molecules).
        """
        labelled = self.labelled
        judges = round(self.config.validation * len(labelled))
        fresh = np.setdiff1d(labelled, self.taught)
        if not len(self.valid) and LEAST_VALIDATION <= judges <= len(fresh) // 2:
            rng = np.random.default_rng(derive_seed(self.config.random_state, "validation"))
            self.valid = np.sort(rng.choice(fresh, judges, replace=False))
        rows = self.taught = self.learned_from
        if not _vary(self.labels[rows]):
            return
        before = self.scale
        self.scale = Scale.of(self.labels[rows], self.composition[rows], self.config.reference)
        if before is not None:
            shift = (before.reference(self.composition) - self.scale.reference(self.composition)).mean(0)
            for backbone in (self.network.teacher.backbone, self.network.student):
                backbone.change_units(before.spread / self.scale.spread, shift / self.scale.spread)

    def require_labels(self) -> None:
        """Raise where there are labels from which nothing can be learned."""
        if self.scale is None and len(self.labelled):
            raise InputError(
                f"{len(self.labelled)} labelled molecules have no two different values",
                where="asgn",
                mend="give at least two molecules with different values",
            )

    def _standard(self, labels: np.ndarray) -> np.ndarray:
        return labels if self.scale is None else self.scale.to_standard(labels, self.composition)

    def _identity(self, *more: np.ndarray) -> str:
        return identity_of(
            self.config, self.structures.identity(), *(one.tobytes() for one in (self.labels, *more))
        )

    def teach(self) -> None:
        """Train the teacher, from where it is, on labels, on what the student said, and on all structures."""
        self.number += 1
        if self.config.parts == "student":
            return
        rows = self.learned_from if self.scale is not None else np.zeros(0, dtype=np.int64)
        weights = self.config.reconstruction_weight + self.config.cluster_weight
        if not weights and (not len(rows) or not self.config.property_weight):
            raise InputError(
                "there is nothing for the teacher to learn",
                where="asgn",
                mend="give labels, or leave the weights of the losses above zero",
            )
        targets = self.pseudo.copy()
        # A label is never overwritten, and molecules that judge teach nothing.
        known = np.isfinite(self.labels)
        targets[known] = self.labels[known]
        targets[self.valid] = np.nan
        # Before there are two different values there are no units, and nothing to learn of them.
        targets = np.full_like(targets, np.nan) if self.scale is None else self._standard(targets)
        found = train(
            self.state,
            Teaching(self.state, self.structures.graphs, targets, rows, self.config),
            self.config.training,
            seed=self.config.random_state,
            session=self.session.stage(f"teacher-{self.number}"),
            identity=self._identity(targets),
        )
        self._told(found, "teacher")

    def study(self) -> None:
        """Give the student the teacher's weights and train it on labels; then let it say what unlabelled molecules have."""
        if self.scale is None:
            return
        teacher, student = self.network.teacher.backbone, self.network.student
        if self.config.parts == "all":
            student.load_state_dict(teacher.state_dict())
        if self.config.parts != "teacher":
            targets = self._standard(self.labels)
            objective = Studying(
                student, self.structures.graphs, targets, self.learned_from, self.valid, self.config
            )
            found = train(
                student,
                objective,
                self.config.student,
                seed=self.config.random_state,
                session=self.session.stage(f"student-{self.number}"),
                identity=self._identity(),
            )
            self._told(found, "student")
        self.pseudo = self.said(self.structures)

    def said(self, structures: Structures) -> np.ndarray:
        """Properties of molecules in their own units, (molecules, targets), float64."""
        assert self.scale is not None
        return properties(self.predictor, structures, self.scale, self.device)[:, : self.labels.shape[1]]

    @property
    def predictor(self) -> Backbone:
        """Who predicts."""
        return self.network.teacher.backbone if self.config.parts == "teacher" else self.network.student

    @property
    def chooser(self) -> Backbone:
        """In whose space molecules are chosen."""
        return self.network.student if self.config.parts == "student" else self.network.teacher.backbone

    def _told(self, found: History, stage: str) -> None:
        before = len(self.history.losses)
        self.history.losses += [
            {stage if name == "total" else name: value for name, value in one.items()} for one in found.losses
        ]
        self.history.stopped_early = found.stopped_early
        self.history.best_epoch = None if found.best_epoch is None else before + found.best_epoch

    # ------------------------------------------------------------------ choosing and asking

    def choose(self, n: int) -> Choice:
        """`n` molecules without a label, or as many as there are."""
        measured = np.isfinite(self.labels).any(1)
        candidates = np.flatnonzero(~measured & ~self.tried)
        n = min(n, len(candidates))
        points = vectors(self.chooser, self.structures.graphs, self.device)
        if self.config.choice == "k-centre":
            return k_centres(points, points[measured], candidates, n)
        return self._random(points, measured, candidates, n)

    def _random(self, points: np.ndarray, measured: np.ndarray, candidates: np.ndarray, n: int) -> Choice:
        rng = np.random.default_rng(derive_seed(self.config.random_state, "choice", self.number))
        rows = rng.permutation(candidates)[:n]
        centres = points[np.concatenate([np.flatnonzero(measured), rows])]
        return Choice(rows, np.full(n, np.nan), covering_radius(points[candidates], centres))

    def answers(self, oracle: Oracle) -> Answers:
        """An oracle whose answers are kept with the checkpoints."""
        targets = self.labels.shape[1]
        return Answers(oracle, targets, self.session.checkpoints, f"{self.structures.identity()}-{targets}")

    def ask(self, answers: Answers, choice: Choice) -> None:
        """Measure what was chosen; what was measured before an interruption is not asked again."""
        points = vectors(self.chooser, self.structures.graphs, self.device)
        measured = np.isfinite(self.labels).any(1)
        candidates = np.flatnonzero(~measured & ~self.tried)
        random = self._random(points, measured, candidates, len(choice.rows)).radius
        failed = {}
        for row in choice.rows.tolist():
            self.session.check()
            given = int(self.structures.rows[row])
            answer = answers.of(given)
            if isinstance(answer, str):
                failed[given] = answer
                self.tried[row] = True
            else:
                self.labels[row] = [math.nan if one is None else one for one in answer]
        chosen = self.structures.rows[choice.rows].tolist()
        self.done.append(Round(self.number, len(self.labelled), chosen, failed, choice.radius, random))
        self._prepare()

    def error(self) -> float | None:
        """See `Round.error`."""
        if self.scale is None or not len(self.valid):
            return None
        off = np.abs(self.said(self.structures.take(self.valid)) - self.labels[self.valid])
        by_target = np.nanmean(off, axis=0)
        if len(by_target) == 1:
            return float(by_target[0])
        return float(np.mean(by_target / self.scale.spread))


def _vary(labels: np.ndarray) -> bool:
    """Whether a target has two different values."""
    return any(len(np.unique(column[np.isfinite(column)])) > 1 for column in labels.T)


@torch.no_grad()
def vectors(backbone: Backbone, graphs: PackedGraphs, device: torch.device) -> np.ndarray:
    """Vectors of molecules, (molecules, width), float32."""
    parts = [backbone.vectors(graphs.batch(rows, device)).float().cpu() for rows in _blocks(len(graphs))]
    return np.asarray(torch.cat(parts))


@torch.no_grad()
def properties(backbone: Backbone, structures: Structures, scale: Scale, device: torch.device) -> np.ndarray:
    """Properties in their own units, (molecules, targets), float64."""
    graphs = structures.graphs
    parts = [backbone.properties(graphs.batch(rows, device)).double().cpu() for rows in _blocks(len(graphs))]
    return scale.to_units(np.asarray(torch.cat(parts)), structures.composition())


def _blocks(n: int) -> list[np.ndarray]:
    return np.array_split(np.arange(n), -(-n // BLOCK))


def failures(rounds: list[Round]) -> Mapping[int, str]:
    """All measurements that failed."""
    return {row: why for one in rounds for row, why in one.failed.items()}
