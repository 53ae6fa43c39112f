"""MBP: binding affinities from poses in pockets, or from ligands and sequences alone, learned over assays of several types."""

from typing import TYPE_CHECKING

from nereus.models.lazy import on_first_use
from nereus.models.molecules.mbp.card import CARD
from nereus.models.molecules.mbp.config import MBPConfig

if TYPE_CHECKING:
    from nereus.models.molecules.mbp.complexes import Complex
    from nereus.models.molecules.mbp.method import MBP

__all__ = ["CARD", "MBP", "Complex", "MBPConfig"]
__getattr__ = on_first_use(__name__, MBP="method", Complex="complexes")
