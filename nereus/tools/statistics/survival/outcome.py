"""From the sample sheet to a survival outcome: times, events, strata and covariates, or why they cannot be used."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Params
from nereus.tools.proteomics.matrix import abundance
from nereus.tools.statistics.design import build_variable_design, require_columns, subset_mask
from nereus.tools.statistics.levels import as_levels, as_numbers

if TYPE_CHECKING:
    from anndata import AnnData

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

MIN_EVENTS = 10
"""Events below which no hazard ratio is estimated; ten for each coefficient is the usual rule of thumb."""

EVENT_WORDS = frozenset(
    ("1", "true", "t", "yes", "y", "event", "dead", "death", "died", "deceased", "relapse", "relapsed", "recurrence",
     "recurred", "recurrent", "progression", "progressed", "failure", "failed", "metastasis")
)  # fmt: skip
"""Lower-case words that say that the event was seen."""
CENSORED_WORDS = frozenset(
    ("0", "false", "f", "no", "n", "none", "censored", "censoring", "alive", "living", "survived", "disease-free",
     "diseasefree", "lost", "ongoing")
)  # fmt: skip
"""Lower-case words that say that it was not seen until the end of observation."""
_NOUNS = frozenset(("event", "death", "relapse", "recurrence", "progression", "failure", "metastasis"))
_NEGATIONS = frozenset(("no", "not", "none", "never", "without", "0", "false"))
"""Words behind the name of an event that may deny it: nothing is guessed."""


class OutcomeParams(Params):
    """Which columns of the sample sheet hold the outcome, and what is held constant."""

    time: str
    """Column of the time to the event or to the last observation; above 0, any unit."""
    event: str
    """Column that says whether the event was seen: 1/0, True/False, dead/alive ..."""
    event_level: str | None = None
    """Level of `event` that stands for the event, where it is not recognised; all others are censored."""
    covariates: tuple[str, ...] = ()
    """Columns to adjust for."""
    strata: tuple[str, ...] = ()
    """Columns whose combinations have baseline hazards of their own."""
    subset: dict[str, str] = Field(default_factory=dict)
    """Keep only samples whose column equals the value."""
    subject: str | None = None
    """Column of the subject; refused when one has several samples, since each subject has one outcome."""
    min_events: int = Field(default=MIN_EVENTS, ge=2)
    """Least number of events for an analysis, and for a feature among the samples in which it has a value."""


@dataclass(frozen=True)
class Outcome:
    """A survival outcome of some samples.

    Attributes
    ----------
    samples
        Positions in obs of the samples used, ascending, shape (n,).
    time
        Times, above 0, shape (n,).
    event
        Whether the event was seen, shape (n,).
    stratum
        Integer codes of the strata, shape (n,).
    covariates
        Centred and scaled columns, shape (n, columns).
    names
        Names of the covariate columns.
    event_levels, censored_levels
        Levels of the event column that were read as event and as censored.
    n_dropped
        Samples left out because a time, event, stratum or covariate is missing.
    warnings
        What the reader should know.
    """

    samples: IntArray
    time: FloatArray
    event: BoolArray
    stratum: IntArray
    covariates: FloatArray
    names: tuple[str, ...] = ()
    event_levels: tuple[str, ...] = ()
    censored_levels: tuple[str, ...] = ()
    n_dropped: int = 0
    warnings: tuple[str, ...] = field(default_factory=tuple)

    @property
    def n_events(self) -> int:
        """Events seen."""
        return int(self.event.sum())

    def take(self, rows: IntArray) -> Outcome:
        """Outcome of some of the samples."""
        return Outcome(
            self.samples[rows],
            self.time[rows],
            self.event[rows],
            self.stratum[rows],
            self.covariates[rows],
            self.names,
            self.event_levels,
            self.censored_levels,
        )


def read_outcome(obs: pd.DataFrame, params: OutcomeParams) -> Outcome:
    """Read times and events from the sample sheet.

    Raises
    ------
    InputError
        Unknown columns; times that are no numbers or not above 0; an event column whose coding is not
        recognised; no events, or fewer than asked for; subjects with several samples; covariates that cannot
        be estimated.

    Examples
    --------
    >>> obs = pd.DataFrame({"days": range(1, 31), "status": ["dead", "alive"] * 15})
    >>> outcome = read_outcome(obs, OutcomeParams(time="days", event="status"))
    >>> outcome.n_events, outcome.event_levels
    (15, ('dead',))
    """
    where = f"survival by {params.time!r} and {params.event!r}"
    extra = [params.subject] if params.subject else []
    require_columns(obs, [params.time, params.event, *params.covariates, *params.strata, *extra], where)
    if params.time == params.event:
        raise InputError(
            f"{params.time!r} is the time and the event", where=where, mend="name two different columns"
        )
    for name in (*params.covariates, *params.strata):
        if name in (params.time, params.event):
            raise InputError(f"{name!r} is part of the outcome and also adjusted for", where=where)
    for name in params.covariates:
        if name in params.strata:
            raise InputError(
                f"{name!r} is a covariate and a stratum", where=where, mend="keep it as one of them"
            )
    kept = subset_mask(obs, params.subset, where)
    time = _times(obs, params.time, kept, where)
    event, event_levels, censored_levels, warnings = read_events(
        obs.loc[kept, params.event], params.event_level, where
    )
    seen = np.zeros(len(obs), dtype=bool)
    known = np.zeros(len(obs), dtype=bool)
    known[np.flatnonzero(kept)] = event.notna().to_numpy()
    seen[np.flatnonzero(kept)] = np.array([state is True for state in event])
    strata = [as_levels(obs[name]) for name in params.strata]
    usable = kept & known & np.isfinite(time)
    for levels in strata:
        usable &= levels.notna().to_numpy()
    unknown = int(kept.sum() - usable.sum())
    usable, notes = _with_events(obs, usable, seen, params)
    chosen, matrix, names, more = _covariates(obs, usable, params, where)
    warnings += [*notes, *more]
    n_dropped = int(kept.sum()) - len(chosen)
    if unknown:
        warnings.append(f"{unknown} samples without a time, an event state or a stratum were left out")
    n, n_events = len(chosen), int(seen[chosen].sum())
    if not n_events:
        raise InputError(
            f"all {n} samples are censored: no event was seen",
            where=where,
            mend="check which level means the event (event_level), or take another outcome",
        )
    if n_events < params.min_events:
        raise InputError(
            f"{n_events} events among {n} samples; {params.min_events} are needed",
            where=where,
            mend="take an outcome with more events, or pool strata",
        )
    _one_sample_each(obs, chosen, params, where)
    stratum = np.zeros(n, dtype=np.intp)
    if strata:
        joint = pd.Series(
            ["\x1f".join(cells) for cells in zip(*(s.iloc[chosen] for s in strata), strict=True)]
        )
        stratum = np.asarray(np.unique(joint, return_inverse=True)[1], dtype=np.intp)
        telling = _telling_events(time[chosen], seen[chosen], stratum)
        if telling < params.min_events:
            raise InputError(
                f"{telling} of {n_events} events have anyone else at risk in their stratum; {params.min_events} are "
                "needed",
                where=where,
                mend="take fewer or coarser strata",
            )
        alone = int((np.bincount(stratum, seen[chosen]) == 0).sum())
        if alone:
            warnings.append(f"{alone} of {int(stratum.max()) + 1} strata have no event and tell nothing")
    if n_events < MIN_EVENTS * (1 + matrix.shape[1]):
        warnings.append(f"{n_events} events for {1 + matrix.shape[1]} coefficients: estimates are unstable")
    return Outcome(
        chosen, time[chosen], seen[chosen], stratum, matrix, names, event_levels, censored_levels, n_dropped,
        tuple(warnings),
    )  # fmt: skip


def read_events(
    column: pd.Series, event_level: str | None, where: str
) -> tuple[pd.Series, tuple[str, ...], tuple[str, ...], list[str]]:
    """Which samples had the event: object series of True, False and None, the levels read as each, warnings."""
    levels = as_levels(column)
    present = sorted(set(levels.dropna()))
    if not present:
        raise InputError(f"column {str(column.name)!r} is empty", where=where, mend="name the event column")
    warnings: list[str] = []
    if event_level is not None:
        if event_level not in present:
            raise InputError(
                f"column {str(column.name)!r} has no level {event_level!r}",
                where=where,
                mend=f"levels are {present[:8]}",
            )
        meaning = {level: level == event_level for level in present}
    elif present == ["1", "2"]:
        meaning = {"1": False, "2": True}
        warnings.append(f"column {str(column.name)!r} is coded 1 and 2: 2 was read as the event")
    else:
        found = {level: _meaning(level) for level in present}
        unclear = [level for level in present if found[level] is None]
        if unclear:
            raise InputError(
                f"column {str(column.name)!r} does not say which level is the event: {unclear[:6]}",
                where=where,
                mend="recode it as 1 (event) and 0 (censored), or pass event_level",
            )
        meaning = {level: bool(value) for level, value in found.items()}
    events = levels.map(lambda level: None if level is None else meaning[level]).astype(object)
    events = events.where(levels.notna(), None)
    yes = tuple(level for level in present if meaning[level])
    no = tuple(level for level in present if not meaning[level])
    return events, yes, no, warnings


def _meaning(level: str) -> bool | None:
    text = level.strip().lower()
    if match := re.fullmatch(r"([01])\s*[:=]\s*.+", text):  # "1:DECEASED"
        return match.group(1) == "1"
    if text.startswith(("no ", "not ", "without ", "disease free")):
        return False
    if re.search(r"[\s-]free$", text):  # "recurrence free"
        return False
    first, *rest = re.split(r"[\s,;/(]+", text)
    if (
        first in _NOUNS and rest and rest[0] in _NEGATIONS
    ):  # "relapse not observed", beside "dead, no relapse"
        return None
    for words, meaning in ((EVENT_WORDS, True), (CENSORED_WORDS, False)):
        if text in words or first in words:
            return meaning
    return None


def _times(obs: pd.DataFrame, column: str, kept: BoolArray, where: str) -> FloatArray:
    numbers = as_numbers(obs[column])
    if numbers is None:
        raise InputError(
            f"column {column!r} is not numeric",
            where=where,
            mend="give times as numbers, in one unit throughout",
        )
    time = numbers.to_numpy(dtype=np.float64).copy()
    if np.isinf(time[kept]).any():
        raise InputError(f"column {column!r} holds an infinite time", where=where, mend="correct the sheet")
    wrong = kept & (time <= 0)
    if wrong.any():
        shown = ", ".join(f"{obs.index[i]!s} ({time[i]:g})" for i in np.flatnonzero(wrong)[:3])
        raise InputError(
            f"{int(wrong.sum())} times of {column!r} are not above 0: {shown}",
            where=where,
            mend="correct the sheet, or leave these samples out",
        )
    if not np.isfinite(time[kept]).any():
        raise InputError(f"column {column!r} holds no time", where=where, mend="name another column")
    return np.asarray(time, dtype=np.float64)


def _covariates(
    obs: pd.DataFrame, usable: BoolArray, params: OutcomeParams, where: str
) -> tuple[IntArray, FloatArray, tuple[str, ...], list[str]]:
    rows = np.flatnonzero(usable)
    if not params.covariates:
        return rows, np.zeros((len(rows), 0)), (), []
    sheet = obs.iloc[rows]
    # The design code reads, scales and checks covariates; a random column stands in for the tested feature.
    stand_in = np.random.default_rng(0).normal(size=len(sheet))
    name = "the tested feature"
    try:
        design = build_variable_design(sheet.assign(**{name: stand_in}), name, params.covariates)
    except InputError as error:
        raise InputError(error.what, where=where, mend=error.mend) from None
    return rows[design.samples], design.matrix[:, 2:], design.names[2:], list(design.warnings)


def _telling_events(time: FloatArray, seen: BoolArray, stratum: IntArray) -> int:
    """Events at which another sample of the stratum was at risk: the others tell nothing."""
    later = [int(((time >= time[i]) & (stratum == stratum[i])).sum()) for i in np.flatnonzero(seen)]
    return int(np.sum(np.array(later) > 1))


def _with_events(
    obs: pd.DataFrame, usable: BoolArray, seen: BoolArray, params: OutcomeParams
) -> tuple[BoolArray, list[str]]:
    """Samples without those of a covariate's level that saw no event.

    The likelihood of such a level has no maximum: its hazard goes to zero, and with it the weight of its samples in
    every risk set. Without them the other coefficients are those of that limit.
    """
    complete = usable.copy()
    for name in params.covariates:
        complete &= as_levels(obs[name]).notna().to_numpy()
    notes = []
    left = usable.copy()
    for name in params.covariates:
        if pd.api.types.is_numeric_dtype(obs[name]) and not pd.api.types.is_bool_dtype(obs[name]):
            continue
        levels = as_levels(obs[name])
        with_event = set(levels[complete & seen])
        for level in sorted(set(levels[complete]) - with_event):
            here = (levels == level).to_numpy() & complete
            notes.append(
                f"{int(here.sum())} samples with {name} = {level!r} saw no event: beside this covariate they tell "
                "nothing and were left out"
            )
            left &= ~here
    return (left if (left & seen).any() else usable), (notes if (left & seen).any() else [])


def _one_sample_each(obs: pd.DataFrame, chosen: IntArray, params: OutcomeParams, where: str) -> None:
    if params.subject is None:
        return
    owners = as_levels(obs[params.subject].iloc[chosen]).dropna()
    twice = owners[owners.duplicated()]
    if len(twice):
        raise InputError(
            f"{twice.nunique()} subjects have several samples, such as {twice.iloc[0]!r}; each has one outcome",
            where=where,
            mend="average the samples of a subject first (aggregate_replicates)",
        )


def outcome_values(dataset: AnnData, outcome: Outcome) -> FloatArray:
    """Log2 abundances of the samples of an outcome, shape (features, samples); feature ids must be unique."""
    if not dataset.var_names.is_unique:
        twice = dataset.var_names[dataset.var_names.duplicated()]
        raise InputError(
            f"{len(twice)} feature ids are duplicated, such as {str(twice[0])!r}",
            mend="make them unique when loading",
        )
    return np.ascontiguousarray(abundance(dataset)[outcome.samples].T)
