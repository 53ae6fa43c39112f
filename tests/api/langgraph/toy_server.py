"""A real server with one more graph: it streams words, asks before it goes on, is slow or fails where it is told to."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt

from nereus.agents.graphs import GRAPHS
from nereus.api.serving import serve
from nereus.settings import load_settings

REQUESTS = [
    {
        "action_request": {"action": "spend", "args": {"hours": 3}},
        "config": {"allow_accept": True, "allow_edit": True, "allow_respond": False, "allow_ignore": True},
        "description": "a costly call",
    }
]


async def answer(state: MessagesState) -> dict[str, Any]:
    text = str(state["messages"][-1].content)
    get_stream_writer()({"type": "progress", "text": "thinking"})
    if "slow" in text:
        await asyncio.sleep(4)
    if "block" in text:
        time.sleep(2)  # a badly written node: it holds up the loop that it runs in
    if "boom" in text:
        raise ValueError("boom")
    words = "many words " * 40 if "many" in text else ""
    model = GenericFakeChatModel(messages=iter([AIMessage(content=f"{words}you said {text}")]))
    return {"messages": [await model.ainvoke(state["messages"])]}


def gate(state: MessagesState) -> dict[str, Any]:
    said = [str(one.content) for one in state["messages"] if one.type == "human"]
    if said and "ask" in said[-1]:
        return {"messages": [AIMessage(content=f"answered {interrupt(REQUESTS)[0]['type']}")]}
    return {}


def toy(desk: Any, checkpointer: Any = None, store: Any = None) -> Any:
    del desk
    graph: Any = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_node("gate", gate)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", "gate")
    graph.add_edge("gate", END)
    return graph.compile(checkpointer=checkpointer, store=store)


def main() -> None:
    GRAPHS["toy"] = toy
    port, workers = int(sys.argv[1]), int(sys.argv[2])
    serve(load_settings(), "127.0.0.1", port, workers)


if __name__ == "__main__":
    main()
