"""Which effects and traps a seed holds: fifteen plans in turn, each on one of the bases that suit it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.truth.planting import effects, traps
from benchmarks.truth.planting.bases import load_base
from benchmarks.truth.planting.cells import CellStudy, cluster_study
from benchmarks.truth.planting.study import Study

EFFECTS: dict[str, Callable[[Study], None]] = {
    "shift": effects.shift,
    "missing": effects.missing,
    "interaction": effects.interaction,
    "trend": effects.trend,
    "survival": effects.survival,
    "module": effects.module,
    "gene_set": effects.gene_set,
}
TRAPS: dict[str, Callable[[Study], None]] = {
    "batch_balanced": traps.batch_balanced,
    "batch_partly": traps.batch_partly,
    "batch_full": traps.batch_full,
    "outlier": traps.outlier,
    "global_shift": traps.global_shift,
    "decoy": traps.decoy,
    "label_noise": traps.label_noise,
    "replicates": traps.replicates,
}
LEVELS = {"condition": ("control", "treated"), "diet": ("chow", "fat")}


@dataclass(frozen=True)
class Plan:
    """What a study holds.

    Attributes
    ----------
    name
        Of the plan.
    base
        Background.
    seed
        Of everything that is drawn.
    plants
        Names of `EFFECTS`, in order.
    traps
        Names of `TRAPS`; they are set in the order of that table, so that the order here does not matter.
    """

    name: str
    base: str
    seed: int
    plants: tuple[str, ...]
    traps: tuple[str, ...] = ()


_LARGE = ("csf", "aki", "covid")
_ALL = (*_LARGE, "yeast")
PLANS: tuple[tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    ("plain", ("shift", "missing"), (), _ALL),
    ("interaction", ("shift", "interaction"), (), ("mouse", *_LARGE)),
    ("cluster", ("cluster",), (), ("cytometry",)),
    ("survival", ("shift", "survival"), (), _LARGE),
    ("module", ("shift", "module"), (), _LARGE),
    ("gene set", ("shift", "gene_set"), (), _LARGE),
    ("batch", ("shift", "missing"), ("batch_balanced",), _LARGE),
    ("batch and group", ("shift", "missing"), ("batch_partly",), _LARGE),
    ("batch is group", ("shift", "trend"), ("batch_full",), _LARGE),
    ("repeated", ("shift",), ("replicates",), ("mouse", "csf", "covid", "aki")),
    ("outlier", ("shift", "missing"), ("outlier",), _LARGE),
    ("loading", ("shift", "missing"), ("global_shift",), _ALL),
    ("decoy", ("shift", "interaction"), ("decoy",), _LARGE),
    ("wrong labels", ("shift", "trend"), ("label_noise",), _LARGE),
    ("all at once", ("shift", "missing", "trend"), ("batch_partly", "outlier", "decoy"), _LARGE),
)
"""Name, effects, traps, and bases of the plans that take turns."""


def plan_of(seed: int) -> Plan:
    """The plan of a seed: plans take turns, and the bases of a plan with them."""
    name, plants, spoiled, bases = PLANS[seed % len(PLANS)]
    return Plan(name, bases[seed // len(PLANS) % len(bases)], seed, plants, spoiled)


def make_study(plan: Plan, folder: Path) -> Study | CellStudy:
    """Make the study of a plan from the folder of the shared data sets."""
    if plan.plants == ("cluster",):
        return cluster_study(plan.seed, folder, plan.name)
    study = Study.on(load_base(plan.base, folder), plan.seed, plan.name)
    study.factor("condition", LEVELS["condition"])
    if "interaction" in plan.plants:
        study.factor("diet", LEVELS["diet"], within="condition")
    for name in plan.plants:
        EFFECTS[name](study)
    for name, spoil in TRAPS.items():
        if name in plan.traps:
            spoil(study)
    return study
