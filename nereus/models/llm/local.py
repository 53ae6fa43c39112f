"""A chat model that runs in this process: a folder with a transformers model, behind LangChain's interface.

Prompts are rendered by the model's own template, or as ChatML where it has none; texts of people and tools never become control
tokens. Weights are read from safetensors only, and no code of the folder is run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from langchain_core.language_models.base import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, PrivateAttr

from nereus.errors import ContextOverflow, InputError, ReplyTimeout
from nereus.models.llm import chatml, hermes
from nereus.models.llm.calls import Reply

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_NEEDS = ("config.json", "tokenizer.json")


class LocalChat(BaseChatModel):
    """A transformers model of a local folder as a chat model. Use `of_folder`, or give model and tokenizer."""

    folder: str = ""
    """Where it was read from; its name in messages."""
    reply_tokens: int = 2048
    """Most tokens of a reply."""
    timeout_s: float = 60.0
    """Seconds that a reply may take."""
    temperature: float = 0.0
    """0 takes the likeliest token."""
    top_p: float = 1.0
    """Share of probability from which tokens are drawn."""
    seed: int | None = None
    """Seed of a reply with temperature; None leaves it random."""
    meter: Any = Field(default=None, exclude=True, repr=False)
    """`Meter` that is asked before each call."""
    _model: Any = PrivateAttr(default=None)
    _tokenizer: Any = PrivateAttr(default=None)
    _lock: Any = PrivateAttr(default_factory=Lock)

    @classmethod
    def of_folder(cls, folder: Path, *, device: str = "auto", **fields: Any) -> LocalChat:
        """Read a folder that `save_pretrained` wrote.

        Parameters
        ----------
        folder
            With ``config.json``, ``tokenizer.json`` and safetensors.
        device
            Where to compute; ``auto`` takes a GPU where there is one.
        **fields
            See the class.

        Raises
        ------
        InputError
            The folder lacks something, or transformers is not installed.
        """
        missing = [name for name in _NEEDS if not (folder / name).is_file()]
        missing += [] if list(folder.glob("*.safetensors")) else ["*.safetensors"]
        if missing:
            raise InputError(
                f"the folder lacks {', '.join(missing)}",
                where=str(folder),
                mend="give what `save_pretrained` of model and tokenizer wrote",
            )
        try:
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError:
            raise InputError(
                "a model in this process needs transformers and torch",
                where=str(folder),
                mend="pip install 'nereus[models]'",
            ) from None
        from nereus.models.training.device import resolve

        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
        return cls.of(model.to(resolve(device)), tokenizer, folder=str(folder), **fields)

    @classmethod
    def of(cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, **fields: Any) -> LocalChat:
        """Wrap a model and its tokenizer."""
        made = cls(**fields)
        made._model, made._tokenizer = model, tokenizer
        made._model.eval()
        return made

    @property
    def _llm_type(self) -> str:
        return "nereus-local"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"folder": self.folder, "temperature": self.temperature, "reply_tokens": self.reply_tokens}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        found = super()._get_ls_params(stop=stop, **kwargs)
        found["ls_provider"], found["ls_model_name"] = (
            "nereus",
            kwargs.get("model") or Path(self.folder).name or "local",
        )
        return found

    # ------------------------------------------------------------------ size

    def window(self) -> int | None:
        """Tokens that the model reads and writes in one go."""
        found = getattr(self._model.config, "max_position_embeddings", None)
        return int(found) if found else None

    def get_token_ids(self, text: str) -> list[int]:
        """Numbers of the tokens of a text."""
        found: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return found

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Tokens of a prompt, as it would be sent."""
        return len(self.prompt(messages, tools or ()))

    # ------------------------------------------------------------------ prompts

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | bool | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools. A `tool_choice` that names a tool, or leaves only one, begins the reply with its call."""
        offered = [convert_to_openai_tool(one) for one in tools]
        names = [one["function"]["name"] for one in offered]
        must = tool_choice in ("any", "required", True)
        begun = tool_choice if tool_choice in names else names[0] if must and len(names) == 1 else None
        return super().bind(tools=offered, begun=begun, must=must, **kwargs)

    def prompt(self, messages: Sequence[BaseMessage], tools: Sequence[Mapping[str, Any]] = ()) -> list[int]:
        """Numbers of the tokens of a prompt."""
        if not messages:
            raise InputError("there is no message", where="chat", mend="give at least one")
        if not self._tokenizer.chat_template:
            rendered = chatml.turns(messages, tools)

            def fill(texts: list[str]) -> str:
                return chatml.render(
                    chatml.Turn(turn.role, text) for turn, text in zip(rendered, texts, strict=True)
                )

            return chatml.encode(self._tokenizer, [one.content for one in rendered], fill)
        given = [_as_dict(one) for one in messages]
        texts: list[str] = []

        def keep(text: str) -> str:
            texts.append(text)
            return text

        _each_text(given, keep)

        def fill_template(changed: list[str]) -> str:
            left = iter(changed)
            filled = _each_text(given, lambda _: next(left))
            found: str = self._tokenizer.apply_chat_template(
                filled, tools=list(tools) or None, tokenize=False, add_generation_prompt=True
            )
            return found

        return chatml.encode(self._tokenizer, texts, fill_template)

    # ------------------------------------------------------------------ replies

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        tools: Sequence[Mapping[str, Any]] = (),
        begun: str | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        writing = _Writing(self, messages, stop, tools, begun, kwargs)
        writing.write()
        return self._result(writing)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        tools: Sequence[Mapping[str, Any]] = (),
        begun: str | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """See LangChain. One that is cancelled writes no further: the model is free for the next call."""
        writing = await asyncio.to_thread(_Writing, self, messages, stop, tools, begun, kwargs)
        try:
            await asyncio.to_thread(writing.write)
        finally:
            writing.leave()
        return self._result(writing)

    def _result(self, writing: _Writing) -> ChatResult:
        read = writing.read()
        message = AIMessage(
            content=read.text.strip(),
            tool_calls=[{"name": one.name, "args": one.arguments, "id": one.id} for one in read.calls],
            invalid_tool_calls=[
                {"name": None, "args": text, "id": None, "error": why, "type": "invalid_tool_call"}
                for text, why in _invalid(read)
            ],
            additional_kwargs={"reasoning_content": read.thought} if read.thought else {},
            usage_metadata=writing.usage(),
            response_metadata={"finish_reason": writing.finish, "model_name": self.folder},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        tools: Sequence[Mapping[str, Any]] = (),
        begun: str | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with _Writing(self, messages, stop, tools, begun, kwargs) as writing:
            stream = hermes.HermesStream(tools)
            for piece in writing.pieces():
                shown = stream.feed(piece)
                if shown:
                    yield ChatGenerationChunk(message=AIMessageChunk(content=shown))
        read = stream.close(finished=writing.finish != "length")
        rest = read.text[len(stream.shown) :] if read.text.startswith(stream.shown) else ""
        chunks: list[Any] = [
            {
                "name": one.name,
                "args": hermes.arguments_json(one),
                "id": one.id,
                "index": number,
                "type": "tool_call_chunk",
            }
            for number, one in enumerate(read.calls)
        ]
        chunks += [
            {"name": None, "args": text, "id": None, "index": len(chunks) + number, "type": "tool_call_chunk"}
            for number, (text, _) in enumerate(_invalid(read))
        ]
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content=rest,
                tool_call_chunks=chunks,
                additional_kwargs={"reasoning_content": read.thought} if read.thought else {},
                usage_metadata=writing.usage(),
                response_metadata={"finish_reason": writing.finish, "model_name": self.folder},
                chunk_position="last",
            )
        )


class _Writing:
    """One reply that is being written, in a thread that ends with it."""

    def __init__(
        self,
        chat: LocalChat,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        tools: Sequence[Mapping[str, Any]],
        begun: str | None,
        options: Mapping[str, Any],
    ) -> None:
        self.chat, self.tools = chat, tools
        self.stops = list(stop or ())
        self.prefix = f'<tool_call>\n{{"name": "{begun}", "arguments":' if begun else ""
        self.numbers = chat.prompt(messages, tools)
        if self.prefix:
            self.numbers += chat.get_token_ids(self.prefix)
        self.most = int(options.get("max_tokens") or chat.reply_tokens)
        window = chat.window()
        if window is not None and len(self.numbers) + 1 > window:
            raise ContextOverflow(
                f"the prompt takes {len(self.numbers)} tokens; {window} are allowed with the reply",
                where=chat.folder or "local model",
                mend="shorten the prompt, or take a model with a longer context",
            )
        self.most = min(self.most, window - len(self.numbers)) if window is not None else self.most
        self.text, self.written, self.finish = "", 0, "stop"
        self._left = Event()
        self._held: Any = None
        self._start = time.monotonic()
        self._seconds = chat.timeout_s

    def __enter__(self) -> _Writing:
        if self.chat.meter is not None:
            self._held = self.chat.meter.reserve(3 * len(self.numbers), self.most, self._seconds)
            self._seconds = self._held.seconds
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        if self._held is not None:
            self.chat.meter.settle(
                self._held, time.monotonic() - self._start, len(self.numbers), self.written
            )

    def write(self) -> None:
        """All of it."""
        with self:
            for _ in self.pieces():
                pass

    def leave(self) -> None:
        """Nobody waits for it any more: it ends with the next token."""
        self._left.set()

    def pieces(self) -> Iterator[str]:
        """The text, piece by piece, up to a stop string, the end, or a limit."""
        import torch
        from transformers import StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer

        chat, writing = self.chat, self
        end = self._start + self._seconds

        class Count(StoppingCriteria):
            """Counts tokens; ends when nobody reads any more."""

            def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
                writing.written = int(input_ids.shape[1]) - len(writing.numbers)
                over = writing._left.is_set() or time.monotonic() > end
                return torch.full((input_ids.shape[0],), over, dtype=torch.bool, device=input_ids.device)

        streamer: Any = TextIteratorStreamer(
            chat._tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=max(self._seconds, 0.01)
        )
        inputs = torch.tensor([self.numbers], device=chat._model.device)
        drawn = (
            {"do_sample": True, "temperature": chat.temperature, "top_p": chat.top_p}
            if chat.temperature
            else {"do_sample": False}
        )
        failed: list[BaseException] = []

        def work() -> None:
            try:
                with chat._lock, _seeded(chat.seed if chat.temperature else None, chat._model.device):
                    if writing._left.is_set():
                        return streamer.end()  # type: ignore[no-any-return]
                    chat._model.generate(
                        inputs,
                        attention_mask=torch.ones_like(inputs),
                        max_new_tokens=self.most,
                        streamer=streamer,
                        stopping_criteria=StoppingCriteriaList([Count()]),
                        eos_token_id=_ends(chat._model, chat._tokenizer),
                        pad_token_id=chat._tokenizer.pad_token_id or 0,
                        **drawn,
                    )
            except BaseException as error:  # noqa: BLE001 - handed to the thread that reads
                failed.append(error)
                streamer.end()

        thread = Thread(target=work, daemon=True, name="nereus-local-chat")
        thread.start()
        if self.prefix:
            self.text = self.prefix
            yield self.prefix
        longest = max((len(one) for one in self.stops), default=0)
        held = ""
        try:
            for piece in streamer:
                held += piece
                place = min((at for one in self.stops if (at := held.find(one)) >= 0), default=-1)
                if place >= 0:
                    self.text += held[:place]
                    yield held[:place]
                    return
                safe = len(held) - max(longest - 1, 0)
                if safe > 0:
                    out, held = held[:safe], held[safe:]
                    self.text += out
                    yield out
        except Exception as error:  # the streamer's queue is empty: no token came in time
            if type(error).__name__ != "Empty":
                raise
            raise ReplyTimeout(
                f"no reply within {self._seconds:g} s", where=chat.folder or "local model"
            ) from None
        finally:
            self._left.set()
        thread.join()
        if failed:
            raise failed[0]
        if time.monotonic() > end:
            raise ReplyTimeout(f"no reply within {self._seconds:g} s", where=chat.folder or "local model")
        self.text += held
        self.finish = "length" if self.written >= self.most else "stop"
        if held:
            yield held

    def read(self) -> Reply:
        """The reply, with its calls where tools were offered."""
        if self.tools:
            return hermes.parse(self.text, self.tools, finished=self.finish != "length")
        return hermes.without_thought(self.text)

    def usage(self) -> Any:
        """What it took, as LangChain tells it."""
        read, written = len(self.numbers), self.written
        return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}


@contextmanager
def _seeded(seed: int | None, device: Any) -> Iterator[None]:
    """Draw from a seed within the block, and leave the process's own random numbers as they were."""
    if seed is None:
        yield
        return
    import torch

    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _invalid(read: Reply) -> list[tuple[str, str]]:
    found = [(one.text, one.why) for one in read.broken]
    return found + ([(read.partial, "it was cut off")] if read.partial else [])


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """Tokens that end a reply: the model's, and the end of a turn."""
    named = model.generation_config.eos_token_id
    found = set(named if isinstance(named, list) else [named] if named is not None else [])
    turn = tokenizer.convert_tokens_to_ids(chatml.END)
    known = {turn} if isinstance(turn, int) and turn != tokenizer.unk_token_id else set()
    own = {tokenizer.eos_token_id} if tokenizer.eos_token_id is not None else set()
    return sorted(found | known | own)


def _as_dict(message: BaseMessage) -> dict[str, Any]:
    """A message as chat templates know it."""
    roles = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
    if message.type not in roles:
        raise InputError(
            f"unknown role {message.type!r}", where="chat", mend=f"roles are {', '.join(chatml.ROLES)}"
        )
    found: dict[str, Any] = {"role": roles[message.type], "content": chatml.text_of(message)}
    if isinstance(message, AIMessage) and message.tool_calls:
        found["tool_calls"] = [
            {"type": "function", "function": {"name": one["name"], "arguments": one["args"]}}
            for one in message.tool_calls
        ]
    if isinstance(message, ToolMessage) and message.name:
        found["name"] = message.name
    return found


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """The same messages with every text of people, tools and models changed, in a fixed order."""
    match value:
        case {"role": role, "content": content, **rest}:
            inner = partial(_each_string, change=change)
            return {
                "role": role,
                "content": change(content),
                **{name: inner(one) for name, one in rest.items()},
            }
        case list():
            return [_each_text(one, change) for one in value]
    return value


def _each_string(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {name: _each_string(one, change) for name, one in value.items()}
    return [_each_string(one, change) for one in value] if isinstance(value, list) else value
