"""A chat model that runs in this process: a folder with a transformers model, behind LangChain's interface.

Prompts are rendered by the model's own template, or as ChatML where it has none; texts of people and tools never become control
tokens. Weights are read from safetensors only, and no code of the folder is run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from langchain_core.language_models.base import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, PrivateAttr

from nereus.errors import InputError
from nereus.models.llm import hermes
from nereus.models.llm.calls import Reply
from nereus.models.llm.local_reply import Decoding, Loaded, LocalReply
from nereus.models.llm.templates import prompt_tokens

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
                mend="pip install -e '.[models]'",
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
        return self._loaded.window

    def get_token_ids(self, text: str) -> list[int]:
        """Numbers of the tokens of a text."""
        return self._loaded.numbers(text)

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
        return prompt_tokens(self._tokenizer, messages, tools)

    # ------------------------------------------------------------------ replies

    @property
    def _loaded(self) -> Loaded:
        return Loaded(self._model, self._tokenizer, self._lock, self.folder or "local model")

    def _reply(
        self,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        tools: Sequence[Mapping[str, Any]],
        begun: str | None,
        options: Mapping[str, Any],
    ) -> LocalReply:
        most = int(options.get("max_tokens") or self.reply_tokens)
        return LocalReply(
            self._loaded,
            self.prompt(messages, tools),
            Decoding(self.temperature, self.top_p, self.seed, most, self.timeout_s),
            stops=stop or (),
            tools=tools,
            begun=begun,
            meter=self.meter,
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        tools: Sequence[Mapping[str, Any]] = (),
        begun: str | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        writing = self._reply(messages, stop, tools, begun, kwargs)
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
        writing = await asyncio.to_thread(self._reply, messages, stop, tools, begun, kwargs)
        try:
            await asyncio.to_thread(writing.write)
        finally:
            writing.leave()
        return self._result(writing)

    def _result(self, writing: LocalReply) -> ChatResult:
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
        with self._reply(messages, stop, tools, begun, kwargs) as writing:
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


def _invalid(read: Reply) -> list[tuple[str, str]]:
    found = [(one.text, one.why) for one in read.broken]
    return found + ([(read.partial, "it was cut off")] if read.partial else [])
