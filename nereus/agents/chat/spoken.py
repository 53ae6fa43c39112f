"""What a language model writes, shown while it is written: only words that were checked.

A reply is read piece by piece. Words are let through as soon as they are whole; a reference is filled in; at a number that
nothing covers the reply is held back, and from the end of its sentence on nothing more of it is shown. So whatever a person
has seen holds no number without evidence, also where the whole reply is refused afterwards: then it is taken back, and the
answer that counts comes under another id.
"""

from __future__ import annotations

import contextvars
import queue
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig

from nereus.models.llm.loose_json import without_thoughts

Piece = TypeVar("Piece")
ANSWER_PART = "answer_part"
"""Event of what is shown of an answer before it is complete: ``id``, ``start`` (where in the text), ``text``."""
TAKEN_BACK = "\n\n(taken back: what follows had no evidence)"
_SENTENCE_END = re.compile(r"[.!?:;]\s|\n")
_MAY_BE_A_CALL = ("{", "[", "`", "<")
_LOOK_S = 0.05
_TAG = 16


class Stopped(Exception):
    """Whoever asked wants no answer any more."""


class Draft:
    """What of a reply may be shown already.

    Parameters
    ----------
    faults
        What is wrong with a text; empty where nothing is.
    filled
        A text as it is shown. Of a longer text it must begin with what it gives for its beginning.
    longest
        Characters that are shown at most.
    """

    def __init__(
        self, faults: Callable[[str], list[str]], filled: Callable[[str], str], longest: int = 12_000
    ) -> None:
        self._faults, self._filled, self._longest = faults, filled, longest
        self._written = ""
        self._accepted = ""
        self.shown = ""
        self.held = False
        """Whether nothing more of the reply is shown."""

    def more(self, text: str) -> str:
        """Take in what was written, and give what may be shown now beyond what was."""
        self._written += text
        if self.held:
            return ""
        ready = settled(self._written)
        if len(ready) <= len(self._accepted):
            return ""
        if not ready.startswith(self._accepted):  # a thought that was not marked as one at its beginning
            self.held = True
            return ""
        begin = max((one.end() for one in _SENTENCE_END.finditer(self._accepted)), default=0)
        if self._faults(ready[begin:]):
            # The name that covers a number may still be at work, but not beyond the sentence.
            self.held = _SENTENCE_END.search(ready, len(self._accepted)) is not None
            return ""
        shown = self._filled(ready)
        if not shown.startswith(self.shown) or len(shown) > self._longest:
            self.held = True
            return ""
        self._accepted = ready
        added, self.shown = shown[len(self.shown) :], shown
        return added


def settled(written: str) -> str:
    """The beginning of a text in which words, references and thoughts are whole; empty where it may be a call."""
    visible = without_thoughts(written).lstrip()
    if visible.startswith(_MAY_BE_A_CALL):
        return ""
    tag = visible.rfind("<")
    if tag >= 0 and ">" not in visible[tag:] and len(visible) - tag < _TAG:
        visible = visible[:tag]
    end = max(visible.rfind(" "), visible.rfind("\n"), 0)
    opened = visible.rfind("{{", 0, end)
    if opened > visible.rfind("}}", 0, end):
        end = opened
    return visible[:end].rstrip(" \n{")


def interruptible(make: Callable[[], Iterator[Piece]], stopped: Callable[[], bool]) -> Iterator[Piece]:
    """Go through an iterator that may be slow; `Stopped` as soon as `stopped` says so, whatever it waits for."""
    news: queue.Queue[tuple[str, Any]] = queue.Queue()
    left = threading.Event()

    def read() -> None:
        try:
            for one in make():
                news.put(("piece", one))
                if left.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            news.put(("error", error))
        news.put(("end", None))

    context = contextvars.copy_context()
    threading.Thread(target=lambda: context.run(read), daemon=True, name="reply").start()
    try:
        while True:
            try:
                kind, one = news.get(timeout=_LOOK_S)
            except queue.Empty:
                if stopped():
                    raise Stopped from None
                continue
            if kind == "end":
                return
            if kind == "error":
                raise one
            yield one
            if stopped():
                raise Stopped
    finally:
        left.set()


class Voice(BaseChatModel):
    """Says pieces of an answer in the stream mode ``messages``, under the id of the answer."""

    pieces: Any
    """Iterator of texts."""
    identity: str

    @property
    def _llm_type(self) -> str:
        return "nereus-voice"

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        message = AIMessage("".join(self.pieces), id=self.identity)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for text in self.pieces:
            yield ChatGenerationChunk(message=AIMessageChunk(content=text, id=self.identity))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", id=self.identity, chunk_position="last"))


def say(
    pieces: Iterator[str], identity: str, tell: Callable[[dict[str, Any]], None], config: RunnableConfig
) -> None:
    """Say pieces as they come: as events, and in the stream mode ``messages``. Goes through all of them."""

    def told() -> Iterator[str]:
        start = 0
        for text in pieces:
            if text:
                tell({"type": ANSWER_PART, "id": identity, "start": start, "text": text})
                start += len(text)
                yield text

    spoken = told()
    first = next(spoken, None)
    if first is None:
        return

    def all_of() -> Iterator[str]:
        yield first
        yield from spoken

    for _ in Voice(pieces=all_of(), identity=identity).stream([], config):
        pass
