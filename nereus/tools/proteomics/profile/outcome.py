"""Survival: which follow-up time belongs to which event, and whether there are events enough to ask."""

from __future__ import annotations

import pandas as pd

from nereus.tools.proteomics.profile import words
from nereus.tools.proteomics.profile.columns import Column
from nereus.tools.statistics.levels import as_levels, as_numbers

MIN_EVENTS = 10
"""Events below which no hazard is modelled."""
EVENTS_A_COVARIATE = 10
_COLUMNS = [
    "outcome", "rank", "time", "event", "event_level", "n", "n_events", "median_follow_up", "covariates", "testable",
    "refused", "why",
]  # fmt: skip
_QUIET = frozenset({"alive", "living", "censored", "0", "no", "false", "n", "disease free"})
_LIFE = frozenset({"alive", "dead", "deceased", "died", "living", "death"})
_VAGUE = frozenset(
    [
        "time",
        "days",
        "day",
        "months",
        "month",
        "years",
        "year",
        "event",
        "status",
        "to",
        "of",
        "free",
        "survival",
        "follow",
        "up",
        "followup",
        "until",
        "since",
        "censored",
    ]
)


def outcome_table(obs: pd.DataFrame, columns: list[Column]) -> pd.DataFrame:
    """Every follow-up time with the event that ends it.

    A time goes with an event that shares a telling word with it (``pfs_time``, ``pfs_event``); an event of life or
    death goes with a survival time that is not free of something; an only time goes with an only event.

    Parameters
    ----------
    obs
        Sample sheet, one row a subject.
    columns
        Roles.

    Returns
    -------
    pandas.DataFrame
        ``outcome`` (time | event), ``rank, time, event, event_level`` (the level that says that it happened), ``n,
        n_events, median_follow_up, covariates`` (usual ones, one for each ten events beyond the first ten),
        ``testable, refused`` (why not), ``why``.
    """
    times = [column for column in columns if column.role == "time"]
    events = [column for column in columns if column.role == "event"]
    rows: list[dict[str, object]] = []
    for event in events:
        texts = as_levels(obs[event.name])
        happened = [level for level in sorted(set(texts.dropna())) if level.lower() not in _QUIET]
        for time in times:
            numbers = as_numbers(obs[time.name])
            if numbers is None:
                continue
            known = numbers.notna() & texts.notna()
            n_events = int((known & texts.isin(happened)).sum())
            refused = _mismatch(time, event, times, events, texts)
            if not refused and (numbers[known] < 0).any():
                refused = "some of its times lie before the start of the follow-up"
            if not refused and len(happened) != 1:
                refused = "no single level says that the event happened"
            if not refused and n_events < MIN_EVENTS:
                refused = f"fewer than {MIN_EVENTS} events"
            room = max(0, n_events // EVENTS_A_COVARIATE - 1)
            rows.append(
                {
                    "outcome": f"{time.name} | {event.name}",
                    "rank": 0,
                    "time": time.name,
                    "event": event.name,
                    "event_level": happened[0] if len(happened) == 1 else "",
                    "n": int(known.sum()),
                    "n_events": n_events,
                    "median_follow_up": float(numbers[known].median()) if known.any() else float("nan"),
                    "covariates": ";".join(_covariates(obs, columns, known)[:room]),
                    "testable": not refused,
                    "refused": refused,
                    "why": f"{n_events} events among {int(known.sum())}",
                }
            )
    rows.sort(key=lambda row: (not row["testable"], -int(str(row["n_events"]))))
    for place, row in enumerate(rows, 1):
        row["rank"] = place
    return pd.DataFrame(rows, columns=_COLUMNS)


def _mismatch(
    time: Column, event: Column, times: list[Column], events: list[Column], texts: pd.Series
) -> str:
    """Why the event does not end this time; empty where it does."""
    said, spoken = set(words.tokens(time.name)), set(words.tokens(event.name))
    if (said & spoken) - _VAGUE:
        return ""
    if any((said & set(words.tokens(other.name))) - _VAGUE for other in events if other.name != event.name):
        return "another event shares its name"
    if any((spoken & set(words.tokens(other.name))) - _VAGUE for other in times if other.name != time.name):
        return f"{event.name!r} belongs to another time"
    life = bool({level.lower() for level in texts.dropna().unique()} & _LIFE) or bool(spoken & _LIFE)
    if life and not said & {"survival", "os", "death", "dead", "follow", "followup", "lived"}:
        return f"{event.name!r} says who died, which does not end {time.name!r}" if len(times) > 1 else ""
    if life and "free" in said:
        return f"{event.name!r} says who died, which does not end {time.name!r}"
    return ""


def _covariates(obs: pd.DataFrame, columns: list[Column], known: pd.Series) -> list[str]:
    found = []
    for column in columns:
        if not column.usual_covariate or column.role not in ("factor", "ordered", "continuous"):
            continue
        values = as_levels(obs[column.name])[known]
        if values.notna().mean() >= 0.95 and values.nunique() >= 2:
            found.append(column.name)
    return found


def time_of_event(outcomes: pd.DataFrame, times: list[str]) -> str | None:
    """The follow-up time that is asked about first; None without a follow-up time."""
    fitting = outcomes[outcomes["testable"].astype(bool)] if len(outcomes) else outcomes
    return str(fitting.iloc[0]["time"]) if len(fitting) else (times[0] if times else None)


def count_events(levels: dict[str, pd.Series], events: list[str]) -> int | None:
    """How many units had the event; None without an event column."""
    if not events:
        return None
    known = levels[events[0]].dropna()
    return int((~known.str.lower().isin(_QUIET)).sum())
