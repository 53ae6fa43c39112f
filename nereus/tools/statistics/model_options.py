"""Parameters that the tests of features have in common."""

from __future__ import annotations

from pydantic import Field

from nereus.tools.base import Params
from nereus.tools.statistics.design import BlockChoice


class ModelOptions(Params):
    """How a linear model with moderated variances is fitted."""

    trend: bool = False
    """Let the prior variance follow the mean abundance (or what `prior_covariate` names, where there is one)."""
    robust: bool = False
    """Moderate hypervariable features less."""
    block_model: BlockChoice = "auto"
    """How samples of one block are modelled; see `build_design`."""


class FindingLevel(Params):
    """When a feature counts as found."""

    level: float = Field(default=0.05, gt=0.0, lt=1.0)
    """False discovery rate at which features are counted as significant."""
