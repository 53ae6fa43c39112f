"""The case of MGSSL."""

from __future__ import annotations

import numpy as np

from tests.models.cases.case import Bad, Case
from tests.models.cases.molecules import ALCOHOL, OTHERS, SMILES, labelled_molecules, others

CASE = Case(
    settings={"width": 8, "layers": 2, "training": {"epochs": 2}, "finetuning": {"epochs": 2}},
    data=lambda: (SMILES, ALCOHOL),
    asks={
        "predict": lambda m: m.predict_proba(OTHERS),  # type: ignore[attr-defined]
        "embed": lambda m: m.embed(OTHERS),  # type: ignore[attr-defined]
        "fragment": lambda m: m.fragment(OTHERS),  # type: ignore[attr-defined]
        "explain": lambda m: m.explain_table(*others()),
    },
    table=lambda: (labelled_molecules()[0], {"smiles": "structure", "target": ["active"]}),
    bad={
        "unreadable SMILES": Bad(lambda m: m.fit(["CCO", "C1CC"]), r"row 1: 'C1CC'"),
        "empty molecule": Bad(lambda m: m.fit(["CCO", ""]), r"row 1: '' is empty"),
        "no molecule": Bad(lambda m: m.fit([]), "there is no molecule"),
        "one class": Bad(lambda m: m.fit(SMILES, np.ones(24)), "24 molecules of class 1 and 0 of class 0"),
        "no label": Bad(lambda m: m.fit(SMILES, np.full(24, np.nan)), "0 molecules of class 1"),
        "labels beside 0 and 1": Bad(lambda m: m.fit(SMILES, 2 * ALCOHOL), "neither 1 nor 0"),
        "labels in words": Bad(lambda m: m.fit(["CCO", "CCN"], ["yes", "no"]), "labels are no numbers"),
        "too few labels": Bad(
            lambda m: m.fit(SMILES, ALCOHOL[:3]), r"shape \(3, 1\), there are 24 molecules"
        ),
        "nothing to learn": Bad(
            lambda m: m.set_params(tasks="none").fit(SMILES), "no target, and no pre-training"
        ),
        "one motif each": Bad(lambda m: m.set_params(tasks="motifs").fit(["C", "O"]), "no molecule has two"),
        "prediction without labels": Bad(
            lambda m: m.fit(SMILES).predict(OTHERS), "pre-trained without labels, so it predicts nothing"
        ),
        "no such pre-trained method": Bad(
            lambda m: m.set_params(pretrained="nowhere").fit(SMILES, ALCOHOL), "no trained method here"
        ),
    },
)
