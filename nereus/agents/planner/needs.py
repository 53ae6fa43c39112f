"""What a question must name to be asked, and which questions nobody but the run itself opens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nereus.agents.planner.companions import COHORT
from nereus.memory.records import ObjectiveKind

_K = ObjectiveKind
_CONTRAST = "contrast"
_VARIABLE = "variable"
NEEDS: dict[ObjectiveKind, tuple[str, ...]] = {
    _K.DIFFERENTIAL: (_CONTRAST,),
    _K.ASSOCIATION: (_VARIABLE,),
    _K.INTERACTION: (_CONTRAST, "second", "a_second", "b_second"),
    _K.LONGITUDINAL: ("time", "subject"),
    _K.SURVIVAL: ("time", "event", "event_level"),
    _K.DOSE_RESPONSE: ("dose",),
    _K.TARGETS: (_CONTRAST,),
    _K.DOSE_TARGETS: ("dose",),
    _K.INTERACTOME: ("factor",),
    _K.LOCALISATION: ("markers",),
    _K.POPULATIONS: (_CONTRAST,),
    _K.STATES: (_CONTRAST,),
    _K.MARKERS: ("labels",),
    _K.PANEL: (_CONTRAST,),
    _K.SIGNALLING: (_CONTRAST,),
    _K.VALIDATION: (_CONTRAST,),
    _K.MODULES: (_CONTRAST,),
    _K.CROSS_LAYER: ("layer",),
}
"""Kind -> what it names: a contrast, a variable, or entries of its design."""
OPENED_BY_THE_RUN = (_K.DATA, _K.QUALITY, _K.SYNTHESIS)
FOLLOW = (_K.PATHWAY, _K.ACTIVITY)
"""Kinds that read the table of the question that they follow from."""


def lacking(kind: ObjectiveKind, contrast: Any, variable: Any, design: Mapping[str, str]) -> list[str]:
    """Why nobody can add such a question; empty where it can be asked."""
    if kind in OPENED_BY_THE_RUN:
        return [f"questions of kind {kind.value!r} are opened by the run itself"]
    if kind in FOLLOW or (kind is _K.VALIDATION and COHORT in design):
        return [f"a question of kind {kind.value!r} follows from another one and cannot be added by itself"]
    return unnamed(kind, contrast, variable, design)


def unnamed(kind: ObjectiveKind, contrast: Any, variable: Any, design: Mapping[str, str]) -> list[str]:
    """What a question of a kind does not name although it must; empty where nothing is missing."""
    given = {name for name, value in ((_CONTRAST, contrast), (_VARIABLE, variable)) if value} | set(design)
    missing = [one for one in NEEDS.get(kind, ()) if one not in given]
    return [f"a question of kind {kind.value!r} needs {_told(missing)}"] if missing else []


def _told(missing: Iterable[str]) -> str:
    return ", ".join(
        f"a {one}" if one in (_CONTRAST, _VARIABLE) else f"{one!r} in its design" for one in missing
    )
