"""Planted studies: a real matrix under exchanged labels, with effects and traps of known kind, all drawn from one seed.

`plan_of` names what a seed of the suite holds, `make_study` makes it, `Study.write` writes what an analysis may see
(``data.csv``, ``samples.csv``) and what it may not (``truth.json``). Two studies that differ in one trap only are
``make_study(plan, folder)`` of two plans that differ in it: every effect and every trap draws from a stream of its own,
so nothing else changes.
"""

from benchmarks.truth.planting.cells import CellStudy
from benchmarks.truth.planting.recipes import PLANS, Plan, make_study, plan_of
from benchmarks.truth.planting.study import Study
from benchmarks.truth.planting.truth import PlantedClaim, Trap, Truth

__all__ = ["PLANS", "CellStudy", "Plan", "PlantedClaim", "Study", "Trap", "Truth", "make_study", "plan_of"]
