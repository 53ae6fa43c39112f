"""Molecules as graphs: read, featurised and batched once for every method."""

from nereus.models.molecules.graphs.features import ATTRIBUTED, TYPED, FeatureSet
from nereus.models.molecules.graphs.packed import GraphBatch, PackedGraphs
from nereus.models.molecules.graphs.read import Rejected, featurise, read_smiles

__all__ = [
    "ATTRIBUTED",
    "TYPED",
    "FeatureSet",
    "GraphBatch",
    "PackedGraphs",
    "Rejected",
    "featurise",
    "read_smiles",
]
