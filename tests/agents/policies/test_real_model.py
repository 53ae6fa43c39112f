"""A whole run whose policy asks a real model behind a real server; what it cannot answer, the rules do and the record tells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.agents.conftest import start

if TYPE_CHECKING:
    from nereus.models.llm.serving import Served

pytestmark = [pytest.mark.slow, pytest.mark.long]
pytest.importorskip("langchain_openai", reason="an endpoint needs pip install -e '.[llm]'")
CALLS = 4


def test_a_run_on_a_real_weak_model_ends_and_says_who_decided(
    tiny_server: Served,
    data: tuple[Path, Path],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "LLM_BASE_URL": tiny_server.plan.url,
        "LLM_MODEL": tiny_server.plan.model,
        "LLM_CONTEXT_TOKENS": "16384",
        "LLM_REPLY_TOKENS": "256",
        "LLM_TIMEOUT_S": "60",
        "LLM_MAX_CALLS": str(CALLS),
        "LLM_RETRIES": "1",
    }.items():
        monkeypatch.setenv(f"NEREUS_{name}", value)
    run = start(data, home, "real", policy="llm", budget=["objectives=1", "steps=6", "hypotheses=4"])
    asked = [one for one in run.record.decisions if one.policy == "llm" or one.fallback]
    failed = [one for one in asked if one.fallback]
    assert failed, "a quarter million weights that learned six dialogues plan no analysis"
    assert all(one.fallback_reason for one in failed)
    assert 1 <= sum(one.calls for one in asked) <= CALLS
    assert sum(one.tokens for one in asked) > 1000, "the server read the prompts"
    reasons = " ".join(one.fallback_reason for one in failed)
    assert "no valid reply" in reasons
    assert f"the limit of {CALLS} model calls is reached" in reasons
    assert tiny_server.healthy()
    assert run.record.steps
