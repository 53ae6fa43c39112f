"""A language model that chooses actions and answers; what it gets wrong is left to the grammar, with a notice.

Its reply is checked before anybody sees it: known actions, few at once, every number a reference. Numbers without one go
back to it once; then the built-in rules answer.
"""

from __future__ import annotations

import re
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.utils.json_schema import dereference_refs

from nereus.agents.chat.actions import ACTIONS, Action
from nereus.agents.chat.actions.external import external_actions, pinned
from nereus.agents.chat.answering import answer_of, inert, quoted
from nereus.agents.chat.book import REFERENCE, counted_in_words
from nereus.agents.chat.context import prompt_of
from nereus.agents.chat.lookup import words
from nereus.agents.chat.slots import is_english
from nereus.agents.chat.spoken import ANSWER_PART, TAKEN_BACK, Draft, Stopped, interruptible, say
from nereus.agents.chat.turn import Outcome, Turn
from nereus.agents.external.definitions import is_external
from nereus.errors import NereusError
from nereus.models.llm import metered_anew
from nereus.models.llm.loose_json import objects, without_thoughts

MOST_CALLS = 6
"""Calls that one reply may make."""
_METERS = 256
"""Questions whose meters are kept."""
_NO_STREAM: RunnableConfig = {"tags": ["nostream"]}
"""Unchecked words are shown to nobody."""
_TEXT_FORM = """

You have no function calling. Answer with ONE JSON object and nothing else:
{"action": "<name>", "args": {...}} to use a tool, or {"answer": "<markdown>"} to answer. Tools:
"""
_ANSWER_NOW = "You have looked up enough. Answer now with what you have, without further tools."


@dataclass(frozen=True)
class Said:
    """What a model decided; without a message, why there is none."""

    message: AIMessage | None
    why: str = ""


class ModelTurn:
    """Asks one chat model.

    Parameters
    ----------
    model
        Any LangChain chat model; without function calling it is asked for JSON in text.
    """

    def __init__(self, model: BaseChatModel) -> None:
        self._model = model
        self._metered: OrderedDict[str, BaseChatModel] = OrderedDict()
        self._lock = Lock()
        self._text_form = type(model).bind_tools is BaseChatModel.bind_tools
        self._tools = [_tool(one) for one in ACTIONS.values()]

    def next(
        self, turn: Turn, messages: Sequence[BaseMessage], steps: int, most: int, config: RunnableConfig
    ) -> Said:
        """The next calls, or the answer. What of an answer is checked is said while it is written.

        Raises
        ------
        Stopped
            Whoever asked wants no answer any more.
        """
        settings = turn.desk.settings
        try:
            external, _ = external_actions(turn)
            tools = [*self._tools, *map(_tool, external.values())]
            prompt = prompt_of(turn, messages, settings.llm_context_tokens, settings.llm_reply_tokens)
            last = steps >= most
            if last:
                prompt.append(HumanMessage(_ANSWER_NOW))
            model = self._of(turn, messages)
            heard = Heard(turn, messages, f"nereus-{uuid.uuid4().hex[:24]}")
            reply = self._ask(model, turn, prompt, () if last else tools, heard, config)
            if reply.tool_calls and not last:
                heard.taken_back()
                return Said(_calls(reply, external))
            outcome, faults = heard.judged(reply)
            identity = heard.identity if heard.kept else ""
            if faults:
                told = "; ".join(faults[:5])
                prompt += [
                    AIMessage(_text(reply)),
                    HumanMessage(
                        f"Your answer cannot be shown: {told}. Write it again with references, or without numbers."
                    ),
                ]
                reply = self._ask(model, turn, prompt, (), None, config)
                outcome, faults = heard.judged(reply)
        except Stopped:
            raise
        except NereusError as error:
            return Said(None, error.what)
        except Exception as error:  # noqa: BLE001 - whatever an endpoint does, the conversation goes on
            return Said(None, type(error).__name__)
        if faults:
            return Said(
                None, "its answer held numbers without evidence" if _text(reply).strip() else faults[0]
            )
        return Said(answer_of(turn, outcome, identity=identity))

    def _of(self, turn: Turn, messages: Sequence[BaseMessage]) -> BaseChatModel:
        """The model with a meter of this question: its ceilings hold for all that one answer takes, approvals between."""
        asked = next((one.id for one in reversed(messages) if isinstance(one, HumanMessage)), "")
        with self._lock:
            model = self._metered.pop(key := f"{turn.thread_id} {asked}", None) or metered_anew(self._model)
            self._metered[key] = model
            while len(self._metered) > _METERS:
                self._metered.popitem(last=False)
        return model

    def _ask(
        self,
        chat: BaseChatModel,
        turn: Turn,
        prompt: list[BaseMessage],
        tools: Sequence[dict[str, Any]],
        heard: Heard | None,
        config: RunnableConfig,
    ) -> AIMessage:
        if self._text_form:
            return self._asked_in_text(chat, turn, prompt, tools)
        model: Any = chat.bind_tools(tools) if tools else chat
        reply = _read(turn, model, prompt, heard, config)
        if tools and not reply.tool_calls and (found := _call_in(_text(reply))) is not None:
            return found  # a call that was written into the text
        return reply

    def _asked_in_text(
        self, chat: BaseChatModel, turn: Turn, prompt: list[BaseMessage], tools: Sequence[dict[str, Any]]
    ) -> AIMessage:
        lines = [
            f"{one['function']['name']}({', '.join(one['function']['parameters'].get('properties', {}))}): "
            f"{one['function']['description']}"
            for one in tools
        ]
        head, *rest = prompt
        flat = [_flat(one) for one in rest]
        said = str(head.content) + (_TEXT_FORM + "\n".join(lines) if tools else "")
        reply = _read(turn, chat, [head.model_copy(update={"content": said}), *flat], None, {})
        text = _text(reply)
        if tools and (found := _call_in(text)) is not None:
            return found
        for one in objects(text):
            if isinstance(one.get("answer"), str):
                return AIMessage(one["answer"])
        return AIMessage(text)


