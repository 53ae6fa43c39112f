"""What is costly or risky waits for a yes: one request a call, nothing runs before all are answered."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage

from nereus.agents.chat import chat_graph
from nereus.agents.chat.local_desk import LocalDesk
from nereus.errors import InputError
from nereus.memory.checkpoints import open_checkpoints
from tests.agents.chat.conftest import BUDGET, Conversation, told
from tests.agents.chat.scripted import calls, in_turn

Talk = Callable[..., Conversation]


def test_two_calls_are_two_requests_and_nothing_runs_before_both_are_answered(
    talk: Talk, desk: LocalDesk
) -> None:
    data = next(one for one in desk.datasets() if one.name == "values.csv").id
    model = in_turn(
        calls(
            ("list", {"what": "runs"}),
            ("start_run", {"dataset": data, "question": "first"}),
            ("start_run", {"dataset": data, "question": "second"}),
        ),
        "Both were asked for.",
    )
    conversation = talk(model, patience_s=120.0)
    before = len(desk.runs())
    conversation.say("start two runs")
    requests = conversation.requests()
    assert [one["action_request"]["args"]["question"] for one in requests] == ["first", "second"]
    assert all(
        set(one["config"]) == {"allow_accept", "allow_edit", "allow_respond", "allow_ignore"}
        for one in requests
    )
    state = conversation.graph.get_state(conversation.config).values
    assert not any(isinstance(one, ToolMessage) for one in state["messages"])
    assert len(desk.runs()) == before
    edit = {
        "type": "edit",
        "args": {"action": "start_run", "args": {"question": "edited", "budget": ["steps=6"]}},
    }
    conversation.answer({"type": "response", "args": "not now, the file is wrong"}, edit)
    state = conversation.graph.get_state(conversation.config).values
    results = [one for one in state["messages"] if isinstance(one, ToolMessage)]
    assert [one.name for one in results] == ["list", "start_run", "start_run"]
    assert "not now, the file is wrong" in str(results[1].content)
    fresh = [one for one in desk.runs() if one.question in ("first", "second", "edited")]
    assert [one.question for one in fresh] == ["edited"]
    assert fresh[0].budget.steps == 6


def test_an_answer_to_each_and_no_other_form(talk: Talk, desk: LocalDesk) -> None:
    from nereus.agents.chat.approving import checked_answers

    conversation = talk()
    conversation.say("analyse it")
    requests = conversation.requests()
    assert len(requests) == 1
    assert checked_answers(requests, [True]) == [{"type": "accept"}]
    for wrong in ([], [{"type": "accept"}] * 2, [{"type": "maybe"}], [3], None):
        with pytest.raises(InputError):
            checked_answers(requests, wrong)
    for edit in ({"args": {"nonsense": 1}}, {"action": "cancel_run", "args": {}}, "no json", None):
        with pytest.raises(InputError):
            checked_answers(requests, [{"type": "edit", "args": edit}])


def test_what_only_reads_is_never_asked_about_and_all_else_is_where_told_so(talk: Talk) -> None:
    conversation = talk(approval="always")
    conversation.say("list runs")
    assert not conversation.requests()
    conversation.say("volcano plot")
    assert conversation.requests()[0]["action_request"]["action"] == "show"
    free = talk(approval="never", thread_id="free")
    free.say("volcano plot")
    assert not free.requests()


def test_a_tool_that_reaches_beyond_its_inputs_is_asked_about(talk: Talk) -> None:
    conversation = talk(
        in_turn(calls(("call_tool", {"tool": "run_code", "params": {"code": "print(1)"}})), "ok")
    )
    conversation.say("run some code")
    assert "reaches beyond its inputs" in conversation.requests()[0]["description"]
    answer = conversation.answer({"type": "ignore"})
    assert answer.content


_GO_ON = """
import json, sys
from langgraph.types import Command
from nereus.agents.chat import chat_graph, open_local_desk
from nereus.memory.checkpoints import open_checkpoints
from nereus.settings import load_settings
settings = load_settings(home=sys.argv[1])
with open_local_desk(settings) as desk, open_checkpoints(settings.checkpoint_url) as saver:
    graph = chat_graph(desk, model=None, checkpointer=saver)
    config = {"configurable": {"thread_id": "elsewhere"}}
    answers = [{"type": "edit", "args": {"args": {"question": "edited elsewhere", "budget": json.loads(sys.argv[2])}}}]
    graph.invoke(Command(resume=answers), config)
    print(graph.get_state(config).values["messages"][-1].content)
"""


def test_another_process_answers_and_the_edit_is_honoured(desk: LocalDesk, chat_home: Path) -> None:
    config: Any = {"configurable": {"thread_id": "elsewhere"}}
    data = next(one for one in desk.datasets() if one.name == "values.csv").id
    with open_checkpoints(desk.settings.checkpoint_url) as saver:
        graph = chat_graph(desk, model=None, checkpointer=saver)
        asked = HumanMessage("analyse it", additional_kwargs={"nereus": {"datasets": [data]}})
        graph.invoke({"messages": [asked]}, config)
        assert graph.get_state(config).interrupts
    done = subprocess.run(
        [sys.executable, "-c", _GO_ON, str(chat_home), json.dumps(BUDGET)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    fresh = [one for one in desk.runs() if one.question == "edited elsewhere"]
    assert len(fresh) == 1
    assert fresh[0].budget.objectives == 1
    assert fresh[0].status in ("finished", "stopped")
    with open_checkpoints(desk.settings.checkpoint_url) as saver:
        graph = chat_graph(desk, model=None, checkpointer=saver)
        state = graph.get_state(config)
        assert not state.interrupts
        assert told(state.values["messages"][-1])["run_id"] == fresh[0].id
        answer = graph.invoke({"messages": [HumanMessage("how is it going?")]}, config)["messages"][-1]
        assert fresh[0].id in str(answer.content)


def test_saying_something_else_at_an_approval_drops_it(talk: Talk, desk: LocalDesk) -> None:
    conversation = talk()
    before = len(desk.runs())
    conversation.say("analyse it")
    answer = conversation.say("help")
    assert "analyse this file" in str(answer.content)
    assert not conversation.requests()
    assert len(desk.runs()) == before
