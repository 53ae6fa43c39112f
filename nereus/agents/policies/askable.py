"""What a language model may ask: questions that the design can answer, as the profile computed it.

Questions that the rules propose on the same context need no proof. Any other one is held against the tables of the
profile: a comparison that is not listed there, or is refused, a variable whose rows are no independent values, an
outcome with too few events are sent back with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nereus.agents.planner.companions import COHORT
from nereus.agents.planner.needs import FOLLOW
from nereus.agents.policies.base import DecisionContext, ObjectiveDraft
from nereus.agents.policies.rules.questions.design import refused_by_check
from nereus.memory.records import Contrast, Objective, ObjectiveKind

_K = ObjectiveKind
_OF_THE_RUN = (_K.DATA, _K.QUALITY, _K.SYNTHESIS)
# Kind -> table of the profile, and which of its columns the question's design must repeat.
_LISTED: dict[ObjectiveKind, tuple[str, dict[str, str]]] = {
    _K.LONGITUDINAL: ("courses", {"time": "time", "subject": "subject"}),
    _K.SURVIVAL: ("outcomes", {"time": "time", "event": "event", "event_level": "event_level"}),
    _K.DOSE_RESPONSE: ("doses", {"dose": "dose"}),
    _K.DOSE_TARGETS: ("doses", {"dose": "dose"}),
    _K.INTERACTOME: ("pulldowns", {"factor": "factor"}),
    _K.LOCALISATION: ("organelles", {"column": "markers"}),
    _K.INTERACTION: (
        "interactions",
        {"second": "second", "a_second": "a_second", "b_second": "b_second"},
    ),
}


def question_faults(
    drafts: Iterable[ObjectiveDraft],
    embedded: Iterable[ObjectiveDraft],
    context: DecisionContext,
    *,
    child: bool = False,
) -> list[str]:
    """Why the design cannot answer what was proposed; empty where it can.

    Parameters
    ----------
    drafts
        What was proposed.
    embedded
        What the rules propose on the same context: the design allows it.
    context
        What both were made on.
    child
        Whether the questions follow from the finding of another one.
    """
    allowed: list[ObjectiveDraft | Objective] = [*embedded, *context.objectives]
    return [
        f"{draft.kind.value}: {fault}"
        for draft in drafts
        if not any(_asks_the_same(draft, one) for one in allowed)
        for fault in _faults(draft, context, child)
    ]


def _asks_the_same(draft: ObjectiveDraft, other: ObjectiveDraft | Objective) -> bool:
    """Whether a question is one of the rules' or of the run's, whatever it adjusts for and however it is worded."""
    if (draft.kind, draft.variable, draft.design) != (other.kind, other.variable, other.design):
        return False
    if draft.label not in ("", other.label):
        return False
    if draft.contrast is None or other.contrast is None:
        return draft.contrast is other.contrast
    return draft.contrast.asks_the_same(other.contrast) and draft.contrast.block == other.contrast.block


def _faults(draft: ObjectiveDraft, context: DecisionContext, child: bool) -> Iterator[str]:
    if draft.kind in _OF_THE_RUN:
        yield "such questions are opened by the run itself"
        return
    follows = draft.kind in FOLLOW or (draft.kind is _K.VALIDATION and COHORT in draft.design)
    if follows and not child:
        yield "such a question follows from the finding of another one"
    if draft.label and (draft.contrast is not None or draft.variable) and draft.kind not in _LISTED:
        yield "what compares groups or follows a variable is called by them: leave out 'label'"
    if not context.profile.tables.get("columns"):
        return  # nothing was profiled
    if draft.contrast is not None:
        yield from _contrast_faults(draft, draft.contrast, context)
    if draft.kind is _K.ASSOCIATION:
        yield from _variable_faults(str(draft.variable), context)
    if draft.kind in _LISTED:
        name, columns = _LISTED[draft.kind]
        wanted = {column: draft.design.get(role, "") for column, role in columns.items()}
        if draft.kind in (_K.INTERACTION, _K.LONGITUDINAL) and draft.contrast is not None:
            group = "first" if draft.kind is _K.INTERACTION else "group"
            wanted[group] = draft.contrast.factor
        yield from _listed_faults(name, wanted, context)


def _contrast_faults(draft: ObjectiveDraft, contrast: Contrast, context: DecisionContext) -> Iterator[str]:
    if contrast.subset:
        yield "which samples are compared is not up to you; leave out 'subset'"
    refused = refused_by_check(context, contrast.factor)
    if refused:
        yield f"{contrast.factor} {refused}"
    if draft.kind in _LISTED:
        return  # its own table says which pairs are possible
    pair = {contrast.a, contrast.b}
    row = next(
        (
            one
            for one in context.profile.tables.get("contrasts", [])
            if str(one["factor"]) == contrast.factor and {str(one["a"]), str(one["b"])} == pair
        ),
        None,
    )
    if row is None:
        yield f"the profile lists no comparison {contrast.a} vs {contrast.b} of {contrast.factor}"
        return
    block = str(row.get("block") or "") or None
    if contrast.block != block:
        yield f"'block' of {contrast.label} is {block or 'null'}: the profile says which rows are one subject's"


def _variable_faults(variable: str, context: DecisionContext) -> Iterator[str]:
    tables = context.profile.tables
    courses = tables.get("courses", [])
    if any(str(row.get("time")) == variable and row.get("repeated") for row in courses):
        yield f"the same subjects were seen at several {variable}: ask about their course"
        return
    listed = [
        row
        for name, column in (("associations", "variable"), ("courses", "time"))
        for row in tables.get(name, [])
        if str(row.get(column)) == variable
    ]
    if not any(row.get("testable") for row in listed):
        yield f"the profile lists no testable variable {variable!r}"


def _listed_faults(table: str, wanted: Mapping[str, Any], context: DecisionContext) -> Iterator[str]:
    rows = [
        row
        for row in context.profile.tables.get(table, [])
        if all(str(row.get(column) or "") == str(value) for column, value in wanted.items() if value)
    ]
    if not rows:
        told = ", ".join(f"{column} {value}" for column, value in wanted.items())
        yield f"the profile lists no such question under {table} ({told})"
    elif not any(row.get("testable", True) and not row.get("refused") for row in rows):
        yield f"the design cannot answer it: {rows[0].get('refused') or rows[0].get('why') or 'too few subjects'}"
