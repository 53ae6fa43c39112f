"""The chat agent as a graph: decide -> [approve] -> act -> decide ... -> answer.

::

    START -> hear -> think -(calls)-> weigh [-> approve] -> act -> think -(nothing more)-> END

`think` is a language model with the actions as tools, or the grammar where there is none or it fails. `weigh` says which
calls need a yes and keeps what is asked, `approve` is one interrupt with one request for each of them; no call runs before
all are answered, and what runs is what was asked, however long the answer took. Nodes run again after a crash: what they
do is recorded under keys, and a run that a call began carries the call's id, so that it is begun once (`Turn.begun`).
"""

from __future__ import annotations

import logging
import uuid
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore
from langgraph.types import interrupt

from nereus.agents.chat.actions.offered import action_of
from nereus.agents.chat.answering import answer_of, refused
from nereus.agents.chat.approving import Request, asked_again, decided, request_for
from nereus.agents.chat.book import Book
from nereus.agents.chat.desk import Desk
from nereus.agents.chat.files import heard_files
from nereus.agents.chat.model_turn import ModelTurn, noticed, results_of
from nereus.agents.chat.router import route
from nereus.agents.chat.spoken import Stopped
from nereus.agents.chat.turn import Focus, Outcome, Turn, trouble
from nereus.errors import NereusError

log = logging.getLogger("nereus.chat")

MOST_STEPS = 6
"""Times that a language model may call actions before it must answer."""
NAME = "chat"


class ChatState(TypedDict, total=False):
    """What is kept of a thread."""

    messages: Annotated[list[AnyMessage], add_messages]
    focus: dict[str, str]
    book: dict[str, dict[str, Any]]
    asked: dict[str, dict[str, Any]]
    """Call id -> what a person is asked about it, as it was when it was decided on."""
    approved: dict[str, dict[str, Any]]
    """Call id -> what was answered: ``{"run": bool, "args": ..., "said": ...}``."""
    steps: int
    fallback: str
    """Why the language model does not decide in this turn; empty where it does."""


class ChatInput(TypedDict):
    """What a conversation is given."""

    messages: Annotated[list[AnyMessage], add_messages]


