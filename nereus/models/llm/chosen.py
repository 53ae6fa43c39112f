"""The chat model and the embedding model that the settings name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from nereus.models.llm.ceilings import Ceilings, Meter, Prices
from nereus.models.llm.deadline import AsyncBoundedTransport, BoundedTransport
from nereus.offline import enforce

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models.chat_models import BaseChatModel

    from nereus.settings import Settings


def chat_model(
    settings: Settings, *, meter: Meter | None = None, metered: bool = True, **changes: Any
) -> BaseChatModel | None:
    """The chat model that the settings name; None where they name none.

    Parameters
    ----------
    settings
        ``llm_model`` with ``llm_base_url`` or ``llm_api_key``; or a folder as ``llm_model``, which runs in this process.
    meter
        What is asked before each call. None makes one of the ceilings in the settings.
    metered
        False where whoever calls it counts.
    **changes
        Fields of `EndpointChat` that are to be other than in the settings, as ``retries=0``.

    Raises
    ------
    SettingsError
        The packages of the extra are not installed.
    """
    enforce(settings)
    if not settings.llm_model:
        return None
    meter = (meter or meter_of(settings)) if metered else None
    if settings.llm_base_url is None and settings.llm_api_key is None:
        if Path(settings.llm_model).expanduser().is_dir():
            from nereus.models.llm.local import LocalChat

            return LocalChat.of_folder(
                Path(settings.llm_model).expanduser(),
                reply_tokens=settings.llm_reply_tokens,
                timeout_s=settings.llm_timeout_s,
                meter=meter,
            )
        return None
    from nereus.models.llm.endpoint import EndpointChat

    key = settings.llm_api_key
    fields: dict[str, Any] = {
        "model": settings.llm_model,
        "base_url": settings.llm_base_url,
        "api_key": key or "not-needed",
        "temperature": 0,
        "timeout": settings.llm_timeout_s,
        "call_timeout_s": settings.llm_timeout_s,
        "max_tokens": settings.llm_reply_tokens,
        "context_tokens": settings.llm_context_tokens
        if "llm_context_tokens" in settings.model_fields_set
        else None,
        "retries": settings.llm_retries,
        "meter": meter,
        "stream_usage": True,
        # Tries are made, counted and limited here.
        "max_retries": 0,
        "http_client": httpx.Client(transport=BoundedTransport(settings.llm_timeout_s)),
        "http_async_client": httpx.AsyncClient(transport=AsyncBoundedTransport(settings.llm_timeout_s)),
    }
    return EndpointChat(**(fields | changes))


def meter_of(settings: Settings) -> Meter:
    """A meter with the ceilings and prices of the settings."""
    limits = Ceilings(
        settings.llm_max_calls, settings.llm_max_tokens, settings.llm_max_usd, settings.llm_max_s
    )
    return Meter(limits, Prices(settings.llm_price_prompt, settings.llm_price_reply))


def metered_anew(model: BaseChatModel) -> BaseChatModel:
    """The same model with all of its ceilings before it; what it learned of its endpoint is shared by both.

    A model that counts nothing is given back as it is.
    """
    meter = getattr(model, "meter", None)
    if not isinstance(meter, Meter):
        return model
    made = model.model_copy(update={"meter": meter.anew()})
    # How long the endpoint wants to be left alone, its window, options that it refuses: one state for all copies.
    object.__setattr__(made, "__pydantic_private__", model.__pydantic_private__)
    return made


def embeddings(settings: Settings) -> Embeddings | None:
    """The embedding model at the endpoint; None where the settings name none.

    Raises
    ------
    SettingsError
        It is named without an endpoint or a key.
    """
    enforce(settings)
    if not settings.llm_embedding_model:
        return None
    from langchain_openai import OpenAIEmbeddings

    key = settings.llm_api_key
    made: Any = OpenAIEmbeddings
    model: Embeddings = made(
        model=settings.llm_embedding_model,
        base_url=settings.llm_base_url,
        api_key=key or "not-needed",
        timeout=settings.llm_timeout_s,
        max_retries=settings.llm_retries,
        # Texts are sent as they are: counting their tokens would fetch a tokenizer.
        check_embedding_ctx_length=False,
        http_client=httpx.Client(transport=BoundedTransport(settings.llm_timeout_s)),
        http_async_client=httpx.AsyncClient(transport=AsyncBoundedTransport(settings.llm_timeout_s)),
    )
    return model
