"""Rules that understand how a question is to be asked again: adjusted, prepared otherwise, without some samples."""

from __future__ import annotations

import re
from typing import Any

from nereus.agents.chat.actions.again import methods_of
from nereus.agents.chat.grammar.base import Call, has
from nereus.agents.chat.lookup import columns_named, folded, nearest
from nereus.agents.chat.slots import (
    entity_named,
    runs_named,
    samples_named,
)
from nereus.agents.chat.vocabulary import Vocabulary

_ADJUST = re.compile(
    r"\b(adjust\w*|control(?:l?ing|led)?(?= for)|correct(?:ing|ed|ion)?(?= for)|account\w*(?= for)|"
    r"tak\w+(?=.*\binto account)|"
    r"into account|regress\w*(?= out)|covariates?|confound\w*|correcting|independent(?:ly)? of|"
    r"(?:explained|driven|caused) by|"
    r"(?:artefact|artifact|because|regardless|effect) of|due to|depends? on|hold\w* (?:age|sex)|"
    r"same \w+ constant)\b"
)
_WEAKLY = has(r"^(?:explained|driven|caused|artefact|artifact|because|regardless|effect|due|depends?)\b")
_NOT = re.compile(
    r"\b(without|not|no|skip\w*|drop\w*|omit\w*|leav\w+ out|remov\w+|exclud\w+|ignor\w+|discard\w*|"
    r"throw\w* (?:out|away))\b|\bunadjusted\b|n't\b"
)
_PREPARATION = {
    "impute": r"\bimput\w*\b",
    "correct_batch": r"\bbatch[- ]?correct\w*\b|\bcorrect_batch\b|\bcombat\b|\bbatch effect removal\b",
    "normalise": r"\bnormali[sz]\w*\b",
    "filter_features": r"\bfilter\w*\b",
    "aggregate_replicates": r"\baggregat\w*\b",
}
_AGAIN = has(
    r"\b(try|redo|repeat|again|what if|rerun|re-run|recompute|instead|use|using|with|without|skip|do)\b"
)


def reanalyse_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: reanalyse."""
    args: dict[str, Any] = {}
    unsaid = part
    denied = _NOT.search(t)
    adjusts = _ADJUST.search(t)
    explained = re.search(r"\b(?:could|can|does|is|might|would) (.+) (?:explain|cause|drive|account)\b", t)
    # A column that could be behind it is adjusted for; that is how it is answered.
    if adjusts is None and explained and columns_named(explained[1], list(v.columns())):
        adjusts = explained
    asked = [one.key for one in columns_named(part, list(v.columns()))] if adjusts else []
    if adjusts and _WEAKLY(adjusts[0]) and not asked:
        adjusts = None  # "because of", "due to": an adjustment only where a column is named
    if adjusts and not re.search(r"\bwhat\b.*\b(was|were|did)\b.*adjust", t):
        args |= _covariates(part, t, v, adjusts.start())
        if not args:
            return None
        if runs := runs_named(part):
            args["run"] = runs[0]
        named = {folded(one) for key in ("adjust_for", "not_for") for one in args.get(key, ())}
        entity = entity_named(without_columns(part, v), v)
        if entity and folded(entity) not in named:
            args["entity"] = entity
        return [("reanalyse", args)]
    for tool, pattern in _PREPARATION.items():
        if not re.search(pattern, t):
            continue
        choices = methods_of(tool)
        chosen = next(
            (
                one
                for one in sorted(choices, key=len, reverse=True)
                if one != "none" and re.search(rf"\b{one.replace('_', '[ _-]')}\b", t)
            ),
            "",
        )
        if chosen and not denied:
            args["params"] = {tool: {"method": chosen}}
        elif denied and tool == "normalise":
            args["params"] = {tool: {"method": "none"}}
        elif denied:
            args["without"] = [tool]
        elif choices and (other := re.search(r"\b(?:use|using|with|by|try)\s+(\w+)\s+" + pattern, t)):
            args["params"] = {tool: {"method": other[1]}}
    if args and (denied or _AGAIN(t)):
        return [("reanalyse", args)]
    leaves = re.search(
        r"\b(leav\w+ out|exclud\w+|without|remov\w+|drop\w*|omit\w*|discard\w*|throw\w* (?:out|away)|"
        r"get rid of|ignor\w+)\b",
        t,
    )
    if leaves:
        named_samples = [
            one for one in samples_named(unsaid[leaves.end() :]) if not v.known_entities.find(one)
        ]
        if named_samples and (
            re.search(r"\bsamples?\b", t)
            or any("_" in one or one[0].islower() or "-" in one for one in named_samples)
        ):
            return [("reanalyse", {"exclude_samples": named_samples})]
        rest = part[leaves.end() :].strip(" ?.!")
        near = (
            nearest(rest.split()[0], ["imputation", "normalisation", "normalization", "adjustment"])
            if rest.split()
            else []
        )
        if near:
            tool = "impute" if near[0].startswith("imp") else "normalise"
            if near[0] == "adjustment":
                return [("reanalyse", {"not_for": ["all"]})]
            return [
                (
                    "reanalyse",
                    {"without": [tool]} if tool == "impute" else {"params": {tool: {"method": "none"}}},
                )
            ]
    return None


def _covariates(part: str, t: str, v: Vocabulary, at: int) -> dict[str, Any]:
    """Columns to adjust for, or not to."""
    columns = list(v.columns())
    denied = re.search(
        r"\b(without|not|no|don't|do not|skip\w*|drop\w*|omit\w*|remov\w+|instead of)\b(?:\s+(?:any|"
        r"the|to))?\s*"
        r"(?:adjust\w*|control\w*|correct\w*|account\w*|covariates?)|\bunadjusted\b|"
        r"adjust\w* for (?:nothing|no)\b|n't adjust",
        t,
    )
    both = re.search(r"\b(?:and|but|while)\b.*\b(?:not|without)\b", t[at:]) if not denied else None
    found = columns_named(part, columns)
    if denied:
        before, after = part[: denied.start()], part[denied.end() :]
        if not columns_named(after, columns) or re.search(r"\b(anything|nothing|all|any)\b", t):
            named_after = _words_after(after)
            if named_after and not re.search(r"\b(anything|nothing|all|any|at all|adjustment)\b", t):
                return {"not_for": [named_after]}
            made: dict[str, Any] = {"not_for": ["all"]}
        else:
            made = {"not_for": [one.key for one in columns_named(after, columns)]}
        earlier = columns_named(before, columns)
        if earlier and _ADJUST.search(t[: denied.start()]):
            made["adjust_for"] = [one.key for one in earlier]
        return made
    if both:
        cut = at + both.start()
        wanted = [one.key for one in columns_named(part[:cut], columns)]
        unwanted = [one.key for one in columns_named(part[cut:], columns)]
        return {name: keys for name, keys in (("adjust_for", wanted), ("not_for", unwanted)) if keys}
    if found:
        return {"adjust_for": [one.key for one in found]}
    named = _words_after(part[at:])
    return {"adjust_for": [named]} if named else {}


def _words_after(text: str) -> str:
    """What is adjusted for, as it is written, where it is no column."""
    found = re.search(r"(?:for|of|out)\s+(?:the\s+)?(.+)$", text.strip(" ?.!"))
    return found[1].strip(" ?.!")[:60] if found else ""


def without_columns(part: str, v: Vocabulary) -> str:
    """A question without the names of columns in it, which may be written like genes."""
    for one in columns_named(part, list(v.columns())):
        part = re.sub(rf"(?<!\w){re.escape(one.written)}(?!\w)", " ", part)
    return part
