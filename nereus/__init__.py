"""Nereus: an agent platform for scientific discovery that never states a number it cannot recompute.

>>> import nereus
>>> run = nereus.discover("proteinGroups.txt", "samples.tsv", question="what differs in treated cells?")  # doctest: +SKIP
>>> run.hypotheses[0].statement  # doctest: +SKIP

Importing `nereus` imports nothing heavy; every public name is loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nereus.agents.planner.discover import discover, resume
    from nereus.agents.planner.fork import fork
    from nereus.agents.planner.graph.query import graph
    from nereus.agents.planner.run import Run, load_run
    from nereus.agents.reporter.comparison.differences import Comparison
    from nereus.agents.reporter.comparison.files import compare
    from nereus.agents.reporter.verify import verify
    from nereus.api.labs.lab import AsyncClient, AsyncLab, Client, Lab
    from nereus.tools.proteomics.load import read as load_dataset

__version__ = "0.1.0"

_PUBLIC = {
    "AsyncClient": "nereus.api.labs.lab:AsyncClient",
    "AsyncLab": "nereus.api.labs.lab:AsyncLab",
    "Client": "nereus.api.labs.lab:Client",
    "Comparison": "nereus.agents.reporter.comparison.differences:Comparison",
    "Lab": "nereus.api.labs.lab:Lab",
    "Run": "nereus.agents.planner.run:Run",
    "compare": "nereus.agents.reporter.comparison.files:compare",
    "discover": "nereus.agents.planner.discover:discover",
    "fork": "nereus.agents.planner.fork:fork",
    "graph": "nereus.agents.planner.graph.query:graph",
    "load_dataset": "nereus.tools.proteomics.load:read",
    "load_run": "nereus.agents.planner.run:load_run",
    "resume": "nereus.agents.planner.discover:resume",
    "tools": "nereus.tools",
    "verify": "nereus.agents.reporter.verify:verify",
}

__all__ = [
    "AsyncClient",
    "AsyncLab",
    "Client",
    "Comparison",
    "Lab",
    "Run",
    "__version__",
    "compare",
    "discover",
    "fork",
    "graph",
    "load_dataset",
    "load_run",
    "resume",
    "tools",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'nereus' has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    loaded = import_module(module)
    return getattr(loaded, attribute) if attribute else loaded


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
