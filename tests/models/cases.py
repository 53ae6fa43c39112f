"""One tiny case of every registered method: what the contract suite trains, asks, keeps and breaks.

To register a method, add its case to `CASES`. A case trains in a second or two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from nereus.models import registry
from nereus.models.base import Method


@dataclass(frozen=True)
class Bad:
    """Input that is refused, and what the error says."""

    fit: Callable[[Method[Any]], object]
    """Asks the (untrained) method for what it must refuse."""
    says: str
    """Regular expression for the message."""


@dataclass(frozen=True)
class Case:
    """How a method is tried out.

    Attributes
    ----------
    settings
        Of a tiny network; two epochs, so that a training can be interrupted between them.
    data
        ``X`` and ``y`` of `fit`.
    asks
        Verb to how a trained method is asked; gives arrays, tables or lists that can be compared.
    table
        A table for `fit_table` and `predict_table`, with the columns of the roles.
    bad
        Input that is refused, by what is wrong with it: each of the specification's "bad input".
    options
        Verb to the options with which a table is asked about.
    """

    settings: Mapping[str, Any]
    data: Callable[[], tuple[Any, Any]]
    asks: Mapping[str, Callable[[Method[Any]], Any]]
    table: Callable[[], tuple[pd.DataFrame, dict[str, Any]]]
    bad: Mapping[str, Bad] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


SMILES = [
    "CCO", "CCN", "CCCO", "CCCN", "CCCCO", "CCCCN", "OCCO", "NCCN", "c1ccccc1O", "c1ccccc1N", "CC(O)C", "CC(N)C",
    "OC1CCCCC1", "NC1CCCCC1", "CC(=O)O", "CC(=O)N", "OCC1CC1", "NCC1CC1", "COCCO", "COCCN", "OC(=O)CCl", "NC(=O)CCl",
    "Oc1ccncc1", "Nc1ccncc1",
]  # fmt: skip
ALCOHOL = np.array([1.0, 0.0] * (len(SMILES) // 2))
OTHERS = ["CCCCCO", "CCCCCN", "CC(C)CO", "CC(C)CN", "OCc1ccccc1"]


def _labelled_molecules() -> tuple[pd.DataFrame, dict[str, Any]]:
    return pd.DataFrame({"structure": SMILES, "active": ALCOHOL}), {"smiles": "structure", "target": "active"}


CASES: dict[str, Case] = {
    "unimatch": Case(
        settings={"width": 8, "layers": 2, "shots": 2, "episodes": 2, "tasks": 3, "training": {"epochs": 2}},
        data=lambda: (SMILES, ALCOHOL),
        asks={"predict": lambda m: m.predict_proba(OTHERS), "embed": lambda m: m.embed(OTHERS)},  # type: ignore[attr-defined]
        table=_labelled_molecules,
        bad={
            "unreadable SMILES": Bad(lambda m: m.fit(["CCO", "C1CC"], [1, 0]), r"row 1: 'C1CC'"),
            "empty molecule": Bad(lambda m: m.fit(["CCO", ""], [1, 0]), r"row 1: '' is empty"),
            "one class": Bad(
                lambda m: m.fit(SMILES, np.ones(24)), "at least one active and one inactive, got 24/0"
            ),
            "no label": Bad(lambda m: m.fit(SMILES, np.full(24, np.nan)), "got 0/0"),
            "labels beside 0 and 1": Bad(lambda m: m.fit(SMILES, 2 * ALCOHOL), "neither 1 nor 0"),
            "contradiction": Bad(lambda m: m.fit(["CCO", "CCO"], [1, 0]), "active in one row and inactive"),
            "one related assay": Bad(
                lambda m: m.meta_fit(SMILES, ALCOHOL.reshape(-1, 1)),  # type: ignore[attr-defined]
                "at least two such assays",
            ),
        },
    ),
    "mgssl": Case(
        settings={"width": 8, "layers": 2, "training": {"epochs": 2}, "finetuning": {"epochs": 2}},
        data=lambda: (SMILES, ALCOHOL),
        asks={
            "predict": lambda m: m.predict_proba(OTHERS),  # type: ignore[attr-defined]
            "embed": lambda m: m.embed(OTHERS),  # type: ignore[attr-defined]
            "fragment": lambda m: m.fragment(OTHERS),  # type: ignore[attr-defined]
        },
        table=lambda: (_labelled_molecules()[0], {"smiles": "structure", "target": ["active"]}),
        bad={
            "unreadable SMILES": Bad(lambda m: m.fit(["CCO", "C1CC"]), r"row 1: 'C1CC'"),
            "empty molecule": Bad(lambda m: m.fit(["CCO", ""]), r"row 1: '' is empty"),
            "no molecule": Bad(lambda m: m.fit([]), "there is no molecule"),
            "one class": Bad(
                lambda m: m.fit(SMILES, np.ones(24)), "24 molecules of class 1 and 0 of class 0"
            ),
            "no label": Bad(lambda m: m.fit(SMILES, np.full(24, np.nan)), "0 molecules of class 1"),
            "labels beside 0 and 1": Bad(lambda m: m.fit(SMILES, 2 * ALCOHOL), "neither 1 nor 0"),
            "labels in words": Bad(lambda m: m.fit(["CCO", "CCN"], ["yes", "no"]), "labels are no numbers"),
            "too few labels": Bad(
                lambda m: m.fit(SMILES, ALCOHOL[:3]), r"shape \(3, 1\), there are 24 molecules"
            ),
            "nothing to learn": Bad(
                lambda m: m.set_params(tasks="none").fit(SMILES), "no target, and no pre-training"
            ),
            "one motif each": Bad(
                lambda m: m.set_params(tasks="motifs").fit(["C", "O"]), "no molecule has two"
            ),
            "prediction without labels": Bad(
                lambda m: m.fit(SMILES).predict(OTHERS), "pre-trained without labels, so it predicts nothing"
            ),
            "no such pre-trained method": Bad(
                lambda m: m.set_params(pretrained="nowhere").fit(SMILES, ALCOHOL), "no trained method here"
            ),
        },
    ),
}


@cache
def trained(name: str) -> Method[Any]:
    """The case's method, trained once in a test session. Callers do not change it."""
    case = CASES[name]
    X, y = case.data()
    return registry.get(name)(**case.settings).fit(X, y)


def answers(method: Method[Any], case: Case) -> dict[str, Any]:
    """What the method answers to every verb."""
    return {verb: ask(method) for verb, ask in case.asks.items()}
