"""ASGN: which molecules to measure next, and their properties from few measured and many unmeasured ones."""

from typing import TYPE_CHECKING

from nereus.models.lazy import on_first_use
from nereus.models.molecules.asgn.card import CARD
from nereus.models.molecules.asgn.config import ASGNConfig

if TYPE_CHECKING:
    from nereus.models.molecules.asgn.method import ASGN

__all__ = ["ASGN", "CARD", "ASGNConfig"]
__getattr__ = on_first_use(__name__, ASGN="method")
