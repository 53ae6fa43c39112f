"""Rules about notes, evidence, molecules, tools, lists and comparisons."""

from __future__ import annotations

import re
from typing import Any

from nereus.agents.chat.grammar.base import Call, has
from nereus.agents.chat.lookup import folded, nearest
from nereus.agents.chat.slots import (
    evidence_named,
    runs_named,
    smiles_named,
)
from nereus.agents.chat.vocabulary import DATASET, Vocabulary

_WHERE_RUN = re.compile(
    r"\b(?:previous|last|earlier|other|first|second|two|both|these)\b.*\bruns?\b|\bruns?\b"
)


def remember_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: remember."""
    found = re.match(
        r"(?i)\s*(?:please\s+)?(?:remember|note(?: to self| down)?|keep in mind|do not forget|"
        r"don't forget)\s*(?:that|:|,)\s*(.+)",
        part,
    )
    if found:
        return [("remember", {"text": found[1].strip()})]
    if re.search(
        r"\bwhat (?:do|did) (?:you|i) (?:remember|note|tell you|say|know)\b(?=.*\b(?:about|of|on|remember)|\W*$)|"
        r"\byour notes\b|\brecall\b",
        t,
    ) and not re.search(r"\bwhat do you know\b", t):
        about = re.search(r"(?:about|of|on)\s+(.+)$", t)
        return [("recall", {"text": about[1] if about else ""})]
    return None


def forget_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is to be forgotten: one note by its id or its words, or all."""
    asks = re.match(
        r"(?:please )?(?:forget|(?:delete|remove) (?:the |my |all |your )*(?:notes?|memor\w+))\b", t
    )
    if not asks:
        return None
    if found := re.search(r"\b(m[0-9a-f]{12})\b", t):
        return [("forget", {"note": found[1]})]
    if re.search(r"\b(?:everything|all|anything)\b", t):
        return [("forget", {"all_of_them": True})]
    rest = re.sub(
        r"^(?:that|what i (?:said|told you)|the note|note)?\s*(?:about|that|on)?\s*",
        "",
        t[asks.end() :].strip(),
    )
    return [("forget", {"about": rest})] if rest and rest not in ("it", "this") else None


def evidence_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: evidence."""
    identity = evidence_named(part)
    return [("evidence", {"id": identity})] if identity else None


_PREDICT = has(
    r"\b(predict\w*|estimat\w*|how soluble|solubility|forecast|how (?:toxic|lipophilic)|"
    r"is \S+ (?:toxic|soluble|lipophilic|permeable))\b"
)
_QUANTITY = re.compile(
    r"(?:predict\w*|estimat\w*|forecast\w*|what is|what's)\s+(?:me\s+)?(?:the\s+|its\s+|their\s+|"
    r"his\s+|a\s+)*([a-z][\w -]{2,40}?)"
    r"(?:\s+(?:of|for|from|with)\b.*)?$"
)
_HOW = {"soluble": "solubility", "toxic": "toxicity", "lipophilic": "logp", "permeable": "permeability"}


def predict_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: predict."""
    if not _PREDICT(t) or re.search(r"\b(fit|train|learn)\w*\b", t):
        return None
    smiles = smiles_named(part, loose=True)
    how = re.search(r"(?:how|is \S+) (soluble|toxic|lipophilic|permeable)\b", t)
    quantity = re.search(r"\b(solubility|logp|logd|toxicity|permeability|activity|binding|affinity)\b", t)
    told = _HOW[how[1]] if how else quantity[1] if quantity else ""
    if not told and (found := _QUANTITY.search(t)) and not re.match(r"(?:it|this|that|them)\b", found[1]):
        told = found[1]
    if re.match(r"is \S+ (?:toxic|soluble)", t) and not smiles and not v.molecule:
        return None
    if not (smiles or v.molecule or quantity or how or re.search(r"\b(molecule|compound|structure)\b", t)):
        return None
    calls: list[Call] = [("predict", {"smiles": smiles, "quantity": told})]
    if re.match(r"(draw|show)\b", t) and smiles:
        calls.insert(0, ("draw_molecule", {"smiles": smiles}))
    return calls


def dataset_named(part: str, t: str, v: Vocabulary) -> str:
    """Id of a data set that is named by its id or its file; empty where none is."""
    if found := DATASET.search(part):
        return found[0]
    for identity, name in v.datasets():
        if len(name) > 3 and folded(name) in t:
            return identity
    return ""


