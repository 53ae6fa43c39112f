"""Tool calls between tags, as Qwen models are trained to write them: rendered, and read from whole texts and from streams.

The system turn lists the tools between ``<tools>`` tags; a call is ``<tool_call>{"name": ..., "arguments": {...}}</tool_call>``;
results come back in a user turn between ``<tool_response>`` tags. One machine reads whole texts and streams, so that both give
the same. What stands in ``<think>`` is not read.

References
----------
Qwen Technical Report, arXiv:2309.16609; the forms of tool use of QwenLM/Qwen-Agent (Apache-2.0).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nereus.models.llm.calls import BrokenCall, Reply, ToolCall, calls_in, identified, named
from nereus.models.llm.loose_json import MOST_CHARACTERS

_CALL, _CALL_END = "<tool_call>", "</tool_call>"
_CODE, _CODE_END = "<code>", "</code>"
_THINK, _THINK_END = "<think>", "</think>"
_WATCHED = (_CALL, _THINK, _THINK_END)
_TAGS = {
    watched: re.compile("|".join(map(re.escape, watched)))
    for watched in (_WATCHED, _WATCHED[1:], (_THINK_END,))
}
_LONGEST_TAG = max(map(len, _WATCHED))
_OURS = re.compile(r"<(?=/?(?:tool_call|tool_response|tools|think|code)>)")
_STOPS = re.compile(r'["\\]|</tool_call>|<tool_call>|<code>')
_THOUGHTS = re.compile(r"<think>(.*?)(?:</think>|$)", re.DOTALL)
_FUNCTION = re.compile(r"^\s*<function=([^>\n]+)>(.*?)(?:</function>\s*)?$", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>", re.DOTALL)


def tool_prompt(tools: Iterable[Mapping[str, Any]], code_mode: bool = False) -> str:
    """What the system turn says of the tools.

    Parameters
    ----------
    tools
        Tools in OpenAI's form.
    code_mode
        Ask for code in ``<code>`` behind the JSON, where it needs no escapes.
    """
    lines = "\n".join(_json(dict(one)) for one in tools)
    told = (
        "# Tools\n\nFunctions that you may call stand between the tags <tools></tools>, one JSON signature a line:\n"
        f"<tools>\n{lines}\n</tools>\n\n"
        "To call one, write its name and arguments as one JSON object between tags; several calls need tags each:\n"
        f'{_CALL}\n{{"name": <name>, "arguments": <object>}}\n{_CALL_END}'
    )
    if code_mode:
        told += (
            '\n\nThe argument "code" may stand behind the object, as it is, between tags:\n'
            f'{_CALL}\n{{"name": <name>, "arguments": {{}}}}\n{_CODE}\nprint(1)\n{_CODE_END}\n{_CALL_END}'
        )
    return told


def rendered(call: ToolCall, code_mode: bool = False) -> str:
    """A call as the model would write it. Tags within its texts are escaped, so that none can end it."""
    code = call.arguments.get("code")
    if code_mode and isinstance(code, str) and _CODE_END not in code:
        rest = {name: value for name, value in call.arguments.items() if name != "code"}
        body = _json({"name": call.name, "arguments": rest})
        return f"{_CALL}\n{body}\n{_CODE}\n{code}\n{_CODE_END}\n{_CALL_END}"
    return f"{_CALL}\n{_json({'name': call.name, 'arguments': call.arguments})}\n{_CALL_END}"


def response(text: str) -> str:
    """What a tool gave, for a user turn. Its text cannot close the tag."""
    return f"<tool_response>\n{_OURS.sub('&lt;', text)}\n</tool_response>"


def parse(text: str, tools: Sequence[Mapping[str, Any]] = (), *, finished: bool = True) -> Reply:
    """Read a whole reply.

    Parameters
    ----------
    text
        What the model wrote.
    tools
        What it was offered, in OpenAI's form. A reply that is nothing but a call of one of them, without tags, is read as such.
    finished
        False where the reply was cut off (at a limit, by the network): nothing without an end of its own is then read.
    """
    stream = HermesStream(tools)
    stream.feed(text)
    return stream.close(finished=finished)


def without_thought(text: str) -> Reply:
    """The text and the thoughts of a reply, without reading calls."""
    place = text.find(_THINK_END)
    begin = text.find(_THINK)
    if place >= 0 and not 0 <= begin < place:
        return Reply(text[place + len(_THINK_END) :], text[:place])
    found = _THOUGHTS.findall(text)
    return Reply(_THOUGHTS.sub("", text), "".join(found))


def arguments_json(call: ToolCall) -> str:
    """Arguments as JSON."""
    return json.dumps(call.arguments, ensure_ascii=False)


class HermesStream:
    """Reads a reply piece by piece; what was read so far does not depend on where it was cut into pieces.

    Parameters
    ----------
    tools
        See `parse`.
    calls
        Whether calls are read; if not, only thoughts are taken apart.
    """

    def __init__(self, tools: Sequence[Mapping[str, Any]] = (), *, calls: bool = True) -> None:
        self._schemas = named(tools) if calls else {}
        self._watched = _WATCHED if calls else _WATCHED[1:]
        self._left, self._from = "", 0  # what is not read yet begins at the second
        self._size = 0
        self._inside = ""  # the tag that is open
        self._at, self._quoted, self._code = 0, False, False
        self._text: list[str] = []
        self._thought: list[str] = []
        self._shown: list[str] = []
        self._calls: list[ToolCall] = []
        self._broken: list[BrokenCall] = []

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """Calls that are whole so far. A thought that only ends later takes back what stood in it."""
        return tuple(self._calls)

    @property
    def in_call(self) -> bool:
        """Whether a call has begun that has no end yet."""
        return self._inside == _CALL

    def feed(self, piece: str) -> str:
        """Take a piece; the text that can be shown because of it."""
        self._size += len(piece)
        if self._size > MOST_CHARACTERS:
            return self._pass(piece)
        self._left += piece
        shown: list[str] = []
        while self._step(shown):
            pass
        self._at = max(self._at - self._from, 0)
        self._left, self._from = self._left[self._from :], 0
        self._shown += shown
        return "".join(shown)

    def _pass(self, piece: str) -> str:
        """The rest of a reply that is longer than any of ours: only text, whatever stands in it."""
        if self._inside == _CALL:
            self._broken.append(BrokenCall(self._left[:2000], "it is too long"))
        if self._inside == _THINK:
            self._thought.append(self._left)
        else:
            piece = self._left + piece
        self._left, self._inside = "", ""
        self._text.append(piece)
        self._shown.append(piece)
        return piece

    @property
    def shown(self) -> str:
        """All that `feed` gave."""
        return "".join(self._shown)

    def close(self, *, finished: bool = True) -> Reply:
        """The end of the reply; see `parse`."""
        partial = ""
        if self._inside == _CALL:
            partial = self._close_call(finished)
        elif self._inside == _THINK:
            self._thought.append(self._left)
        else:
            self._text.append(self._left)
        self._left, self._inside = "", ""
        text = "".join(self._text)
        if finished and not (self._calls or self._broken or partial):
            calls = self._untagged(text)
            if calls:
                return Reply("", "".join(self._thought), tuple(calls))
        return Reply(text, "".join(self._thought), tuple(self._calls), tuple(self._broken), partial)

    # ------------------------------------------------------------------ text and thoughts

    def _step(self, shown: list[str]) -> bool:
        if self._inside == _CALL:
            return self._step_call()
        watched = (_THINK_END,) if self._inside == _THINK else self._watched
        found = _TAGS[watched].search(self._left, self._from)
        tag = found.group() if found is not None else ""
        place = found.start() if found is not None else self._safe(watched)
        before, self._from = self._left[self._from : place], place + len(tag)
        if self._inside == _THINK:
            self._thought.append(before)
        else:
            self._text.append(before)
            if tag != _THINK_END:
                shown.append(before)
        if tag == _THINK_END:
            if (
                self._inside != _THINK
            ):  # the beginning was part of the prompt, or forgotten: all so far was thought
                self._thought.append("".join(self._text))
                self._text, self._calls, self._broken = [], [], []
            self._inside = ""
        elif tag:
            self._inside = tag
            self._at, self._quoted, self._code = self._from, False, False
        return bool(tag)

    def _safe(self, tags: Iterable[str]) -> int:
        """How much of what is left cannot be the beginning of a tag."""
        left = self._left[max(self._from, len(self._left) - _LONGEST_TAG) :]
        before = len(self._left) - len(left)
        longest = max(len(tag) for tag in tags) - 1
        for size in range(min(longest, len(left)), 0, -1):
            if any(tag.startswith(left[-size:]) for tag in tags):
                return before + len(left) - size
        return len(self._left)

    # ------------------------------------------------------------------ calls

    def _step_call(self) -> bool:
        """Look for the end of the call: its closing tag, or the next call, outside its texts and its code."""
        while True:
            if self._code:
                end = self._left.find(_CODE_END, self._at)
                if end < 0:
                    return False
                self._code, self._at = False, end + len(_CODE_END)
            found = _STOPS.search(self._left, self._at)
            if found is None:
                tail = self._left.rfind("<", max(self._at, len(self._left) - len(_CALL_END)))
                self._at = tail if tail >= 0 else len(self._left)
                return False
            mark = found.group()
            if mark == "\\":
                if found.end() >= len(self._left):
                    self._at = found.start()
                    return False
                self._at = found.end() + 1
                continue
            self._at = found.end()
            if mark == '"':
                self._quoted = not self._quoted
            elif self._quoted:
                continue
            elif mark == _CODE:
                self._code = True
            else:
                body, again = self._left[self._from : found.start()], mark == _CALL
                self._from = found.end()
                self._take(body, closed=not again)
                self._inside = _CALL if again else ""
                return True

    def _close_call(self, finished: bool) -> str:
        """What becomes of a call that is open at the end: the call, if it is whole but for its tag; else what is left of it."""
        body = self._left
        end = body.find(_CALL_END)
        if end >= 0:  # a text in it seems open: either it is cut off, or its quotes are of another kind
            self._take(body[:end], closed=True)
            rest = parse(body[end + len(_CALL_END) :], finished=finished)
            self._text.append(rest.text)
            self._thought.append(rest.thought)
            self._calls += [
                ToolCall(one.name, one.arguments, identified(len(self._calls) + number))
                for number, one in enumerate(rest.calls)
            ]
            self._broken += rest.broken
            return rest.partial
        if finished and not self._code:
            calls, why = self._read(body, closed=False)
            if not why:
                self._calls += calls
                return ""
        return body or _CALL

    def _take(self, body: str, closed: bool) -> None:
        calls, why = self._read(body, closed)
        if why:
            self._broken.append(BrokenCall(body.strip()[:2000], why))
        self._calls += calls

    def _read(self, body: str, closed: bool) -> tuple[list[ToolCall], str]:
        code = None
        begin = _code_place(body)
        if begin >= 0:
            end = body.rfind(_CODE_END)
            if end < begin:
                return [], "the code has no end"
            code = body[begin + len(_CODE) : end].removeprefix("\n").removesuffix("\n")
            body = body[:begin] + body[end + len(_CODE_END) :]
        first = len(self._calls)
        function = _FUNCTION.match(body)
        if function is not None:
            given = {name.strip(): value for name, value in _PARAMETER.findall(function.group(2))}
            rest = _PARAMETER.sub("", function.group(2)).strip()
            if rest or (not closed and not body.rstrip().endswith("</function>")):
                return [], "a parameter has no end"
            name = function.group(1).strip()
            return [ToolCall(name, _typed(given, self._schemas.get(name, {})), identified(first))], ""
        calls, why = calls_in(body, closed, first)
        if code is not None and not why:
            if len(calls) != 1:
                return [], "code belongs to one call"
            calls = [ToolCall(calls[0].name, calls[0].arguments | {"code": code}, calls[0].id)]
        return calls, why

    def _untagged(self, text: str) -> list[ToolCall]:
        """Calls of a reply that is nothing but calls of known tools."""
        body = text.strip()
        if not self._schemas or len(body) > MOST_CHARACTERS or not body.startswith(("{", "[", "```")):
            return []
        calls, why = calls_in(body, closed=False)
        whole = not why and all(one.name in self._schemas for one in calls)
        return calls if whole and any(f'"{key}"' in body for key in ("arguments", "parameters")) else []


def _code_place(body: str) -> int:
    """Where code begins behind the object; a tag within a text of the object is none."""
    quoted, at = False, 0
    while found := re.compile(r'["\\]|<code>').search(body, at):
        at = found.end()
        if found.group() == "\\":
            at += 1
        elif found.group() == '"':
            quoted = not quoted
        elif not quoted:
            return found.start()
    return -1


def _typed(given: Mapping[str, str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Texts of a call in XML as the values that the schema asks for."""
    properties = schema.get("properties") or {}
    found: dict[str, Any] = {}
    for name, value in given.items():
        found[name] = value
        if properties.get(name, {}).get("type", "string") != "string":
            try:
                found[name] = json.loads(value)
            except ValueError:
                continue
    return found


def _json(value: Any) -> str:
    return _OURS.sub(r"\\u003c", json.dumps(value, ensure_ascii=False))
