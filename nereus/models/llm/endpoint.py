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
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import httpx
from langchain_core.embeddings import Embeddings
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field, PrivateAttr, SecretStr

from nereus.errors import ContextOverflow, EndpointError, SettingsError
from nereus.models.llm import chatml, hermes, plain_calls, tokens
from nereus.models.llm.ceilings import Ceilings, Meter, Prices, Reserved, size_of
from nereus.models.llm.deadline import AsyncBoundedTransport, BoundedTransport, stream_within, within
from nereus.models.llm.faults import explained, refuses_tools
from nereus.models.llm.patience import retrying, retrying_async
from nereus.models.llm.window import PROBE_S, context_window, looks_cut
from nereus.offline import enforce

try:
    from langchain_openai import ChatOpenAI
except ImportError:
    raise SettingsError(
        "a chat model needs the packages of the extra 'llm'",
        where="llm_model",
        mend="pip install 'nereus[llm]'",
    ) from None

if TYPE_CHECKING:
    from nereus.settings import Settings

_ABOUT_TOOLS = ("tools", "tool_choice", "parallel_tool_calls", "response_format")
_SERVER_ERROR = 500
_DEFAULT_REPLY = 2048


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
    _lock: Any = PrivateAttr(default_factory=Lock)

    # ------------------------------------------------------------------ size

    def window(self) -> int | None:
        """Tokens that the model reads and writes in one go, asked of the server once; None where nobody told."""
        with self._lock:
            if not self._asked and self.probe_window and self.openai_api_base:
                key = self.openai_api_key
                secret = key.get_secret_value() if isinstance(key, SecretStr) else None
                self._window = context_window(
                    self.openai_api_base, self.model_name, secret, min(PROBE_S, self.call_timeout_s / 3)
                )
            self._asked = True
        known = [one for one in (self._window, self.context_tokens) if one]
        return min(known, default=None)

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

    def _require_room(self, messages: Sequence[BaseMessage], options: Mapping[str, Any]) -> None:
        window = self.window()
        if window is None:
            return
        prompt = self.get_num_tokens_from_messages(messages, options.get("tools"))
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

    # ------------------------------------------------------------------ one call, metered

    @contextmanager
    def _metered(
        self, messages: Sequence[BaseMessage], options: Mapping[str, Any], deadline: float
    ) -> Iterator[_Spent]:
        """Hold what the call may use, and count what it did; whatever it raises becomes an error of ours."""
        self._require_room(messages, options)
        seconds = max(deadline - time.monotonic(), 0.0)
        characters = sum(size_of(chatml.text_of(one)) for one in messages)
        held: Reserved | None = None
        if self.meter is not None:
            size = characters + size_of(str(options.get("tools") or ""))
            held = self.meter.reserve(size, self._reply_tokens(options), seconds)
        spent = _Spent(held.seconds if held else seconds)
        start = time.monotonic()
        refused = False
        try:
            yield spent
            if looks_cut(characters, spent.prompt):
                raise EndpointError(
                    f"the endpoint read {spent.prompt} tokens of a prompt of {characters} letters: it was cut in silence",
                    where=self.model_name,
                    mend="start the server with a longer context",
                )
        except GeneratorExit:
            raise
        except Exception as error:
            found = explained(error, self.call_timeout_s, self._where)
            refused = isinstance(found, EndpointError) and found.status is not None
            if found is error:
                raise
            raise found from error
        finally:
            if held is not None:
                self.meter.settle(held, time.monotonic() - start, spent.prompt, spent.reply, refused)

    @property
    def _where(self) -> str:
        return f"{self.model_name} at {self.openai_api_base or 'the provider'}"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        deadline = time.monotonic() + self.call_timeout_s

        def once(given: list[BaseMessage], options: dict[str, Any]) -> ChatResult:
            with self._metered(given, options, deadline) as spent:
                result = within(
                    lambda: super(EndpointChat, self)._generate(given, stop, run_manager, **options),
                    spent.seconds,
                )
                spent.told(_checked(result))
            return result

        def tried(given: list[BaseMessage], options: dict[str, Any], retries: int) -> ChatResult:
            return retrying(retries)(once, given, options)

        offered = kwargs.get("tools") or ()
        try:
            result = tried(
                messages, kwargs, min(self.retries, 1) if offered and self.tools_in_text else self.retries
            )
        except EndpointError as error:
            if not self._may_ask_in_text(error, offered):
                raise
            result = tried(*_in_text(messages, kwargs), self.retries)
        return _read(result, offered)

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
            with self._metered(given, options, deadline) as spent:
                async with asyncio.timeout(spent.seconds):
                    result: ChatResult = await super(EndpointChat, self)._agenerate(
                        given, stop, run_manager, **options
                    )
                spent.told(_checked(result))
            return result

        async def tried(given: list[BaseMessage], options: dict[str, Any], retries: int) -> ChatResult:
            return await retrying_async(retries)(once, given, options)

        offered = kwargs.get("tools") or ()
        try:
            result = await tried(
                messages, kwargs, min(self.retries, 1) if offered and self.tools_in_text else self.retries
            )
        except EndpointError as error:
            if not self._may_ask_in_text(error, offered):
                raise
            result = await tried(*_in_text(messages, kwargs), self.retries)
        return _read(result, offered)

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
            pieces = self._pieces(given, stop, run_manager, options, deadline)
            return _after_first(next(pieces), pieces)

        offered = kwargs.get("tools") or ()
        try:
            pieces = retrying(self.retries)(started, messages, kwargs)
        except EndpointError as error:
            if not self._may_ask_in_text(error, offered):
                raise
            pieces = retrying(self.retries)(started, *_in_text(messages, kwargs))
        yield from _read_stream(pieces, offered)

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
                finished = finished or _finishes(piece)
                spent.told_piece(piece)
                yield piece
            _require_end(finished)

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
            pieces = self._apieces(given, stop, run_manager, options, deadline)
            return await anext(pieces), pieces

        offered = kwargs.get("tools") or ()
        try:
            begun: Any = await retrying_async(self.retries)(started, messages, kwargs)
        except EndpointError as error:
            if not self._may_ask_in_text(error, offered):
                raise
            begun = await retrying_async(self.retries)(started, *_in_text(messages, kwargs))
        first, pieces = begun
        reader = _StreamReader(offered)
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
                    finished = finished or _finishes(piece)
                    spent.told_piece(piece)
                    yield piece
            finally:
                await pieces.aclose()
            _require_end(finished)

    async def _window_async(self) -> None:
        """Ask for the window off the event loop, before a call on it asks again and finds it known."""
        if not self._asked:
            await asyncio.to_thread(self.window)


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


