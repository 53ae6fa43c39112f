"""Tools that a client brings: the language model may call them, and may hand questions to the agent.

Without a language model nobody can choose among a stranger's tools: they are left out with a notice, and a request that
demands one is refused.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastapi.concurrency import run_in_threadpool

from nereus.api.openai.agent import Answered, Asking, Doing, Event, turn
from nereus.api.openai.faults import Wrong
from nereus.api.openai.said import Said

if TYPE_CHECKING:
    from langchain_core.messages import AnyMessage

LEFT_OUT = "The tools of the request were left out: no language model is set that could call them."
UNCHECKED = (
    "A language model composed this answer from tool results; its numbers were not read from evidence."
)
_ASK = "ask_nereus"
_ASK_TOOL = {
    "type": "function",
    "function": {
        "name": _ASK,
        "description": "Ask the analysis agent about the user's data, runs, hypotheses and evidence, or to start an analysis.",
        "parameters": {
            "type": "object",
            "properties": {"question": {"type": "string", "description": "The question, with all it needs."}},
            "required": ["question"],
        },
    },
}
_MOST_ROUNDS = 3
_MOST_TOOLS = 128


def checked(tools: Sequence[Mapping[str, Any]] | None, choice: Any) -> list[dict[str, Any]]:
    """The client's tools in the form of chat completions; none where it says that none is to be called.

    Raises
    ------
    Wrong
        One of them is no function, or the choice names none of them.
    """
    found: list[dict[str, Any]] = []
    for number, one in enumerate(tools or ()):
        if one.get("type") != "function":
            raise Wrong(
                f"tools of the type {one.get('type')!r} are not there; send functions",
                f"tools.{number}.type",
                "unsupported_value",
            )
        function = one.get(
            "function", {key: one[key] for key in ("name", "description", "parameters") if key in one}
        )
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise Wrong("a function has a name", f"tools.{number}.function.name")
        found.append({"type": "function", "function": dict(function)})
    if len(found) > _MOST_TOOLS:
        raise Wrong(f"at most {_MOST_TOOLS} tools", "tools")
    names = {one["function"]["name"] for one in found}
    wanted = forced(choice)
    if wanted is not None and ((wanted and wanted not in names) or not names):
        raise Wrong("tool_choice names none of the tools", "tool_choice")
    return [] if choice == "none" else found


def forced(choice: Any) -> str | None:
    """The tool that must be called: its name, empty for any; None where none must."""
    if choice == "required":
        return ""
    if isinstance(choice, Mapping):
        function = choice.get("function", choice)
        return str(function.get("name", "")) if isinstance(function, Mapping) else ""
    return None


async def turn_with_tools(asking: Asking, tools: list[dict[str, Any]], choice: Any) -> AsyncIterator[Event]:
    """Let the language model answer, call the client's tools, or hand the question to the agent.

    Raises
    ------
    Wrong
        A tool must be called, and there is no language model.
    """
    model = None if asking.rules else await run_in_threadpool(_model, asking)
    if model is None:
        if forced(choice) is not None:
            raise Wrong(
                "no language model is set that could call a tool: send tool_choice 'auto', or set llm_model",
                "tool_choice",
                "tools_unsupported",
            )
        async for event in turn(asking):
            yield event if isinstance(event, Doing) else _with_notice(event, LEFT_OUT)
        return
    own = [] if forced(choice) is not None else [_ASK_TOOL]
    bound = model.bind_tools([*tools, *own], tool_choice=choice if forced(choice) is not None else None)
    messages: list[AnyMessage] = [_message(one) for one in asking.messages]
    told: dict[str, Any] = {}
    used: dict[str, int] = {}
    for _ in range(_MOST_ROUNDS):
        said = await bound.ainvoke(messages)
        for key, spent in (said.usage_metadata or {}).items():
            if isinstance(spent, int):
                used[key] = used.get(key, 0) + spent
        calls = tuple(_call(one) for one in said.tool_calls if one["name"] != _ASK)
        if calls or not said.tool_calls:
            nereus = {**told, "notices": [*told.get("notices", []), UNCHECKED]}
            yield Answered(str(said.text), nereus, calls, usage=used or None)
            return
        messages.append(said)
        for one in said.tool_calls:
            question = str(one["args"].get("question", ""))
            yield Doing(f"asking the agent: {question[:200]}")
            async for event in turn(replace(asking, messages=[Said("user", question)])):
                if isinstance(event, Doing):
                    yield event
                else:
                    told = event.nereus
                    messages.append(_result(one["id"], event.text))
    said = await model.ainvoke(messages)
    yield Answered(
        str(said.text), {**told, "notices": [*told.get("notices", []), UNCHECKED]}, usage=used or None
    )


def _model(asking: Asking) -> Any:
    from nereus.models.llm import chat_model

    return chat_model(asking.state.settings)


def _with_notice(answer: Answered, notice: str) -> Answered:
    nereus = {**answer.nereus, "notices": [*answer.nereus.get("notices", []), notice]}
    return replace(answer, nereus=nereus)


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": call["id"],
        "type": "function",
        "function": {"name": call["name"], "arguments": json.dumps(call["args"], ensure_ascii=False)},
    }


def _message(said: Said) -> AnyMessage:
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

    if said.role == "tool":
        return ToolMessage(said.text, tool_call_id=said.tool_call_id)
    if said.role == "system":
        return SystemMessage(said.text)
    if said.role == "user":
        return HumanMessage(said.text)
    calls = [
        {"id": one["id"], "name": one["name"], "args": _arguments(one["arguments"]), "type": "tool_call"}
        for one in said.tool_calls
    ]
    return AIMessage(said.text, tool_calls=calls)


def _arguments(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _result(call_id: str, text: str) -> AnyMessage:
    from langchain_core.messages import ToolMessage

    return ToolMessage(text, tool_call_id=call_id)