def fit_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: fit."""
    if not re.search(r"\b(fit|train|retrain)\b", t):
        return None
    named = [one for one in v.methods if re.search(rf"\b{re.escape(one)}\b", t)]
    if re.match(r"(which|what|list|how)\b", t):
        return None
    target = re.search(
        r"(?:to predict|predicting|for predicting|target)\s+(?:the\s+)?([^\s,;?]+)", part
    ) or re.search(
        r"\bmodel (?:of|for)\s+(?:the\s+)?([^\s,;?]+)|\b(?:an?|the)\s+([a-z]\w{3,})\s+(?:model|predictor)\b",
        part,
    )
    said = next((one for one in target.groups() if one), "") if target else ""
    if not named and not said and not re.search(r"\bmodel\b|\bpredictor\b", t):
        return [("list", {"what": "methods"})]
    args: dict[str, Any] = {
        "method": named[0] if named else "",
        "target": "" if said in ("new", "good", "small", "trained") else said.strip("`'\"."),
        "dataset": dataset_named(part, t, v),
    }
    if re.search(r"\b(?:full|large|big|paper'?s?|thorough\w*)\b", t):
        args["small"] = False
    if epochs := re.search(r"(\d{1,4}) epochs?", t):
        args["epochs"] = int(epochs[1])
    return [("fit_method", args)]


def molecule_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: molecule."""
    asks = re.search(r"\b(draw|depict|sketch|structure of|looks? like|show)\b", t)
    if not asks:
        return None
    smiles = smiles_named(part, loose=asks[1] != "show")
    if smiles and not v.known_entities.find(smiles):
        return [("draw_molecule", {"smiles": smiles})]
    if re.search(r"\b(molecule|compound|structure)\b", t):
        return [("draw_molecule", {"smiles": ""})]
    named = re.match(r"(?i)(?:please )?(?:draw|sketch|depict)\s+(?:me\s+)?(\S{3,})$", part.strip(" ?!."))
    if (
        named
        and not v.known_entities.find(named[1])
        and not re.search(r"pca|heat|volcano|plot|it$|that$|this$|figure", t)
    ):
        return [("draw_molecule", {"smiles": named[1][:600]})]
    return None


def action_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand which learned action is to be used."""
    found = re.search(
        r"\b(?:use|run|apply|call|try)\b.*?\b(?:learned )?action (?:called )?[`'\"]?([a-z]\w+)[`'\"]?", t
    ) or re.search(r"\b(?:use|run|apply|call|try) [`'\"]?(answer_\w+)", t)
    if not found:
        return None
    asked = re.search(r"\b(O\d{1,3})\b", part)
    return [("use_action", {"name": found[1], "about": asked[1] if asked else ""})]


def tool_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: tool."""
    named = [one for one in (*v.tools, *v.methods) if re.search(rf"(?<![\w-]){re.escape(one)}(?![\w-])", t)]
    asks = re.search(r"\b(what (?:does|is)|explain|describe|how does|tell me about|help with|about)\b", t)
    if named and asks and (re.search(r"\b(tool|method)\b", t) or "_" in max(named, key=len)):
        return [("describe_tool", {"name": max(named, key=len)})]
    found = re.search(r"\b(?:the |a )?(?:tool|method) (?:called )?[`'\"]?([a-z]\w+)[`'\"]?", t)
    if asks and found and found[1] not in ("does", "do", "is"):
        near = nearest(found[1], [*v.tools, *v.methods])
        return [("describe_tool", {"name": near[0] if near else found[1]})]
    return None


_LISTED = {
    "runs": r"\bruns\b|\banalyses\b",
    "datasets": r"\bdata ?sets\b|\bfiles\b|\buploads?\b|\buploaded\b",
    "tools": r"\btools\b",
    "methods": r"\bmethods\b",
    "models": r"\bmodels\b",
    "actions": r"\bactions\b|\blearned\b",
    "notes": r"\bnotes\b|\bmemories\b",
}
_COMPARES = has(r"\b(compare[sd]?|comparing|comparison|differ\w*|diff|changed|contrast|versus|vs|against)\b")


def list_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: list."""
    if _COMPARES(t) or not re.search(
        r"\b(list|show|which|what|any|give|see|have|display|are there|my|all)\b", t
    ):
        return None
    for what, pattern in _LISTED.items():
        if re.search(pattern, t) and not (what == "methods" and re.search(r"\b(did|used|use)\b", t)):
            return [("list", {"what": what})]
    return None


_NAMED_RUNS = re.compile(
    r"\b[Rr]uns?\s+([A-Z]|\d+|[A-Za-z]\w*\d)\b"
    r"(?:\s+(?:and|with|to|vs\.?|versus|against)\s+(?:run\s+)?(\w+))?"
)
_PLACES = has(r"^(?:it|this|that|the|previous|last|earlier|other|first|second|one|a|before|i)$")


def compare_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: compare."""
    runs = runs_named(part)
    if not _COMPARES(t) and not re.match(r"diff\b", t):
        return None
    if not runs and (named := _NAMED_RUNS.search(part)) and not _PLACES(named[1]):
        second = named[2] or ""
        return [("compare_runs", {"first": named[1], "second": "" if _PLACES(second.lower()) else second})]
    about_runs = bool(runs) or _WHERE_RUN.search(t) is not None
    if not about_runs and not re.search(r"\bcompare\b.*\b(before|earlier|previous|last|them|that|it)\b", t):
        return None
    first = runs[0] if len(runs) > 1 else ""
    second = runs[1] if len(runs) > 1 else ""
    if len(runs) == 1:
        first = runs[0]
    return [("compare_runs", {"first": first, "second": second})]
