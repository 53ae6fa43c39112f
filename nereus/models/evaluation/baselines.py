"""What a trained network has to beat: linear models on counted parts, the first thing that a careful analyst would try.

Molecules are read as Morgan fingerprints (2,048 bits, radius 2), sequences and texts as counts of their parts of one to
three characters.

References
----------
Rogers & Hahn, J. Chem. Inf. Model. 2010, 50, 742 (circular fingerprints).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge

from nereus.models.card import ColumnKind


def baseline_name(kind: ColumnKind, classes: bool) -> str:
    """What the baseline is, in words."""
    reads = "Morgan fingerprints" if kind == "smiles" else "counts of one to three characters"
    return f"{'logistic regression' if classes else 'ridge regression'} on {reads}"


def fingerprints(smiles: Sequence[str]) -> np.ndarray:
    """Morgan fingerprints, (molecules, 2048), 0 and 1."""
    from rdkit.Chem import rdFingerprintGenerator

    from nereus.models.molecules.graphs.read import read_smiles

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    molecules, _, _ = read_smiles(smiles)
    return np.stack([generator.GetFingerprintAsNumPy(molecule) for molecule in molecules]).astype(np.float32)


def fit_baseline(
    kind: ColumnKind, train: Sequence[str], y: np.ndarray, others: Sequence[str], classes: bool
) -> np.ndarray:
    """Predictions for `others` of a linear model that learned from `train`.

    Parameters
    ----------
    kind
        What the objects are.
    train, others
        Objects.
    y
        Targets of `train`, all known, (n,).
    classes
        Whether the targets are 0 and 1.

    Returns
    -------
    ndarray
        Values, or probabilities of class 1, (others,).
    """
    X, Z = _parts(kind, train, others)
    if classes:
        model = LogisticRegression(C=1.0, max_iter=2000).fit(X, y)
        return np.asarray(model.predict_proba(Z)[:, 1])
    return np.asarray(Ridge(alpha=10.0).fit(X, y).predict(Z))


def _parts(kind: ColumnKind, train: Sequence[str], others: Sequence[str]) -> tuple[Any, Any]:
    if kind == "smiles":
        return sparse.csr_matrix(fingerprints(train)), sparse.csr_matrix(fingerprints(others))
    from sklearn.feature_extraction.text import TfidfVectorizer

    counts = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), lowercase=False, max_features=20_000)
    return counts.fit_transform(train), counts.transform(others)
