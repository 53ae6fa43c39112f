"""Survival: which follow-up time belongs to the event, and how many events there are."""

from __future__ import annotations

import pandas as pd


def time_of_event(times: list[str], levels: dict[str, pd.Series], events: list[str]) -> str | None:
    """The follow-up time that belongs to the event: survival where the event is death, else the first."""
    if not times:
        return None
    if events and set(levels[events[0]].dropna().str.lower()) & {
        "alive",
        "dead",
        "deceased",
        "died",
        "living",
        "death",
    }:
        for name in times:
            if "surviv" in name.lower() and "free" not in name.lower():
                return name
    return times[0]


def count_events(levels: dict[str, pd.Series], events: list[str]) -> int | None:
    """How many units had the event; None without an event column."""
    if not events:
        return None
    quiet = {"alive", "living", "censored", "0", "no", "false"}
    known = levels[events[0]].dropna()
    return int((~known.str.lower().isin(quiet)).sum())
