"""ASGN's configuration.

Defaults are those that `benchmarks/methods/asgn.py` measures: minutes of a laptop for a few hundred molecules. The paper's
scale is ``layers=4, width=96, reach=30, gap=0.1, clusters=100``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nereus.models.config import Config, TrainingOptions


class ASGNConfig(Config):
    """What ASGN is made of, what the teacher learns from, and how the student follows."""

    geometry: Literal["space", "bonds"] = "space"
    """Distances of atoms: in space, of the structures given or of conformers that are made for SMILES; or along bonds, which
    needs no conformer (1.5 Angstrom a bond)."""
    relax: bool = False
    """Whether conformers that are made are relaxed in the MMFF94 force field."""
    layers: int = Field(default=3, ge=1, le=12)
    """Layers of continuous-filter convolution; 4 in the paper."""
    width: int = Field(default=32, ge=4)
    """Width of the vectors of atoms and molecules; 96 in the paper."""
    reach: float = Field(default=4.0, gt=1)
    """Angstrom; atoms farther apart do not see each other. 30 in the paper, where every pair is closer."""
    gap: float = Field(default=0.2, gt=0)
    """Angstrom between two centres of the radial basis."""
    readout: Literal["mean", "sum"] = "mean"
    """How a molecule's vector is made of its atoms'; sums for properties that grow with the molecule."""
    reference: Literal["mean", "composition"] = "mean"
    """What of a target the network need not learn: the mean of the labelled molecules, or a ridge regression on their
    counts of elements (total energies are almost that)."""
    property_weight: float = Field(default=1.0, ge=0)
    """Weight of the squared error of labels in the teacher's loss."""
    reconstruction_weight: float = Field(default=0.1, ge=0)
    """Weight of telling elements from atoms and distances from pairs; 1 in the paper, 0 is a control."""
    cluster_weight: float = Field(default=0.1, ge=0)
    """Weight of telling a molecule's cluster; 1 in the paper, 0 is a control."""
    pair_share: float = Field(default=0.2, gt=0, le=1)
    """Share of pairs whose distance is asked for."""
    distance_bins: int = Field(default=30, ge=2)
    """Classes of distance, equally wide up to `reach`."""
    clusters: int = Field(default=100, ge=2)
    """Clusters of self-labelling; there are never more than half as many as molecules."""
    cluster_every: int = Field(default=2, ge=1)
    """Epochs between two assignments of molecules to clusters."""
    sharpness: float = Field(default=25.0, gt=0)
    """Inverse weight of the entropy in the transport that assigns them."""
    cluster_rounding: Literal["balanced", "argmax"] = "balanced"
    """How the transport's plan becomes clusters: as evenly as numbers allow, or by the largest entry of each molecule's row, as
    in the paper. The plan of a teacher that has learned little is flat, and largest entries leave some clusters nearly empty."""
    labelled_share: float = Field(default=0.25, ge=0, lt=1)
    """Share of a teacher's batch that is drawn from labelled molecules in addition, so that few labels are seen often."""
    rounds: int = Field(default=2, ge=1)
    """How often teacher and student are trained in `fit`; from the second on the teacher also learns the student's
    predictions of unlabelled molecules."""
    parts: Literal["all", "teacher", "student"] = "all"
    """Teacher and student; the teacher alone, or a student alone that learns from labels only and starts from nothing
    (the controls)."""
    choice: Literal["k-centre", "random"] = "k-centre"
    """How molecules to measure are chosen: far from all measured ones in the teacher's space, or at random (the control)."""
    validation: float = Field(default=0.1, ge=0, lt=0.5)
    """Share of the labelled molecules that neither teacher nor student learns from: they end the student's training. None
    are taken where this is less than four; students then learn for all their epochs, and ``student.patience`` does nothing."""
    training: TrainingOptions = TrainingOptions(epochs=8, batch_size=64, learning_rate=3e-3)
    """How the teacher is trained, in every round."""
    student: TrainingOptions = TrainingOptions(
        epochs=200, batch_size=32, learning_rate=3e-3, patience=30, average=0.99
    )
    """How the student is trained, in every round."""
