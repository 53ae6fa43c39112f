"""Tables of objects as people give them: rows that cannot be read are told, not dropped in silence."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.models.card import Column, Verb
from nereus.models.columns import require_column

if TYPE_CHECKING:
    from nereus.models.base import Method

PROBLEM = "problem"
"""Column that says why a row has no answer; there only where a row has none."""
REASON = "reason"
"""Column of what was generated: why it is no answer."""


def unreadable(
    method: Method[Any],
    table: pd.DataFrame,
    columns: Mapping[str, str | Sequence[str]],
    training: bool = False,
) -> dict[int, str]:
    """Row numbers that a method cannot read, with the reason: structures that are none, empty texts.

    An optional structure may be empty; what only training takes is looked at with `training`.
    """
    found: dict[int, str] = {}
    for role in method.card.inputs:
        named = columns.get(role.name)
        if role.kind not in ("smiles", "text") or not named or (role.learned and not training):
            continue
        for name in [named] if isinstance(named, str) else named:
            require_column(name, table, f"method {method.card.name!r}")
            found = {**_unreadable(role, table[name]), **found}
    return dict(sorted({**method.unreadable_rows(table, columns), **found}.items()))


def _unreadable(role: Column, values: pd.Series) -> dict[int, str]:
    empty = values.isna() | (values.astype(str).str.strip() == "")
    if role.kind == "text":
        return {int(row): f"has an empty {role.name}" for row in np.flatnonzero(empty)}
    from nereus.models.molecules.graphs.read import problems

    bad = problems(values.tolist())
    return {row: why for row, why in bad.items() if role.required or not empty.iloc[row]}


def options_of(method: Method[Any], verb: Verb) -> dict[str, Any]:
    """Options of a verb with their defaults: what ``<verb>_table`` takes besides a table and its columns."""
    takes = inspect.signature(getattr(method, f"{verb.value}_table")).parameters.values()
    return {
        one.name: None if one.default is one.empty else one.default
        for one in list(takes)[2:]
        if one.kind is not one.VAR_KEYWORD
    }


def _check_options(method: Method[Any], verb: Verb, options: Mapping[str, Any]) -> None:
    known = options_of(method, verb)
    if strange := sorted(set(options) - set(known)):
        told = ", ".join(f"{name}={default}" for name, default in known.items())
        raise InputError(
            f"{verb.value} has no option {strange[0]!r}",
            where=f"method {method.card.name!r}",
            mend=f"options and their defaults: {told}" if told else "it has no options",
        )


def answer(
    method: Method[Any],
    verb: Verb,
    table: pd.DataFrame,
    columns: Mapping[str, str | Sequence[str]],
    options: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Ask a trained method about every row of a table.

    Parameters
    ----------
    method
        Trained.
    verb
        What is asked.
    table, columns
        See `Method.fit_table`.
    options
        Of the verb, see the method's ``<verb>_table``.

    Returns
    -------
    DataFrame
        For verbs that answer by row: the table's index, empty cells and a column ``problem`` where a row cannot be read. For
        verbs with an index of their own (several answers a row, or some rows in an order) these rows come last, under the
        table's index.

    Raises
    ------
    InputError
        No row can be read, or the verb has no such option.
    """
    _check_options(method, verb, options or {})
    bad = unreadable(method, table, columns)
    if bad and len(bad) == len(table):
        raise InputError(
            f"none of {len(table)} rows can be read, the first {bad[0]}", where=f"method {method.card.name!r}"
        )
    readable = np.setdiff1d(np.arange(len(table)), list(bad))
    found: pd.DataFrame = getattr(method, f"{verb.value}_table")(
        table.iloc[readable] if bad else table, columns, **(options or {})
    )
    if not bad:
        return found
    own = found.pop(PROBLEM).tolist() if PROBLEM in found else [""] * len(found)
    if found.index.equals(table.index[readable]) and not found.index.has_duplicates:
        whole = found.reindex(table.index)
        told = {**dict(zip(readable.tolist(), own, strict=True)), **bad}
        whole[PROBLEM] = [told[row] for row in range(len(table))]
        return whole
    last = [table.index[row] for row in bad]
    if not found.index.isin(table.index).all():
        last = [str(one) for one in last]
    whole = found.reindex([*found.index, *last])
    whole.index.name = found.index.name
    whole[PROBLEM] = own + list(bad.values())
    return whole
