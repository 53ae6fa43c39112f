"""Tool use in plain text (ReAct): Thought, Action, Action Input, Observation, Final Answer; for models that know no tags.

References
----------
ReAct: Synergizing Reasoning and Acting in Language Models, arXiv:2210.03629. Qwen Technical Report, arXiv:2309.16609.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nereus.models.llm.calls import BrokenCall, Reply, ToolCall, identified, named, values_in
from nereus.models.llm.loose_json import without_thoughts

STOPS = ("Observation:", "Observation:\n")
"""Strings at which the server must stop: what follows is for a tool to say."""
_ACTION, _INPUT, _OBSERVATION, _FINAL = "\nAction:", "\nAction Input:", "\nObservation:", "\nFinal Answer:"
_FENCED = re.compile(r"^```[\w-]*[ \t]*\n(.*?)\n?```$", re.DOTALL)


def prompt(question: str, tools: Sequence[Mapping[str, Any]]) -> str:
    """The whole prompt: tools, form, question."""
    functions = [one.get("function", one) for one in tools]
    told = "\n".join(
        f"{one['name']}: {one.get('description') or one['name']} Parameters: "
        f"{json.dumps(one.get('parameters') or {}, ensure_ascii=False)}"
        for one in functions
    )
    names = ", ".join(one["name"] for one in functions)
    return (
        f"Answer the question. These tools are at hand; their input is JSON:\n\n{told}\n\n"
        "Write in this form:\n\n"
        f"Question: what is asked\nThought: what to do next\nAction: one of {names}\nAction Input: the input\n"
        "Observation: what the tool gave\n... (Thought, Action, Action Input and Observation as often as needed)\n"
        "Thought: now the answer is known\nFinal Answer: the answer\n\n"
        f"Question: {question}"
    )


def rendered(call: ToolCall) -> str:
    """A call as the model would write it: JSON on one line and without tags, so that nothing in it reads as another part."""
    arguments = json.dumps(call.arguments, ensure_ascii=False).replace("<", "\\u003c")
    return f"{_ACTION} {call.name}{_INPUT} {arguments}"


def observed(text: str) -> str:
    """What a tool gave, and the beginning of the next thought."""
    return f"{_OBSERVATION} {text}\nThought: "


def parse(text: str, tools: Sequence[Mapping[str, Any]] = (), *, finished: bool = True) -> Reply:
    """Read a reply: its last action, or its final answer.

    Parameters
    ----------
    text
        What the model wrote, up to a stop string or its end.
    tools
        What it was offered. A tool with the one required text ``code`` also takes a code block, or plain code.
    finished
        False where the reply was cut off: then nothing is called.
    """
    spoken = "\n" + without_thoughts(text)
    at, given = spoken.rfind(_ACTION), spoken.rfind(_INPUT)
    if not 0 <= at < given:
        _, mark, answer = spoken.rpartition(_FINAL)
        return Reply(answer.strip() if mark else spoken[1:], final=bool(mark))
    end = spoken.find(_OBSERVATION, given)
    name = spoken[at + len(_ACTION) : given].strip().strip("`*\"' ")
    body = spoken[given + len(_INPUT) : end if end >= 0 else None].strip()
    body = body.removesuffix("Observation:").rstrip()
    before = spoken[1:at] if at else ""
    if not finished and end < 0:
        return Reply(before, partial=body or name)
    if not name or "\n" in name:
        return Reply(before, broken=(BrokenCall(body[:2000], "it names no tool"),))
    arguments, why = _arguments(body, named(tools).get(name, {}))
    if arguments is None:
        return Reply(before, broken=(BrokenCall(body[:2000], why),))
    return Reply(before, calls=(ToolCall(name, arguments, identified(0)),))


def _arguments(body: str, schema: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    takes_code = "code" in (schema.get("properties") or {}) and _only_code(schema.get("required") or ())
    fenced = _FENCED.match(body)
    if takes_code and (fenced or not body.startswith("{")) and not body.startswith("```json"):
        if body.startswith("```") and not fenced:
            return None, "the code block has no end"
        code = fenced.group(1) if fenced else body
        return ({"code": code}, "") if code.strip() else (None, "there is no code")
    if not body or body in ("null", "None", "{}"):
        return {}, ""
    found, why = values_in(body, closed=False)
    if why:
        return None, why
    if len(found) > 1 and all(one == found[0] for one in found):
        found = found[:1]
    if len(found) != 1 or not isinstance(found[0], dict):
        return None, "the input is no one object"
    return found[0], ""


def _only_code(required: Iterable[str]) -> bool:
    return set(required) <= {"code"}