# ---------------------------------------------------------------------- what came back


def _checked(result: ChatResult) -> AIMessage:
    if not result.generations or not isinstance(result.generations[0].message, AIMessage):
        raise EndpointError("the reply holds no choice", mend="ask again", transient=True)
    return result.generations[0].message


def _read(result: ChatResult, offered: Sequence[Mapping[str, Any]]) -> ChatResult:
    """The result with thoughts apart, and with calls that stand in the text where the server read none."""
    generation = result.generations[0]
    message = generation.message
    if not isinstance(message, AIMessage) or not isinstance(message.content, str):
        return result
    if not offered and "<" not in message.content:
        return result
    finished = message.response_metadata.get("finish_reason") != "length"
    read = (
        hermes.parse(message.content, offered, finished=finished)
        if offered and not message.tool_calls
        else hermes.without_thought(message.content)
    )
    changed = message.model_copy(update={"content": read.text.strip() if read.calls else read.text})
    if read.thought:
        changed.additional_kwargs = {**changed.additional_kwargs, "reasoning_content": read.thought}
    if read.calls:
        changed.tool_calls = [
            {"name": one.name, "args": one.arguments, "id": one.id, "type": "tool_call"} for one in read.calls
        ]
    if read.broken or read.partial:
        bad = [(one.text, one.why) for one in read.broken]
        bad += [(read.partial, "it was cut off")] if read.partial else []
        invalid: list[Any] = [
            *changed.invalid_tool_calls,
            *(
                {"name": None, "args": text, "id": None, "error": why, "type": "invalid_tool_call"}
                for text, why in bad
            ),
        ]
        changed.invalid_tool_calls = invalid
    first = ChatGeneration(message=changed, generation_info=generation.generation_info)
    return ChatResult(generations=[first, *result.generations[1:]], llm_output=result.llm_output)


