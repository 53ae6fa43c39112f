"""MGSSL: graph networks that learn from unlabelled molecules, by growing them motif by motif."""

from typing import TYPE_CHECKING

from nereus.models.lazy import on_first_use
from nereus.models.molecules.mgssl.card import CARD
from nereus.models.molecules.mgssl.config import MGSSLConfig

if TYPE_CHECKING:
    from nereus.models.molecules.mgssl.method import MGSSL

__all__ = ["CARD", "MGSSL", "MGSSLConfig"]
__getattr__ = on_first_use(__name__, MGSSL="method")