class Heard:
    """One reply of a model as it comes: what of it may be shown, and whether it can be an answer.

    Parameters
    ----------
    turn, messages
        The turn, with what was said before.
    identity
        Id of the answer that it may become.
    """

    def __init__(self, turn: Turn, messages: Sequence[BaseMessage], identity: str) -> None:
        self._turn = turn
        self._results = results_of(messages)
        self._noticed = noticed(messages)
        names = [name for one in self._results for name in one.names] + quoted(turn.said) + list(ACTIONS)
        self._names = list(dict.fromkeys(names))
        self.identity = identity
        self.draft = Draft(self._faults, lambda text: inert(turn.book.said(text, self._names)[0]))
        self.kept = False
        """Whether what was shown is the beginning of the answer."""

    def judged(self, reply: AIMessage) -> tuple[Outcome, list[str]]:
        """An answer, and what is wrong with it."""
        results = self._results
        text = without_thoughts(_text(reply)).strip()
        outcome = Outcome(
            text=text,
            artifacts=tuple(shown for one in results for shown in one.artifacts),
            notices=tuple(
                dict.fromkeys([*self._noticed, *(notice for one in results for notice in one.notices)])
            ),
            names=tuple(self._names),
            run_id=next((one.run_id for one in reversed(results) if one.run_id), ""),
        )
        return outcome, self._faults(text) if text else ["it said nothing"]

    def rest(self, reply: AIMessage) -> str:
        """What is said when the reply is complete: what was not shown yet, or that it does not count."""
        if reply.tool_calls or _call_in(_text(reply)) is not None:
            return ""
        outcome, faults = self.judged(reply)
        text = "" if faults else str(answer_of(self._turn, outcome).content)
        self.kept = bool(text) and text.startswith(self.draft.shown)
        if self.kept:
            return text[len(self.draft.shown) :]
        return TAKEN_BACK if self.draft.shown else ""

    def taken_back(self) -> None:
        """Tell that what was shown is no answer: the model goes on to look something up."""
        if self.draft.shown:
            self._turn.tell({"type": ANSWER_PART, "id": self.identity, "start": 0, "text": ""})

    def _faults(self, text: str) -> list[str]:
        return (
            self._turn.book.faults(text, self._names)
            + counted_in_words(text, self._names)
            + misplaced(self._turn, text)
        )


def misplaced(turn: Turn, text: str) -> list[str]:
    """Numbers of one protein in a sentence that names only others: right numbers, said of the wrong thing."""
    found: list[str] = []
    for sentence in _SENTENCES.split(text):
        cited = [one for one in REFERENCE.finditer(sentence) if one[1] in turn.book]
        about = [(one[1], turn.book[one[1]]) for one in cited]
        for name, entry in about:
            if not entry.row or not entry.run_id:
                continue
            entities = turn.entities(entry.run_id)
            named = {
                hit.key
                for word in words(REFERENCE.sub(" ", sentence))
                if entities.knows(word) and not is_english(word)
                for hit in entities.find(word)
            }
            if named and entry.row not in named and entities.knows(entry.row):
                found.append(
                    f"{name} is about {entities.name_of(entry.row)}, which its sentence does not name"
                )
    return found


