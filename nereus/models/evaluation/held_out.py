"""How well a method predicts rows that it did not see, beside a baseline on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.models.card import ColumnKind
from nereus.models.evaluation import metrics
from nereus.models.evaluation.baselines import baseline_name, fit_baseline
from nereus.models.evaluation.splits import group_split, scaffold_split
from nereus.models.training.session import Session

if TYPE_CHECKING:
    from nereus.models.base import Method

SplitKind = Literal["scaffold", "random", "group"]
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
    unanswered
        Held-out rows with a known target for which the method gives no prediction; neither is judged on them.
    others
        The same for every further target of a method that takes several, by name.
    """

    predictions: pd.DataFrame
    method: metrics.Metrics
    baseline: metrics.Metrics
    against: str
    classes: bool
    trained_on: int
    unanswered: int = 0
    others: Mapping[str, HeldOut] = field(default_factory=dict)


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
        See `Method.fit_table`. Every target is judged that the method predicts; the first decides who can be held out.
    split
        ``scaffold`` keeps molecules of one scaffold together, and sequences of one family, ``random`` deals objects out (rows of
        an equal one stay together), ``group``
        keeps the rows of one group (assay) together: the first role of that kind.
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

    if not columns.get("target"):
        raise InputError("no target is named", where="evaluation", mend="name the column of the target")
    kind, objects = method.described(table, columns)
    y = method.observed(table, columns)
    if not np.isfinite(y).any():
        named = columns["target"] if isinstance(columns["target"], str) else columns["target"][0]
        told = table[named].dropna()
        raise InputError(
            f"no target is a number{f', the first is {told.iloc[0]!r}' if len(told) else ': all are empty'}",
            where="evaluation",
            mend="write numbers, or 1 and 0 for two classes; classes by name are not judged (held_out=0)",
        )
    fractions = (1 - share, 0.0, share)
    groups = _groups(method, table, columns)
    if split == "group":
        if groups is None:
            raise InputError(
                "no column of groups is named",
                where="evaluation",
                mend="name one, or split by scaffold or at random",
            )
        parts = group_split(groups.tolist(), fractions, seed=seed, even=True)
    elif split == "scaffold" and kind == "smiles":
        parts = scaffold_split(objects, fractions, seed=seed, even=True)
    elif split == "scaffold" and (family := method.relatives(table, columns)) is not None:
        parts = group_split(family.tolist(), fractions, seed=seed, even=True)
    else:
        # Rows of one object stay together: a second measurement of a molecule tells the first one's value.
        parts = group_split(_same(kind, objects), fractions, seed=seed, even=True)
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
    answers = learner.predict_table(table.iloc[parts.test], columns)

    def judged(target: str, column: str) -> HeldOut | None:
        """One target, on the rows where it is known; None where these are too few."""
        truth = method.observed(table, {**columns, "target": target})
        known = parts.train[np.isfinite(truth[parts.train])]
        asked = np.isfinite(truth[parts.test])
        answered = asked & np.isfinite(answers[column].to_numpy(float))
        if min(len(known), int(answered.sum())) < LEAST_ROWS:
            return None
        judge = parts.test[answered]
        classes = set(np.unique(truth[np.isfinite(truth)])) <= {0.0, 1.0}
        other = (
            fit_baseline(
                kind, [objects[i] for i in known], truth[known], [objects[i] for i in judge], classes
            )
            if len(np.unique(truth[known])) > 1
            else np.full(len(judge), float(truth[known].mean()))
        )
        predicted = answers[column].to_numpy(float)[answered]
        within = None if groups is None else groups[judge]
        return HeldOut(
            pd.DataFrame(
                {
                    "row": [str(one) for one in table.index[judge]],
                    "observed": truth[judge],
                    "predicted": predicted,
                    "baseline": other,
                }
            ),
            _metrics(truth[judge], predicted, classes, within),
            _metrics(truth[judge], other, classes, within),
            baseline_name(kind, classes),
            classes,
            len(known),
            int(asked.sum() - answered.sum()),
        )

    names = [columns["target"]] if isinstance(columns["target"], str) else list(columns["target"])
    first = judged(names[0], "prediction")
    if first is None:
        raise InputError(
            "the method answers too few held-out rows to be judged",
            where="evaluation",
            mend="give more rows, or hold out none (held_out=0)",
        )
    others = {
        name: found
        for name in names[1:]
        if f"prediction_{name}" in answers and (found := judged(name, f"prediction_{name}")) is not None
    }
    return replace(first, others=others)


def _same(kind: ColumnKind, objects: Sequence[str]) -> list[str]:
    """What rows of one object have in common: of molecules the canonical SMILES, else the text."""
    if kind != "smiles":
        return list(objects)
    from rdkit import Chem

    from nereus.models.molecules.graphs.read import read_smiles

    molecules, rows, _ = read_smiles(objects, on_error="skip")
    names = {row: Chem.MolToSmiles(one) for row, one in zip(rows, molecules, strict=True)}
    return [names.get(row, one) for row, one in enumerate(objects)]


def _metrics(y: np.ndarray, found: np.ndarray, classes: bool, groups: np.ndarray | None) -> metrics.Metrics:
    """Metrics of one target; of numbers with groups also the rank correlation within them."""
    if classes:
        return metrics.classification(y, found)
    whole = metrics.regression(y, found)
    if groups is None:
        return whole
    within = metrics.ranking(y, found, groups)
    return metrics.Metrics({**whole.values, **within.values}, {**whole.notes, **within.notes})


def _groups(
    method: Method[Any], table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]
) -> np.ndarray | None:
    """Group of each row, where a column of the first role of that kind is named."""
    role = next((one.name for one in method.card.inputs if one.kind == "group"), None)
    named = columns.get(role) if role else None
    if not named:
        return None
    return np.asarray(table[named if isinstance(named, str) else named[0]].astype(str))
