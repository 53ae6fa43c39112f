"""Read the JSON object that a model meant, whatever it wrapped it in.

Models think aloud, fence their JSON, double it, forget its last brace or write Python literals. `json-repair` mends the syntax;
which object is meant is decided here; whether it is valid is decided by a schema, wherever it is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from json_repair import repair_json

MOST_CHARACTERS = 400_000
"""A reply longer than this is not read: nothing of ours needs it."""
MOST_NESTED = 5_000
"""Objects and lists in a broken reply beyond which it is not mended."""
_MOST_TRIED = 200
_THOUGHT = re.compile(r"<(think|thinking|reasoning|scratchpad)>.*?(?:</\1>|$)", re.DOTALL | re.IGNORECASE)
_THOUGHT_END = re.compile(r"^.*?</(?:think|thinking|reasoning|scratchpad)>", re.DOTALL | re.IGNORECASE)
_FENCED = re.compile(r"```[\w-]*\s*\n?(.*?)(?:```|$)", re.DOTALL)
_UNPRINTED = re.compile(r"[\ud800-\udfff\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")


def without_thoughts(text: str) -> str:
    """The text without what the model only thought, also where the beginning of the thought was not written."""
    spoken = _THOUGHT.sub("", text)
    return _THOUGHT_END.sub("", spoken) if spoken == text else spoken


def objects(text: str) -> Iterator[dict[str, Any]]:
    """Objects that the text may mean, likeliest first: intact ones, then mended ones."""
    spoken = _THOUGHT.sub("", text)
    if not spoken.strip() or "{" not in spoken:
        spoken = _THOUGHT_END.sub("", text)
    places = [*_FENCED.findall(spoken), spoken]
    for place in places:
        yield from intact(place)
    for place in places:
        start = place.find("{")
        if start < 0:
            continue
        found = mended(place[start:])
        yield from (one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict))


def intact(text: str) -> Iterator[dict[str, Any]]:
    """Objects that are JSON as they stand."""
    decoder = json.JSONDecoder()
    position = text.find("{")
    tried = 0
    while position >= 0 and tried < _MOST_TRIED:
        tried += 1
        try:
            found, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            end = position + 1
        else:
            if isinstance(found, dict):
                yield found
        position = text.find("{", end)


def mended(text: str) -> Any:
    """The value of broken JSON; None where it is nested too deep to be ours."""
    if len(text) > MOST_CHARACTERS or sum(map(text.count, "{[")) > MOST_NESTED:
        return None
    try:
        return repair_json(text, return_objects=True)
    except (ValueError, RecursionError):
        return None


def plain(value: Any) -> Any:
    """A JSON value without what no text of ours holds: halves of letters, control signs, marks that turn the direction."""
    if isinstance(value, str):
        return _UNPRINTED.sub("", value)
    if isinstance(value, Mapping):
        return {plain(name): plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value
