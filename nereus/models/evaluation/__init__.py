"""How methods are judged: splits that do not leak, and metrics that say when they are not defined."""

from nereus.models.evaluation.metrics import classification, ranking, regression
from nereus.models.evaluation.splits import Split, group_split, random_split, scaffold_split, scaffolds

__all__ = [
    "Split",
    "classification",
    "group_split",
    "random_split",
    "ranking",
    "regression",
    "scaffold_split",
    "scaffolds",
]
