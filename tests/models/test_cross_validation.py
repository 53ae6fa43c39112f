"""Methods that predict go through scikit-learn's cross-validation, grids and pipelines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import is_classifier, is_regressor
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from nereus.errors import InputError
from nereus.models import registry
from nereus.models.base import Method
from nereus.models.sequences.bsm import BSM
from tests.models.cases import CASES
from tests.models.cases.bsm import PROTEINS
from tests.models.cases.molecules import ALCOHOL, SMILES

LENGTH = np.array([float(len(one)) for one in SMILES])
KNOWN = [row for row, one in enumerate(SMILES) if "Cl" not in one]
"""Rows whose elements every fold has."""


def quick(name: str, **settings: Any) -> Method[Any]:
    return registry.get(name)(**CASES[name].settings).set_params(training__epochs=1, **settings)


def stripped(texts: Any) -> list[str]:
    return [one.strip() for one in texts]


@pytest.mark.parametrize(
    ("name", "settings", "y", "scoring"),
    [
        ("unimatch", {}, ALCOHOL, "roc_auc"),
        ("mgssl", {}, ALCOHOL, "roc_auc"),
        ("asgn", {"geometry": "bonds"}, LENGTH, "neg_mean_absolute_error"),
        ("mbp", {}, LENGTH, "neg_mean_absolute_error"),
    ],
)
def test_molecules(name: str, settings: dict[str, Any], y: np.ndarray, scoring: str) -> None:
    method = quick(name, **settings)
    assert is_classifier(method) == (scoring == "roc_auc")
    smiles = [SMILES[row] for row in KNOWN]
    column = pd.DataFrame({"smiles": smiles}, index=range(100, 100 + len(smiles)))
    for X in (smiles, column["smiles"], column, np.array(smiles, dtype=object)[:, None]):
        found = cross_val_score(method, X, y[KNOWN], scoring=scoring, cv=2, error_score="raise")
        assert np.isfinite(found).all()
    piped = make_pipeline(FunctionTransformer(stripped), method).fit([f" {one}" for one in smiles], y[KNOWN])
    assert len(piped.predict(smiles[:3])) == 3
    if name != "unimatch":  # looks for molecules that are told twice first
        with pytest.raises(InputError, match=r"row 0: .*1\.,? 1\.,? 1\..* is no text"):
            method.fit(np.ones((4, 3)), [0, 1, 0, 1])


def test_sequences_of_classes_and_of_values() -> None:
    method = quick("bsm", tokens=200, finetuning__epochs=1)
    assert isinstance(method, BSM)
    assert not is_classifier(method)
    classes = np.arange(16) % 2
    found = cross_val_score(method, PROTEINS * 2, classes, scoring="roc_auc", cv=2, error_score="raise")
    assert ((found >= 0) & (found <= 1)).all()
    table, values = pd.DataFrame({"sequence": PROTEINS * 2}), np.linspace(0, 1, 16)
    errors = cross_val_score(
        method, table, values, scoring="neg_mean_absolute_error", cv=2, error_score="raise"
    )
    assert np.isfinite(errors).all()
    assert is_classifier(method.set_params(head="classes"))
    assert is_regressor(method.set_params(head="value"))


def test_settings_are_searched() -> None:
    search = GridSearchCV(
        quick("mgssl"), {"width": [8, 12], "training__batch_size": [8]}, cv=2, error_score="raise"
    )
    assert search.fit(SMILES, ALCOHOL).best_estimator_.config.training.batch_size == 8
