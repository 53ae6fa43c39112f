"""Rules about runs, what they found, figures and files."""

from __future__ import annotations

import re
from typing import Any

from nereus.agents.chat.grammar.again import without_columns
from nereus.agents.chat.grammar.base import Call, has
from nereus.agents.chat.lookup import folded
from nereus.agents.chat.slots import (
    NUMBERS,
    count_named,
    direction_named,
    entities_named,
    entity_named,
    runs_named,
)
from nereus.agents.chat.vocabulary import DATASET, Vocabulary


def status_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: status."""
    if re.search(
        r"\bhow(?:'s| is) (?:it|the run|the analysis|that)(?: going| doing| coming)?\b|\bstatus\b|"
        r"\bprogress\b|\bdone yet\b|"
        r"\b(?:are|is) (?:you|it|the run|we|that)(?: all)? (?:done|finished|ready|still running|"
        r"running)\b|\bhow far\b|"
        r"\bhow (?:much )?longer?\b|\bstill running\b|\bready yet\b|\bany news\b|\bis (?:it|"
        r"that) over\b|\bhas (?:it|the run) (?:ended|finished|stopped)\b",
        t,
    ):
        runs = runs_named(part)
        return [("run_status", {"run": runs[0] if runs else ""})]
    return None


def cancel_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: cancel."""
    if len(t) < 60 and (
        re.match(r"(please |can you |could you )?(stop|cancel|abort|kill|end|halt|quit)\b", t)
        or re.search(
            r"\b(stop|cancel|abort|kill|terminate|interrupt|end)\b.*\b(it|runs?|analysis|job|that|this)\b", t
        )
    ):
        runs = runs_named(part)
        return [("cancel_run", {"run": runs[0] if runs else ""})]
    return None


def start_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: start."""
    asks = (
        re.match(
            r"(?:please |can you |could you |now |ok |okay |let's |lets |go and )*(?:re-?)?(?:analy[sz]e|"
            r"explore|investigate|examine|"
            r"run (?:it|a |an |the analysis|discover|nereus)|start\b|process\b|mine\b|go$|(?:look|"
            r"search) for\b.*\b(?:in|within)\b|kick off|launch|begin|do (?:a|an|the) (?:run|analysis)|"
            r"go ahead|discover)",
            t,
        )
        or re.search(
            r"\blook (?:at|through) (?:my|the|this|these)\b.*\b"
            r"(?:differ\w*|chang\w+|find|found|interesting|stands?|significant)\b",
            t,
        )
        or re.search(
            r"\b(?:run|do|perform|start|make) (?:me )?(?:an?|the|another) (?:new |full |"
            r"whole )?(?:analysis|run|discovery)\b",
            t,
        )
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
    if budget := budget_named(t):
        args["budget"] = budget
    question = re.search(r"[:?]\s*(\S.*)$", part) or re.search(
        r"(?:to (?:find|see|learn|know)(?: out)?|and ask|with the question)\s+(.+)$", part
    )
    if question:
        args["question"] = question[1].strip()
    return [("start_run", args)]


_LIMITS = {"objectives": "questions?|objectives?", "steps": "steps", "hypotheses": "hypothes[ei]s"}


def budget_named(t: str) -> list[str]:
    """Limits of a run that are said: ``at most 2 questions``, ``10 minutes``."""
    found = []
    for name, word in _LIMITS.items():
        if said := re.search(rf"\b(\d{{1,3}}|[a-z]+) (?:{word})\b", t):
            number = int(said[1]) if said[1].isdigit() else NUMBERS.get(said[1])
            found += [f"{name}={number}"] if number else []
    if said := re.search(r"\b(\d{1,3}) (minutes?|min|seconds?|s|hours?|h)\b", t):
        seconds = int(said[1]) * {"m": 60, "s": 1, "h": 3600}[said[2][0]]
        found.append(f"wall_s={seconds}")
    return found


def table_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: table."""
    sorts = re.search(r"\b(?:sort|order|rank)(?:ed)?\b.*\bby (?:the )?(-?\w+)", t)
    if not (re.search(r"\btable\b|\brows of\b", t) or sorts) or re.match(
        r"(process|analy[sz]e|describe|what is in)\b", t
    ):
        return None
    args: dict[str, Any] = {}
    if sorts:
        column = {"value": "q", "significance": "p", "size": "effect"}.get(sorts[1], sorts[1])
        falls = re.search(r"\b(?:descending|largest first|highest first|decreasing)\b", t)
        args["order_by"] = f"-{column}" if falls else column
    if asked := re.search(r"\brows? (\d{1,6})(?:\s*(?:to|-|until|through)\s*(\d{1,6}))?", t):
        first, last = int(asked[1]), int(asked[2] or asked[1])
        args |= {"start": max(0, first - 1), "n": max(1, min(20, last - first + 1))}
    outputs = list(v.outputs())
    for name in sorted(outputs, key=len, reverse=True):
        if folded(name) in t:
            return [("read_table", {"table": name, **args})]
    if sorts:
        return None
    found = re.search(r"\b(\w+) table\b|\btable (?:of |called )?(?:the )?[`'\"]?([\w:]+)", t)
    if found and (found[1] or found[2]) not in ("the", "a", "this", "that", "my", "our", "sample", "data"):
        return [("read_table", {"table": found[1] or found[2], **args})]
    return None


