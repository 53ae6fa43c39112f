"""How well a method predicts rows that it did not see, beside a baseline on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.models.evaluation import metrics
from nereus.models.evaluation.baselines import baseline_name, fit_baseline
from nereus.models.evaluation.splits import random_split, scaffold_split
from nereus.models.training.session import Session

if TYPE_CHECKING:
    from nereus.models.base import Method

SplitKind = Literal["scaffold", "random"]
LEAST_ROWS = 5


@dataclass(frozen=True)
class HeldOut:
    """A method and its baseline on rows that neither saw.

    Attributes
    ----------
    predictions
        ``row`` (of the table, text), ``observed``, ``predicted``, ``baseline``; one line a held-out row with a known target.
    method, baseline
        Metrics of each.
    against
        What the baseline is.
    classes
        Whether the target is 0 and 1.
    trained_on
        Number of rows that both learned from.
    """

    predictions: pd.DataFrame
    method: metrics.Metrics
    baseline: metrics.Metrics
    against: str
    classes: bool
    trained_on: int


def evaluate(
    method: Method[Any],
    table: pd.DataFrame,
    columns: Mapping[str, str | Sequence[str]],
    *,
    split: SplitKind,
    share: float,
    seed: int,
    session: Session | None = None,
) -> HeldOut:
    """Train a fresh copy on a part of a table and judge it on the rest.

    Parameters
    ----------
    method
        Gives class and configuration; not changed.
    table, columns
        See `Method.fit_table`. The first target is judged.
    split
        ``scaffold`` keeps molecules of one scaffold together (molecules only), ``random`` deals rows out.
    share
        Share of rows that is held out.
    seed
        Decides the split.
    session
        See `Method.fit`.

    Raises
    ------
    InputError
        No target is named, or too few rows are left on a side.
    """
    from sklearn.base import clone

    role = method.card.inputs[0]
    objects = table[_first(columns[role.name])].astype(str).tolist()
    if not columns.get("target"):
        raise InputError("no target is named", where="evaluation", mend="name the column of the target")
    y = pd.to_numeric(table[_first(columns["target"])], errors="coerce").to_numpy(float)
    fractions = (1 - share, 0.0, share)
    parts = (
        scaffold_split(objects, fractions, seed=seed)
        if split == "scaffold" and role.kind == "smiles"
        else random_split(len(table), fractions, seed=seed)
    )
    train, test = (rows[np.isfinite(y[rows])] for rows in (parts.train, parts.test))
    if min(len(train), len(test)) < LEAST_ROWS:
        raise InputError(
            f"{len(train)} rows with a known target to learn from, {len(test)} to judge on",
            where="evaluation",
            mend="give more rows, or hold out none (held_out=0)",
        )
    # Rows whose target is unknown may still teach a method something: they stay in its training table.
    learner = clone(method).fit_table(
        table.iloc[parts.train].reset_index(drop=True), columns, session=session
    )
    predicted = learner.predict_table(table.iloc[test], columns)["prediction"].to_numpy(float)
    classes = set(np.unique(y[np.isfinite(y)])) <= {0.0, 1.0}
    other = (
        fit_baseline(role.kind, [objects[i] for i in train], y[train], [objects[i] for i in test], classes)
        if len(np.unique(y[train])) > 1
        else np.full(len(test), float(y[train].mean()))
    )
    judge = metrics.classification if classes else metrics.regression
    predictions = pd.DataFrame(
        {
            "row": [str(one) for one in table.index[test]],
            "observed": y[test],
            "predicted": predicted,
            "baseline": other,
        }
    )
    return HeldOut(
        predictions,
        judge(y[test], predicted),
        judge(y[test], other),
        baseline_name(role.kind, classes),
        classes,
        len(train),
    )


def _first(named: str | Sequence[str]) -> str:
    return named if isinstance(named, str) else named[0]
