"""Tool calls as bare JSON in plain messages: for endpoints that refuse tools, or fail on what the model wrote between tags.

Some servers read ``<tool_call>`` tags wherever they stand and answer with an error when the JSON in them is broken. What has no
tags passes through them; `hermes.parse` reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from nereus.models.llm.chatml import text_of


def prompt(tools: Sequence[Mapping[str, Any]]) -> str:
    """What the model is told of the tools."""
    lines = "\n".join(json.dumps(one.get("function", one), ensure_ascii=False) for one in tools)
    return (
        f"Functions that you may call, one JSON signature a line:\n{lines}\n\n"
        'To call one, reply with this JSON object and nothing else: {"name": <name>, "arguments": <object>}\n'
        "Otherwise reply in words."
    )


def conversation(messages: Sequence[BaseMessage], tools: Sequence[Mapping[str, Any]]) -> list[BaseMessage]:
    """The same conversation in messages of system, user and assistant only, with the tools in the first."""
    told: list[BaseMessage] = []
    for message in messages:
        text = text_of(message)
        if isinstance(message, AIMessage):
            calls = [
                json.dumps({"name": one["name"], "arguments": one["args"]}, ensure_ascii=False)
                for one in message.tool_calls
            ]
            told.append(AIMessage("\n".join([*([text] if text else []), *calls])))
        elif isinstance(message, ToolMessage):
            given = f"Result of the call:\n{text}"
            if told and isinstance(told[-1], HumanMessage):
                told[-1] = HumanMessage(f"{text_of(told[-1])}\n{given}")
            else:
                told.append(HumanMessage(given))
        else:
            told.append(message)
    if told and isinstance(told[0], SystemMessage):
        told[0] = SystemMessage(f"{text_of(told[0])}\n\n{prompt(tools)}")
    else:
        told.insert(0, SystemMessage(prompt(tools)))
    return told