_KINDS = {
    "volcano": r"\bvolcano\w*\b",
    "pca": r"\bpca\b|\bprincipal components?\b|\bmain components?\b",
    "heatmap": r"\bheat ?maps?\b",
    "missingness": r"\bmissing(?:ness| values| data)\b",
}
_DRAWS = re.compile(
    r"\b(show me|let me see|can i see|want to see|like to see|have a look|show it|show that|show this|"
    r"plots?|plotted|box-?plots?|violins?|figures?|pictures?|graphs?|charts?|visuali[sz]\w*|draw|diagram|image)\b"
)


def show_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: show."""
    kind = next((name for name, pattern in _KINDS.items() if re.search(pattern, t)), "")
    draws = _DRAWS.search(t)
    if kind and (kind != "missingness" or draws):
        return [("show", {"kind": kind, "about": part[:300]})]
    if draws is None and not re.match(r"(show|display|see)\b", t):
        return None
    if re.search(r"\blook at (?:my|the|this|these) (?:data|files?|tables?|samples?)\b", t):
        return None
    if _FINDS(t) or _TOPS(t):
        return None
    entity = entity_named(part, v)
    if draws is None and not entity:
        return None
    return [("show", {"kind": "auto", "entity": entity, "about": part[:300]})]


def report_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: report."""
    if re.search(r"\breport\b|\bnotebook\b|\bdownload\b|\bpdf\b|\bhtml\b", t):
        runs = runs_named(part)
        return [("report", {"run": runs[0] if runs else ""})]
    return None


_FINDS = has(
    r"\b(found|find out|findings?|results?|hypothes\w*|came out|come of it|conclusions?|discover(?:ed|"
    r"ies)|refuted|outcome|"
    r"take[- ]?aways?|insights?|claims?|learned|tell me what|interesting|bottom line|summar(?:y|ise|"
    r"ize)|highlights?|noteworthy|upshot|"
    r"headlines?|key points?)\b|\bwhat did you find\b|\bwhat do you see\b|\bwhat is (?:new|interesting)\b"
)


def findings_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: findings."""
    if not _FINDS(t):
        return None
    if entity_named(part, v) and not re.search(r"\b(hypothes|results|findings)", t):
        return None
    args: dict[str, Any] = {}
    if number := count_named(part):
        args["n"] = max(1, min(40, number))
    elif re.search(r"\b(more|all|every)\b", t):
        args["n"] = 20
    if re.search(
        r"\brefuted\b|\b(?:did|does|do) ?n[o']t hold|\bnot hold|\bfailed|\brejected|\bwrong\b|\bfalse\b|\bnot true\b|"
        r"\bdisproved|\bincorrect",
        t,
    ):
        args["refuted"] = True
    if runs := runs_named(part):
        args["run"] = runs[0]
    return [("findings", args)]


_TOPS = has(
    r"\b(top|most|strongest|best|biggest|largest|how many|number of|count|which|what|list|"
    r"name|give|show)\b.*\b(proteins?|genes?|features?|markers?|hits?|significant|"
    r"differential\w*|regulated|up-?regulated|down-?regulated)\b"
)


_MEASURED = has(
    r"\bhow many\b.*\b(proteins?|genes?|features?|peptides?)\b.*\b(quantified|measured|detected|"
    r"identified|in (?:the|my|this) (?:data|file))|"
    r"\bhow many (proteins?|genes?|features?) (?:are there|do i have|does it have)$"
)


def top_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: top."""
    if not _TOPS(t) or entity_named(part, v) or _MEASURED(t):
        return None
    args: dict[str, Any] = {"about": part[:300]}
    if number := count_named(part):
        args["n"] = max(1, min(20, number))
    if way := direction_named(part):
        args["direction"] = way
    return [("top", args)]


