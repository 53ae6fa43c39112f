"""What a channel is for: lineage markers define populations, state markers change within them, others are technical.

A panel that says so (var column ``marker_class``) is believed. Otherwise the name decides: phospho-proteins, cytokines,
proliferation and apoptosis markers are states; time, scatter, DNA, beads, barcodes and viability are technical; the rest
is lineage.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nereus.tools.statistics.levels import level_text

if TYPE_CHECKING:
    from anndata import AnnData

LINEAGE, STATE, TECHNICAL, NONE = "lineage", "state", "technical", "none"

PANEL_SIZE = 200
"""A panel of antibodies has no more markers; in a transcriptome or proteome every feature may define populations."""

_WORDS = {
    "lineage": LINEAGE, "type": LINEAGE, "phenotype": LINEAGE, "cell_type": LINEAGE, "clustering": LINEAGE,
    "state": STATE, "functional": STATE, "signaling": STATE, "signalling": STATE, "cell_state": STATE,
    "technical": TECHNICAL, "none": NONE, "other": NONE, "unused": NONE,
}  # fmt: skip
"""How panels write the class."""

_TECHNICAL = re.compile(
    r"(time|event[ _-]?length|cell[ _-]?length|(fsc|ssc|fs|ss)([ _-]?[ahw])?|(fsc|ssc)[ _-].*|dna[ _-]?\d*|"
    r".*\bir(idium)?[ _-]?\(?19[13].*|(19[13])?ir(19[13])?(di)?|beads?.*|.*\b(ce140|140ce)\b.*|(ce140|140ce).*|"
    r"viab.*|live.*dead.*|l[/ _-]?d|dead|zombie.*|cisplatin.*|(19[45]pt|pt19[45]).*|barcode.*|bc[ _-]?\d+|"
    r"(10[2-8]|110)pd.*|center|offset|width|residual|file[ _-]?(number|id)?|cell[ _-]?id|event[ _-]?(number|id)?)",
    re.IGNORECASE,
)
_DETECTOR = re.compile(r".*[-_. ][AHW]")
_STATE = re.compile(
    r"(p{1,2}(?!an)-?[A-Z0-9][\w./-]*|phospho[ _-].*|p-[a-z].*|"
    r"(?i:il-?\d+[abf]?|ifn-?(g|gamma|γ|a|alpha|b|beta)?|tnf-?(a|alpha|α)?|gm-?csf|ki-?67|ikb-?a(lpha)?|c?parp|"
    r"(cleaved[ _-]?)?casp(ase)?[ _-]?\d+|granzyme.*|grz[ -]?b|gzm[ -]?b|perforin|mip-?1[ab]?|cyclin.*|idu|brdu|edu))"
)


def class_of(name: str) -> str:
    """Class of a channel by its name alone.

    Examples
    --------
    >>> [class_of(name) for name in ("CD4", "pS6", "FSC-A", "Ki-67", "IL-2", "DNA1", "IgM")]
    ['lineage', 'state', 'technical', 'state', 'state', 'technical', 'lineage']
    """
    text = name.strip()
    if _TECHNICAL.fullmatch(text):
        return TECHNICAL
    return STATE if _STATE.fullmatch(text) else LINEAGE


def marker_classes(dataset: AnnData) -> list[str]:
    """Class of every column of a cells table, in the order of var."""
    names = [str(name) for name in dataset.var_names]
    if "marker_class" not in dataset.var.columns:
        if len(names) > PANEL_SIZE:
            return [LINEAGE] * len(names)
        empty = _without_marker(dataset, names)
        return [NONE if name in empty and class_of(name) == LINEAGE else class_of(name) for name in names]
    told = [level_text(value) for value in dataset.var["marker_class"]]
    found = []
    for name, word in zip(names, told, strict=True):
        known = None if word is None else _WORDS.get(word.strip().lower())
        # A panel that says "none" of scatter and time means that they are technical.
        by_name = class_of(name)
        if known is None:
            found.append(by_name)
        else:
            found.append(TECHNICAL if known == NONE and by_name == TECHNICAL else known)
    return found


def _without_marker(dataset: AnnData, names: list[str]) -> set[str]:
    """Detectors of a flow cytometer that were read without an antibody in them: they kept the detector's name."""
    if "channel" not in dataset.var.columns:
        return set()
    channels = [str(channel) for channel in dataset.var["channel"]]
    if not any(name != channel for name, channel in zip(names, channels, strict=True)):
        return set()
    return {
        name
        for name, channel in zip(names, channels, strict=True)
        if name == channel and _DETECTOR.fullmatch(name)
    }
