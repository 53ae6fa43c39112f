"""A chat model behind an OpenAI-compatible address, and what agents need of it beyond the protocol.

`EndpointChat` is langchain-openai's client with: one limit of time for a call with all its tries, replies of bounded size, waits
between tries, ceilings that are asked before each call, a check of the context window before anything is sent, and calls of
tools read from the text where the server does not read them (or fails on them).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from langchain_core.language_models.base import LanguageModelInput
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import Field, PrivateAttr, SecretStr

from nereus.errors import ContextOverflow, EndpointError, ReplyTimeout, SettingsError
from nereus.models.llm import chatml, plain_calls, tokens
from nereus.models.llm.ceilings import CHARACTERS_A_TOKEN, Reserved, size_of
from nereus.models.llm.deadline import stream_within, within
from nereus.models.llm.faults import explained, refuses_tools
from nereus.models.llm.patience import Pause, pause_of, retrying, retrying_async
from nereus.models.llm.reading import (
    StreamReader,
    after_first,
    finishes,
    first_message,
    read,
    read_stream,
    require_end,
)
from nereus.models.llm.window import PROBE_S, looks_cut, window_told
from nereus.settings import mask_password

try:
    from langchain_openai import ChatOpenAI
except ImportError:
    raise SettingsError(
        "a chat model needs the packages of the extra 'llm'",
        where="llm_model",
        mend="pip install -e '.[llm]'",
    ) from None

_ABOUT_TOOLS = ("tools", "tool_choice", "parallel_tool_calls", "response_format")
_SERVER_ERROR = 500
_NOT_TAKEN = (400, 422)
_MAY_BE_LEFT_OUT = ("temperature", "stream_options")
"""Options that some models and servers refuse, and without which a call is still the same question."""
_DEFAULT_REPLY = 2048
_ASK_AGAIN_S = 60.0
"""Seconds after which a server that did not answer is asked for its context window again."""
_PROVIDERS = ("api.openai.com", ".openai.azure.com", ".cognitiveservices.azure.com")
"""Hosts that know ``max_completion_tokens``; other servers may know only ``max_tokens``, and write on without a limit."""


class EndpointChat(ChatOpenAI):
    """A chat model at an OpenAI-compatible endpoint."""

    call_timeout_s: float = 60.0
    """Seconds that a call may take, with all that is tried again."""
    retries: int = 2
    """How often a call is made again that failed for a passing reason."""
    context_tokens: int | None = None
    """What the model reads and writes in one go, if known; what the server tells goes before it where it is less."""
    probe_window: bool = True
    """Whether the server is asked for its context window before the first call."""
    tools_in_text: bool = True
    """Whether tools are offered in the text where the server does not take them, or fails on what the model wrote."""
    meter: Any = Field(default=None, exclude=True, repr=False)
    """`Meter` that is asked before each call."""
    _window: int | None = PrivateAttr(default=None)
    _asked: bool = PrivateAttr(default=False)
    _silent_until: float = PrivateAttr(default=0.0)
    _new_limit: bool = PrivateAttr(default=False)
    _left_out: set[str] = PrivateAttr(default_factory=set)
    _lock: Any = PrivateAttr(default_factory=Lock)

    # ------------------------------------------------------------------ size

    def window(self) -> int | None:
        """Tokens that the model reads and writes in one go, asked of the server once; None where nobody told."""
        with self._lock:
            if self._may_ask():
                key = self._key
                seconds = min(PROBE_S, self.call_timeout_s / 3)
                told = window_told(str(self.openai_api_base), self.model_name, key, seconds)
                self._window, self._asked = told.tokens, told.answered
                self._silent_until = time.monotonic() + _ASK_AGAIN_S
        known = [one for one in (self._window, self.context_tokens) if one]
        return min(known, default=None)

    def _may_ask(self) -> bool:
        """Whether the server is to be asked for its window: not yet, or not for a while since it was silent."""
        return bool(
            self.probe_window
            and self.openai_api_base
            and not self._asked
            and time.monotonic() >= self._silent_until
        )

    @property
    def _key(self) -> str | None:
        key = self.openai_api_key
        return key.get_secret_value() if isinstance(key, SecretStr) else None

    def get_num_tokens(self, text: str) -> int:
        """Tokens of a text; see `nereus.models.llm.tokens`."""
        return tokens.counter(self.model_name)(text)

    def get_token_ids(self, text: str) -> list[int]:
        """One number a byte, an upper bound: the endpoint's tokenizer is not at hand, and none is fetched."""
        return list(text.encode("utf-8", "replace"))

    def get_num_tokens_from_messages(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[Any] | None = None,
        **_: Any,
    ) -> int:
        """Tokens of a conversation; see `nereus.models.llm.tokens`."""
        return tokens.of_messages(messages, tools or (), tokens.counter(self.model_name))

    def _require_room(self, prompt: int, options: Mapping[str, Any]) -> None:
        window = self.window()
        if window is None:
            return
        reply = min(self._reply_tokens(options), window)
        if prompt + reply > window:
            raise ContextOverflow(
                f"the prompt takes about {prompt} tokens and the reply {reply}; {window} are allowed",
                where=self.model_name,
                mend="shorten the prompt, lower llm_reply_tokens, or start the server with a longer context",
            )

    def _reply_tokens(self, options: Mapping[str, Any]) -> int:
        given = options.get("max_tokens") or options.get("max_completion_tokens") or self.max_tokens
        return int(given or _DEFAULT_REPLY)

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """See langchain-openai. The limit of the reply goes under the name that every compatible server knows."""
        payload = super()._get_request_payload(input_, stop=stop, **kwargs)
        host = (urlsplit(self.openai_api_base).hostname or "") if self.openai_api_base else _PROVIDERS[0]
        if not self._new_limit and not host.endswith(_PROVIDERS) and "max_completion_tokens" in payload:
            payload["max_tokens"] = payload.pop("max_completion_tokens")
        return {name: value for name, value in payload.items() if name not in self._left_out}

    # ------------------------------------------------------------------ one call, metered

    @contextmanager
    def _metered(
        self, messages: Sequence[BaseMessage], options: Mapping[str, Any], deadline: float
    ) -> Iterator[_Spent]:
        """Hold what the call may use, and count what it did; whatever it raises becomes an error of ours."""
        prompt = self.get_num_tokens_from_messages(messages, options.get("tools"))
        self._require_room(prompt, options)
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            raise ReplyTimeout(
                f"no reply within {self.call_timeout_s:g} s", where=self._where, mend="raise llm_timeout_s"
            )
        held: Reserved | None = None
        if self.meter is not None:
            replies = self._reply_tokens(options) * int(options.get("n") or self.n or 1)
            held = self.meter.reserve(int(prompt * CHARACTERS_A_TOKEN), replies, seconds)
        spent = _Spent(held.seconds if held else seconds)
        start = time.monotonic()
        refused = False
        try:
            yield spent
            characters = sum(size_of(chatml.text_of(one)) for one in messages)
            if looks_cut(characters, spent.prompt):
                raise EndpointError(
                    f"the endpoint read {spent.prompt} tokens of a prompt of {characters} letters: it was cut in silence",
                    where=self.model_name,
                    mend="start the server with a longer context",
                )
        except GeneratorExit:
            raise
        except Exception as error:
            found = explained(error, self.call_timeout_s, self._where, (self._key,) if self._key else ())
            refused = isinstance(found, EndpointError) and found.status is not None
            if found is error:
                raise
            self._learn(found)
            # Not "from error": what the endpoint said may hold the key, and a traceback would print it.
            raise found from None
        finally:
            if held is not None:
                self.meter.settle(held, time.monotonic() - start, spent.prompt, spent.reply, refused)

    def _learn(self, error: BaseException) -> None:
        """What a refusal tells of the endpoint: that it wants a pause, or does not know an option as it was given."""
        if not isinstance(error, EndpointError):
            return
        if error.wait_s:
            self._pause.ask(error.wait_s)
        if error.status not in _NOT_TAKEN:
            return
        if "max_completion_tokens" in error.said and not self._new_limit:
            self._new_limit, error.transient = True, True
        elif named := [one for one in _MAY_BE_LEFT_OUT if one in error.said and one not in self._left_out]:
            self._left_out.update(named)
            error.transient = True

    @property
    def _pause(self) -> Pause:
        return pause_of(self.openai_api_base or "")

    @property
    def _where(self) -> str:
        address = mask_password(self.openai_api_base) if self.openai_api_base else "the provider"
        return f"{self.model_name} at {address}"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        deadline = time.monotonic() + self.call_timeout_s

        def once(given: list[BaseMessage], options: dict[str, Any]) -> ChatResult:
            self._keep_pause(deadline)
            with self._metered(given, options, deadline) as spent:
                result = within(
                    lambda: super(EndpointChat, self)._generate(given, stop, run_manager, **options),
                    spent.seconds,
                )
                spent.told(first_message(result))
            return result

        def tried(given: list[BaseMessage], options: dict[str, Any], retries: int) -> ChatResult:
            return retrying(retries, _left(deadline))(once, given, options)

        offered = kwargs.get("tools") or ()
        try:
            result = tried(
                messages, kwargs, min(self.retries, 1) if offered and self.tools_in_text else self.retries
            )
        except EndpointError as error:
            if not self._may_ask_in_text(error, offered):
                raise
            result = tried(*_in_text(messages, kwargs), self.retries)
        return read(result, offered)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        deadline = time.monotonic() + self.call_timeout_s
        await self._window_async()

        async def once(given: list[BaseMessage], options: dict[str, Any]) -> ChatResult:
            await self._keep_pause_async(deadline)
            with self._metered(given, options, deadline) as spent:
                async with asyncio.timeout(spent.seconds):
                    result: ChatResult = await super(EndpointChat, self)._agenerate(
                        given, stop, run_manager, **options
                    )
                spent.told(first_message(result))
            return result

        async def tried(given: list[BaseMessage], options: dict[str, Any], retries: int) -> ChatResult:
            return await retrying_async(retries, _left(deadline))(once, given, options)

        offered = kwargs.get("tools") or ()
        try:
            result = await tried(
                messages, kwargs, min(self.retries, 1) if offered and self.tools_in_text else self.retries
            )
        except EndpointError as error:
            if not self._may_ask_in_text(error, offered):
                raise
            result = await tried(*_in_text(messages, kwargs), self.retries)
        return read(result, offered)

    def _may_ask_in_text(self, error: EndpointError, offered: Sequence[Any]) -> bool:
        """Whether the failure may be one of the server's handling of tools: it refuses them, or fails on broken JSON."""
        return bool(
            offered and self.tools_in_text and (refuses_tools(error) or (error.status or 0) >= _SERVER_ERROR)
        )

    # ------------------------------------------------------------------ streams

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        deadline = time.monotonic() + self.call_timeout_s

        def started(given: list[BaseMessage], options: dict[str, Any]) -> Iterator[ChatGenerationChunk]:
            """The stream, once its first piece has come: only until then it can be tried again unseen."""
            self._keep_pause(deadline)
            pieces = self._pieces(given, stop, run_manager, options, deadline)
            return after_first(next(pieces), pieces)

        offered = kwargs.get("tools") or ()
        try:
            pieces = retrying(self.retries, _left(deadline))(started, messages, kwargs)
        except EndpointError as error:
            if not self._may_ask_in_text(error, offered):
                raise
            pieces = retrying(self.retries, _left(deadline))(started, *_in_text(messages, kwargs))
        yield from read_stream(pieces, offered)

    def _pieces(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run_manager: Any,
        options: dict[str, Any],
        deadline: float,
    ) -> Iterator[ChatGenerationChunk]:
        with self._metered(messages, options, deadline) as spent:
            finished = False
            for piece in stream_within(
                lambda: super(EndpointChat, self)._stream(messages, stop, run_manager, **options),
                spent.seconds,
            ):
                finished = finished or finishes(piece)
                spent.told_piece(piece)
                yield piece
            require_end(finished)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        deadline = time.monotonic() + self.call_timeout_s
        await self._window_async()

        async def started(
            given: list[BaseMessage], options: dict[str, Any]
        ) -> tuple[ChatGenerationChunk, AsyncIterator[ChatGenerationChunk]]:
            await self._keep_pause_async(deadline)
            pieces = self._apieces(given, stop, run_manager, options, deadline)
            return await anext(pieces), pieces

        offered = kwargs.get("tools") or ()
        try:
            begun: Any = await retrying_async(self.retries, _left(deadline))(started, messages, kwargs)
        except EndpointError as error:
            if not self._may_ask_in_text(error, offered):
                raise
            begun = await retrying_async(self.retries, _left(deadline))(started, *_in_text(messages, kwargs))
        first, pieces = begun
        reader = StreamReader(offered)
        for piece in reader.read(first):
            yield piece
        async for one in pieces:
            for piece in reader.read(one):
                yield piece
        for piece in reader.end():
            yield piece

    async def _apieces(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run_manager: Any,
        options: dict[str, Any],
        deadline: float,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with self._metered(messages, options, deadline) as spent:
            finished = False
            pieces: Any = super()._astream(messages, stop, run_manager, **options)
            end = time.monotonic() + spent.seconds
            try:
                while True:
                    async with asyncio.timeout(max(end - time.monotonic(), 0.0)):
                        try:
                            piece = await anext(pieces)
                        except StopAsyncIteration:
                            break
                    finished = finished or finishes(piece)
                    spent.told_piece(piece)
                    yield piece
            finally:
                await pieces.aclose()
            require_end(finished)

    async def _window_async(self) -> None:
        """Ask for the window off the event loop, before a call on it asks again and finds it known."""
        if self._may_ask():
            await asyncio.to_thread(self.window)

    def _keep_pause(self, deadline: float) -> None:
        """Wait while the endpoint asked to be left alone."""
        if wait := self._pause.wait_s(_left(deadline)):
            time.sleep(wait)

    async def _keep_pause_async(self, deadline: float) -> None:
        if wait := self._pause.wait_s(_left(deadline)):
            await asyncio.sleep(wait)


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.0)


class _Spent:
    """What a call may take, and what its endpoint told that it took."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.prompt: int | None = None
        self.reply: int | None = None

    def told(self, message: Any) -> None:
        usage = getattr(message, "usage_metadata", None)
        if isinstance(usage, dict):
            self.prompt, self.reply = usage.get("input_tokens"), usage.get("output_tokens")

    def told_piece(self, piece: ChatGenerationChunk) -> None:
        if getattr(piece.message, "usage_metadata", None):
            self.told(piece.message)


def _in_text(
    messages: Sequence[BaseMessage], options: Mapping[str, Any]
) -> tuple[list[BaseMessage], dict[str, Any]]:
    """The same question with the tools in its text, in a form that no server reads."""
    told = plain_calls.conversation(messages, options.get("tools") or ())
    return told, {name: value for name, value in options.items() if name not in _ABOUT_TOOLS}