def plan_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: plan."""
    if re.search(
        r"\bwhat (?:did|have) you (?:do|done)\b|\bsteps?\b|\bwalk me through\b|\bhow did you\b|"
        r"\bworkflow\b|\bwhat (?:was|were) done\b|"
        r"\bmethods? (?:did|used|section)\b|\bthe plan\b|\bpipeline\b|\bwhat was it adjusted\b|"
        r"\bquestions? (?:did|were)\b",
        t,
    ):
        return [("plan", {})]
    return None


def profile_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: profile."""
    if re.search(
        r"\b(?:in|about|describe|overview|profile|inspect|look at|understand|read|"
        r"summar\w+)\b.*\b(?:files?|data|data ?set|table)\b|"
        r"\bhow many (?:samples?|subjects?|patients?|groups?|people)\b|\bwhich (?:groups?|"
        r"comparisons?|contrasts?|columns?)\b|"
        r"\bwhat (?:groups?|comparisons?|contrasts?|columns?|samples?)\b|\bcan be compared\b|"
        r"\bsample sheet\b|\bhow much\b.*\bmissing\b|\bmissing values\b|\bwhat (?:is|kind of|sort of|type of) "
        r"(?:this |the )?(?:data|file)|"
        r"^profile\b|\bwhat data\b",
        t,
    ) or _MEASURED(t):
        found = DATASET.search(part)
        return [("profile", {"dataset": found[0] if found else ""})]
    return None


_ABOUT_ENTITY = has(
    r"\b(why|about|how come|is|was|does|do|did|has|are|what|how|whats|explain|tell|significant|sure|cause|reason|"
    r"evidence|changes?|affected|regulated|and)\b"
)
_FOLLOWS = has(
    r"\b(why|how sure|how certain|confident|confidence|caveats?|alternativ\w*|else could explain|"
    r"trust|next experiment|what would test|"
    r"reliable|certain|explain (?:it|that|this)|more about (?:it|that|this)|still (?:there|"
    r"significant|up|down))\b"
)


def explain_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: explain."""
    plain = without_columns(part, v)
    entity = entity_named(plain, v)
    if entity and (len(part.split()) <= 3 or _ABOUT_ENTITY(t) or re.match(r"compare\b", t)):
        several = entities_named(plain, v)
        if len(several) < 2:
            return [("explain", _explained(entity, part))]
        places = [plain.find(one) for one in several]
        ends = [*places[1:], len(plain)]
        return [
            ("explain", _explained(one, part, plain[place:end]))
            for one, place, end in zip(several, places, ends, strict=True)
        ]
    if _FOLLOWS(t):
        return [("explain", {"entity": entity, "about": part[:300]})]
    return None


_TAKEN_FOR_GRANTED = has(r"\b(why|how come|what makes|cause|reason|did|does|is|was|has)\b")


def _explained(entity: str, part: str, own: str = "") -> dict[str, Any]:
    """What is asked of one protein; `own`: the words of a longer question that are about it."""
    args: dict[str, Any] = {"entity": entity, "about": part[:300]}
    if (way := direction_named(own or part)) and _TAKEN_FOR_GRANTED(folded(part)):
        args["direction"] = way
    return args


def help_rule(part: str, t: str, v: Vocabulary) -> list[Call] | None:
    """Understand what is said of: help."""
    if re.search(
        r"^(help|hi|hello|hey|hallo|good (?:morning|evening|day)|thanks?|thank you)\b|\bwhat (?:can|"
        r"could|do) (?:you|i) (?:do|ask|say)\b|"
        r"\bable to do\b|\bhow (?:do|can) i\b|\blost\b|\bwhat now\b|\bwho are you\b|\binstructions?\b|"
        r"^\?+$|\bhelp me\b",
        t,
    ):
        return [("help", {})]
    return None
