"""The case of UniMatch."""

from __future__ import annotations

import numpy as np

from tests.models.cases.case import Bad, Case
from tests.models.cases.molecules import ALCOHOL, OTHERS, SMILES, labelled_molecules, others

CASE = Case(
    settings={"width": 8, "layers": 2, "shots": 2, "episodes": 2, "tasks": 3, "training": {"epochs": 2}},
    data=lambda: (SMILES, ALCOHOL),
    asks={
        "predict": lambda m: m.predict_proba(OTHERS),  # type: ignore[attr-defined]
        "embed": lambda m: m.embed(OTHERS),  # type: ignore[attr-defined]
        "explain": lambda m: m.explain_table(*others()),
    },
    table=labelled_molecules,
    bad={
        "unreadable SMILES": Bad(lambda m: m.fit(["CCO", "C1CC"], [1, 0]), r"row 1: 'C1CC'"),
        "a text in place of a list": Bad(lambda m: m.fit("CCO", [1, 0, 1]), "one text, 'CCO', where a list"),
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
)
