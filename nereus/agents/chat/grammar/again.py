"""Rules that understand how a question is to be asked again: adjusted, prepared otherwise, without some samples."""

from __future__ import annotations

import re
from typing import Any

from nereus.agents.chat.actions.again import methods_of
from nereus.agents.chat.grammar.base import Call, has
from nereus.agents.chat.lookup import columns_named, folded, level_named, nearest, parts_of
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


_CARRIES = has(r"\b(?:without|no|skip\w*|drop\w*|omit\w*)\b[^,;]*\band (?!no\b|not\b|without\b|with\b|use\b)")
"""A denial that holds on both sides of an "and": ``without imputation and batch correction``."""


def reanalyse_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: reanalyse."""
    only, left = restricted(part, v)
    if not only:
        return _otherwise(part, t, v)
    rest = _otherwise(left, folded(left).strip(" ?!."), v)
    args: dict[str, Any] = {**(rest[0][1] if rest else {}), "only": only}
    if entity := entity_named(without_columns(left, v), v):
        args["entity"] = entity
    args.setdefault("about", part[:300])
    return [("reanalyse", args)]


_NO_LINK = r"(?!(?:in|among|within|for|on|with|only|just|alone)\b)[\w'’-]+"
_UP_TO = rf"({_NO_LINK}(?: {_NO_LINK}){{0,4}}?)"
_END = r"(?=$|[,;?.!]| after\b| when\b| if\b| and\b| adjust| still\b| as well| too\b)"
_RESTRICTS = (
    re.compile(rf"\b(?:in|among|within|for|on|with) {_UP_TO} (?:only|alone){_END}", re.IGNORECASE),
    re.compile(
        rf"\b(?:restrict|limit|subset|confin)\w* (?:it |this |that |the \w+ )?(?:to|on) {_UP_TO}{_END}",
        re.IGNORECASE,
    ),
    re.compile(rf"\b(?:only|just) (?:in|among|within|for|on|with|use|using) {_UP_TO}{_END}", re.IGNORECASE),
)
_MAY_RESTRICT = (
    re.compile(rf"\b(?:only|just) {_UP_TO}{_END}", re.IGNORECASE),
    re.compile(rf"\b(?:in|among|within|for) {_UP_TO}{_END}", re.IGNORECASE),
)


def restricted(part: str, v: Vocabulary) -> tuple[dict[str, str], str]:
    """The samples that a question is about, as column and value, and the question without them.

    What plainly restricts is kept also where no column has the value: the answer then says so, in place of being about all.
    """
    for pattern in (*_RESTRICTS, *_MAY_RESTRICT):
        for found in pattern.finditer(part):
            hit = level_named(found[1], v.levels())
            left = f"{part[: found.start()]} {part[found.end() :]}".strip()
            if pattern in _RESTRICTS:
                if hit is None and (
                    columns_named(found[1], list(v.columns())) or v.known_entities.knows(found[1])
                ):
                    continue  # "only for age": a column that is adjusted for
                return ({hit[0]: hit[1]} if hit else {"": found[1]}), left
            if hit is not None and not _of_the_comparison(hit, v):
                return {hit[0]: hit[1]}, left
    return {}, part


def _of_the_comparison(hit: tuple[str, str], v: Vocabulary) -> bool:
    """Whether a value is one of the groups that are compared, or is called like one: ``in AD``."""
    compared = set(v.compared())
    words = {
        word for column in compared for one in (column, *v.levels().get(column, ())) for word in parts_of(one)
    }
    return hit[0] in compared or bool(words & set(parts_of(hit[1])))


def _otherwise(part: str, t: str, v: Vocabulary) -> list[Call] | None:
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
        clause = next((one for one in re.split(r",|;|\band\b|\bbut\b", t) if re.search(pattern, one)), "")
        if not clause:
            continue
        # "median normalisation and no imputation": what is denied is the one, not the other.
        denied_here = _NOT.search(clause) or (denied if clause == t or _CARRIES(t) else None)
        choices = methods_of(tool)
        chosen = next(
            (
                one
                for one in sorted(choices, key=len, reverse=True)
                if one != "none" and re.search(rf"\b{one.replace('_', '[ _-]')}\b", clause)
            ),
            "",
        )
        params = args.setdefault("params", {})
        if chosen and not denied_here:
            params[tool] = {"method": chosen}
        elif denied_here and tool == "normalise":
            params[tool] = {"method": "none"}
        elif denied_here:
            args.setdefault("without", []).append(tool)
        elif choices and (other := re.search(r"\b(?:use|using|with|by|try)\s+(\w+)\s+" + pattern, clause)):
            params[tool] = {"method": other[1]}
        if not params:
            del args["params"]
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
        if re.search(r"\boutliers?\b|\boutlying samples?\b", t[leaves.end() :]):
            return [("reanalyse", {"exclude_samples": ["outliers"]})]
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
    dropped = re.search(
        r"\b(?:without|no|drop\w*|skip\w*|remov\w+|omit\w*|leav\w+ out|ignor\w+|discard\w*)\b((?:(?!\band\b|\bbut\b)[^,;])*)"
        r"\b(?:covariates?|adjustment|correction)\b",
        t,
    )
    if denied is None and dropped is not None:
        left_out = [one.key for one in columns_named(dropped[1], columns)]
        return {"not_for": left_out or ["all"]}
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
