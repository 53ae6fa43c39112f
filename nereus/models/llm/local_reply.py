"""One reply of a model in this process, while it is written: piece by piece, up to a stop string, the end, or a limit."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from nereus.errors import ContextOverflow, ReplyTimeout
from nereus.models.llm import chatml, hermes
from nereus.models.llm.calls import Reply

if TYPE_CHECKING:
    from nereus.models.llm.ceilings import Meter


@dataclass(frozen=True)
class Loaded:
    """A model in memory; one reply at a time is written with it."""

    model: Any
    tokenizer: Any
    lock: Lock
    name: str
    """As errors call it."""

    @property
    def window(self) -> int | None:
        """Tokens that the model reads and writes in one go."""
        found = getattr(self.model.config, "max_position_embeddings", None)
        return int(found) if found else None

    def numbers(self, text: str) -> list[int]:
        """Numbers of the tokens of a text."""
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return found


@dataclass(frozen=True)
class Decoding:
    """How tokens are taken, and how many in which time."""

    temperature: float
    top_p: float
    seed: int | None
    most: int
    seconds: float


class LocalReply:
    """One reply that is being written, in a thread that ends with it.

    Parameters
    ----------
    loaded
        What writes it.
    numbers
        Tokens of the prompt.
    decoding
        How it is written.
    stops
        Strings before which it ends.
    tools
        Tools whose calls are read from it.
    begun
        Name of a tool with whose call the reply begins.
    meter
        Asked before the call, and told what it took.

    Raises
    ------
    ContextOverflow
        The prompt leaves no room for a reply.
    """

    def __init__(
        self,
        loaded: Loaded,
        numbers: Sequence[int],
        decoding: Decoding,
        *,
        stops: Sequence[str] = (),
        tools: Sequence[Mapping[str, Any]] = (),
        begun: str | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.loaded, self.tools, self.stops = loaded, tools, list(stops)
        self.prefix = f'<tool_call>\n{{"name": "{begun}", "arguments":' if begun else ""
        self.numbers = [*numbers, *(loaded.numbers(self.prefix) if self.prefix else ())]
        window = loaded.window
        if window is not None and len(self.numbers) + 1 > window:
            raise ContextOverflow(
                f"the prompt takes {len(self.numbers)} tokens; {window} are allowed with the reply",
                where=loaded.name,
                mend="shorten the prompt, or take a model with a longer context",
            )
        self.most = decoding.most if window is None else min(decoding.most, window - len(self.numbers))
        self.text, self.written, self.finish = "", 0, "stop"
        self._decoding = decoding
        self._meter = meter
        self._left = Event()
        self._held: Any = None
        self._start = time.monotonic()
        self._seconds = decoding.seconds

    def __enter__(self) -> LocalReply:
        if self._meter is not None:
            self._held = self._meter.reserve(3 * len(self.numbers), self.most, self._seconds)
            self._seconds = self._held.seconds
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        if self._meter is not None and self._held is not None:
            self._meter.settle(self._held, time.monotonic() - self._start, len(self.numbers), self.written)

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

        loaded, decoding, writing = self.loaded, self._decoding, self
        end = self._start + self._seconds

        class Count(StoppingCriteria):
            """Counts tokens; ends when nobody reads any more."""

            def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
                writing.written = int(input_ids.shape[1]) - len(writing.numbers)
                over = writing._left.is_set() or time.monotonic() > end
                return torch.full((input_ids.shape[0],), over, dtype=torch.bool, device=input_ids.device)

        streamer: Any = TextIteratorStreamer(
            loaded.tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=max(self._seconds, 0.01)
        )
        inputs = torch.tensor([self.numbers], device=loaded.model.device)
        drawn = (
            {"do_sample": True, "temperature": decoding.temperature, "top_p": decoding.top_p}
            if decoding.temperature
            else {"do_sample": False}
        )
        failed: list[BaseException] = []

        def work() -> None:
            try:
                with (
                    loaded.lock,
                    _seeded(decoding.seed if decoding.temperature else None, loaded.model.device),
                ):
                    if writing._left.is_set():
                        return streamer.end()  # type: ignore[no-any-return]
                    loaded.model.generate(
                        inputs,
                        attention_mask=torch.ones_like(inputs),
                        max_new_tokens=self.most,
                        streamer=streamer,
                        stopping_criteria=StoppingCriteriaList([Count()]),
                        eos_token_id=_ends(loaded.model, loaded.tokenizer),
                        pad_token_id=loaded.tokenizer.pad_token_id or 0,
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
        except Empty:  # the streamer's queue: no token came in time
            raise ReplyTimeout(f"no reply within {self._seconds:g} s", where=loaded.name) from None
        finally:
            self._left.set()
        thread.join()
        if failed:
            raise failed[0]
        if time.monotonic() > end:
            raise ReplyTimeout(f"no reply within {self._seconds:g} s", where=loaded.name)
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


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """Tokens that end a reply: the model's, and the end of a turn."""
    named = model.generation_config.eos_token_id
    found = set(named if isinstance(named, list) else [named] if named is not None else [])
    turn = tokenizer.convert_tokens_to_ids(chatml.END)
    known = {turn} if isinstance(turn, int) and turn != tokenizer.unk_token_id else set()
    own = {tokenizer.eos_token_id} if tokenizer.eos_token_id is not None else set()
    return sorted(found | known | own)
