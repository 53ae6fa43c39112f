"""Call tools until there is an answer: with the endpoint's own tool calls, between tags (Hermes), or in plain text (ReAct).

The number of model calls is bounded. What cannot be carried out is told to the model and carried out never: a tool that does
not exist, arguments that do not fit its schema, a call that is broken or cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import jsonschema
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from nereus.errors import CeilingReached, EndpointError, InputError, NereusError, on_one_line
from nereus.models.llm import hermes, react
from nereus.models.llm.calls import BrokenCall, Reply, ToolCall, arguments_of, identified
from nereus.models.llm.chatml import text_of

Form = Literal["native", "hermes", "react"]
Ended = Literal["answer", "call_limit", "ceiling", "endpoint"]
LONGEST_OBSERVATION = 8_000
"""Characters of what a tool gave that go to the model; the note says what was left out."""
_CUT_OFF = "length"


@dataclass(frozen=True)
class LoopTool:
    """A tool that a loop may call."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON schema of the arguments."""
    run: Callable[..., str]
    """Takes the arguments by name, gives a text."""

    @property
    def offered(self) -> dict[str, Any]:
        """The tool in OpenAI's form."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": function}


@dataclass(frozen=True)
class Step:
    """One call, and what came of it."""

    call: ToolCall | BrokenCall
    observation: str
    done: bool
    """Whether the tool was run and gave a result."""


@dataclass
class LoopResult:
    """How a loop ended."""

    answer: str = ""
    ended: Ended = "answer"
    reason: str = ""
    """Why there is no answer."""
    steps: list[Step] = field(default_factory=list)
    model_calls: int = 0
    tokens: int = 0
    """Tokens that the endpoint told."""
    messages: list[BaseMessage] = field(default_factory=list)


def run_tool_loop(
    model: BaseChatModel,
    question: str | Sequence[BaseMessage],
    tools: Sequence[LoopTool],
    *,
    form: Form = "native",
    max_model_calls: int = 10,
    system: str = "",
) -> LoopResult:
    """Ask, call tools, tell what they gave, until the model answers or a limit is reached.

    Parameters
    ----------
    model
        Any LangChain chat model.
    question
        What is asked: a text, or messages.
    tools
        What may be called.
    form
        How tools are offered and calls are read.
    max_model_calls
        After so many calls of the model the loop ends without an answer.
    system
        What the model is told first.

    Raises
    ------
    InputError
        There is no question, or two tools have one name.
    """
    messages: list[BaseMessage] = [HumanMessage(question)] if isinstance(question, str) else list(question)
    if not messages or not text_of(messages[-1]).strip():
        raise InputError(
            "there is no question", where="tool loop", mend="give at least one message with text"
        )
    if len({one.name for one in tools}) != len(tools):
        raise InputError("two tools have one name", where="tool loop", mend="rename one")
    if system:
        messages = [SystemMessage(system), *messages]
    loop = _Loop(model, {one.name: one for one in tools}, max_model_calls)
    with suppress(_Ended):
        {"native": loop.native, "hermes": loop.hermes, "react": loop.react}[form](messages)
    return loop.result


class _Ended(Exception):
    """The loop is over; how, stands in its result."""


class _Loop:
    def __init__(self, model: BaseChatModel, tools: Mapping[str, LoopTool], most: int) -> None:
        self.model, self.tools, self.most = model, tools, most
        self.offered = [one.offered for one in tools.values()]
        self.result = LoopResult()

    # ------------------------------------------------------------------ the three forms

    def native(self, messages: list[BaseMessage]) -> None:
        """Tools are offered to the endpoint, which reads the calls."""
        talk = self.result.messages = list(messages)
        while True:
            reply = self._ask(talk, tools=self.offered) if self.offered else self._ask(talk)
            read = _read_native(reply, self.offered)
            if not (read.calls or read.broken or read.partial):
                self._answer(read.text)
            talk.append(_with_calls(reply, read))
            for call in read.calls:
                talk.append(ToolMessage(self._observe(call), tool_call_id=call.id))
            if told := self._told_broken(read):
                talk.append(HumanMessage(told))

    def hermes(self, messages: list[BaseMessage]) -> None:
        """Tools stand in the system turn, calls between tags in the text."""
        prompt = hermes.tool_prompt(self.offered)
        own = text_of(messages[0]) if _is_system(messages) else ""
        first = SystemMessage(f"{own}\n\n{prompt}".strip())
        talk = self.result.messages = [first, *messages[_is_system(messages) :]]
        while True:
            reply = self._ask(talk)
            read = _read_native(reply, self.offered)  # some servers read calls that they were not told of
            if not (read.calls or read.broken or read.partial):
                self._answer(read.text.strip())
            said = (
                "\n".join([text_of(reply), *map(hermes.rendered, read.calls)])
                if reply.tool_calls
                else text_of(reply)
            )
            told = [hermes.response(self._observe(call)) for call in read.calls]
            if broken := self._told_broken(read):
                told.append(hermes.response(broken))
            talk += [AIMessage(said.strip()), HumanMessage("\n".join(told))]

    def react(self, messages: list[BaseMessage]) -> None:
        """Everything stands in one text, which grows by thoughts, actions and observations."""
        system = messages[:1] if _is_system(messages) else []
        asked = "\n\n".join(text_of(one) for one in messages[len(system) :])
        text = react.prompt(asked, self.offered)
        while True:
            self.result.messages = [*system, HumanMessage(text)]
            reply = self._ask(self.result.messages, stop=list(react.STOPS))
            said = text_of(reply)
            read = react.parse(said, self.offered, finished=not _cut_off(reply))
            if not (read.calls or read.broken or read.partial):
                self._answer(read.text.strip())
            told = self._observe(read.calls[0]) if read.calls else self._told_broken(read)
            end = ("\n" + said).find("\nObservation:", ("\n" + said).rfind("\nAction Input:"))
            text += "\n" + (said if end < 0 else said[: max(end - 1, 0)]).strip() + react.observed(told)

    # ------------------------------------------------------------------ asking and doing

    def _ask(self, talk: Sequence[BaseMessage], **options: Any) -> AIMessage:
        if self.result.model_calls >= self.most:
            self._end("call_limit", f"no answer within {self.most} calls of the model")
        self.result.model_calls += 1
        tools = options.pop("tools", None)
        try:
            model: Any = self.model.bind_tools(tools) if tools else self.model
            reply = model.invoke(list(talk), **options)
        except CeilingReached as error:
            self._end("ceiling", error.what)
        except EndpointError as error:
            self._end("endpoint", error.what)
        except Exception as error:  # noqa: BLE001 - clients of endpoints raise what they like; a loop ends with a reason
            self._end("endpoint", f"the model failed: {type(error).__name__}")
        self.result.tokens += (reply.usage_metadata or {}).get("total_tokens", 0)
        return reply  # type: ignore[no-any-return]

    def _observe(self, call: ToolCall) -> str:
        text, done = self._carried_out(call)
        if len(text) > LONGEST_OBSERVATION:
            left = len(text) - LONGEST_OBSERVATION
            text = (
                f"{text[:LONGEST_OBSERVATION]}\n[... {left} of {len(text)} characters are left out here ...]"
            )
        self.result.steps.append(Step(call, text, done))
        return text

    def _carried_out(self, call: ToolCall) -> tuple[str, bool]:
        tool = self.tools.get(call.name)
        if tool is None:
            return f"error: there is no tool {call.name!r}; tools are {', '.join(self.tools)}", False
        if wrong := misfit(call.arguments, tool.parameters):
            return f"error: {wrong}", False
        try:
            return tool.run(**call.arguments), True
        except NereusError as error:
            return f"error: {on_one_line(str(error))}", False
        except Exception as error:  # noqa: BLE001 - whatever a tool does with a model's arguments, the model is told
            return f"error: {type(error).__name__}: {error}", False

    def _told_broken(self, read: Reply) -> str:
        """What the model is told of calls that were not carried out; "" where there are none."""
        broken = [
            *read.broken,
            *([BrokenCall(read.partial[:2000], "it was cut off")] if read.partial else []),
        ]
        told = []
        for one in broken:
            text = f"error: the call was not carried out: {one.why}. Write it again, whole, as JSON."
            self.result.steps.append(Step(one, text, False))
            told.append(text)
        return "\n".join(dict.fromkeys(told))

    def _answer(self, text: str) -> None:
        self.result.answer = text
        raise _Ended

    def _end(self, how: Ended, reason: str) -> None:
        self.result.ended, self.result.reason = how, reason
        raise _Ended


def misfit(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Where arguments do not fit a schema, with the path of the failure; "" where they fit. Unknown arguments do not."""
    checked = {"type": "object", "additionalProperties": False, "properties": {}, **schema}
    validator = jsonschema.Draft202012Validator(checked)
    error = jsonschema.exceptions.best_match(validator.iter_errors(dict(arguments)))
    return "" if error is None else f"arguments at {error.json_path}: {error.message[:300]}"


