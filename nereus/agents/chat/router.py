"""The grammar: what a question asks for, as calls of actions, without a language model.

Rules are tried in order; a rule sees the whole question and the vocabulary. What no rule takes is compared with examples
of each intent, and what is like none of them is answered with what can be asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from nereus.agents.chat.grammar import again, runs, things
from nereus.agents.chat.grammar.base import Call, Rule
from nereus.agents.chat.grammar.declined import declined
from nereus.agents.chat.lookup import folded
from nereus.agents.chat.turn import Outcome, Turn
from nereus.agents.chat.vocabulary import Vocabulary

LONGEST_QUESTION = 1000
"""Characters of a question that the grammar reads; the rest is not looked at, and the answer says so."""
LIKE = 0.42
"""Similarity to an example from which a question is taken to ask the same."""

LONGEST_SPLIT = 400
"""Characters from which a message is taken for one question."""
LONGEST_WORD = 700
"""Characters of a word that are read: a structure may be long."""
_LONG = re.compile(rf"\S{{{LONGEST_WORD},}}")


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
    if why := declined(asked, folded(asked).strip(" ?!."), vocabulary):
        return Routed(said=Outcome(text=why, names=(why,), failed=True), notices=notices)
    calls: list[Call] = []
    missed: list[str] = []
    for part in _parts(asked):
        found = _by_rules(part, vocabulary)
        if found is None:
            missed.append(part)
            continue
        calls += [one for one in found if one not in calls]
    if missed and len(missed) < len(_parts(asked)):
        whole = _by_rules(asked, vocabulary)
        if whole is not None and _says_more(whole, calls):
            calls, missed = whole, []  # it was one question
    if not calls:
        found = _by_rules(asked, vocabulary)
        return Routed(found, notices=notices) if found is not None else _by_example(asked, notices)
    if missed:
        told = "; ".join(repr(one[:120]) for one in missed)
        notices = (*notices, f"This part was not understood, and nothing was done about it: {told}.")
    if contradiction := _contradiction(calls):
        return Routed(said=Outcome(text=contradiction, names=(contradiction,)), notices=notices)
    return Routed(calls, notices=notices)


_THEN = re.compile(
    r"\s*[,;.]?\s*\b(?:and then|then|and also|and(?=\s+(?:draw|predict|show|plot|compare|list|estimate|tell|give|why|what|"
    r"how|which|is|does|remember)\b))\s+|(?<=[?!])\s+|(?<=[a-z)]\.)\s+(?=[A-Z])",
    re.IGNORECASE,
)


def _parts(asked: str) -> list[str]:
    """Questions that are asked in one sentence."""
    whole = (
        r"(?i)(please )?(remember|note)\b|.*\banaly[sz]e\b.*:|.*\blook (?:at|through) (?:my|the|this|these)\b"
    )
    if re.match(whole, asked) or len(asked) > LONGEST_SPLIT:
        return [asked]
    return [one for one in _THEN.split(asked) if one.strip()][:4]


def _by_rules(part: str, vocabulary: Vocabulary) -> list[Call] | None:
    lowered = folded(part).strip(" ?!.")
    for rule in RULES:
        found = rule(part, lowered, vocabulary)
        if found is not None:
            return found
    return None


def _says_more(whole: list[Call], parts: list[Call]) -> bool:
    """Whether a question read as a whole asks the same as its parts, and more of it."""
    if [name for name, _ in whole] != [name for name, _ in parts]:
        return False
    own = [{key: one for key, one in args.items() if key != "about"} for _, args in whole]
    return own != [{key: one for key, one in args.items() if key != "about"} for _, args in parts]


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


RULES: tuple[Rule, ...] = (
    things.remember_rule,
    things.evidence_rule,
    things.action_rule,
    things.forget_rule,
    things.predict_rule,
    things.fit_rule,
    things.molecule_rule,
    things.tool_rule,
    things.list_rule,
    things.compare_rule,
    again.reanalyse_rule,
    runs.status_rule,
    runs.cancel_rule,
    runs.table_rule,
    runs.start_rule,
    runs.report_rule,
    runs.plan_rule,
    runs.show_rule,
    runs.findings_rule,
    runs.top_rule,
    runs.profile_rule,
    runs.explain_rule,
    runs.help_rule,
)
"""In the order in which they are tried."""


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
    quoted = repr(shown) if any(one.isalpha() for one in shown) else "your message"
    said = (
        f"I did not understand {quoted}. I can analyse a file, say what a run found, explain one protein, compute it "
        "again with other covariates or preparation, draw figures and molecules, and compare runs. Say `help` for examples."
    )
    return Routed(
        said=Outcome(text=said, names=(shown, repr(shown), *shown.split()), failed=True), notices=notices
    )
