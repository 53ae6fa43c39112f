"""A question that cannot be asked because a tool is not installed is said, not passed over."""

from __future__ import annotations

import pytest

from nereus.agents.policies.rules.objectives import propose
from nereus.memory.records import ObjectiveKind
from nereus.tools import registry
from tests.agents.policies.test_questions import CASES


def test_what_a_missing_tool_leaves_unasked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = CASES[ObjectiveKind.SURVIVAL]
    assert not [one for one in propose(seen).dropped if "not installed" in one.reason]
    monkeypatch.delitem(registry.CATALOGUE, "survival_screen")
    told = [one for one in propose(seen).dropped if "not installed" in one.reason]
    assert [(one.subject, one.reason) for one in told] == [
        ("questions of kind survival", "survival_screen is not installed")
    ]
