"""Training that starts from a trained method, which a tool is given as an input and not as a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from nereus.errors import InputError
from nereus.models.card import Card
from nereus.models.storage import MODEL_FILE
from nereus.tools.base import Result, TrainedMethod
from nereus.tools.methods.fitting import fit


def fit_from(
    pretrained: TrainedMethod | None, card: Card, table: pd.DataFrame, params: Any, seed: int
) -> Result:
    """Train as `fit` does, from a trained method where one is given.

    The result tells the hash of what it started from, not where that lay: equal inputs give equal bytes.

    Raises
    ------
    InputError
        The method cannot start from this one.
    """
    if pretrained is None:
        return fit(card, table, params, seed)
    told = f"sha256:{hashlib.sha256(pretrained.content).hexdigest()}"
    with TemporaryDirectory() as folder:
        file = Path(folder) / MODEL_FILE
        file.write_bytes(pretrained.content)
        settings = params.settings.model_copy(update={"pretrained": str(file)})
        try:
            return fit(card, table, params.model_copy(update={"settings": settings}), seed, started_from=told)
        except InputError as error:
            if error.where != str(file):
                raise
            raise InputError(error.what, where="input 'pretrained'", mend=error.mend) from error
