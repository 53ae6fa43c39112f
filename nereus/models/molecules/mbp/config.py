"""MBP's configuration. Defaults are for a laptop; the paper's scale is ``width=128`` and 100 epochs over 300,000 labels."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nereus.models.config import Config, TrainingOptions

AffinityType = Literal["IC50", "Ki", "Kd"]
"""What an affinity is the constant of."""


class MBPConfig(Config):
    """What MBP reads of a complex, what it is made of, and how it learns from assays."""

    variant: Literal["auto", "structure", "pose-free"] = "auto"
    """Read poses in pockets, or structural formulae and sequences; ``auto`` takes poses where they are given."""
    width: int = Field(default=64, ge=4)
    """Width of atoms, residues and contacts; 128 in the paper."""
    layers: int = Field(default=3, ge=1, le=12)
    """Layers of the networks within ligand and protein; the outputs of all are summed."""
    encoder: Literal["attentivefp", "gat", "gcn", "gin", "egnn"] = "attentivefp"
    """Kind of these networks. None reads coordinates but through distances (``egnn`` moves its points, equivariantly), so a
    complex may be turned; ``attentivefp`` reads bonds and distances within a graph in its first layer, ``gcn`` only who is near
    whom."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of entries that are dropped in contacts and heads."""
    ligand_cutoff: float = Field(default=5.0, gt=0)
    """Atoms of a ligand within this distance are neighbours, as bonded ones are; Angstrom."""
    contact_cutoff: float = Field(default=12.0, gt=0)
    """An atom and a residue within this distance are a contact; Angstrom."""
    residue_cutoff: float = Field(default=30.0, gt=0)
    """Residues within this distance may be neighbours; Angstrom."""
    residue_neighbours: int = Field(default=10, ge=1)
    """Most neighbours of a residue, the nearest."""
    pocket_radius: float | None = Field(default=20.0, gt=0)
    """Residues farther than this from every atom of the ligand are left out; None keeps all. Angstrom."""
    poses: int = Field(default=1, ge=1)
    """Poses of a molecule that training reads where a file holds several, one at random each epoch; answers are of the first."""
    heads: Literal["two", "three", "one"] = "two"
    """Outputs: IC50 and K (Ki and Kd; the authors' code), one a type (the paper's text), or one for all (a control)."""
    affinity: AffinityType | None = None
    """Type of the affinities where no column tells it. With None such rows are learned by the head of Ki and Kd, and asked of the
    head that most was learned of."""
    unit: Literal["p", "M", "mM", "uM", "nM", "pM"] = "p"
    """Unit of the target where no column tells it: ``p`` is -log10 of molar, the others are concentrations. Answers are ``p``."""
    censored: Literal["drop", "refuse"] = "drop"
    """What becomes of affinities whose relation is not ``=``: left out and told, or refused."""
    ranking: Literal["relation", "difference"] = "relation"
    """What tells which of two ligands of an assay binds better: a network of its own on both, or the difference of affinities."""
    ranking_weight: float = Field(default=1.0, ge=0)
    """Weight of the ranking loss; 0 leaves it out (the control)."""
    regression_weight: float = Field(default=0.3, ge=0)
    """Weight of the squared error."""
    pretrained: str | None = None
    """Folder or file of a saved MBP of equal shape: it is fine-tuned by the squared error alone."""
    training: TrainingOptions = TrainingOptions(epochs=20, batch_size=64, learning_rate=1e-3)
    """How it learns from assays; 100 epochs in the paper."""
    finetuning: TrainingOptions = TrainingOptions(epochs=100, batch_size=64, learning_rate=1e-3, patience=20)
    """How a pre-trained one is fine-tuned; up to 1,000 epochs and a patience of 70 in the paper. Patience needs rows to judge by:
    see `validation`."""
    validation: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of rows whose RMSE is told and with a patience decides the epoch that is kept; 0 learns from all."""
