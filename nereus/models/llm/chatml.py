"""ChatML, the form of the Qwen family: turns between ``<|im_start|>`` and ``<|im_end|>``; text never becomes a control token.

References
----------
Qwen Technical Report, arXiv:2309.16609.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from nereus.errors import InputError
from nereus.models.llm import hermes
from nereus.models.llm.calls import ToolCall

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

START, END = "<|im_start|>", "<|im_end|>"
DEFAULT_SYSTEM = "You are a helpful assistant."
ROLES = ("system", "user", "assistant", "tool")
_FIRST_MARK = 0xE000
"""Private-use letters stand for control strings within texts while a template is filled in."""


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation."""

    role: str
    content: str


def turns(
    messages: Sequence[BaseMessage], tools: Sequence[Mapping[str, Any]] = (), system: str = DEFAULT_SYSTEM
) -> list[Turn]:
    """Turns of LangChain messages, with tools in the system turn, calls between tags and results in user turns.

    Raises
    ------
    InputError
        There is no message, or one of an unknown kind.
    """
    if not messages:
        raise InputError("there is no message", where="chat", mend="give at least one")
    found: list[Turn] = []
    for message in messages:
        text = text_of(message)
        match message:
            case SystemMessage():
                found.append(Turn("system", text))
            case HumanMessage():
                found.append(Turn("user", text))
            case AIMessage():
                calls = [
                    hermes.rendered(ToolCall(one["name"], one["args"], one["id"] or ""))
                    for one in message.tool_calls
                ]
                found.append(Turn("assistant", "\n".join([*([text] if text else []), *calls])))
            case ToolMessage():
                given = hermes.response(text)
                if found and found[-1].role == "tool":
                    found[-1] = Turn("tool", f"{found[-1].content}\n{given}")
                else:
                    found.append(Turn("tool", given))
            case _:
                raise InputError(
                    f"unknown role {message.type!r}", where="chat", mend=f"roles are {', '.join(ROLES)}"
                )
    found = [Turn("user" if one.role == "tool" else one.role, one.content) for one in found]
    if found[0].role != "system":
        found.insert(0, Turn("system", system))
    if tools:
        found[0] = Turn("system", f"{found[0].content}\n\n{hermes.tool_prompt(tools)}")
    return found


def render(conversation: Iterable[Turn], *, generate: bool = True) -> str:
    """The text of a conversation.

    Parameters
    ----------
    conversation
        Turns.
    generate
        Whether an assistant's turn is begun at the end.
    """
    text = "".join(f"{START}{one.role}\n{one.content}{END}\n" for one in conversation)
    return f"{text}{START}assistant\n" if generate else text


def encode(
    tokenizer: PreTrainedTokenizerBase, contents: Sequence[str], fill: Callable[[list[str]], str]
) -> list[int]:
    """Token numbers of a conversation whose texts hold no control token, whatever letters they are made of.

    Parameters
    ----------
    tokenizer
        Of the model.
    contents
        Texts of people, tools and models.
    fill
        Makes the whole text of the contents, in their order: `render`, or a model's own template. The control strings in the
        contents are stand-ins while it does.
    """
    added = (one.content for one in tokenizer.added_tokens_decoder.values())
    controls = sorted({START, END, *map(str, tokenizer.all_special_tokens), *added}, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, controls)))
    stand_ins: dict[str, str] = {}
    taken = {letter for one in contents for letter in one if 0xE000 <= ord(letter) <= 0xF8FF}
    free = (chr(number) for number in range(_FIRST_MARK, 0xF900) if chr(number) not in taken)

    def hide(found: re.Match[str]) -> str:
        if found.group() not in stand_ins:
            stand_ins[found.group()] = next(free)
        return stand_ins[found.group()]

    text = fill([pattern.sub(hide, one) for one in contents])
    if not stand_ins:
        return _numbers(tokenizer, text)
    meant = {mark: control for control, mark in stand_ins.items()}
    numbers: list[int] = []
    for piece in re.split(f"([{''.join(meant)}])", text):
        if piece in meant:  # in two parts, neither of which is a token of its own
            numbers += _numbers(tokenizer, meant[piece][0]) + _numbers(tokenizer, meant[piece][1:])
        elif piece:
            numbers += _numbers(tokenizer, piece)
    return numbers


def _numbers(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    found: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return found


def text_of(message: BaseMessage) -> str:
    """The text of a message, whose content may come in blocks."""
    if isinstance(message.content, str):
        return message.content
    parts = [one if isinstance(one, str) else one.get("text", "") for one in message.content]
    return "\n".join(part for part in parts if isinstance(part, str))