def _read_native(reply: AIMessage, offered: Sequence[Mapping[str, Any]]) -> Reply:
    """Calls of a message whose endpoint read them, and what it could not read."""
    cut_off = _cut_off(reply)
    calls: list[ToolCall] = []
    broken: list[BrokenCall] = []
    used: set[str] = set()

    def add(name: Any, arguments: Any, own: Any) -> None:
        given = None if not isinstance(name, str) or not name else arguments_of(arguments)
        if given is None:
            broken.append(BrokenCall(f"{name} {arguments}"[:2000], "its name or arguments cannot be read"))
            return
        identity = own if isinstance(own, str) and own and own not in used else identified(len(calls))
        used.add(identity)
        calls.append(ToolCall(name, given, identity))

    for one in reply.tool_calls:
        add(one.get("name"), one.get("args"), one.get("id"))
    for bad in reply.invalid_tool_calls:
        add(bad.get("name"), bad.get("args"), bad.get("id"))
    if cut_off and calls:  # the end is missing: the last call may be half of what was meant
        last = calls.pop()
        return Reply(text_of(reply), calls=tuple(calls), broken=tuple(broken), partial=last.name)
    if calls or broken:
        return Reply(text_of(reply), calls=tuple(calls), broken=tuple(broken))
    return hermes.parse(text_of(reply), offered, finished=not cut_off)


def _with_calls(reply: AIMessage, read: Reply) -> AIMessage:
    calls = [
        {"name": one.name, "args": one.arguments, "id": one.id, "type": "tool_call"} for one in read.calls
    ]
    return AIMessage(read.text or ("" if calls else text_of(reply)), tool_calls=calls)


def _cut_off(reply: AIMessage) -> bool:
    return reply.response_metadata.get("finish_reason") == _CUT_OFF


def _is_system(messages: Sequence[BaseMessage]) -> bool:
    return isinstance(messages[0], SystemMessage)
