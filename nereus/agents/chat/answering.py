"""Outcomes as messages: numbers filled in, evidence named, what was left out told."""

from __future__ import annotations

import hashlib
import re

from langchain_core.messages import AIMessage

from nereus.agents.chat.turn import Outcome, Turn

_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_LINK = re.compile(r"\]\(")
LONGEST_ANSWER = 12_000
OMITTED_NOTICE = "A number without evidence was left out of this answer."
CUT_NOTICE = "The answer was cut: it is longer than a message may be."


def answer_of(turn: Turn, outcome: Outcome, why: str = "", identity: str = "") -> AIMessage:
    """An answer as everybody reads it.

    Parameters
    ----------
    turn
        The turn, whose book the numbers are filled in from.
    outcome
        What is to be said.
    why
        Why the grammar answers in place of a language model; empty where none was asked.
    identity
        Id of the message, where a part of it was shown before; empty: made of what it says.
    """
    names = [*outcome.names, *quoted(turn.said)]
    text, used, omitted = turn.book.said(outcome.text, names)
    notices = list(outcome.notices)
    if why:
        notices.append(f"The language model did not answer ({why}); the built-in rules did.")
    if omitted:
        notices.append(OMITTED_NOTICE)
    text = inert(text)
    if len(text) > LONGEST_ANSWER:
        text = text[:LONGEST_ANSWER].rstrip() + "\n\n(cut here)"
        notices.append(CUT_NOTICE)
    nereus = {
        "run_id": outcome.run_id or turn.focus.run,
        "evidence": [
            {"run_id": one.run_id, "id": one.id, "label": one.label, "value": one.value} for one in used
        ],
        "artifacts": [one.model_dump(mode="json") for one in outcome.artifacts],
        "notices": notices,
        "template": outcome.text,
    }
    if not identity:
        told = f"{turn.thread_id} {len(turn.messages)} {text}".encode("utf-8", "replace")
        identity = f"nereus-{hashlib.sha256(told).hexdigest()[:24]}"
    return AIMessage(content=text, id=identity, additional_kwargs={"nereus": nereus})


def inert(text: str) -> str:
    """A text in which nothing is markup of a page or a link: names from data and texts of models may hold either."""
    text = _TAG.sub("&lt;", text)
    return _LINK.sub(r"]\\(", text)


_NAME = re.compile(r"[^\W\d_][\w-]*(?:[./:;][\w-]+)*")
_AMOUNT = re.compile(r"\d[.,]\d|^[a-z]{1,2}\d+$")


def quoted(said: str) -> list[str]:
    """Words of a question that may be repeated: names, but no numbers, and no claims such as ``p<0.05`` or ``3.7x``."""
    words = [one.strip("?.,;:()'\"`") for one in said[:4000].split()]
    return [one for one in words if _NAME.fullmatch(one) and not _AMOUNT.search(one)]


def refused(name: str, said: str, wrong: bool = False) -> Outcome:
    """What is told of a call that was not allowed, or could not be made."""
    if wrong:
        return Outcome(text=said, failed=True, names=(said,))
    reason = f": {said}" if said else ""
    return Outcome(text=f"`{name}` was not done{reason}.", failed=True, names=(said,) if said else ())
