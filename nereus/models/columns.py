"""Columns that people name, and targets in them: what is not there, or is no number, is told with the nearest name or its row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nereus.errors import InputError

if TYPE_CHECKING:
    from nereus.models.card import Card

_TRUTH = {"true": 1.0, "false": 0.0}
_NOT_BARE = re.compile(
    r"[<>~\u2264\u2265=]+\s*[+-]?\d|[+-]?\d[\d.,eE+-]*\s+\S|[+-]?inf(inity)?\Z", re.IGNORECASE
)
"""A bound, a number with its unit, an infinite one."""


def require_column(name: str, table: pd.DataFrame, where: str) -> None:
    """Refuse a column that is not there.

    Raises
    ------
    InputError
        With the nearest names, whatever their case.
    """
    if name in table.columns:
        return
    near = nearest(name, list(map(str, table.columns)))
    told = f"perhaps {', '.join(map(repr, near))}; " if near else ""
    raise InputError(
        f"there is no column {name!r}", where=where, mend=f"{told}columns are {list(table.columns)[:20]}"
    )


def nearest(name: str, names: Sequence[str]) -> list[str]:
    """At most three of the names that are most like one, whatever their case.

    Examples
    --------
    >>> nearest("Smile", ["SMILES", "value"]), nearest("smiles", ["canonical_smiles", "id"])
    (['SMILES'], ['canonical_smiles'])
    """
    known = {one.casefold(): one for one in names}
    wanted = name.casefold()
    close = [known[one] for one in get_close_matches(wanted, known, n=3)]
    return close or [told for one, told in known.items() if wanted in one or one in wanted][:3]


def require_list(X: Any) -> None:
    """Refuse one text, which would be read letter by letter."""
    if isinstance(X, str):
        raise InputError(
            f"one text, {X[:40]!r}, where a list of them is asked for", mend="put it in brackets: [...]"
        )


def single(X: Any) -> Any:
    """The column of a table or array of one column, as scikit-learn passes objects on; anything else but one text as it is."""
    require_list(X)
    if isinstance(X, pd.DataFrame) and X.shape[1] == 1:
        return X.iloc[:, 0]
    return X[:, 0] if isinstance(X, np.ndarray) and X.ndim == 2 and X.shape[1] == 1 else X


def numbers(values: pd.Series) -> np.ndarray:
    """Numbers of a column, (n,), float64: true is 1 and false is 0, in any case; NaN where there is none.

    Examples
    --------
    >>> numbers(pd.Series(["1.5", "True", False, None, "high"])).tolist()
    [1.5, 1.0, 0.0, nan, nan]
    """
    if values.dtype == object:
        values = values.map(lambda one: _TRUTH.get(str(one).strip().lower(), one))
    return np.asarray(pd.to_numeric(values, errors="coerce"), dtype=np.float64)


def require_numbers(card: Card, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> None:
    """Refuse targets that are no numbers: in labels whatever is none, in numbers bounds, units and infinite ones.

    Words are left to the method, as some take classes by name; so is a column without any number.

    Raises
    ------
    InputError
        Names the first such cell and its row.
    """
    has_relations = any(one.name == "relation" for one in card.inputs)
    for role in card.inputs:
        named = columns.get(role.name) or ()
        if role.kind not in ("number", "label"):
            continue
        for name in [named] if isinstance(named, str) else named:
            row = _first_wrong(table[name], strict=role.kind == "label")
            if row is None:
                continue
            bounds = ", a bound's < in a column of relations" if has_relations else ""
            raise InputError(
                f"row {row}: {str(table[name].iloc[row])!r} in column {name!r} is no number",
                where=f"method {card.name!r}",
                mend=f"write numbers alone{bounds}, and nothing where a value is unknown",
            )


def _first_wrong(values: pd.Series, strict: bool) -> int | None:
    found = np.isfinite(numbers(values))
    texts = values.astype(str).str.strip()
    told = values.notna() & (texts != "")
    wrong = told & ~found & (texts.str.match(_NOT_BARE) | (strict & found.any()))
    return int(np.flatnonzero(wrong)[0]) if wrong.any() else None
