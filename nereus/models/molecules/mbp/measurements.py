"""Affinities as they are written down, made comparable: units, relations, types, and the assays they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nereus.errors import InputError
from nereus.models.molecules.mbp.config import AffinityType, MBPConfig

MOLAR = {"M": 1.0, "mM": 1e-3, "uM": 1e-6, "nM": 1e-9, "pM": 1e-12}
"""Concentrations in mol/L."""
_PLAUSIBLE = (-1.0, 16.0)
"""Affinities beyond these (ten mol/L, a tenth of a femtomole a litre) are rather numbers in another unit."""
_UNITS = {
    **{name.lower(): name for name in MOLAR if name not in ("mM", "M")},
    "µm": "uM",
    "μm": "uM",
    "p": "p",
}
_TYPES: dict[str, AffinityType] = {
    **dict.fromkeys(("ic50", "pic50"), "IC50"),
    **dict.fromkeys(("ki", "pki"), "Ki"),
    **dict.fromkeys(("kd", "pkd"), "Kd"),
}
_EXACT = ("=", "==", "'='", "")
_CENSORED = (">", "<", ">=", "<=", "~", ">>", "<<", "'>'", "'<'", "'>='", "'<='", "'~'", "'>>'", "'<<'")
HEADS: dict[str, dict[AffinityType | None, str]] = {
    "two": {"IC50": "IC50", "Ki": "K", "Kd": "K", None: "K"},
    "three": {"IC50": "IC50", "Ki": "Ki", "Kd": "Kd", None: "Kd"},
    "one": {"IC50": "affinity", "Ki": "affinity", "Kd": "affinity", None: "affinity"},
}
"""Head of each type of affinity; None is a type that is not known."""


def head_names(heads: str) -> tuple[str, ...]:
    """Names of the heads of a configuration."""
    return tuple(dict.fromkeys(HEADS[heads].values()))


def affinity_types(given: Any, n: int, config: MBPConfig) -> list[AffinityType | None]:
    """Types of rows, in any usual spelling; the configuration's where none is given.

    Raises
    ------
    InputError
        A type is unknown.
    """
    found: list[AffinityType | None] = []
    for row, one in enumerate(_column(given, n, "types")):
        text = text_of(one)
        if text and text.lower() not in _TYPES:
            raise InputError(
                f"row {row}: affinity type {one!r} is unknown",
                where="type",
                mend="types are IC50, Ki, Kd, or empty where it is not known",
            )
        found.append(_TYPES[text.lower()] if text else config.affinity)
    return found


def unit(text: object, row: int, default: str) -> str:
    """A unit in its usual spelling."""
    name = text_of(text)
    if not name:
        return default
    if name in MOLAR:
        return name
    if name.lower() not in _UNITS:
        raise InputError(
            f"row {row}: unit {text!r} is unknown", where="unit", mend=f"units are p, {', '.join(MOLAR)}"
        )
    return _UNITS[name.lower()]


def molar_logarithms(values: Any, units: Any, config: MBPConfig) -> np.ndarray:
    """Affinities as -log10 of mol/L, (n,); NaN where none is given.

    Raises
    ------
    InputError
        A value is no number, or a concentration is zero or negative.
    """
    given = list(values)
    found = pd.to_numeric(pd.Series(given, dtype=object), errors="coerce").to_numpy(float)
    for row, (text, value) in enumerate(zip(given, found, strict=True)):
        if np.isinf(value) or (np.isnan(value) and text_of(text)):
            raise InputError(
                f"row {row}: affinity {text!r} is no number",
                where="target",
                mend="relations such as > have a column of their own",
            )
    scale = [unit(one, row, config.unit) for row, one in enumerate(_column(units, len(given), "units"))]
    for row, (value, one) in enumerate(zip(found, scale, strict=True)):
        if one != "p" and value <= 0:
            raise InputError(
                f"row {row}: concentration {value:g} {one} is not positive",
                where="target",
                mend="correct it, or leave it empty; logarithms have unit p",
            )
    factor = np.array([np.nan if one == "p" else MOLAR[one] for one in scale])
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(np.isnan(factor), found, -np.log10(found * factor)), dtype=np.float64)


@dataclass(frozen=True)
class Measurements:
    """What is learned from.

    Attributes
    ----------
    rows : ndarray
        Rows with a usable affinity, (n,), int64.
    y : ndarray
        -log10 of mol/L of these, (n,).
    heads : ndarray
        Number of the head of each, (n,), int64.
    groups : ndarray
        Assay and head of each as one number, (n,), int64: within one, affinities can be compared.
    notes : tuple of str
        What was left out.
    """

    rows: np.ndarray
    y: np.ndarray
    heads: np.ndarray
    groups: np.ndarray
    notes: tuple[str, ...]


def measurements(
    values: Any,
    config: MBPConfig,
    *,
    targets: Sequence[str],
    types: Any = None,
    units: Any = None,
    relations: Any = None,
    assays: Any = None,
) -> Measurements:
    """Measurements of a table.

    Parameters
    ----------
    values
        Affinities, (n,).
    config
        Unit, type and heads.
    targets
        What tells the proteins of the rows apart: no comparison is ever drawn across.
    types, units, relations, assays
        (n,) each, or None.

    Raises
    ------
    InputError
        Nothing is left to learn from, or a cell cannot be understood.
    """
    n = len(targets)
    if values is None or len(values) != n:
        told = "no affinities" if values is None else f"{len(values)} affinities"
        raise InputError(f"{told} for {n} complexes", where="target", mend="give one of each")
    y = molar_logarithms(values, units, config)
    kinds = affinity_types(types, n, config)
    exact, notes = exact_values([None] * n if relations is None else relations, config), []
    if len(exact) != n:
        raise InputError(
            f"{len(exact)} relations for {n} complexes", where="relations", mend="give one of each"
        )
    if left := int((np.isfinite(y) & ~exact).sum()):
        notes.append(f"{left} affinities are no exact values (relation > or <) and are left out")
    if strange := int(((y < _PLAUSIBLE[0]) | (y > _PLAUSIBLE[1])).sum()):
        notes.append(
            f"{strange} affinities are beyond {_PLAUSIBLE[0]:g} to {_PLAUSIBLE[1]:g} as -log10 of mol/L: if they are "
            "concentrations, name their unit"
        )
    untyped = sum(one is None for one in kinds)
    if untyped and config.heads != "one":
        notes.append(
            f"{untyped} rows have no type of affinity: they go to the head {HEADS[config.heads][None]!r}"
        )
    rows = np.flatnonzero(np.isfinite(y) & exact)
    if not len(rows):
        raise InputError(
            "no affinity can be learned from", where="target", mend="give exact values in at least one row"
        )
    names = head_names(config.heads)
    heads = np.array([names.index(HEADS[config.heads][kinds[row]]) for row in rows], dtype=np.int64)
    named = [text_of(one) for one in _column(assays, n, "assays")]
    # Of one assay and one type: Ki and Kd share a head, but are not compared with each other.
    key = [(named[row], targets[row], kinds[row]) for row in rows.tolist()]
    number = {one: i for i, one in enumerate(dict.fromkeys(key))}
    groups = np.array([number[one] for one in key], dtype=np.int64)
    sizes = np.bincount(groups)
    if config.ranking_weight and config.pretrained is None:
        if sizes.max() < 2:
            raise InputError(
                "every assay has a single compound: there is nothing to rank",
                where="assay",
                mend="give assays of two compounds or more, or set ranking_weight=0; rows of other proteins are never compared, "
                "and where each pose has a pocket of its own a column of protein names tells which are of one",
            )
        if single := int((sizes == 1).sum()):
            notes.append(f"{single} of {len(sizes)} assays have a single compound, which teaches no order")
    return Measurements(rows, y[rows], heads, groups, tuple(notes))


def exact_values(relations: Sequence[object], config: MBPConfig) -> np.ndarray:
    """Whether each affinity is a value, not a bound, (n,).

    Raises
    ------
    InputError
        A relation is unknown, or tells a bound and the configuration refuses these.
    """
    found = []
    for row, one in enumerate(relations):
        text = text_of(one)
        if text not in _EXACT and text not in _CENSORED:
            raise InputError(
                f"row {row}: relation {one!r} is unknown",
                where="relation",
                mend="relations are =, <, >, <=, >=, ~",
            )
        if text in _CENSORED and config.censored == "refuse":
            raise InputError(
                f"row {row}: {one!r} tells a bound, not a value",
                where="relation",
                mend="remove the row, or set censored='drop'",
            )
        found.append(text in _EXACT)
    return np.array(found, dtype=bool)


def _column(given: Any, n: int, name: str) -> list[Any]:
    values = [None] * n if given is None else list(given)
    if len(values) != n:
        raise InputError(f"{len(values)} {name} for {n} complexes", where=name, mend="give one of each")
    return values


def text_of(one: object) -> str:
    """A cell as text without blanks around it; empty where nothing is told."""
    return "" if one is None or one is pd.NA or one != one else str(one).strip()


class Partners:
    """For every measurement another of its assay and type, drawn anew in each epoch; itself where there is none.

    Parameters
    ----------
    groups
        Assay and type of each, (n,).
    """

    def __init__(self, groups: np.ndarray) -> None:
        self._order = np.argsort(groups, kind="stable")
        counts = np.bincount(groups)
        starts = np.cumsum(counts) - counts
        self._count, self._start = counts[groups], starts[groups]
        self._place = np.empty(len(groups), dtype=np.int64)
        self._place[self._order] = np.arange(len(groups))

    def draw(self, numbers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A partner of each of `numbers`, (n,)."""
        count, start = self._count[numbers], self._start[numbers]
        step = 1 + rng.integers(0, np.maximum(count - 1, 1))
        own = self._place[numbers] - start
        return np.asarray(self._order[start + (own + step) % count])
