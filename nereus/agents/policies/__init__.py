"""Policies: who decides. One interface, the embedded rules and any chat model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nereus.agents.policies.base import Policy
from nereus.agents.policies.rules import RulesPolicy
from nereus.errors import SettingsError

if TYPE_CHECKING:
    from nereus.memory.records import Budget
    from nereus.settings import Settings

DEFAULT_LLM_CALLS = 200
DEFAULT_LLM_TOKENS = 300_000


def make_policy(settings: Settings, budget: Budget) -> Policy:
    """The policy that the settings name."""
    rules = RulesPolicy()
    if settings.policy == "rules":
        return rules
    from nereus.agents.policies.llm import LLMPolicy

    try:
        from langchain_openai import ChatOpenAI
    except ImportError:
        raise SettingsError(
            "policy 'llm' needs the packages of the extra 'llm'",
            where="policy",
            mend="pip install 'nereus[llm]'",
        ) from None
    model = ChatOpenAI(
        model=settings.llm_model,
        base_url=settings.llm_base_url,
        api_key=settings.llm_api_key or "not-needed",
        temperature=0,
        max_retries=2,
    )
    return LLMPolicy(
        model,
        rules,
        max_calls=budget.llm_calls or DEFAULT_LLM_CALLS,
        max_tokens=budget.llm_tokens or DEFAULT_LLM_TOKENS,
    )


__all__ = ["Policy", "RulesPolicy", "make_policy"]
