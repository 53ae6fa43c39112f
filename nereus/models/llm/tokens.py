"""How many tokens a text or a conversation takes: by the model's tokenizer where it is at hand, else estimated with caution."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from nereus.models.llm.chatml import text_of

PER_MESSAGE = 8
"""Tokens around a message: its role and its end, in any template known to us."""
Counter = Callable[[str], int]


_PARTS = re.compile(r"[a-z]+|[A-Z]+|[0-9]|[^\sa-zA-Z0-9]|\n|[^\S\n]{2,}")
_SMALL, _CAPITAL = 4, 2
"""Letters of a token: words are known to tokenizers, names of genes and sequences of residues are not."""
_KNOWN = re.compile("[\u00a0-\u07ff\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3]")
"""Scripts whose letters take a token each at most; those of rarer ones may take as many as they have bytes."""


def estimated(text: str) -> int:
    """A cautious estimate, above the truth of any tokenizer of today's size for prose, tables of numbers, names and sequences.

    Digits count one by one, as the Qwen family and others read them.
    """
    total = 1
    for part in _PARTS.findall(text):
        first = part[0]
        if "a" <= first <= "z":
            total += -(-len(part) // _SMALL)
        elif "A" <= first <= "Z":
            total += -(-len(part) // _CAPITAL)
        elif first.isascii() or _KNOWN.match(first):
            total += 1
        else:
            total += len(part.encode("utf-8", "replace"))
    return total


@lru_cache(maxsize=8)
def counter(model: str) -> Counter:
    """What counts the tokens of a text for a model.

    Parameters
    ----------
    model
        Name of a model; where it is a folder with ``tokenizer.json``, that counts.
    """
    file = Path(model) / "tokenizer.json"
    if not file.is_file():
        return estimated
    try:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # noqa: BLE001 - not installed, or a file it cannot read: the estimate always works
        return estimated
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def of_messages(
    messages: Sequence[BaseMessage], tools: Sequence[Mapping[str, Any]] = (), count: Counter = estimated
) -> int:
    """Tokens of a conversation with its tools."""
    total = sum(count(json.dumps(one)) for one in tools)
    for message in messages:
        total += PER_MESSAGE + count(text_of(message))
        if isinstance(message, AIMessage):
            total += sum(
                PER_MESSAGE + count(json.dumps(dict(one), default=str)) for one in message.tool_calls
            )
    return total
