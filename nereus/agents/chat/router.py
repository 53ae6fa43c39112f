"""The grammar: what a question asks for, as calls of actions, without a language model.

Rules are tried in order; a rule sees the whole question and the vocabulary. What no rule takes is compared with examples
of each intent, and what is like none of them is answered with what can be asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from nereus.agents.chat.actions.again import methods_of
from nereus.agents.chat.lookup import columns_named, folded, nearest
from nereus.agents.chat.slots import (
    count_named,
    direction_named,
    entity_named,
    evidence_named,
    runs_named,
    samples_named,
    smiles_named,
)
from nereus.agents.chat.turn import Outcome, Turn
from nereus.agents.chat.vocabulary import DATASET, Vocabulary

LONGEST_QUESTION = 1000
"""Characters of a question that the grammar reads; the rest is not looked at, and the answer says so."""
LIKE = 0.42
"""Similarity to an example from which a question is taken to ask the same."""

LONGEST_WORD = 700
"""Characters of a word that are read: a structure may be long."""
_LONG = re.compile(rf"\S{{{LONGEST_WORD},}}")

Call = tuple[str, dict[str, Any]]
Rule = Callable[[str, str, Vocabulary], "list[Call] | None"]


@dataclass(frozen=True)
class Routed:
    """What a question asks for."""

    calls: list[Call] = field(default_factory=list)
    said: Outcome = field(default_factory=lambda: Outcome(text=""))
    """What is answered where there is nothing to call."""
    notices: tuple[str, ...] = ()


def route(turn: Turn, text: str) -> Routed:
    """What a question asks for, in this turn."""
    return understood(text, Vocabulary.of(turn))


def understood(text: str, vocabulary: Vocabulary) -> Routed:
    """What a question asks for."""
    head = text[: 4 * LONGEST_QUESTION]
    asked = _LONG.sub(lambda word: f"{word[0][:LONGEST_WORD]}...", " ".join(head.split()))
    if not asked:
        return Routed(said=Outcome(text="You said nothing. Say `help` to see what I can do."))
    notices: tuple[str, ...] = ()
    if len(asked) > LONGEST_QUESTION or len(text) > len(head):
        asked = asked[:LONGEST_QUESTION]
        notices = ("Only the beginning of your message was read: it is very long.",)
    calls: list[Call] = []
    for part in _parts(asked):
        found = _by_rules(part, vocabulary)
        if found is None and calls:
            continue
        if found is None:
            found = _by_rules(asked, vocabulary)
            if found is None:
                return _by_example(asked, notices)
            return Routed(found, notices=notices)
        calls += found
    if contradiction := _contradiction(calls):
        return Routed(said=Outcome(text=contradiction, names=(contradiction,)), notices=notices)
    return Routed(calls, notices=notices)


_THEN = re.compile(
    r"\s*[,;.]?\s*\b(?:and then|then|and(?=\s+(?:draw|predict|show|plot|compare|list|estimate|tell)\b))\s+",
    re.IGNORECASE,
)


def _parts(asked: str) -> list[str]:
    """Questions that are asked in one sentence."""
    if re.match(r"(?i)(please )?(remember|note)\b|.*\banaly[sz]e\b.*:", asked):
        return [asked]
    return [one for one in _THEN.split(asked) if one.strip()][:4]


def _by_rules(part: str, vocabulary: Vocabulary) -> list[Call] | None:
    lowered = folded(part).strip(" ?!.")
    for rule in RULES:
        found = rule(part, lowered, vocabulary)
        if found is not None:
            return found
    return None


def _contradiction(calls: list[Call]) -> str:
    for name, args in calls:
        if name == "reanalyse":
            both = set(args.get("adjust_for", ())) & set(args.get("not_for", ()))
            if both:
                return (
                    f"That contradicts itself: it asks to adjust for {', '.join(sorted(both))} and not to. "
                    "Say which of the two."
                )
    return ""


# ------------------------------------------------------------------------------------------------------------- rules


def _has(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: compiled.search(text) is not None


_WHERE_RUN = re.compile(
    r"\b(?:previous|last|earlier|other|first|second|two|both|these)\b.*\bruns?\b|\bruns?\b"
)


def _remember(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    found = re.match(
        r"(?i)\s*(?:please\s+)?(?:remember|note(?: down)?|keep in mind|do not forget|don't forget)\s*(?:that|:|,)\s*(.+)",
        part,
    )
    if found:
        return [("remember", {"text": found[1].strip()})]
    if re.search(r"\bwhat (?:do|did) (?:you|i) (?:remember|note)|\byour notes\b|\brecall\b", t):
        about = re.search(r"(?:about|of|on)\s+(.+)$", t)
        return [("recall", {"text": about[1] if about else ""})]
    found = re.search(r"\bforget (?:note )?(m[0-9a-f]{12})\b", t)
    return [("forget", {"note": found[1]})] if found else None


def _evidence(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    identity = evidence_named(part)
    return [("evidence", {"id": identity})] if identity else None


_PREDICT = _has(r"\b(predict\w*|estimat\w*|how soluble|solubility|forecast|how (?:toxic|lipophilic))\b")
_QUANTITY = re.compile(
    r"(?:predict\w*|estimat\w*|forecast\w*|what is|what's)\s+(?:me\s+)?(?:the\s+|its\s+|their\s+|his\s+|a\s+)*([a-z][\w -]{2,40}?)"
    r"(?:\s+(?:of|for|from|with)\b.*)?$"
)
_HOW = {"soluble": "solubility", "toxic": "toxicity", "lipophilic": "logp"}


def _predict(part: str, t: str, v: Vocabulary) -> list[Call] | None:
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


def _fit(part: str, t: str, v: Vocabulary) -> list[Call] | None:
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
        args["epochs"] = int(epochs[1])  # type: ignore[assignment]
    return [("fit_method", args)]


def _molecule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    asks = re.search(r"\b(draw|depict|sketch|structure of|looks? like|show)\b", t)
    if not asks:
        return None
    smiles = smiles_named(part, loose=asks[1] != "show")
    if smiles and not v.known_entities.find(smiles):
        return [("draw_molecule", {"smiles": smiles})]
    if re.search(r"\b(molecule|compound|structure)\b", t):
        return [("draw_molecule", {"smiles": ""})]
    return None


def _tool(part: str, t: str, v: Vocabulary) -> list[Call] | None:
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
_COMPARES = _has(r"\b(compare[sd]?|comparing|comparison|differ\w*|diff|changed|contrast|versus|vs|against)\b")


def _list(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    if _COMPARES(t) or not re.search(
        r"\b(list|show|which|what|any|give|see|have|display|are there|my|all)\b", t
    ):
        return None
    for what, pattern in _LISTED.items():
        if re.search(pattern, t) and not (what == "methods" and re.search(r"\b(did|used|use)\b", t)):
            return [("list", {"what": what})]
    return None


def _compare(part: str, t: str, v: Vocabulary) -> list[Call] | None:
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


_ADJUST = re.compile(
    r"\b(adjust\w*|control(?:l?ing|led)?(?= for)|correct(?:ing|ed|ion)?(?= for)|account\w*(?= for)|tak\w+(?=.*\binto account)|"
    r"into account|regress\w*(?= out)|covariates?|confound\w*|correcting|independent(?:ly)? of|(?:explained|driven|caused) by|"
    r"(?:artefact|artifact|because|regardless|effect) of|due to|depends? on|hold\w* (?:age|sex)|same \w+ constant)\b"
)
_WEAKLY = _has(r"^(?:explained|driven|caused|artefact|artifact|because|regardless|effect|due|depends?)\b")
_NOT = re.compile(
    r"\b(without|not|no|skip\w*|drop\w*|omit\w*|leav\w+ out|remov\w+|exclud\w+|ignor\w+|discard\w*|throw\w* (?:out|away))\b|\bunadjusted\b|n't\b"
)
_PREPARATION = {
    "impute": r"\bimput\w*\b",
    "correct_batch": r"\bbatch[- ]?correct\w*\b|\bcorrect_batch\b|\bcombat\b|\bbatch effect removal\b",
    "normalise": r"\bnormali[sz]\w*\b",
    "filter_features": r"\bfilter\w*\b",
    "aggregate_replicates": r"\baggregat\w*\b",
}
_AGAIN = _has(
    r"\b(try|redo|repeat|again|what if|rerun|re-run|recompute|instead|use|using|with|without|skip|do)\b"
)


def _reanalyse(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    args: dict[str, Any] = {}
    unsaid = part
    denied = _NOT.search(t)
    adjusts = _ADJUST.search(t)
    if adjusts is None and (
        explained := re.search(
            r"\b(?:could|can|does|is|might|would) (.+) (?:explain|cause|drive|account)\b", t
        )
    ):
        # A column that could be behind it is adjusted for; that is how it is answered.
        if columns_named(explained[1], list(v.columns())):
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
        entity = entity_named(_without_columns(part, v), v)
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
    if args and (denied or _AGAIN(t)):
        return [("reanalyse", args)]
    leaves = re.search(
        r"\b(leav\w+ out|exclud\w+|without|remov\w+|drop\w*|omit\w*|discard\w*|throw\w* (?:out|away)|get rid of|ignor\w+)\b",
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
        r"\b(without|not|no|don't|do not|skip\w*|drop\w*|omit\w*|remov\w+|instead of)\b(?:\s+(?:any|the|to))?\s*"
        r"(?:adjust\w*|control\w*|correct\w*|account\w*|covariates?)|\bunadjusted\b|adjust\w* for (?:nothing|no)\b|n't adjust",
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


def _without_columns(part: str, v: Vocabulary) -> str:
    """A question without the names of columns in it, which may be written like genes."""
    for one in columns_named(part, list(v.columns())):
        part = re.sub(rf"(?<!\w){re.escape(one.written)}(?!\w)", " ", part)
    return part


def _status(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    if re.search(
        r"\bhow(?:'s| is) (?:it|the run|the analysis|that)(?: going| doing| coming)?\b|\bstatus\b|\bprogress\b|\bdone yet\b|"
        r"\b(?:are|is) (?:you|it|the run|we|that)(?: all)? (?:done|finished|ready|still running|running)\b|\bhow far\b|"
        r"\bhow (?:much )?longer?\b|\bstill running\b|\bready yet\b|\bany news\b|\bis (?:it|that) over\b|\bhas (?:it|the run) (?:ended|finished|stopped)\b",
        t,
    ):
        runs = runs_named(part)
        return [("run_status", {"run": runs[0] if runs else ""})]
    return None


def _cancel(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    if len(t) < 60 and (
        re.match(r"(please |can you |could you )?(stop|cancel|abort|kill|end|halt|quit)\b", t)
        or re.search(
            r"\b(stop|cancel|abort|kill|terminate|interrupt|end)\b.*\b(it|runs?|analysis|job|that|this)\b", t
        )
    ):
        runs = runs_named(part)
        return [("cancel_run", {"run": runs[0] if runs else ""})]
    return None


def _start(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    asks = re.match(
        r"(?:please |can you |could you |now |ok |okay |let's |lets |go and )*(?:re-?)?(?:analy[sz]e|explore|investigate|examine|"
        r"run (?:it|a |an |the analysis|discover|nereus)|start\b|process\b|mine\b|go$|(?:look|search) for\b.*\b(?:in|within)\b|kick off|launch|begin|do (?:a|an|the) (?:run|analysis)|go ahead|discover)",
        t,
    ) or re.search(
        r"\b(?:run|do|perform|start|make) (?:me )?(?:an?|the|another) (?:new |full |whole )?(?:analysis|run|discovery)\b",
        t,
    )
    if not asks or re.search(r"\bwithout\b|\badjust", t):
        return None
    args: dict[str, Any] = {}
    if found := DATASET.search(part):
        args["dataset"] = found[0]
    else:
        for identity, name in v.datasets():
            if len(name) > 3 and folded(name) in t:
                args["dataset"] = identity
                break
    question = re.search(r"[:?]\s*(\S.*)$", part) or re.search(
        r"(?:to (?:find|see|learn|know)(?: out)?|and ask|with the question)\s+(.+)$", part
    )
    if question:
        args["question"] = question[1].strip()
    return [("start_run", args)]


def _table(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    if not re.search(r"\btable\b|\brows of\b", t) or re.match(
        r"(process|analy[sz]e|describe|what is in)\b", t
    ):
        return None
    outputs = list(v.outputs())
    for name in sorted(outputs, key=len, reverse=True):
        if folded(name) in t:
            return [("read_table", {"table": name})]
    found = re.search(r"\b(\w+) table\b|\btable (?:of |called )?(?:the )?[`'\"]?([\w:]+)", t)
    if found and (found[1] or found[2]) not in ("the", "a", "this", "that", "my", "our", "sample", "data"):
        return [("read_table", {"table": found[1] or found[2]})]
    return None


_KINDS = {
    "volcano": r"\bvolcano\w*\b",
    "pca": r"\bpca\b|\bprincipal components?\b|\bmain components?\b",
    "heatmap": r"\bheat ?maps?\b",
    "missingness": r"\bmissing(?:ness| values| data)\b",
}
_DRAWS = re.compile(
    r"\b(show me|let me see|can i see|want to see|like to see|have a look|show it|show that|show this|plots?|plotted|figures?|pictures?|graphs?|charts?|visuali[sz]\w*|draw|diagram|image)\b"
)


def _show(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    kind = next((name for name, pattern in _KINDS.items() if re.search(pattern, t)), "")
    draws = _DRAWS.search(t)
    if kind and (kind != "missingness" or draws):
        return [("show", {"kind": kind, "about": part[:300]})]
    if draws is None and not re.match(r"(show|display|see)\b", t):
        return None
    if _FINDS(t) or _TOPS(t):
        return None
    entity = entity_named(part, v)
    if draws is None and not entity:
        return None
    return [("show", {"kind": "auto", "entity": entity, "about": part[:300]})]


def _report(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    if re.search(r"\breport\b|\bnotebook\b|\bdownload\b", t):
        runs = runs_named(part)
        return [("report", {"run": runs[0] if runs else ""})]
    return None


_FINDS = _has(
    r"\b(found|find out|findings?|results?|hypothes\w*|came out|come of it|conclusions?|discover(?:ed|ies)|refuted|outcome|"
    r"take[- ]?aways?|insights?|claims?|learned|tell me what|interesting|bottom line|summar(?:y|ise|ize)|highlights?|noteworthy|upshot|"
    r"headlines?|key points?)\b|\bwhat did you find\b|\bwhat do you see\b|\bwhat is (?:new|interesting)\b"
)


def _findings(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    if not _FINDS(t):
        return None
    if entity_named(part, v) and not re.search(r"\b(hypothes|results|findings)", t):
        return None
    args: dict[str, Any] = {}
    if number := count_named(part):
        args["n"] = max(1, min(40, number))
    elif re.search(r"\b(more|all|every)\b", t):
        args["n"] = 20
    if re.search(r"\brefuted\b|\b(?:did|does|do) ?n[o']t hold|\bnot hold|\bfailed|\brejected", t):
        args["refuted"] = True
    if runs := runs_named(part):
        args["run"] = runs[0]
    return [("findings", args)]


_TOPS = _has(
    r"\b(top|most|strongest|best|biggest|largest|how many|number of|count|which|what|list|name)\b.*\b(proteins?|genes?|features?|markers?|significant|"
    r"differential\w*|regulated)\b"
)


def _top(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    if not _TOPS(t) or entity_named(part, v):
        return None
    args: dict[str, Any] = {"about": part[:300]}
    if number := count_named(part):
        args["n"] = max(1, min(20, number))
    if way := direction_named(part):
        args["direction"] = way
    return [("top", args)]


def _plan(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    if re.search(
        r"\bwhat (?:did|have) you (?:do|done)\b|\bsteps?\b|\bwalk me through\b|\bhow did you\b|\bworkflow\b|\bwhat (?:was|were) done\b|"
        r"\bmethods? (?:did|used|section)\b|\bthe plan\b|\bpipeline\b|\bwhat was it adjusted\b|\bquestions? (?:did|were)\b",
        t,
    ):
        return [("plan", {})]
    return None


def _profile(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    if re.search(
        r"\b(?:in|about|describe|overview|profile|inspect|look at|understand|read|summar\w+)\b.*\b(?:files?|data|data ?set|table)\b|"
        r"\bhow many (?:samples?|subjects?|patients?|groups?|people)\b|\bwhich (?:groups?|comparisons?|contrasts?|columns?)\b|"
        r"\bwhat (?:groups?|comparisons?|contrasts?|columns?|samples?)\b|\bcan be compared\b|\bmissing values\b|\bwhat (?:is|kind of|sort of|type of) (?:this |the )?(?:data|file)|"
        r"^profile\b|\bwhat data\b",
        t,
    ):
        found = DATASET.search(part)
        return [("profile", {"dataset": found[0] if found else ""})]
    return None


_ABOUT_ENTITY = _has(
    r"\b(why|about|how come|is|does|do|are|what|how|explain|tell|significant|sure|cause|reason|evidence|changes?|and)\b"
)
_FOLLOWS = _has(
    r"\b(why|how sure|how certain|confident|confidence|caveats?|alternativ\w*|else could explain|trust|next experiment|what would test|"
    r"reliable|certain|explain (?:it|that|this)|more about (?:it|that|this)|still (?:there|significant|up|down))\b"
)


def _explain(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    entity = entity_named(_without_columns(part, v), v)
    if entity and (len(part.split()) <= 3 or _ABOUT_ENTITY(t)):
        args = {"entity": entity, "about": part[:300]}
        if (way := direction_named(part)) and re.search(r"\b(why|how come|what makes|cause|reason)\b", t):
            args["direction"] = way
        return [("explain", args)]
    if _FOLLOWS(t):
        return [("explain", {"entity": entity, "about": part[:300]})]
    return None


def _help(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    if re.search(
        r"^(help|hi|hello|hey|hallo|good (?:morning|evening|day)|thanks?|thank you)\b|\bwhat (?:can|could|do) (?:you|i) (?:do|ask|say)\b|"
        r"\bable to do\b|\bhow (?:do|can) i\b|\blost\b|\bwhat now\b|\bwho are you\b|\binstructions?\b|^\?+$|\bhelp me\b",
        t,
    ):
        return [("help", {})]
    return None


RULES: tuple[Rule, ...] = (
    _remember, _evidence, _predict, _fit, _molecule, _tool, _list, _compare, _reanalyse, _status, _cancel, _table,
    _start, _report, _plan, _show, _findings, _top, _profile, _explain, _help,
)  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- examples

EXAMPLES: tuple[tuple[str, str], ...] = (
    ("what can you do for me", "help"),
    ("which runs do I have", "list"),
    ("analyse this data set please", "start_run"),
    ("begin with the analysis of my data", "start_run"),
    ("what does this file contain", "profile"),
    ("tell me what the data look like", "profile"),
    ("is the analysis ready", "run_status"),
    ("stop working on it", "cancel_run"),
    ("what are the most important findings", "findings"),
    ("summarise what was discovered", "findings"),
    ("what else did the analysis show", "findings"),
    ("what exactly was computed", "plan"),
    ("where can I read the report", "report"),
    ("which proteins differ most between the groups", "top"),
    ("show a figure of it", "show"),
    ("how reliable is this finding", "explain"),
)


@cache
def _examples() -> Any:
    from nereus.memory.embedding import HashedEmbedder

    embedder = HashedEmbedder()
    return embedder, embedder.embed([text for text, _ in EXAMPLES])


def _by_example(asked: str, notices: tuple[str, ...]) -> Routed:
    """The intent of the nearest example, told as a guess; or what can be asked."""
    embedder, vectors = _examples()
    similarity = vectors @ embedder.embed([asked])[0]
    best = int(similarity.argmax())
    text, intent = EXAMPLES[best]
    if float(similarity[best]) >= LIKE:
        guess = f"I was not sure what you meant, and took it as: {text}."
        return Routed([(intent, {})], notices=(*notices, guess))
    shown = asked if len(asked) <= 120 else f"{asked[:120]} ..."
    said = (
        f"I did not understand {shown!r}. I can analyse a file, say what a run found, explain one protein, compute it "
        "again with other covariates or preparation, draw figures and molecules, and compare runs. Say `help` for examples."
    )
    return Routed(
        said=Outcome(text=said, names=(shown, repr(shown), *shown.split()), failed=True), notices=notices
    )
