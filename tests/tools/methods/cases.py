"""Cases of the tools that are made from methods: each method's own tiny case, as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nereus.models.card import Verb
from nereus.tools.base import TrainedMethod
from nereus.tools.methods.catalogue import CATALOGUE
from tests.models.cases import CASES, trained


def method_inputs(tool: str) -> Callable[[], Mapping[str, Any]]:
    """Inputs of a tool made from a method."""
    method, verb = CATALOGUE[tool]

    def inputs() -> Mapping[str, Any]:
        table, _ = CASES[method].table()
        if verb is None:
            return {"table": table}
        return {"model": TrainedMethod(trained(method).to_bytes()), "table": table}

    return inputs


def method_params(tool: str) -> dict[str, Any]:
    """Parameters of a tool made from a method."""
    method, verb = CATALOGUE[tool]
    columns = dict(CASES[method].table()[1])
    if verb is None:
        return {**columns, "settings": CASES[method].settings, "held_out": 0.5, "split": "random"}
    options = CASES[method].options.get(Verb(verb).value, {})
    return {**columns, "options": options}
