"""How much a model reads in one go: asked of its server before the first call, by what each kind of server tells.

Servers that are asked for more either refuse, or cut the beginning of the prompt in silence; the second is why a reply that
tells of far fewer tokens than were sent is taken for a fault (`looks_cut`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from nereus.models.llm.deadline import BoundedTransport, within

PROBE_S = 5.0
_LONGEST_TOKEN = 12
"""Letters of a token on average, above which no ordinary text comes."""
_SHORT = 2_000
"""Letters of a prompt below which nothing can be told from its count of tokens."""


@dataclass(frozen=True)
class Told:
    """What a server said of its window."""

    tokens: int | None
    """None where it does not tell."""
    answered: bool
    """Whether it answered at all; one that is silent or away may answer later."""


def context_window(base_url: str, model: str, key: str | None = None, seconds: float = PROBE_S) -> int | None:
    """Tokens that the model can read and write in one go; None where the server does not tell. See `window_told`."""
    return window_told(base_url, model, key, seconds).tokens


def window_told(base_url: str, model: str, key: str | None = None, seconds: float = PROBE_S) -> Told:
    """Ask a server for the context window of a model.

    Parameters
    ----------
    base_url
        Address of the endpoint, as ``http://127.0.0.1:8000/v1``.
    model
        Name of the model there.
    key
        Of the endpoint.
    seconds
        Seconds that all questions together may take; a head that never ends trips no timeout of the client.
    """

    def ask() -> Told:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with httpx.Client(
            transport=BoundedTransport(seconds), timeout=seconds, headers=headers, trust_env=False
        ) as client:
            for found in _asked(client, base_url.rstrip("/"), model):
                if isinstance(found, int) and not isinstance(found, bool) and found > 0:
                    return Told(found, answered=True)
        return Told(None, answered=True)

    try:
        return within(ask, seconds)
    except (httpx.TimeoutException, httpx.ConnectError, TimeoutError):
        return Told(None, answered=False)


def _asked(client: httpx.Client, base: str, model: str) -> Iterator[Any]:
    """What the server tells, surest first."""
    parts = urlsplit(base)
    root = urlunsplit((parts.scheme, parts.netloc, "", "", ""))
    listed = _json(client, "GET", f"{base}/models")
    told = listed.get("data")
    rows = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    of_model = [one for one in rows if one.get("id") == model] or (rows if len(rows) == 1 else [])
    for one in of_model:
        yield one.get("max_model_len")  # vLLM, SGLang
        yield one.get("context_length")  # OpenRouter, Together
        yield one.get("context_window")
        yield one.get("max_context_length")
    ollama = "version" in _json(client, "GET", f"{root}/api/version")
    shown = _json(client, "POST", f"{root}/api/show", {"model": model}) if ollama else {}
    for line in str(shown.get("parameters") or "").splitlines():
        name, _, value = line.partition(" ")
        if name == "num_ctx" and value.strip().isdigit():
            yield int(value)
    running = _json(client, "GET", f"{root}/api/ps").get("models") if ollama else None
    for one in running if isinstance(running, list) else ():
        if isinstance(one, dict) and model in (one.get("name"), one.get("model")):
            yield one.get("context_length")
    props = _json(client, "GET", f"{root}/props")  # llama.cpp
    settings = props.get("default_generation_settings")
    yield settings.get("n_ctx") if isinstance(settings, dict) else None
    for one in of_model:
        meta = one.get("meta")
        yield meta.get("n_ctx_train") if isinstance(meta, dict) else None
    told = _json(client, "GET", f"{root}/api/v0/models").get("data")  # LM Studio
    for one in told if isinstance(told, list) else ():
        if isinstance(one, dict) and one.get("id") == model:
            yield one.get("loaded_context_length")
            yield one.get("max_context_length")


def _json(client: httpx.Client, method: str, url: str, body: Any = None) -> dict[str, Any]:
    """The object that a path gives, or none: servers answer what they do not know in every way there is."""
    try:
        with client.stream(method, url, json=body) as response:
            if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:  # it still reads its weights
                raise httpx.ConnectError("not ready yet")
            if response.status_code != httpx.codes.OK:
                return {}
            content = b""
            for piece in response.iter_bytes():
                content += piece
                if len(content) > 4 * 2**20:
                    return {}
        found = httpx.Response(200, content=content).json()
    except (httpx.TimeoutException, httpx.ConnectError):
        raise
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def looks_cut(characters: int, prompt_tokens: int | None) -> bool:
    """Whether an endpoint tells of so few tokens that it cannot have read the whole prompt."""
    return bool(prompt_tokens) and characters > _SHORT and (prompt_tokens or 0) < characters / _LONGEST_TOKEN
