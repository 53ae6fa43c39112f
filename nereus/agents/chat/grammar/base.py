"""What a rule is: it sees a question and its folded form, and gives calls of actions, or None."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from nereus.agents.chat.vocabulary import Vocabulary

Call = tuple[str, dict[str, Any]]
Rule = Callable[[str, str, Vocabulary], "list[Call] | None"]


def has(pattern: str) -> Callable[[str], bool]:
    """Whether a text holds a pattern."""
    compiled = re.compile(pattern)
    return lambda text: compiled.search(text) is not None
