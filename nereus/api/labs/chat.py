"""Chat: conversations that answer from evidence, start runs, and ask before they do what is costly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate

from pydantic import BaseModel

from nereus.api.labs.asking import Ask, Asks, AsyncLine, Awaits, Line, Made, P, Waits, timeout_of, verb
from nereus.api.labs.datasets import Given, id_of
from nereus.api.labs.shown import Listing, card
from nereus.api.labs.work import quoted

PATIENCE_S = 60.0
_MORE_S = 60.0


class ThreadSeen(BaseModel):
    """What is told of a conversation."""

    id: str
    title: str
    status: str
    """``idle``, ``busy`` or ``interrupted`` (it waits for approvals)."""
    created_at: str
    updated_at: str
    datasets: list[str]


class ChatEvent(BaseModel):
    """Something that was said or happened."""

    seq: int
    type: str
    """``message``, ``approval`` (requests that wait), ``run_event``, ``progress``, ``error`` ..."""
    payload: dict[str, Any]


class Reply(list[ChatEvent]):
    """What came of a message: all that was said and happened, in order."""

    @property
    def text(self) -> str:
        """The answer, as Markdown; its numbers come from evidence."""
        return str(self._answer.get("content", ""))

    @property
    def evidence(self) -> list[dict[str, Any]]:
        """Where its numbers come from."""
        return list(self._ours.get("evidence") or ())

    @property
    def artifacts(self) -> list[dict[str, Any]]:
        """Tables and figures that it shows."""
        return list(self._ours.get("artifacts") or ())

    @property
    def run_id(self) -> str | None:
        """The run that it speaks of."""
        return self._ours.get("run_id")

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What it wants approved before it goes on; answer with `approve`."""
        return [one for event in self if event.type == "approval" for one in event.payload["requests"]]

    @property
    def _answer(self) -> Mapping[str, Any]:
        said = [one.payload for one in self if one.type == "message" and one.payload.get("role") == "ai"]
        return said[-1] if said else {}

    @property
    def _ours(self) -> Mapping[str, Any]:
        return self._answer.get("nereus") or {}

    def __repr__(self) -> str:
        return f"<Reply: {self.text[:200] or f'{len(self.requests)} requests wait for approval'}>"

    def _repr_html_(self) -> str:
        told = {"text": self.text, "evidence": [one.get("label") for one in self.evidence]}
        asked = [one.get("description") for one in self.requests]
        return card("Answer", told | {"wants approved": asked})


def _replied(answer: Any) -> Reply:
    return Reply(map(ChatEvent.model_validate, answer.json()))


class ThreadVerbs:
    """A conversation.

    Attributes
    ----------
    seen
        What was told of it when it was last looked at.
    """

    seen: ThreadSeen

    @property
    def id(self) -> str:
        """Its id."""
        return self.seen.id

    @property
    def _path(self) -> str:
        return f"/api/threads/{quoted(self.id)}"

    def _post(self, part: str, body: Mapping[str, Any], patience_s: float) -> Asks[Reply]:
        options = {
            "json": dict(body),
            "params": {"patience": patience_s},
            "timeout": timeout_of(patience_s + _MORE_S),
        }
        return _replied((yield Ask("POST", f"{self._path}/{part}", options)))

    @verb
    def say(self, text: str, datasets: Sequence[Given] = (), patience_s: float = PATIENCE_S) -> Asks[Reply]:
        """Say something, and wait for the answer.

        Parameters
        ----------
        text
            A question, or what is to be done.
        datasets
            Files or data sets that it is about, from here on: the data, and its sample sheet.
        patience_s
            Longest that the answer waits for a run that it began.
        """
        named: list[str] = []
        for one in datasets:
            named.append((yield from id_of(one)))
        return (yield from self._post("messages", {"text": text, "datasets": named}, patience_s))

    @verb
    def approve(
        self, answers: Sequence[Mapping[str, Any]] | None = None, patience_s: float = PATIENCE_S
    ) -> Asks[Reply]:
        """Answer all requests that wait, in their order, and wait for what comes of it.

        Parameters
        ----------
        answers
            ``{"type": "accept" | "edit" | "ignore" | "response", "args": ...}`` for each; None accepts all.
        patience_s
            See `say`.
        """
        if answers is None:
            waiting = (yield Ask("GET", f"{self._path}/approvals")).json()
            answers = [{"type": "accept", "args": None} for _ in waiting]
        return (yield from self._post("approvals", {"answers": [dict(one) for one in answers]}, patience_s))

    @verb
    def history(self) -> Asks[Reply]:
        """All that was said and happened."""
        return _replied((yield Ask("GET", f"{self._path}/messages")))

    @verb
    def look(self) -> Asks[ThreadSeen]:
        """What is told of it now."""
        self.seen = ThreadSeen.model_validate((yield Ask("GET", self._path)).json())
        return self.seen

    @verb
    def cancel(self) -> Asks[None]:
        """End the answer at work, with the run that it began."""
        yield Ask("POST", f"{self._path}/cancel")

    @verb
    def delete(self) -> Asks[None]:
        """Forget the conversation; runs that it began stay."""
        yield Ask("DELETE", self._path)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}: {self.seen.title or self.seen.status}>"

    def _repr_html_(self) -> str:
        return card(f"Conversation {self.id}", self.seen.model_dump(exclude={"id"}))


class Thread(ThreadVerbs, Waits):
    """A conversation."""

    def __init__(self, line: Line, seen: ThreadSeen) -> None:
        super().__init__(line)
        self.seen = seen


class AsyncThread(ThreadVerbs, Awaits):
    """A conversation, whose verbs are awaited."""

    def __init__(self, line: AsyncLine, seen: ThreadSeen) -> None:
        super().__init__(line)
        self.seen = seen


def _thread(part: Waits | Awaits, seen: ThreadSeen) -> Thread | AsyncThread:
    return Thread(part.line, seen) if isinstance(part, Waits) else AsyncThread(part.line, seen)


def thread_verb(describe: Callable[Concatenate[Any, P], Asks[ThreadSeen]]) -> Made[P, Thread, AsyncThread]:
    """Make a verb that gives a conversation."""
    return Made(describe, _thread)


class ChatVerbs:
    """The conversations."""

    @thread_verb
    def start(self, datasets: Sequence[Given] = (), title: str = "") -> Asks[ThreadSeen]:
        """Begin a conversation, about files or data sets where some are named."""
        named: list[str] = []
        for one in datasets:
            named.append((yield from id_of(one)))
        answer = yield Ask("POST", "/api/threads", {"json": {"title": title, "datasets": named}})
        return ThreadSeen.model_validate(answer.json())

    @thread_verb
    def get(self, thread_id: str) -> Asks[ThreadSeen]:
        """A conversation by its id."""
        answer = yield Ask("GET", f"/api/threads/{quoted(thread_id)}")
        return ThreadSeen.model_validate(answer.json())

    @verb
    def list(self, limit: int = 50) -> Asks[Listing[ThreadSeen]]:
        """Your conversations, the one that was used last first."""
        answer = yield Ask("GET", "/api/threads", {"params": {"limit": limit}})
        columns = ("id", "title", "status", "updated_at")
        return Listing(map(ThreadSeen.model_validate, answer.json()), columns, "conversations")


class Chat(ChatVerbs, Waits):
    """The conversations."""


class AsyncChat(ChatVerbs, Awaits):
    """The conversations, with verbs that are awaited."""
