"""Texts of a language model: every number is a reference that the report can resolve, and nothing else is in braces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nereus.agents.policies.base import EvidenceGroup
from nereus.agents.reporter.formats import format_value
from nereus.agents.reporter.render import holds_no_reference, references, uncovered_numbers
from nereus.errors import UnresolvedNumber

_INTERVAL = ("effect", "ci_low", "ci_high")
_ONE = 1.0


def text_faults(
    text: str, names: Iterable[str], known: Mapping[str, Any] | None = None, intervals: Iterable[str] = ()
) -> list[str]:
    """What is wrong with a text; empty where the report can render it.

    Parameters
    ----------
    text
        The text with its references.
    names
        Names that may hold digits.
    known
        What may be referred to: source -> its value; None where the text may hold no reference at all.
    intervals
        Sources that may be cited with the format ``ci``.
    """
    sources, told = known or {}, [name for name in names if name]
    with_interval = set(intervals)
    found = []
    for source, spec in references(text):
        if source not in sources:
            found.append(
                f"{source} is not its evidence" if sources else f"a reference ({source}) has no place here"
            )
            continue
        ci = spec == "ci" or spec.startswith("ci ")
        if ci and source not in with_interval:
            found.append(f"{source} has no interval")
            continue
        try:
            format_value(_ONE if ci else sources[source], spec[2:].strip() if ci else spec)
        except (UnresolvedNumber, ValueError, TypeError, OverflowError):
            found.append(f"{source} cannot be written in the format {spec!r}")
    if holds_no_reference(text, told):
        found.append("what stands in double braces is no reference")
    return found + [f"the number {one!r} has no reference" for one in uncovered_numbers(text, told)]


def evidence_text_faults(text: str, group: EvidenceGroup, names: Iterable[str]) -> list[str]:
    """The same for a text about an evidence group, which may cite the group's evidence."""
    known = {identity: group.values.get(role, _ONE) for role, identity in group.evidence.items()}
    whole = all(role in group.evidence for role in _INTERVAL)
    return text_faults(text, names, known, [group.evidence[role] for role in _INTERVAL] if whole else ())
