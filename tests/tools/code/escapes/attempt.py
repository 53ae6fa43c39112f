"""What an attempt to get out of the sandbox is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nereus.tools.code.outcome import Stop

FILES, CALLS = Stop.FILES, Stop.CALLS
BOTH = frozenset({FILES, CALLS})


@dataclass(frozen=True)
class Attempt:
    """One attempt.

    Attributes
    ----------
    by
        What may stop it; None among them: it runs to its end and finds nothing.
    control
        ``any``: works where nothing holds it. ``root``: only for root. A longer text: why it is not tried there.
    alone
        Needs a sandbox of its own: it ends its process, or breaks the channel.
    limits
        Limits under which it runs alone.
    below
        Whether it is also stopped where only limits hold (grade ``limited``).
    """

    name: str
    code: str
    by: frozenset[Stop | None]
    control: str = "any"
    alone: bool = False
    limits: Mapping[str, Any] = field(default_factory=dict)
    below: bool = False


ATTEMPTS: list[Attempt] = []
"""All of them, in the order in which they were added."""


def add(name: str, code: str, *by: Stop | None, **options: Any) -> None:
    """Put an attempt on the list."""
    ATTEMPTS.append(Attempt(name, code.strip(), frozenset(by), **options))
