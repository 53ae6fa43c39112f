"""The case of ASGN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from rdkit import Chem

from nereus.models.molecules.asgn import ASGN, ASGNConfig
from nereus.models.molecules.asgn.rounds import Rounds
from nereus.models.molecules.asgn.structures import read_structures
from nereus.models.training import Session
from tests.models.cases.case import Bad, Case
from tests.models.cases.molecules import OTHERS, SMILES, others

LENGTH = np.array([float(len(one)) for one in SMILES])
FEW = np.where(np.arange(len(SMILES)) % 2 == 0, LENGTH, np.nan)


def placed(positions: np.ndarray) -> Chem.Mol:
    """Carbon monoxide with the coordinates given, (2, 3)."""
    molecule = Chem.MolFromSmiles("[C-]#[O+]")
    conformer = Chem.Conformer(2)
    conformer.Set3D(True)
    conformer.SetPositions(positions)
    molecule.AddConformer(conformer)
    return molecule


def _actively(method: Any, **options: Any) -> object:
    settings = {"oracle": lambda row: LENGTH[row], "y": FEW, "budget": 14, **options}
    return method.fit_actively(SMILES, **settings)


CASE = Case(
    settings={
        "width": 8,
        "layers": 2,
        "reach": 5.0,
        "gap": 0.5,
        "clusters": 4,
        "rounds": 1,
        "training": {"epochs": 2},
        "student": {"epochs": 2},
    },
    data=lambda: (SMILES, FEW),
    asks={
        "predict": lambda m: m.predict(OTHERS),  # type: ignore[attr-defined]
        "select": lambda m: m.select([*OTHERS, *SMILES], n=4),  # type: ignore[attr-defined]
        "embed": lambda m: m.embed(OTHERS),  # type: ignore[attr-defined]
        "explain": lambda m: m.explain_table(*others()),
    },
    table=lambda: (
        pd.DataFrame({"structure": SMILES, "length": np.where(np.arange(24) < 18, LENGTH, np.nan)}),
        {"smiles": "structure", "target": ["length"]},
    ),
    options={"select": {"n": 3}},
    bad={
        "unreadable SMILES": Bad(lambda m: m.fit(["CCO", "C1CC"], [1, 2]), r"row 1: 'C1CC'"),
        "no molecule": Bad(lambda m: m.fit([], []), "there is no molecule"),
        "coordinates all zero": Bad(lambda m: m.fit([placed(np.zeros((2, 3)))]), "all zero"),
        "coordinates no numbers": Bad(
            lambda m: m.fit(["CO", placed(np.full((2, 3), np.nan))]),
            "row 1 has coordinates that are no numbers",
        ),
        "two atoms at one place": Bad(lambda m: m.fit([placed(np.ones((2, 3)))]), "same place"),
        "one value": Bad(lambda m: m.fit(SMILES, np.ones(24)), "no two different values"),
        "values in words": Bad(lambda m: m.fit(["CCO", "CCN"], ["high", "low"]), "labels are no numbers"),
        "too few values": Bad(lambda m: m.fit(SMILES, LENGTH[:3]), r"shape \(3, 1\), there are 24 molecules"),
        "an infinite value": Bad(lambda m: m.fit(SMILES, np.full(24, np.inf)), "infinite"),
        "prediction without values": Bad(lambda m: m.fit(SMILES).predict(OTHERS), "predicts nothing"),
        "an element that training did not see": Bad(
            lambda m: m.fit(SMILES, FEW).predict(["CCO", "CCBr"]), "row 1 has Br, which training did not see"
        ),
        "batch larger than the pool": Bad(
            lambda m: _actively(m, budget=40, batch=20), "a batch of 20 is larger than the 12 molecules"
        ),
        "selection larger than the pool": Bad(
            lambda m: m.fit(SMILES, FEW).select(SMILES, n=13),
            "13 molecules are asked for, 12 are not measured",
        ),
        "budget below what is known": Bad(
            lambda m: _actively(m, budget=9), "budget of 9 is not above the 12"
        ),
        "an oracle that never answers": Bad(
            lambda m: _actively(m, oracle=lambda row: 1 / 0, y=None, budget=3),
            "all 3 measurements failed, the first: ZeroDivisionError",
        ),
        "nothing to learn from": Bad(
            lambda m: m.set_params(reconstruction_weight=0, cluster_weight=0).fit(SMILES),
            "nothing for the teacher",
        ),
    },
)


def config(**settings: Any) -> ASGNConfig:
    """The case's settings with others."""
    return ASGN(**{**CASE.settings, **settings}).config


def rounds_of(labels: np.ndarray, session: Session | None = None, **settings: Any) -> Rounds:
    """Rounds over the molecules of all cases, on the CPU."""
    torch.manual_seed(0)
    found = config(**settings)
    structures = read_structures(SMILES, found)
    return Rounds(
        structures, labels.reshape(len(SMILES), -1), found, torch.device("cpu"), session or Session()
    )
