"""Rules about notes, evidence, molecules, tools, lists and comparisons."""

from __future__ import annotations

import re

from nereus.agents.chat.grammar.base import Call, has
from nereus.agents.chat.lookup import nearest
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
        r"(?i)\s*(?:please\s+)?(?:remember|note(?: down)?|keep in mind|do not forget|"
        r"don't forget)\s*(?:that|:|,)\s*(.+)",
        part,
    )
    if found:
        return [("remember", {"text": found[1].strip()})]
    if re.search(r"\bwhat (?:do|did) (?:you|i) (?:remember|note)|\byour notes\b|\brecall\b", t):
        about = re.search(r"(?:about|of|on)\s+(.+)$", t)
        return [("recall", {"text": about[1] if about else ""})]
    found = re.search(r"\bforget (?:note )?(m[0-9a-f]{12})\b", t)
    return [("forget", {"note": found[1]})] if found else None


def evidence_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: evidence."""
    identity = evidence_named(part)
    return [("evidence", {"id": identity})] if identity else None


_PREDICT = has(r"\b(predict\w*|estimat\w*|how soluble|solubility|forecast|how (?:toxic|lipophilic))\b")
_QUANTITY = re.compile(
    r"(?:predict\w*|estimat\w*|forecast\w*|what is|what's)\s+(?:me\s+)?(?:the\s+|its\s+|their\s+|"
    r"his\s+|a\s+)*([a-z][\w -]{2,40}?)"
    r"(?:\s+(?:of|for|from|with)\b.*)?$"
)
_HOW = {"soluble": "solubility", "toxic": "toxicity", "lipophilic": "logp"}


def predict_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: predict."""
    if not _PREDICT(t) or re.search(r"\b(fit|train|learn)\w*\b", t):
        return None
    smiles = smiles_named(part, loose=True)
    how = re.search(r"how (soluble|toxic|lipophilic)", t)
    quantity = re.search(r"\b(solubility|logp|logd|toxicity|permeability|activity|binding|affinity)\b", t)
    told = _HOW[how[1]] if how else quantity[1] if quantity else ""
    if not told and (found := _QUANTITY.search(t)):
        told = found[1]
    if not (smiles or v.molecule or quantity or how or re.search(r"\b(molecule|compound|structure)\b", t)):
        return None
    calls: list[Call] = [("predict", {"smiles": smiles, "quantity": told})]
    if re.match(r"(draw|show)\b", t) and smiles:
        calls.insert(0, ("draw_molecule", {"smiles": smiles}))
    return calls


def fit_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: fit."""
    if not re.search(r"\b(fit|train|retrain)\b", t):
        return None
    named = [one for one in v.methods if re.search(rf"\b{re.escape(one)}\b", t)]
    if not named:
        if re.match(r"(which|what|list)\b", t):
            return None
        return [("list", {"what": "methods"})]
    target = re.search(r"(?:to predict|predicting|for predicting|target)\s+(?:the\s+)?([^\s,;?]+)", part)
    dataset = DATASET.search(part)
    args = {
        "method": named[0],
        "target": target[1].strip("`'\".") if target else "",
        "dataset": dataset[0] if dataset else "",
    }
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


def compare_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: compare."""
    runs = runs_named(part)
    if not _COMPARES(t):
        return None
    about_runs = bool(runs) or _WHERE_RUN.search(t) is not None
    if not about_runs and not re.search(r"\bcompare\b.*\b(before|earlier|previous|last|them|that|it)\b", t):
        return None
    first = runs[0] if len(runs) > 1 else ""
    second = runs[1] if len(runs) > 1 else ""
    if len(runs) == 1:
        first = runs[0]
    return [("compare_runs", {"first": first, "second": second})]
