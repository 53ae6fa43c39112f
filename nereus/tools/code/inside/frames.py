"""The channel between a sandbox and who opened it: JSON texts, each after its length in four bytes."""

from __future__ import annotations

import json
import os
import struct
from typing import Any

HEAD = struct.Struct(">I")


def packed(message: dict[str, Any]) -> bytes:
    """A message as bytes."""
    body = json.dumps(message, ensure_ascii=True, allow_nan=False).encode("ascii")
    return HEAD.pack(len(body)) + body


def write(descriptor: int, message: dict[str, Any]) -> None:
    """Write a message, all of it."""
    send(descriptor, packed(message))


def send(descriptor: int, content: bytes) -> None:
    """Write a message that is packed already."""
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def read(descriptor: int) -> dict[str, Any] | None:
    """Read the next message from one who is trusted; None at the end."""
    head = _exactly(descriptor, HEAD.size)
    if head is None:
        return None
    body = _exactly(descriptor, HEAD.unpack(head)[0])
    if body is None:
        return None
    message: dict[str, Any] = json.loads(body)
    return message


def _exactly(descriptor: int, size: int) -> bytes | None:
    parts: list[bytes] = []
    while size:
        part = os.read(descriptor, min(size, 1 << 20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
