"""Normalised ratios of heavy and medium to light labels in MaxQuant's tables: one sample an experiment and pair of labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from nereus.tools.proteomics.readers.recognise import canonical

_RATIO = re.compile(
    r"^\s*ratio[\W_]+(?P<pair>[hm][\W_]+[lm])[\W_]+normali[sz]ed(?:(?!_{3}[1-9]\s*$)[\W_]+(?P<sample>.+?))?(?P<rest>_{3}[1-9])?\s*$",
    re.IGNORECASE,
)
_SPACED = re.compile(r"[lmh]\s", re.IGNORECASE)
_LABEL = re.compile(r"^[lmh][\W_]+", re.IGNORECASE)


def ratio_columns(header: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
    """Columns of normalised ratios by what stands behind them (``___1`` of site tables, or ""): (sample, column).

    Of three labels the ratios to the light one are taken; the third follows from them.

    >>> ratio_columns(["Ratio H/L A", "Ratio H/L normalized A", "Ratio H/L normalized B", "Ratio H/L count A"])
    {'': [('A', 1), ('B', 2)]}
    """
    found: list[tuple[str, str, str, int]] = []
    for j, name in enumerate(header):
        if match := _RATIO.match(name):
            pair = re.sub(r"[\W_]+", "/", match["pair"]).upper()
            found.append((match["rest"] or "", pair, match["sample"] or "", j))
    # The total over the experiments stands beside them.
    if any(sample for _, _, sample, _ in found):
        found = [one for one in found if one[2]]
    pairs = {pair for _, pair, _, _ in found}
    if {"M/L", "H/L"} <= pairs:
        found = [one for one in found if one[1] != "H/M"]
        pairs.discard("H/M")
    columns: dict[str, list[tuple[str, int]]] = {}
    for rest, pair, sample, j in found:
        name = sample if len(pairs) == 1 and sample else f"{sample} {pair}".strip()
        columns.setdefault(rest, []).append((name, j))
    return columns


def labels_of_samples(samples: Sequence[str]) -> list[str]:
    """Samples that are one label of an experiment: ``L A`` and ``H A`` with each other, or beside their sum ``A``.

    >>> labels_of_samples(["A", "L A", "H A"]), labels_of_samples(["L_1", "L_2", "H_1"])
    (['L A', 'H A'], [])
    """
    keys = {canonical(sample) for sample in samples}
    # MaxQuant writes a space behind the label; samples called L_1 and H_1 may be low and high doses.
    spaced = Counter(canonical(name[2:]) for name in samples if _SPACED.match(name))
    experiments = keys | {name for name, count in spaced.items() if count > 1}
    return [name for name in samples if _LABEL.match(name) and canonical(_LABEL.sub("", name)) in experiments]
