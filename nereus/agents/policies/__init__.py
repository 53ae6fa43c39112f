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
    from nereus.models.llm.ceilings import Prices
    from nereus.agents.policies.hybrid import HybridPolicy
    from nereus.agents.policies.llm import LLMPolicy

    llm = LLMPolicy(
        model or chat_model(settings),
        rules,
        max_calls=budget.llm_calls or settings.llm_max_calls,
        max_tokens=budget.llm_tokens or settings.llm_max_tokens,
        max_usd=budget.usd or settings.llm_max_usd,
        max_seconds=settings.llm_max_s,
        prices=Prices(settings.llm_price_prompt, settings.llm_price_reply),
        timeout_s=settings.llm_timeout_s,
        context_tokens=settings.llm_context_tokens,
        reply_tokens=settings.llm_reply_tokens,
        form=settings.llm_form,
    )
    if settings.policies == {"default": "llm"}:
        return llm
    return HybridPolicy({"rules": rules, "llm": llm}, settings.policies, settings.policy)


def chat_model(settings: Settings) -> BaseChatModel:
    """The chat model behind an OpenAI-compatible address.

    Raises
    ------
    SettingsError
        No model is named, or the packages of the extra ``llm`` are not installed.
    """
    if not settings.llm_model:
        raise SettingsError(
            "no chat model is named", where="llm_model", mend="set NEREUS_LLM_MODEL and NEREUS_LLM_BASE_URL"
        )
    try:
        from langchain_openai import ChatOpenAI
    except ImportError:
        raise SettingsError(
            "a chat model needs the packages of the extra 'llm'",
            where="policy",
            mend="pip install 'nereus[llm]'",
        ) from None
    model: BaseChatModel = ChatOpenAI(
        model=settings.llm_model,
        base_url=settings.llm_base_url,
        api_key=settings.llm_api_key or "not-needed",
        temperature=0,
        timeout=settings.llm_timeout_s,
        max_tokens=settings.llm_reply_tokens,
        # The calls are counted: a client that tries again on its own would pass the ceilings.
        max_retries=0,
    )
    return model


__all__ = ["Policy", "RulesPolicy", "chat_model", "make_policy"]
