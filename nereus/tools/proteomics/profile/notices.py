"""What would mislead: designs that cannot answer a question, and matrices that need care."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nereus.tools.proteomics.profile import words
from nereus.tools.proteomics.profile.columns import COMPARED, Column
from nereus.tools.proteomics.profile.contrasts import INFER
from nereus.tools.proteomics.profile.missing import Linkage
from nereus.tools.proteomics.profile.unit import Unit
from nereus.tools.statistics.levels import as_levels

if TYPE_CHECKING:
    from anndata import AnnData

Notice = tuple[str, str, str, str, str]
"""Key, severity (info, warning, refuse), what it is about, text, and how to mend it."""


def notice_design(
    notices: list[Notice],
    columns: list[Column],
    contrasts: pd.DataFrame,
    confounding: pd.DataFrame,
    unit: Unit,
    obs: pd.DataFrame,
) -> None:
    """What the design cannot answer."""
    for row in confounding[(confounding["verdict"] == "cannot separate")].itertuples():
        if row.kind == "factor-batch":
            notices.append(
                (
                    f"confounded: {row.pair}",
                    "refuse",
                    row.first,
                    f"cannot separate {row.first!r} from {row.second!r}: "
                    + str(row.why).removeprefix("cannot separate; "),
                    "only samples of both groups measured in one batch could tell them apart",
                )
            )
    for column in columns:
        if column.role not in COMPARED or column.composite:
            continue
        small = [level for level in column.levels if (as_levels(obs[column.name]) == level).sum() < 2]
        if small:
            notices.append(
                (
                    f"single: {column.name}",
                    "warning",
                    column.name,
                    f"levels of {column.name!r} with one sample are not compared: {', '.join(small[:5])}",
                    "measure replicates",
                )
            )
        share = column.n_missing / max(len(obs), 1)
        if share > 0:
            notices.append(
                (
                    f"unlabelled: {column.name}",
                    "info" if share < 0.2 else "warning",
                    column.name,
                    f"{column.n_missing} of {len(obs)} rows have no value in {column.name!r} and are left out of its contrasts",
                    "complete the sample sheet",
                )
            )
    for column in columns:
        if (wrong := _no_event(column, columns, obs)) is not None:
            sample, value = wrong
            notices.append(
                (
                    f"event_coding: {column.name}",
                    "refuse",
                    column.name,
                    f"sample {sample!r} has {value!r} in {column.name!r}, but an event is 0 or 1",
                    "write 1 where the event happened, 0 where it did not, or rename the column if it is no event",
                )
            )
    for column in columns:
        if column.role == "constant" and column.n_levels == 1 and column.cue == 2:
            notices.append(
                (
                    f"one_level: {column.name}",
                    "warning",
                    column.name,
                    f"factor {column.name!r} has one level: it cannot be compared",
                    "give samples of a second level",
                )
            )
    testable = contrasts[(contrasts["refused"] == "") & ~contrasts["descriptive"].astype(bool)]
    if testable.empty:
        if contrasts.empty:
            text = "no column of the sample sheet has two levels with two or more subjects each"
            mend = "give a sample sheet with a column that names each sample's group"
        elif (contrasts["refused"] != "").all():
            text, mend = (
                "every contrast is confounded with a batch",
                "a new measurement with mixed batches is needed",
            )
        else:
            text = f"no contrast has {INFER} subjects in both groups: description only, nothing is inferred"
            mend = f"measure at least {INFER} subjects per group"
        notices.append(("no_contrast", "refuse", "design", text, mend))
    if unit.repeats in ("technical", "mixed"):
        notices.append(
            (
                "technical_replicates",
                "warning",
                unit.column or "",
                f"{len(obs)} rows are {unit.n_subjects} {words.plural(unit.word)}, measured up to {unit.most_rows} times: "
                f"{unit.why}",
                "aggregate the rows of a subject before any test (tool aggregate_replicates)",
            )
        )
    guessed = [
        c.name
        for c in columns
        if c.role in COMPARED and not c.reference_known and not c.usual_covariate and not c.composite
    ]
    if guessed:
        notices.append(
            (
                "reference_guessed",
                "info",
                ";".join(guessed),
                f"nothing says which level of {', '.join(map(repr, guessed))} is the reference: the first in order is taken",
                "the sign of an effect depends on it; name the contrast in the question",
            )
        )


def _no_event(column: Column, columns: list[Column], obs: pd.DataFrame) -> tuple[str, str] | None:
    """First sample whose number under an event's name is neither 0 nor 1, where a follow-up time stands beside it."""
    if column.composite or column.constructed or not set(words.tokens(column.name)[-1:]) & words.EVENT_NAME:
        return None
    if not any(other.name != column.name and words.follows_up(other.name) for other in columns):
        return None
    numbers = pd.to_numeric(obs[column.name], errors="coerce")
    if numbers[obs[column.name].notna()].isna().any():
        return None
    wrong = numbers[numbers.notna() & ~numbers.isin([0, 1])]
    return None if wrong.empty else (str(wrong.index[0]), f"{wrong.iloc[0]:g}")


def notice_data(
    notices: list[Notice],
    X: np.ndarray,
    samples: pd.DataFrame,
    scale: str,
    scale_why: str,
    facts: dict[str, object],
    dataset: AnnData,
    linkage: dict[str, Linkage],
    unit: Unit,
) -> None:
    """What the matrix itself warns of."""
    for row in samples[samples["outlier"]].itertuples():
        notices.append(
            (
                f"outlier: {row.sample}",
                "warning",
                row.sample,
                f"sample {row.sample!r} lies far from the others: {row.why}",
                "compare the findings with and without it",
            )
        )
    for name, found in linkage.items():
        if found.linked:
            notices.append(
                (
                    f"missing_by: {name}",
                    "warning",
                    name,
                    f"values are missing by {name!r}: {found.n_exclusive} features are always seen in one level and "
                    f"never in another, {found.share_linked:.0%} of partly missing features follow it",
                    "test detection as well, and impute nothing before testing",
                )
            )
    if scale == "log ratio":
        notices.append(
            ("log_ratio", "info", "scale", f"the values look like log ratios: {scale_why}", "none needed")
        )
    if str(facts.get("id_space", "unknown")) == "unknown" and facts:
        notices.append(
            (
                "id_space_unknown",
                "info",
                "features",
                "the kind of feature ids is unknown: enrichment is not possible",
                "give UniProt accessions or gene symbols",
            )
        )
    if np.isnan(X).mean() > 0.5:
        notices.append(
            (
                "sparse",
                "warning",
                "matrix",
                f"{np.isnan(X).mean():.0%} of the values are missing",
                "filter features before testing",
            )
        )
