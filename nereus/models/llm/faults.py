"""What went wrong at an endpoint, in words that name no address and no key, and whether it is worth another try."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from nereus.errors import EndpointError, NereusError, ReplyTimeout

_TRANSIENT = (408, 409, 425, 429)
_REFUSES_TOOLS = (400, 404, 422, 501)
_LONGEST_SAID = 300
_KEY = re.compile(
    r"\b(?:sk|pk|hf|gsk|xai|key|token)[-_][\w-]{8,}|\b(?:Bearer|Basic) +[\w.~+/=-]{8,}", re.IGNORECASE
)
"""What looks like a key, whoever's it is: endpoints quote what they were sent."""


def explained(
    error: BaseException, seconds: float, where: str | None = None, secrets: tuple[str, ...] = ()
) -> NereusError:
    """An error of ours for whatever a call of an endpoint raised.

    Parameters
    ----------
    error
        What was raised.
    seconds
        What the call was allowed.
    where
        The endpoint, for the person who reads the message.
    secrets
        Texts that must not be in what the endpoint is quoted with.
    """
    if isinstance(error, NereusError):
        return error
    kind = type(error).__name__
    kinds = {one.__name__ for one in type(error).__mro__}  # without loading the client for it
    status = getattr(error, "status_code", None)
    if isinstance(error, TimeoutError) or "APITimeoutError" in kinds or "TimeoutException" in kinds:
        return ReplyTimeout(
            f"no reply within {seconds:g} s", where=where, mend="raise llm_timeout_s, or look at the server"
        )
    if isinstance(status, int):
        said = _said(error, secrets)
        return EndpointError(
            f"{kind}: HTTP {status}{_words(status)}",
            where=where,
            mend=f"{_mend(status)}; it said: {said}" if said else _mend(status),
            status=status,
            transient=status in _TRANSIENT or status >= 500,
            wait_s=_asked_wait(error),
            said=said,
        )
    if "APIConnectionError" in kinds:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        return EndpointError(
            f"{kind}: the connection failed ({type(cause).__name__})",
            where=where,
            mend="see whether the server runs: `nereus llm check`",
            transient=True,
        )
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return EndpointError(
            f"{kind}: the reply is no JSON", where=where, mend="is this a chat endpoint?", transient=True
        )
    return EndpointError(
        f"{kind}: the reply is no chat completion",
        where=where,
        mend="is the address that of the OpenAI protocol (it mostly ends in /v1)?",
        transient=True,
    )


def refuses_tools(error: BaseException) -> bool:
    """Whether an endpoint says that it takes no tools."""
    text = f"{error} {getattr(error, 'said', '')} {error.__cause__ or ''}".lower()
    status = getattr(error, "status_code", getattr(error, "status", None))
    return isinstance(error, NotImplementedError) or (status in _REFUSES_TOOLS and "tool" in text)


def _words(status: int) -> str:
    return {
        401: ", the key is not accepted",
        403: ", the key may not do this",
        404: ", no such model or address",
        413: ", the prompt is too large",
        429: ", too many requests",
    }.get(status, ", the server failed" if status >= 500 else ", the request is not accepted")


def _mend(status: int) -> str:
    if status in (401, 403):
        return "set NEREUS_LLM_API_KEY"
    if status == 404:
        return "see NEREUS_LLM_MODEL and NEREUS_LLM_BASE_URL"
    return "`nereus llm check` tells what the endpoint can do" if status < 500 else "look at the server's log"


def _asked_wait(error: BaseException) -> float | None:
    """Seconds that the endpoint asked to wait, by its headers; None where it did not, or not in words of the protocol."""
    headers: Any = getattr(getattr(error, "response", None), "headers", None)
    if not isinstance(headers, Mapping):
        return None
    for name, part in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = str(headers.get(name) or "").strip()
        if not text:
            continue
        try:
            found = float(text) / part
        except ValueError:
            try:
                found = parsedate_to_datetime(text).timestamp() - time.time()
            except (ValueError, TypeError, OverflowError):
                continue
        if math.isfinite(found):
            return max(found, 0.0)
    return None


def _said(error: BaseException, secrets: tuple[str, ...]) -> str:
    """The endpoint's own words on one line, shortened, without keys."""
    text = " ".join(str(error).split())
    for secret in secrets:
        text = text.replace(secret, "***") if len(secret) > 3 else text
    return "".join(one for one in _KEY.sub("***", text) if one.isprintable())[:_LONGEST_SAID]
