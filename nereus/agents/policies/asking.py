"""Ask a chat model for one object: tool calling where it offers that, JSON in text otherwise; repaired at most twice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, Queue
from threading import Lock, Thread
from typing import Any, Literal

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable
from langchain_core.utils.json_schema import dereference_refs
from pydantic import BaseModel, ValidationError

from nereus.models.llm.ceilings import Meter, Usage, size_of
from nereus.agents.policies.replies import Answer, explained, read_message, text_of
from nereus.errors import PolicyError

MAX_REPAIRS = 2
SILENT = 3
"""Replies in a row that did not come in time, from which on the model is left alone for a while."""
LEFT_ALONE = 4
"""Questions that it is then not asked; twice as many after each further silence."""
Form = Literal["tool", "text"]


@dataclass
class Asked:
    """One answer and what it cost."""

    answer: Any
    usage: Usage = field(default_factory=Usage)


class ChatCaller:
    """Asks one chat model, under the ceilings of a meter.

    Parameters
    ----------
    model
        Any LangChain chat model.
    meter
        Counts, and refuses what could pass a ceiling.
    timeout_s
        Seconds that one reply may take.
    reply_tokens
        Most tokens of one reply: what is held against the ceilings before a call.
    form
        ``auto`` calls a tool where the model's class offers that; an endpoint that refuses tools is asked in text from
        then on.
    """

    def __init__(
        self,
        model: BaseChatModel,
        meter: Meter,
        *,
        timeout_s: float = 60.0,
        reply_tokens: int = 2048,
        form: Literal["auto", "tool", "text"] = "auto",
    ) -> None:
        self.model = model
        self.meter = meter
        self.timeout_s = timeout_s
        self.reply_tokens = reply_tokens
        offers = type(model).bind_tools is not BaseChatModel.bind_tools
        self.form: Form = ("tool" if offers else "text") if form == "auto" else form
        self._may_change = form == "auto"
        self._silent = 0
        self._left_alone = 0
        self._lock = Lock()
        self._bound: dict[type[BaseModel], Runnable[Any, BaseMessage]] = {}

    def ask(
        self,
        messages: list[BaseMessage],
        schema: type[Answer],
        check: Callable[[Answer], list[str]],
        usage: Usage,
        read: Callable[[Answer], Answer] = lambda answer: answer,
    ) -> Answer:
        """The model's answer, valid by schema and by `check`.

        Parameters
        ----------
        messages
            The prompt.
        schema
            What is asked for.
        check
            What is wrong with an answer whose shape is right.
        usage
            Is added to, also when this fails.
        read
            Applied to a well-formed answer before it is checked.

        Raises
        ------
        PolicyError
            No valid reply after the repairs, no reply in time, an error of the endpoint, a ceiling, or a model that is
            left alone because it has not answered for a while.
        """
        self._patience()
        talk = list(messages)
        wrong: list[str] = []
        for _ in range(1 + MAX_REPAIRS):
            reply = self._call(talk, schema, usage)
            found, wrong = read_message(reply, schema)
            if found is not None:
                try:
                    answer = read(found)
                except ValidationError as error:
                    wrong = explained(error)
                else:
                    wrong = check(answer)
                    if not wrong:
                        return answer
            talk = [
                *messages,
                AIMessage(_said(reply)),
                HumanMessage(
                    "That is not valid: " + "; ".join(wrong[:8]) + ". Reply again, with the object only."
                ),
            ]
        raise PolicyError(
            f"no valid reply after {MAX_REPAIRS} repairs: {wrong[0] if wrong else 'empty reply'}"
        )

    def _patience(self) -> None:
        """Refuse while the model is left alone: one that never answers must not cost a run its timeout each time."""
        with self._lock:
            if self._left_alone:
                self._left_alone -= 1
                raise PolicyError(f"the model did not answer in time {self._silent} times in a row")

    def _call(self, talk: list[BaseMessage], schema: type[BaseModel], usage: Usage) -> BaseMessage:
        try:
            return self._once(talk, schema, usage)
        except _ToolsRefused:
            self.form = "text"
            return self._once(talk, schema, usage)

    def _once(self, talk: list[BaseMessage], schema: type[BaseModel], usage: Usage) -> BaseMessage:
        shape = json.dumps(schema.model_json_schema(), sort_keys=True)
        model: Runnable[Any, BaseMessage] = self.model
        if self.form == "tool":
            model = self._with_tool(schema)
        else:
            talk = (
                [*talk[:-1], _with_schema(talk[-1], shape)]
                if len(talk) == 1
                else [
                    _with_schema(talk[0], shape),
                    *talk[1:],
                ]
            )
        size = sum(size_of(text_of(message)) for message in talk)
        size += len(shape) if self.form == "tool" else 0
        held = self.meter.reserve(size, self.reply_tokens, self.timeout_s)
        start = time.monotonic()
        reply: BaseMessage | None = None
        try:
            reply = _within(model, talk, held.seconds)
            self._silent = 0
        except TimeoutError:
            with self._lock:
                self._silent += 1
                if self._silent >= SILENT:
                    self._left_alone = LEFT_ALONE * 2 ** (self._silent - SILENT)
            raise PolicyError(f"no reply within {held.seconds:g} s") from None
        except Exception as error:
            if self.form == "tool" and self._may_change and _refuses_tools(error):
                raise _ToolsRefused from error
            # The text of the error may hold an address or a key.
            raise PolicyError(f"the model failed: {type(error).__name__}") from error
        finally:
            told = getattr(reply, "usage_metadata", None)
            told = told if isinstance(told, dict) else {}
            spent = self.meter.settle(
                held, time.monotonic() - start, told.get("input_tokens"), told.get("output_tokens")
            )
            usage.calls += spent.calls
            usage.tokens += spent.tokens
            usage.usd += spent.usd
            usage.seconds += spent.seconds
        return reply

    def _with_tool(self, schema: type[BaseModel]) -> Runnable[Any, BaseMessage]:
        if schema not in self._bound:
            parameters = dereference_refs(schema.model_json_schema())
            parameters.pop("$defs", None)
            tool = {
                "type": "function",
                "function": {
                    "name": schema.__name__,
                    "description": (schema.__doc__ or schema.__name__).strip().splitlines()[0],
                    "parameters": parameters,
                },
            }
            self._bound[schema] = self.model.bind_tools([tool], tool_choice=schema.__name__)
        return self._bound[schema]


class _ToolsRefused(Exception):
    """The endpoint does not take tools."""


def _refuses_tools(error: Exception) -> bool:
    text = str(error).lower()
    status = getattr(error, "status_code", None)
    return isinstance(error, NotImplementedError) or (status in (400, 404, 422, 501) and "tool" in text)


def _with_schema(message: BaseMessage, shape: str) -> BaseMessage:
    return message.model_copy(update={"content": f"{text_of(message)}\n\nSchema of the object:\n{shape}"})


def _said(reply: BaseMessage) -> str:
    """What the model said, as text: a tool call that was not valid cannot be answered as one."""
    calls = [*(getattr(reply, "tool_calls", None) or ()), *(getattr(reply, "invalid_tool_calls", None) or ())]
    said = text_of(reply) or "\n".join(str(call.get("args")) for call in calls)
    return said[:4000] or "(nothing)"


def _within(model: Runnable[Any, BaseMessage], talk: list[BaseMessage], seconds: float) -> BaseMessage:
    """The reply, or `TimeoutError`. The thread is a daemon: a reply that never comes does not keep a process alive."""
    answer: Queue[BaseMessage | BaseException] = Queue()

    def work() -> None:
        try:
            answer.put(model.invoke(talk))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            answer.put(error)

    Thread(target=work, daemon=True, name="nereus-chat-model").start()
    try:
        found = answer.get(timeout=seconds)
    except Empty:
        raise TimeoutError from None
    if isinstance(found, BaseException):
        raise found
    return found
