"""Reporter channels of isobaric labels: their names in any spelling, and which of them hold no sample."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from nereus.tools.proteomics.readers.quantification import BoolArray, FloatArray

_MASS = re.compile(r"(?<!\d)(11[3-9]|12[0-9]|13[0-5])([NCnc]?)[Dd]?(?![\dA-Za-z])")
_NUMBER = re.compile(r"(?:^|[^0-9])(\d{1,2})$")
_EMPTY_WORDS = re.compile(r"^(?:unused|empty|blank|none|not[\W_]*used|n/?a)(?:[\W_]*\d+)?$", re.IGNORECASE)

BLANK_SHARE = 0.1
"""A channel is blank when its summed intensity is below this share of the upper quartile of its plex: what leaks into an
empty channel from its neighbours is a few per cent."""
_CARRIER = 10.0
"""Channels of more than so many times the median are carriers of many cells, and no measure for the others."""


def channel_of(name: str) -> str:
    """The channel that a name speaks of, "" where it names none.

    >>> [channel_of(name) for name in ("Abundance: F1: 127N, Sample", "TotInt_126C_set1", "Reporter intensity 3", "RI5")]
    ['127N', '126', '3', '5']
    """
    found = _MASS.search(name.replace("_", " "))
    if found:
        mass, kind = found.group(1), found.group(2).upper()
        return mass if mass == "126" else mass + kind
    number = _NUMBER.search(name.strip())
    return str(int(number.group(1))) if number else ""


def channel_key(name: str) -> str:
    """A channel's name for comparison: 131 of ten-plexes is 131N of larger ones.

    >>> channel_key("131"), channel_key("126C"), channel_key("Reporter.intensity.05")
    ('131N', '126', '5')
    """
    channel = channel_of(name)
    return "131N" if channel == "131" else channel


def says_empty(text: str) -> bool:
    """Whether a label says that nothing was in its channel.

    >>> says_empty("unused-1"), says_empty("Blank"), says_empty("Blanka")
    (True, True, False)
    """
    return bool(_EMPTY_WORDS.match(text.strip()))


def blank_channels(
    values: FloatArray, plexes: Sequence[str], labels: Sequence[str] | None = None
) -> BoolArray:
    """Channels without a sample, by what they are called or by their intensity.

    Parameters
    ----------
    values
        Raw intensities, shape (channels, features), NaN = missing.
    plexes
        Plex of each channel.
    labels
        What the file calls each channel, where it does.
    """
    total = np.nansum(values, axis=1)
    blank = np.zeros(len(total), dtype=bool)
    names = np.array(plexes, dtype=object)
    for plex in dict.fromkeys(plexes):
        inside = names == plex
        usual = total[inside][total[inside] <= _CARRIER * max(np.median(total[inside]), 0.0)]
        blank[inside] = (
            total[inside] < BLANK_SHARE * np.quantile(usual, 0.75) if usual.size else total[inside] == 0
        )
    if labels is not None:
        blank |= np.array([says_empty(label) for label in labels])
    return blank


def channel_columns(
    samples: Sequence[str],
    plexes: Sequence[str],
    channels: Sequence[str],
    values: FloatArray,
    labels: Sequence[str] | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Columns ``plex``, ``channel``, and ``label`` and ``blank`` where there are any, with a note on blank channels."""
    index = pd.Index(list(samples), dtype=object)
    frame = pd.DataFrame({"plex": list(plexes), "channel": list(channels)}, index=index, dtype=object)
    if labels is not None and any(label and not says_empty(label) for label in labels):
        frame["label"] = pd.Series(list(labels), index=index, dtype=object)
    blank = blank_channels(values, plexes, labels)
    if not blank.any():
        return frame, []
    frame["blank"] = blank
    names = [name for name, empty in zip(samples, blank, strict=True) if empty]
    note = f"{len(names)} channels hold (nearly) nothing and are marked in the column blank: {names[:4]}"
    return frame, [note + "; drop.blank_channel removes them"]