def chat_graph(
    desk: Desk,
    *,
    model: BaseChatModel | None,
    checkpointer: BaseCheckpointSaver[Any] | None,
    store: BaseStore | None = None,
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The chat agent.

    Parameters
    ----------
    desk
        What it may do, for whom.
    model
        Any LangChain chat model with tool calling; None: the grammar decides.
    checkpointer
        Keeps threads.
    store
        LangGraph's long-term store; notes and findings of earlier runs are kept by the desk in any case.

    Examples
    --------
    >>> graph = chat_graph(desk, model=None, checkpointer=saver)  # doctest: +SKIP
    >>> graph.invoke({"messages": [("human", "help")]}, {"configurable": {"thread_id": "t1"}})  # doctest: +SKIP
    """
    nodes = _Nodes(desk, model)
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(
        ChatState, input_schema=ChatInput, output_schema=ChatInput
    )
    graph.add_node("hear", nodes.hear)
    graph.add_node("think", nodes.think)
    graph.add_node("weigh", nodes.weigh)
    graph.add_node("approve", nodes.approve)
    graph.add_node("act", nodes.act)
    graph.add_edge(START, "hear")
    graph.add_edge("hear", "think")
    graph.add_conditional_edges("think", _next, {"weigh": "weigh", END: END})
    graph.add_conditional_edges("weigh", _asks, {"approve": "approve", "act": "act"})
    graph.add_edge("approve", "act")
    graph.add_edge("act", "think")
    return graph.compile(checkpointer=checkpointer, store=store, name=NAME)


class _Nodes:
    """The nodes, with what they work with."""

    def __init__(self, desk: Desk, model: BaseChatModel | None) -> None:
        self._desk = desk
        self._model = None if model is None else ModelTurn(model)

    # ------------------------------------------------------------------ nodes

    def hear(self, state: ChatState, config: RunnableConfig) -> dict[str, Any]:
        """Take in a question: which files it names, and what it begins with."""
        turn = self._turn(state, config)
        try:
            heard_files(turn, _question(state))
        except NereusError as error:
            return {
                "focus": turn.focus.model_dump(),
                "steps": 0,
                "approved": {},
                "fallback": "",
                "messages": [answer_of(turn, trouble(error))],
            }
        return {"focus": turn.focus.model_dump(), "steps": 0, "approved": {}, "fallback": ""}

    def think(self, state: ChatState, config: RunnableConfig) -> dict[str, Any]:
        """Decide what to do next, or answer."""
        turn = self._turn(state, config)
        messages = state["messages"]
        last = messages[-1]
        if isinstance(last, AIMessage) and not last.tool_calls:  # a file could not be heard
            return {}
        if turn.stopped():
            return self._stopped(turn, messages)
        if self._model is not None and not state.get("fallback"):
            try:
                said = self._model.next(turn, messages, state.get("steps", 0), MOST_STEPS, config)
            except Stopped:
                return self._stopped(turn, messages)
            if said.message is not None:
                return self._update(turn, [said.message], steps=state.get("steps", 0) + 1)
            return self._by_grammar(turn, state, said.why)
        return self._by_grammar(turn, state, state.get("fallback", ""))

    def _stopped(self, turn: Turn, messages: list[AnyMessage]) -> dict[str, Any]:
        """Whoever asked wants no more: what was done is told, and nothing else begins."""
        found = _joined(results_of(messages), noticed(messages))
        notices = (*found.notices, "You stopped this answer.")
        text = found.text or "Stopped: nothing was done."
        return self._update(
            turn, [answer_of(turn, found.model_copy(update={"text": text, "notices": notices}))]
        )

    def _by_grammar(self, turn: Turn, state: ChatState, why: str) -> dict[str, Any]:
        messages = state["messages"]
        results = results_of(messages)
        if results:
            whole = _joined(results, noticed(messages))
            return self._update(turn, [answer_of(turn, whole, why)], fallback=why)
        try:
            routed = route(turn, _question(state).text)
        except NereusError as error:
            return self._update(turn, [answer_of(turn, trouble(error), why)], fallback=why)
        if not routed.calls:
            return self._update(turn, [answer_of(turn, routed.said, why)], fallback=why)
        calls = [
            {"name": name, "args": args, "id": f"call_{uuid.uuid4().hex[:16]}", "type": "tool_call"}
            for name, args in routed.calls
        ]
        message = AIMessage(
            content="", tool_calls=calls, additional_kwargs={"nereus": {"notices": list(routed.notices)}}
        )
        return self._update(turn, [message], fallback=why)

    def weigh(self, state: ChatState, config: RunnableConfig) -> dict[str, Any]:
        """Say which calls need a yes. Nothing has run yet, and nothing is asked."""
        turn = self._turn(state, config)
        approved: dict[str, dict[str, Any]] = {}
        asked: dict[str, Request] = {}
        for call in _calls(state):
            try:
                request = request_for(turn, call["name"], call["args"], _rule(turn, config))
            except NereusError as error:
                approved[call["id"]] = {"run": False, "said": trouble(error).text, "wrong": True}
                continue
            if request is None:
                approved[call["id"]] = {"run": True, "args": call["args"]}
            else:
                asked[call["id"]] = request
        return {"approved": approved, "asked": asked}

    def approve(self, state: ChatState, config: RunnableConfig) -> dict[str, Any]:
        """Ask for all calls at once that need a yes, until the answers can be used."""
        asked = state["asked"]
        requests = shown = list(asked.values())
        while True:
            answers = interrupt(shown)
            try:
                meant = decided(requests, answers)
                self._refuse_odd_edits(self._turn(state, config), requests, meant)
            except NereusError as error:
                shown = asked_again(requests, error)
                continue
            return {"approved": {**state["approved"], **dict(zip(asked, meant, strict=True))}, "asked": {}}

    def _refuse_odd_edits(self, turn: Turn, requests: list[Request], meant: list[dict[str, Any]]) -> None:
        """`NereusError` where what a person made of the arguments cannot be done: they are asked again."""
        for request, one in zip(requests, meant, strict=True):
            if one.get("edited"):
                request_for(turn, request["action_request"]["action"], one["args"], "always")

    def act(self, state: ChatState, config: RunnableConfig) -> dict[str, Any]:
        """Do what was decided and allowed, in order."""
        turn = self._turn(state, config)
        done: list[AnyMessage] = []
        for call in _calls(state):
            answer = state.get("approved", {}).get(call["id"], {})
            turn.call = f"{turn.thread_id}/{call['id']}"
            if answer.get("run") and turn.stopped():
                outcome = refused(call["name"], "you stopped this answer")
            elif answer.get("run"):
                turn.tell({"type": "progress", "text": call["name"].replace("_", " "), "call": call["id"]})
                outcome = perform(turn, call["name"], answer["args"])
            else:
                outcome = refused(call["name"], str(answer.get("said", "")), bool(answer.get("wrong")))
            done.append(
                ToolMessage(
                    content=turn.book.with_values(outcome.text),
                    tool_call_id=call["id"],
                    name=call["name"],
                    status="error" if outcome.failed else "success",
                    additional_kwargs={"nereus": outcome.model_dump(mode="json")},
                )
            )
        return self._update(turn, done)

    # ------------------------------------------------------------------ what they share

    def _turn(self, state: ChatState, config: RunnableConfig) -> Turn:
        told = config.get("configurable", {})
        desk = self._desk.for_owner(str(told.get("owner") or self._desk.owner))
        return Turn(
            desk=desk,
            book=Book(state.get("book")),
            focus=Focus.model_validate(state.get("focus") or {}),
            thread_id=str(told.get("thread_id", "")),
            tell=_writer(),
            patience_s=float(told.get("patience_s", 600.0)),
            stopped=told.get("stopped") or (lambda: False),
            said=_question(state).text,
            messages=list(state.get("messages", [])),
        )

    def _update(self, turn: Turn, messages: list[AnyMessage], **changes: Any) -> dict[str, Any]:
        return {
            "messages": messages,
            "focus": turn.focus.model_dump(),
            "book": turn.book.entries(),
            **changes,
        }


def perform(turn: Turn, name: str, args: dict[str, Any]) -> Outcome:
    """One action; what goes wrong is an outcome that says so."""
    try:
        action = action_of(turn, name)
        return action.do(turn, action.read(args))
    except NereusError as error:
        return trouble(error)
    except Exception as error:
        log.exception("defect in action %s", name)
        return Outcome(
            text=f"`{name}` failed by a defect of Nereus ({type(error).__name__}); nothing was changed by it. The log "
            "has the details.",
            names=(name, type(error).__name__),
            failed=True,
        )


def _writer() -> Any:
    try:
        return get_stream_writer()
    except RuntimeError:  # called outside a graph
        return lambda event: None


def _rule(turn: Turn, config: RunnableConfig) -> str:
    """When to ask: ``never``, ``costly`` or ``always``."""
    return str(config.get("configurable", {}).get("approval") or turn.desk.settings.chat_approval)


def _question(state: ChatState) -> HumanMessage:
    for message in reversed(state.get("messages", [])):
        if isinstance(message, HumanMessage):
            return message
    return HumanMessage("")


def _calls(state: ChatState) -> list[dict[str, Any]]:
    for message in reversed(state["messages"]):
        if isinstance(message, AIMessage):
            return [dict(one) for one in message.tool_calls]
    return []


def _joined(results: list[Outcome], notices: list[str]) -> Outcome:
    return Outcome(
        text="\n\n".join(one.text for one in results),
        artifacts=tuple(shown for one in results for shown in one.artifacts),
        notices=tuple(dict.fromkeys([*notices, *(notice for one in results for notice in one.notices)])),
        names=tuple(dict.fromkeys(name for one in results for name in one.names)),
        failed=all(one.failed for one in results),
        run_id=next((one.run_id for one in reversed(results) if one.run_id), ""),
    )


def _next(state: ChatState) -> str:
    last = state["messages"][-1]
    return "weigh" if isinstance(last, AIMessage) and last.tool_calls else END


def _asks(state: ChatState) -> str:
    return "approve" if state.get("asked") else "act"
