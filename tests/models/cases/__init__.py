"""One tiny case of every registered method: what the contract suite trains, asks, keeps and breaks.

To register a method, make a file with its `CASE` here and add a line to `CASES`. A case trains in a second or two.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from nereus.models import registry
from nereus.models.base import Method
from tests.models.cases import asgn, bsm, cpl, mbp, mgssl, qwen, unimatch, utgdiff
from tests.models.cases.case import Bad, Case

__all__ = ["CASES", "Bad", "Case", "answers", "trained"]

CASES: dict[str, Case] = {
    "unimatch": unimatch.CASE,
    "mgssl": mgssl.CASE,
    "mbp": mbp.CASE,
    "asgn": asgn.CASE,
    "utgdiff": utgdiff.CASE,
    "bsm": bsm.CASE,
    "qwen": qwen.CASE,
    "cpl": cpl.CASE,
}


@cache
def trained(name: str) -> Method[Any]:
    """The case's method, trained once in a test session. Callers do not change it."""
    case = CASES[name]
    X, y = case.data()
    return registry.get(name)(**case.settings).fit(X, y, **case.told)


def answers(method: Method[Any], case: Case) -> dict[str, Any]:
    """What the method answers to every verb."""
    return {verb: ask(method) for verb, ask in case.asks.items()}
