"""Policies: who decides. One interface, the embedded rules, any chat model, and mixtures of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nereus.agents.policies.base import DecisionKind, Policy
from nereus.agents.policies.rules import RulesPolicy
from nereus.errors import SettingsError

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel

    from nereus.memory.records import Budget
    from nereus.settings import Settings


LEAST_CONTEXT = 4096
"""Tokens below which no question of ours fits with its reply."""


def make_policy(settings: Settings, budget: Budget, model: BaseChatModel | None = None) -> Policy:
    """The policy that the settings name.

    Parameters
    ----------
    settings
        Name of the policy, and the chat model.
    budget
        Limits of the run; those on the language model go before the settings' where they are not 0.
    model
        A chat model in place of the one that the settings name.

    Raises
    ------
    SettingsError
        A mapping names a kind of decision that does not exist, or a chat model's client is not installed.
    """
    unknown = sorted(set(settings.policies) - {"default", *(kind.value for kind in DecisionKind)})
    if unknown:
        raise SettingsError(
            f"there is no kind of decision {unknown[0]!r}",
            where="policy",
            mend=f"kinds are {', '.join(kind.value for kind in DecisionKind)}",
        )
    rules = RulesPolicy()
    if not settings.asks_model:
        return rules
    from nereus.agents.policies.hybrid import HybridPolicy
    from nereus.agents.policies.llm import LLMPolicy
    from nereus.models.llm.ceilings import Prices

    asked = model or deciding_model(settings)
    window = getattr(asked, "window", lambda: None)()
    llm = LLMPolicy(
        asked,
        rules,
        max_calls=budget.llm_calls or settings.llm_max_calls,
        max_tokens=budget.llm_tokens or settings.llm_max_tokens,
        max_usd=budget.usd or settings.llm_max_usd,
        max_seconds=settings.llm_max_s,
        prices=Prices(settings.llm_price_prompt, settings.llm_price_reply),
        timeout_s=settings.llm_timeout_s,
        # What the endpoint tells of itself goes before the setting; below the least that a question needs, calls tell so.
        context_tokens=max(
            min(settings.llm_context_tokens, window or settings.llm_context_tokens), LEAST_CONTEXT
        ),
        reply_tokens=settings.llm_reply_tokens,
        form=settings.llm_form,
        retries=settings.llm_retries,
    )
    if settings.policies == {"default": "llm"}:
        return llm
    return HybridPolicy({"rules": rules, "llm": llm}, settings.policies, settings.policy)


def deciding_model(settings: Settings) -> BaseChatModel:
    """The chat model for decisions. Whoever asks it counts its calls and makes them again, so it does neither.

    Raises
    ------
    SettingsError
        No model is named, or the packages of the extra ``llm`` are not installed.
    """
    from nereus.models.llm import chat_model

    model = chat_model(settings, metered=False, retries=0, tools_in_text=False)
    if model is None:
        raise SettingsError(
            "no chat model is named", where="llm_model", mend="set NEREUS_LLM_MODEL and NEREUS_LLM_BASE_URL"
        )
    return model


__all__ = ["Policy", "RulesPolicy", "deciding_model", "make_policy"]
