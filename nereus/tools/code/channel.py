"""The opener's side of a sandbox's pipes: nothing blocks, and nothing that comes is trusted or without a limit."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from nereus.tools.code.inside.frames import HEAD

MOST_PARTS = 200_000
# Every text of a message; one that does not end goes to the end, so that none is read twice.
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)


class ChannelBroken(Exception):
    """What came through the channel of replies is no reply."""


class Replies:
    """Messages put together from the bytes that come.

    Parameters
    ----------
    limit
        Largest message, bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()

    def take(self, data: bytes) -> list[dict[str, Any]]:
        """Take in bytes; the messages that are now whole.

        Raises
        ------
        ChannelBroken
            A message is too long, or no JSON object.
        """
        self._held += data
        found: list[dict[str, Any]] = []
        while len(self._held) >= HEAD.size:
            (length,) = HEAD.unpack_from(self._held)
            if length > self._limit:
                raise ChannelBroken(f"a reply of {length} bytes, where {self._limit} are allowed")
            if len(self._held) < HEAD.size + length:
                break
            body = bytes(self._held[HEAD.size : HEAD.size + length])
            del self._held[: HEAD.size + length]
            found.append(_message(body))
        return found


def _parts(body: bytes) -> int:
    return body.count(b"[") + body.count(b"{")


def _message(body: bytes) -> dict[str, Any]:
    # Three bytes of JSON make a list of sixty: a reply within its limit would fill the memory.
    if _parts(body) > MOST_PARTS and _parts(_TEXT.sub(b"", body)) > MOST_PARTS:
        raise ChannelBroken(f"a reply of more than {MOST_PARTS} parts")
    try:
        message = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ChannelBroken(f"a reply that is no JSON ({type(error).__name__})") from None
    if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
        raise ChannelBroken("a reply that is no object of a known kind")
    return message


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


class Output:
    """What was printed, kept whole up to a limit shared by both streams."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.size = 0
        self.streams: dict[str, bytearray] = {"out": bytearray(), "err": bytearray()}

    @property
    def full(self) -> bool:
        """Whether more was printed than is allowed."""
        return self.size > self._limit

    def take(self, stream: str, data: bytes) -> None:
        """Keep what fits."""
        room = max(0, self._limit - self.size)
        self.size += len(data)
        self.streams[stream] += data[:room]

    def text(self, stream: str) -> str:
        """All of a stream; what is no UTF-8, and a zero, which databases do not keep, is shown as its number."""
        return self.streams[stream].decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def drain(descriptor: int, most: int = 1 << 20) -> bytes | None:
    """What is there to read now: nothing (empty), or the end (None)."""
    try:
        data = os.read(descriptor, most)
    except BlockingIOError:
        return b""
    except OSError:
        return None
    return data or None
