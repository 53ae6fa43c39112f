"""The decisions of a run as text: who decided what, what it cost, and where a language model differs from the rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from nereus.memory.records import Decision, RunRecord

LONGEST_VALUE = 200


def decision_lines(record: RunRecord, *, differing: bool = False) -> Iterator[str]:
    """One line a decision, with the fields in which it differs from the rules below it.

    Parameters
    ----------
    record
        The run.
    differing
        Only decisions that differ from the rules, or that were left to them.
    """
    decisions = record.decisions
    for one in decisions:
        if differing and one.alternative is None and not one.fallback:
            continue
        cost = f"  {one.calls} calls, {one.tokens} tokens" if one.calls else ""
        cost += f", {one.usd:.4f} USD" if one.usd else ""
        yield f"{one.kind} {one.subject}: {one.policy}{cost}"
        if one.fallback:
            yield f"    left to the rules: {one.fallback_reason or 'no valid reply'}"
        for path, ours, theirs in differences(one):
            yield f"    {path}"
            yield f"      - rules: {theirs}"
            yield f"      + {one.policy}: {ours}"
    yield decision_summary(decisions)


def decision_summary(decisions: tuple[Decision, ...]) -> str:
    """How many decisions there were, by whom, and what they cost together."""
    asked = [one for one in decisions if one.calls]
    text = f"{len(decisions)} decisions"
    if asked:
        text += (
            f"; {len(asked)} asked a language model ({sum(one.calls for one in asked)} calls, "
            f"{sum(one.tokens for one in asked)} tokens, {sum(one.usd for one in asked):.4f} USD, "
            f"{sum(one.ms for one in asked) / 1000:.1f} s), "
            f"{sum(one.alternative is not None for one in asked)} differ from the rules, "
            f"{sum(one.fallback for one in asked)} were left to the rules"
        )
    return text


def differences(decision: Decision) -> list[tuple[str, str, str]]:
    """Where a decision differs from what the rules would have decided: (path, decided, rules)."""
    if decision.alternative is None:
        return []
    return list(_differing("", decision.payload, decision.alternative))


def _differing(path: str, ours: Any, theirs: Any) -> Iterator[tuple[str, str, str]]:
    if ours == theirs or path.endswith("scores.proxy"):
        return
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted({*ours, *theirs}):
            yield from _differing(f"{path}.{name}" if path else name, ours.get(name), theirs.get(name))
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for position, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _differing(f"{path}[{position}]", one, other)
    else:
        yield path, _short(ours), _short(theirs)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}... ({len(text)} characters)"
