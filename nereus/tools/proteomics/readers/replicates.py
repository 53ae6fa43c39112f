"""Groups guessed from replicate names: C_R1, C_R2, D_R1 -> C, C, D."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_REPLICATE = re.compile(
    r"^(?P<group>.*?)(?:[\s_.\-]+(?:bio|tech)?(?:replicate|rep|run|set|plex|r|n))?[\s_.\-]*(?<!\d)\d{1,3}$",
    re.IGNORECASE,
)
_CHANNEL = re.compile(r"^1[1-3]\d[NC]?(?:[\W_]|$)")


def guess_groups(samples: Sequence[str]) -> list[str] | None:
    """Group of each sample, or None where the names do not tell at least two groups of two.

    >>> guess_groups(["C_R1", "C_R2", "D_R1", "D_R2"])
    ['C', 'C', 'D', 'D']
    """
    stems = [
        re.sub(r"(\.(raw|d|mzml|wiff|dia|thermo))+$", "", sample.strip(), flags=re.IGNORECASE)
        for sample in samples
    ]
    if all(_CHANNEL.match(stem) for stem in stems):
        return None  # reporter channels: what was labelled with them only a sheet can tell
    groups: list[str] = []
    for stem in stems:
        found = _REPLICATE.match(stem)
        if not found or not found["group"].strip(" _.-"):
            return None
        groups.append(found["group"].strip(" _.-"))
    sizes = Counter(groups)
    if len(sizes) < 2 or len(sizes) > len(samples) / 2 or min(sizes.values()) < 2:
        return None
    return groups
