"""Chat models that follow a script, with and without function calling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable

Reply = AIMessage | str | Exception


class TextModel(BaseChatModel):
    """Gives what a function makes of the messages; knows no tools."""

    reply: Callable[[list[BaseMessage]], Reply]
    seen: list[list[BaseMessage]]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        self.seen.append(messages)
        said = self.reply(messages)
        if isinstance(said, Exception):
            raise said
        return ChatResult(
            generations=[ChatGeneration(message=said if isinstance(said, AIMessage) else AIMessage(said))]
        )


class ToolModel(TextModel):
    """The same with function calling."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Runnable[Any, Any]:
        return self


def in_turn(*replies: Reply, tools: bool = True) -> TextModel:
    """Gives the replies in turn, the last one for ever."""
    left = list(replies)
    made = ToolModel if tools else TextModel
    return made(reply=lambda messages: left.pop(0) if len(left) > 1 else left[0], seen=[])


def calls(*wanted: tuple[str, dict[str, Any]]) -> AIMessage:
    """A message that calls actions."""
    return AIMessage(
        content="",
        tool_calls=[
            {"name": name, "args": args, "id": f"call-{place}", "type": "tool_call"}
            for place, (name, args) in enumerate(wanted)
        ],
    )
