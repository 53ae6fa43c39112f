"""Refuse a design before a run is opened: a sample sheet that allows no test is an error of the input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nereus.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd


FEWEST_FOLLOWED = 12
"""Fewest subjects with a value of a variable that is followed over all samples."""
FEWEST_TO_CLUSTER = 20
"""Fewest subjects among which subtypes are looked for."""
ALONE = "leave --samples out to describe the samples without comparing them"


def refuse_design(tables: Mapping[str, pd.DataFrame], sheet: str) -> None:
    """Raise where the sheet's design cannot be tested, naming the sheet, the column and the mend.

    Two subjects in each group are described without any inference, a variable of many values can be followed, and
    many samples can be clustered; only a sheet with none of these is refused.

    Parameters
    ----------
    tables
        Tables of `profile_dataset`: ``columns``, ``samples``, ``contrasts``, ``associations`` and ``notices``.
    sheet
        Name of the sample sheet.

    Raises
    ------
    InputError
        An event that is not 0/1; one level only; fewer than two subjects a level; every contrast confounded with a
        batch.
    """
    notices = tables["notices"]
    kinds = notices["notice"].astype(str).str.split(":").str[0]
    wrong = notices[kinds == "event_coding"]
    if len(wrong):
        raise _error(wrong.iloc[0], sheet)
    variables = tables["associations"]
    followed = variables["testable"].astype(bool) & (variables["n"] >= FEWEST_FOLLOWED)
    contrasts = tables["contrasts"]
    if (followed & (variables["kind"] != "follow-up time")).any() or (contrasts["refused"] == "").any():
        return
    for kind in ("confounded", "single", "one_level"):
        if len(found := notices[kinds == kind]):
            raise _error(found.iloc[0], sheet, ALONE)
    if len(tables["samples"]) >= FEWEST_TO_CLUSTER:
        return
    taken = ", ".join(
        f"{row.column!r} ({row.role}: {row.why})" for row in tables["columns"].head(5).itertuples()
    )
    raise InputError(
        "no column has two levels with two or more samples each, so nothing can be compared"
        + (f"; columns: {taken}" if taken else ""),
        where=sheet,
        mend=f"give a column that names each sample's group, e.g. control and treated, or {ALONE}",
    )


def _error(notice: pd.Series, sheet: str, otherwise: str = "") -> InputError:
    mend = f"{notice['mend']}, or {otherwise}" if otherwise else str(notice["mend"])
    return InputError(str(notice["text"]), where=f"{sheet}, column {notice['about']!r}", mend=mend)
