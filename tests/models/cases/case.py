"""What a case of the contract suite is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from nereus.models.base import Method


@dataclass(frozen=True)
class Bad:
    """Input that is refused, and what the error says."""

    fit: Callable[[Method[Any]], object]
    """Asks the (untrained) method for what it must refuse."""
    says: str
    """Regular expression for the message."""


@dataclass(frozen=True)
class Case:
    """How a method is tried out.

    Attributes
    ----------
    settings
        Of a tiny network; two epochs, so that a training can be interrupted between them.
    data
        ``X`` and ``y`` of `fit`.
    asks
        Verb to how a trained method is asked; gives arrays, tables or lists that can be compared.
    table
        A table for `fit_table` and `predict_table`, with the columns of the roles.
    bad
        Input that is refused, by what is wrong with it: each of the specification's "bad input".
    options
        Verb to the options with which a table is asked about.
    told
        What `fit` is told beside ``X`` and ``y``.
    """

    settings: Mapping[str, Any]
    data: Callable[[], tuple[Any, Any]]
    asks: Mapping[str, Callable[[Method[Any]], Any]]
    table: Callable[[], tuple[pd.DataFrame, dict[str, Any]]]
    bad: Mapping[str, Bad] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)
