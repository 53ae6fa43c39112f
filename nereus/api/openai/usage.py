"""How many tokens: as the model told, else estimated; a grammar has no tokens, but clients count."""

from __future__ import annotations

import math

from pydantic import BaseModel

_BYTES_A_TOKEN = 4


class Usage(BaseModel):
    """Tokens of a request and its answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


def tokens_of(text: str) -> int:
    """About how many tokens a text has."""
    return math.ceil(len(text.encode()) / _BYTES_A_TOKEN)


def usage_of(read: list[str], written: str) -> Usage:
    """Tokens of texts that were read and written."""
    prompt, completion = sum(map(tokens_of, read)), tokens_of(written)
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


def before(text: str, stop: str | list[str] | None) -> str:
    """A text up to the first of the words at which a client wants it to stop."""
    ends = [text.find(one) for one in ([stop] if isinstance(stop, str) else stop or []) if one]
    return text[: min((one for one in ends if one >= 0), default=len(text))]


def cut(text: str, most_tokens: int | None) -> tuple[str, bool]:
    """A text within a number of tokens, and whether it was cut."""
    if most_tokens is None or tokens_of(text) <= most_tokens:
        return text, False
    return text.encode()[: most_tokens * _BYTES_A_TOKEN].decode(errors="ignore"), True
