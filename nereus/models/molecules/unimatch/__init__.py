"""UniMatch: properties from a handful of labels, by matching molecules at every level of a graph network."""

from typing import TYPE_CHECKING

from nereus.models.lazy import on_first_use
from nereus.models.molecules.unimatch.card import CARD
from nereus.models.molecules.unimatch.config import UniMatchConfig

if TYPE_CHECKING:
    from nereus.models.molecules.unimatch.method import UniMatch

__all__ = ["CARD", "UniMatch", "UniMatchConfig"]
__getattr__ = on_first_use(__name__, UniMatch="method")
