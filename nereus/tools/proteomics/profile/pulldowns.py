"""Baits and their controls: designs in which what is bound is told from what sticks."""

from __future__ import annotations

import pandas as pd

from nereus.tools.proteomics.profile import words
from nereus.tools.proteomics.profile.columns import COMPARED, Column

COLUMNS = ["bait", "rank", "factor", "level", "control", "n_bait", "n_control", "cue", "testable", "why"]
MIN_REPLICATES = 2


def pulldown_table(
    columns: list[Column],
    levels: dict[str, pd.Series],
    subjects: pd.Series,
    genes: set[str],
    share_exclusive: dict[str, float],
) -> pd.DataFrame:
    """Levels that may be baits, each with its control.

    A factor holds baits when its name says so (``cue`` ``named``), when half of its levels other than the control are
    genes of the table (``genes``), or, as a mere possibility that only the user's words can confirm, when a control
    level stands beside others (``possible``).

    Parameters
    ----------
    columns, levels, subjects
        Roles, level of each unit, subject of each unit.
    genes
        Upper-case gene symbols of the features.
    share_exclusive
        Factor -> share of the features that one level always shows and another never does.

    Returns
    -------
    pandas.DataFrame
        ``bait`` (factor: level), ``rank, factor, level, control`` (empty where no level reads like one: then the
        other baits are each bait's control), ``n_bait, n_control, cue, testable, why``.
    """
    rows: list[dict[str, object]] = []
    for column in columns:
        if (
            column.role not in COMPARED
            or column.composite
            or column.usual_covariate
            or len(column.levels) < 2
        ):
            continue
        values = levels[column.name]
        sizes = {level: int(subjects[(values == level).to_numpy()].nunique()) for level in column.levels}
        control = next((level for level in column.levels if words.is_bait_control(level)), "")
        others = [level for level in column.levels if level != control]
        measured = [level for level in others if words.bait_gene(level) in genes]
        if set(words.tokens(column.name)) & words.BAIT:
            cue, why = "named", f"{column.name!r} names baits"
        elif len(others) >= 2 and len(measured) >= max(2, len(others) / 2):
            cue, why = "genes", f"{len(measured)} of its levels are genes of the table"
        elif control and share_exclusive.get(column.name, 0.0) > 0:
            cue, why = (
                "possible",
                f"{control!r} reads like a control, and some features are seen beside it only",
            )
        else:
            continue
        for level in others:
            n_control = sizes[control] if control else sum(sizes[one] for one in others if one != level)
            rows.append(
                {
                    "bait": f"{column.name}: {level}",
                    "rank": 0,
                    "factor": column.name,
                    "level": level,
                    "control": control,
                    "n_bait": sizes[level],
                    "n_control": n_control,
                    "cue": cue,
                    "testable": sizes[level] >= MIN_REPLICATES and n_control >= MIN_REPLICATES,
                    "why": why if control else f"{why}; without a control, the other baits are",
                }
            )
    order = {"named": 0, "genes": 1, "possible": 2}
    rows.sort(key=lambda row: (not row["testable"], order[str(row["cue"])]))
    for place, row in enumerate(rows, 1):
        row["rank"] = place
    return pd.DataFrame(rows, columns=COLUMNS)