class _StreamReader:
    """Pieces of a stream with calls read from the text. With no tools offered, pieces are given as they are."""

    def __init__(self, offered: Sequence[Mapping[str, Any]]) -> None:
        self._stream = hermes.HermesStream(offered) if offered else None
        self._by_server = False
        self._finished = True

    def read(self, piece: ChatGenerationChunk) -> Iterator[ChatGenerationChunk]:
        message = piece.message
        if (
            self._stream is None
            or not isinstance(message, AIMessageChunk)
            or not isinstance(message.content, str)
        ):
            yield piece
            return
        self._by_server = self._by_server or bool(message.tool_call_chunks)
        if (piece.generation_info or {}).get("finish_reason") == "length":
            self._finished = False
        shown = self._stream.feed(message.content) if message.content else ""
        yield (
            piece
            if shown == message.content
            else ChatGenerationChunk(
                message=message.model_copy(update={"content": shown}), generation_info=piece.generation_info
            )
        )

    def end(self) -> Iterator[ChatGenerationChunk]:
        """What is left when the stream ends: text that was held back, calls that were read, and those that cannot be."""
        if self._stream is None:
            return
        shown = self._stream.shown
        read = self._stream.close(finished=self._finished)
        if self._by_server:
            return
        rest = read.text[len(shown) :] if read.text.startswith(shown) else ""
        chunks = [
            {
                "name": one.name,
                "args": hermes.arguments_json(one),
                "id": one.id,
                "index": number,
                "type": "tool_call_chunk",
            }
            for number, one in enumerate(read.calls)
        ]
        broken = [one.text for one in read.broken] + ([read.partial] if read.partial else [])
        chunks += [
            {
                "name": None,
                "args": text or "{",
                "id": None,
                "index": len(read.calls) + number,
                "type": "tool_call_chunk",
            }
            for number, text in enumerate(broken)
        ]
        extra = {"reasoning_content": read.thought} if read.thought else {}
        if rest or chunks or extra:
            yield ChatGenerationChunk(
                message=AIMessageChunk(content=rest, tool_call_chunks=chunks, additional_kwargs=extra)
            )


def _read_stream(
    pieces: Iterator[ChatGenerationChunk], offered: Sequence[Mapping[str, Any]]
) -> Iterator[ChatGenerationChunk]:
    reader = _StreamReader(offered)
    for one in pieces:
        yield from reader.read(one)
    yield from reader.end()


def _after_first(
    first: ChatGenerationChunk, rest: Iterator[ChatGenerationChunk]
) -> Iterator[ChatGenerationChunk]:
    yield first
    yield from rest


def _finishes(piece: ChatGenerationChunk) -> bool:
    return bool((piece.generation_info or {}).get("finish_reason"))


def _require_end(finished: bool) -> None:
    if not finished:
        raise EndpointError(
            "the stream broke off before the reply was finished", mend="ask again", transient=True
        )


def _in_text(
    messages: Sequence[BaseMessage], options: Mapping[str, Any]
) -> tuple[list[BaseMessage], dict[str, Any]]:
    """The same question with the tools in its text, in a form that no server reads."""
    told = plain_calls.conversation(messages, options.get("tools") or ())
    return told, {name: value for name, value in options.items() if name not in _ABOUT_TOOLS}


# ---------------------------------------------------------------------- from settings


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
