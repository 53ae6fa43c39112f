"""Ask a chat model for one object: tool calling where it offers that, JSON in text otherwise; repaired at most twice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable
from langchain_core.utils.json_schema import dereference_refs
from pydantic import BaseModel, ValidationError

from nereus.agents.policies.replies import Answer, explained, read_message
from nereus.errors import EndpointError, PolicyError
from nereus.models.llm.ceilings import Meter, Usage, size_of
from nereus.models.llm.chatml import text_of
from nereus.models.llm.deadline import within
from nereus.models.llm.faults import refuses_tools
from nereus.models.llm.patience import retrying

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
    retries
        How often a call is made again that failed for a passing reason (never one that took too long); each counts.
    """

    def __init__(
        self,
        model: BaseChatModel,
        meter: Meter,
        *,
        timeout_s: float = 60.0,
        reply_tokens: int = 2048,
        form: Literal["auto", "tool", "text"] = "auto",
        retries: int = 0,
    ) -> None:
        self.model = model
        self.meter = meter
        self.timeout_s = timeout_s
        self.reply_tokens = reply_tokens
        self.retries = retries
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
            return self._tried(talk, schema, usage)
        except _ToolsRefused:
            self.form = "text"
            return self._tried(talk, schema, usage)

    def _tried(self, talk: list[BaseMessage], schema: type[BaseModel], usage: Usage) -> BaseMessage:
        try:
            return retrying(self.retries)(self._once, talk, schema, usage)
        except EndpointError as error:
            raise PolicyError(f"the model failed: {error.reason}") from error

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
        refused = False
        try:
            reply = within(lambda: model.invoke(talk), held.seconds)
            self._silent = 0
        except TimeoutError:
            with self._lock:
                self._silent += 1
                if self._silent >= SILENT:
                    self._left_alone = LEFT_ALONE * 2 ** (self._silent - SILENT)
            raise PolicyError(f"no reply within {held.seconds:g} s") from None
        except Exception as error:
            if self.form == "tool" and self._may_change and refuses_tools(error):
                raise _ToolsRefused from error
            if isinstance(error, EndpointError):
                refused = error.status is not None
                raise
            # The text of the error may hold an address or a key.
            raise PolicyError(f"the model failed: {type(error).__name__}") from error
        finally:
            told = getattr(reply, "usage_metadata", None)
            told = told if isinstance(told, dict) else {}
            spent = self.meter.settle(
                held,
                time.monotonic() - start,
                told.get("input_tokens"),
                told.get("output_tokens"),
                refused,
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


def _with_schema(message: BaseMessage, shape: str) -> BaseMessage:
    return message.model_copy(update={"content": f"{text_of(message)}\n\nSchema of the object:\n{shape}"})


def _said(reply: BaseMessage) -> str:
    """What the model said, as text: a tool call that was not valid cannot be answered as one."""
    calls = [*(getattr(reply, "tool_calls", None) or ()), *(getattr(reply, "invalid_tool_calls", None) or ())]
    said = text_of(reply) or "\n".join(str(call.get("args")) for call in calls)
    return said[:4000] or "(nothing)"
