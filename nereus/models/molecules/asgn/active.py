"""Choosing, measuring and learning in turn, until the budget is spent."""

from __future__ import annotations

from typing import Any

import numpy as np

from nereus.errors import InputError
from nereus.models.molecules.asgn.answers import Oracle
from nereus.models.molecules.asgn.rounds import Rounds, failures


def act(
    rounds: Rounds, oracle: Oracle, *, budget: int, batch: int | None, target_error: float | None
) -> list[str]:
    """Rounds of teaching, choosing, asking and studying; what is to be told of them.

    Parameters
    ----------
    rounds
        Teacher and student.
    oracle, budget, batch, target_error
        See `ASGN.fit_actively`.

    Raises
    ------
    InputError
        The numbers do not go together, or no measurement taught anything.
    """
    known = len(rounds.labelled)
    size = _batch(rounds, budget, batch)
    spent, answers = known, rounds.answers(oracle)
    while spent < budget and len(rounds.labelled) + int(rounds.tried.sum()) < len(rounds.structures):
        rounds.teach()
        choice = rounds.choose(min(size, budget - spent))
        rounds.ask(answers, choice)
        spent += len(choice.rows)
        rounds.study()
        rounds.done[-1].error = error = rounds.error()
        if error is not None and target_error is not None and error <= target_error:
            break
    if rounds.config.parts == "teacher" and len(rounds.labelled):
        rounds.teach()  # no student learns from what was measured last
    failed = failures(rounds.done)
    if not len(rounds.labelled):
        raise InputError(
            f"all {len(failed)} measurements failed, the first: {next(iter(failed.values()))}", where="oracle"
        )
    rounds.require_labels()
    notes = []
    if target_error is not None and not len(rounds.valid):
        notes.append(
            "too few labels to set any aside: the error was not judged, and could not end the rounds"
        )
    if failed:
        row, why = next(iter(failed.items()))
        notes.append(f"{len(failed)} measurements failed and are skipped, first row {row}: {why}")
    return notes


def _batch(rounds: Rounds, budget: int, batch: int | None) -> int:
    """Measurements of a round."""
    known = len(rounds.labelled)
    if count("budget", budget) <= known:
        raise InputError(
            f"a budget of {budget} is not above the {known} molecules with a value",
            where="asgn",
            mend="raise it, or use `fit`",
        )
    size = -(-(budget - known) // rounds.config.rounds) if batch is None else count("batch", batch)
    free = len(rounds.structures) - known
    if size > free:
        raise InputError(
            f"a batch of {size} is larger than the {free} molecules without a value",
            where="asgn",
            mend="lower batch or budget, or give more molecules",
        )
    return size


def count(name: str, value: Any) -> int:
    """A number of things, one or more."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InputError(
            f"{name} is {value!r}", where="asgn", mend=f"give a whole number above zero, e.g. {name}=10"
        )
    return int(value)
