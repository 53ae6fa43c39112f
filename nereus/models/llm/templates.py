"""Prompts by a model's own chat template: texts of people, tools and models go round it, so that none becomes a control token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from nereus.errors import InputError
from nereus.models.llm import chatml

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def prompt_tokens(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[BaseMessage],
    tools: Sequence[Mapping[str, Any]] = (),
) -> list[int]:
    """Numbers of the tokens of a prompt: by the tokenizer's template, or as ChatML where it has none.

    Raises
    ------
    InputError
        There is no message, or one has a role that no template knows.
    """
    if not messages:
        raise InputError("there is no message", where="chat", mend="give at least one")
    if not tokenizer.chat_template:
        rendered = chatml.turns(messages, tools)

        def fill(texts: list[str]) -> str:
            return chatml.render(
                chatml.Turn(turn.role, text) for turn, text in zip(rendered, texts, strict=True)
            )

        return chatml.encode(tokenizer, [one.content for one in rendered], fill)
    given = [_as_dict(one) for one in messages]
    texts: list[str] = []

    def keep(text: str) -> str:
        texts.append(text)
        return text

    _each_text(given, keep)

    def fill_template(changed: list[str]) -> str:
        left = iter(changed)
        filled = _each_text(given, lambda _: next(left))
        found: Any = tokenizer.apply_chat_template(
            filled, tools=[dict(one) for one in tools] or None, tokenize=False, add_generation_prompt=True
        )
        return str(found)

    return chatml.encode(tokenizer, texts, fill_template)


def _as_dict(message: BaseMessage) -> dict[str, Any]:
    """A message as chat templates know it."""
    roles = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
    if message.type not in roles:
        raise InputError(
            f"unknown role {message.type!r}", where="chat", mend=f"roles are {', '.join(chatml.ROLES)}"
        )
    found: dict[str, Any] = {"role": roles[message.type], "content": chatml.text_of(message)}
    if isinstance(message, AIMessage) and message.tool_calls:
        found["tool_calls"] = [
            {"type": "function", "function": {"name": one["name"], "arguments": one["args"]}}
            for one in message.tool_calls
        ]
    if isinstance(message, ToolMessage) and message.name:
        found["name"] = message.name
    return found


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """The same messages with every text of people, tools and models changed, in a fixed order."""
    match value:
        case {"role": role, "content": content, **rest}:
            inner = partial(_each_string, change=change)
            return {
                "role": role,
                "content": change(content),
                **{name: inner(one) for name, one in rest.items()},
            }
        case list():
            return [_each_text(one, change) for one in value]
    return value


def _each_string(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {name: _each_string(one, change) for name, one in value.items()}
    return [_each_string(one, change) for one in value] if isinstance(value, list) else value