_SENTENCES = re.compile(r"(?<=[.!?;])\s+|\n+")


def _read(
    turn: Turn, model: Any, prompt: list[BaseMessage], heard: Heard | None, config: RunnableConfig
) -> AIMessage:
    """The reply of a model, which is listened to as long as somebody waits for it."""
    whole: Any = None

    def pieces() -> Iterator[str]:
        nonlocal whole
        for part in interruptible(lambda: model.stream(prompt, config=_NO_STREAM), turn.stopped):
            whole = part if whole is None else whole + part
            if heard is not None and not getattr(part, "tool_call_chunks", None):
                yield heard.draft.more(_text(part))
        if heard is not None and isinstance(whole, AIMessage):
            yield heard.rest(whole)

    if heard is None:
        for _ in pieces():
            pass
    else:
        say(pieces(), heard.identity, turn.tell, config)
    if not isinstance(whole, AIMessage):
        raise TypeError("no message")
    return whole


def results_of(messages: Sequence[BaseMessage]) -> list[Outcome]:
    """What the actions of this turn gave."""
    found: list[Outcome] = []
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            break
        if isinstance(message, ToolMessage):
            found.append(Outcome.model_validate(message.additional_kwargs["nereus"]))
    return found[::-1]


def noticed(messages: Sequence[BaseMessage]) -> list[str]:
    """What was to be told of the calls of this turn: a guess, a part that was not understood, calls that were too many."""
    found: list[str] = []
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            break
        if isinstance(message, AIMessage) and message.tool_calls:
            found = [*message.additional_kwargs.get("nereus", {}).get("notices", ()), *found]
    return list(dict.fromkeys(found))


def _tool(action: Action) -> dict[str, Any]:
    """An action as models are told of tools."""
    schema = dereference_refs(action.schema())
    schema.pop("$defs", None)
    schema.pop("title", None)
    return {
        "type": "function",
        "function": {"name": action.name, "description": action.about, "parameters": schema},
    }


def _calls(reply: AIMessage, external: Mapping[str, Action]) -> AIMessage:
    """The calls of a reply, as many as are allowed; each with an id of its own."""
    seen: set[str] = set()
    calls = []
    for one in reply.tool_calls[:MOST_CALLS]:
        identity = one.get("id") or ""
        if not identity or identity in seen:
            identity = f"call_{uuid.uuid4().hex[:16]}"
        seen.add(identity)
        calls.append(
            {"name": one["name"], "args": pinned(one, external), "id": identity, "type": "tool_call"}
        )
    left = len(reply.tool_calls) - len(calls)
    notices = ["Some calls of the language model were not made: they were too many at once."] if left else []
    return AIMessage(content="", tool_calls=calls, additional_kwargs={"nereus": {"notices": notices}})


def _call_in(text: str) -> AIMessage | None:
    """A call that a model wrote as text."""
    if "{" not in text:
        return None
    for one in objects(text):
        name = one.get("action") or one.get("name") or one.get("tool")
        args = one.get("args", one.get("arguments", one.get("parameters", {})))
        if (name in ACTIONS or is_external(str(name))) and isinstance(args, dict):
            call = {
                "name": str(name),
                "args": args,
                "id": f"call_{uuid.uuid4().hex[:16]}",
                "type": "tool_call",
            }
            return AIMessage(content="", tool_calls=[call])
    return None


def _flat(message: BaseMessage) -> BaseMessage:
    """A message for a model that knows no tools."""
    if isinstance(message, ToolMessage):
        return HumanMessage(f"Result of {message.name}:\n{message.content}")
    if isinstance(message, AIMessage) and message.tool_calls:
        return AIMessage("\n".join(f'{{"action": "{one["name"]}"}}' for one in message.tool_calls))
    return message


def _text(message: BaseMessage) -> str:
    content = message.content
    if isinstance(content, str):
        return content
    return "".join(
        one if isinstance(one, str) else str(one.get("text", ""))
        for one in content
        if isinstance(one, str | dict)
    )
