"""CPL: preferences between next steps, with the advantage gap as the margin that the policy must reach (Step-APO)."""

from typing import TYPE_CHECKING

from nereus.models.language.cpl.card import CARD
from nereus.models.language.cpl.config import CPLConfig
from nereus.models.lazy import on_first_use

if TYPE_CHECKING:
    from nereus.models.language.cpl.method import CPL

__all__ = ["CARD", "CPL", "CPLConfig"]
__getattr__ = on_first_use(__name__, CPL="method")
