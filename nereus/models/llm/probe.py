"""What an endpoint can really do: asked of it with small questions, since servers accept what they then ignore."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import httpx
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import SecretStr

from nereus.errors import NereusError
from nereus.models.llm import hermes
from nereus.models.llm.chatml import text_of
from nereus.models.llm.deadline import within
from nereus.models.llm.window import looks_cut

if TYPE_CHECKING:
    from nereus.models.llm.endpoint import EndpointChat

_LISTED_S = 10.0
"""Seconds for the list of models."""
State = Literal["yes", "no", "in text", "unknown"]
_TOOL = {
    "type": "function",
    "function": {
        "name": "tell_colour",
        "description": "Tell the colour of a thing.",
        "parameters": {
            "type": "object",
            "properties": {"colour": {"type": "string", "enum": ["red", "green", "blue"]}},
            "required": ["colour"],
            "additionalProperties": False,
        },
    },
}
_SCHEMA = {
    "type": "object",
    "properties": {"tints": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}},
    "required": ["tints"],
    "additionalProperties": False,
}
_LONG_WORDS = 600
_AGAIN = 2


@dataclass(frozen=True)
class Finding:
    """One thing that was asked of an endpoint."""

    name: str
    state: State
    detail: str = ""
    mend: str = ""


@dataclass
class Findings:
    """All that was found."""

    rows: list[Finding] = field(default_factory=list)
    calls: int = 0

    @property
    def usable(self) -> bool:
        """Whether it can be talked to."""
        return next((one.state == "yes" for one in self.rows if one.name == "chat"), False)

    def state(self, name: str) -> State:
        """What was found of one thing."""
        return next((one.state for one in self.rows if one.name == name), "unknown")


def probe(model: EndpointChat, tell: Callable[[Finding], None] = lambda found: None) -> Findings:
    """Ask an endpoint what it can do, in about five short calls.

    Parameters
    ----------
    model
        The chat model of the settings.
    tell
        Told each finding as it comes.
    """
    found = Findings()

    def add(one: Finding) -> None:
        found.rows.append(one)
        tell(one)

    add(_listed(model))
    window = model.window()
    if window is None:
        add(
            Finding(
                "context window",
                "unknown",
                "the server does not tell; llm_context_tokens counts",
                _window_mend(),
            )
        )
    else:
        add(Finding("context window", "yes", f"{window} tokens"))
    small = model.model_copy(update={"max_tokens": 64, "retries": 0, "tools_in_text": False})
    for name, ask in _QUESTIONS.items():
        found.calls += 1
        try:
            add(ask(small))
        except NereusError as error:
            add(Finding(name, "no", error.what, error.mend or ""))
        except Exception as error:  # noqa: BLE001 - clients raise what they like; a probe tells
            add(Finding(name, "no", type(error).__name__))
        if name == "chat" and not found.usable:
            break
    return found


def _listed(model: EndpointChat) -> Finding:
    base = (model.openai_api_base or "https://api.openai.com/v1").rstrip("/")
    key = model.openai_api_key
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if isinstance(key, SecretStr) else {}
    start = time.monotonic()
    try:
        answer = within(
            lambda: httpx.get(f"{base}/models", headers=headers, timeout=_LISTED_S, trust_env=False),
            _LISTED_S,
        )
    except (httpx.HTTPError, TimeoutError) as error:
        return Finding(
            "reachable", "no", type(error).__name__, "is the server running, and the address right?"
        )
    took = f"{(time.monotonic() - start) * 1000:.0f} ms"
    try:
        rows = answer.json().get("data") or []
        names = [str(one.get("id")) for one in rows if isinstance(one, dict)]
    except (ValueError, AttributeError):
        names = []
    if answer.status_code != httpx.codes.OK or not names:
        return Finding(
            "reachable", "yes", f"{took}; it lists no models (HTTP {answer.status_code}), which is no fault"
        )
    there = "among them" if model.model_name in names else "not among them"
    return Finding("reachable", "yes", f"{took}; {len(names)} models, {model.model_name} is {there}")


def _chat(model: EndpointChat) -> Finding:
    start = time.monotonic()
    reply = model.invoke([HumanMessage("Hello")])
    usage: Any = reply.usage_metadata or {}
    told = f"{usage['input_tokens']}+{usage['output_tokens']} tokens" if usage else "tokens not told"
    return Finding("chat", "yes", f"{time.monotonic() - start:.1f} s, {told}")


def _streams(model: EndpointChat) -> Finding:
    pieces = sum(1 for one in model.stream([HumanMessage("Hello")]) if one.content)
    return Finding("streaming", "yes" if pieces > 1 else "unknown", f"{pieces} pieces")


def _reads_all(model: EndpointChat) -> Finding:
    """A prompt of some length, whose tokens are told: servers with a short window cut it in silence."""
    words = " ".join(f"colour{number}" for number in range(_LONG_WORDS))
    reply = model.invoke([HumanMessage(f"{words}\nHello")])
    usage: Any = reply.usage_metadata or {}
    told = usage.get("input_tokens")
    if not told:
        return Finding("reads the whole prompt", "unknown", "tokens are not told")
    cut = looks_cut(len(words), told)
    return Finding("reads the whole prompt", "no" if cut else "yes", f"{told} tokens of {len(words)} letters")


def _tools(model: EndpointChat) -> Finding:
    bound = model.bind_tools([_TOOL], tool_choice="tell_colour")
    reply = bound.invoke([HumanMessage("Call the tool: the sky is blue.")])
    assert isinstance(reply, AIMessage)
    by_server = [one for one in reply.tool_calls if one["name"] == "tell_colour"]
    if not by_server:
        in_text = hermes.parse(text_of(reply), [_TOOL]).calls
        state: State = "in text" if in_text else "no"
        return Finding(
            "tool calls", state, "" if in_text else "it answered without the call that was asked for"
        )
    fits = by_server[0]["args"].get("colour") in ("red", "green", "blue")
    return Finding(
        "tool calls", "yes", "arguments fit the schema" if fits else "arguments are not held to the schema"
    )


def _structured(model: EndpointChat) -> Finding:
    form = {"type": "json_schema", "json_schema": {"name": "tints", "schema": _SCHEMA, "strict": True}}
    # a server that failed at the question before may have closed the connection that is kept: asked again
    root: Any = model.root_client.with_options(max_retries=_AGAIN).chat.completions
    reply = root.create(
        model=model.model_name,
        messages=[{"role": "user", "content": "Give two tints as numbers."}],
        response_format=form,
        max_tokens=64,
        temperature=0,
    )
    text = reply.choices[0].message.content or ""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    fits = (
        isinstance(value, Mapping)
        and set(value) == {"tints"}
        and isinstance(value["tints"], list)
        and len(value["tints"]) == 2
        and all(type(one) is int for one in value["tints"])
    )
    return Finding(
        "structured output", "yes" if fits else "no", "held to the schema" if fits else "accepted and ignored"
    )


_QUESTIONS: dict[str, Callable[[EndpointChat], Finding]] = {
    "chat": _chat,
    "streaming": _streams,
    "reads the whole prompt": _reads_all,
    "tool calls": _tools,
    "structured output": _structured,
}


def _window_mend() -> str:
    return "set NEREUS_LLM_CONTEXT_TOKENS to what the server was started with"
