"""A real model behind a real server: what our client makes of it, also of what that server does wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage

from nereus.errors import CeilingReached, ContextOverflow, EndpointError
from nereus.models.llm.serving import Served
from nereus.settings import load_settings
from tests.models.llm import tiny

pytest.importorskip("openai")
pytest.importorskip("langchain_openai")
from nereus.models.llm.chosen import chat_model
from nereus.models.llm.endpoint import EndpointChat
from nereus.models.llm.probe import probe
from nereus.models.llm.tool_loop import LoopTool, run_tool_loop


def model_of(server: Served, tmp_path: Path, **more: Any) -> EndpointChat:
    settings = load_settings(
        home=tmp_path,
        llm_base_url=server.plan.url,
        llm_model=server.plan.model,
        llm_reply_tokens=256,
        llm_timeout_s=120,
        **more,
    )
    found = chat_model(settings)
    assert isinstance(found, EndpointChat)
    return found


@pytest.fixture
def model(tiny_server: Served, tmp_path: Path) -> EndpointChat:
    return model_of(tiny_server, tmp_path)


def test_chat_and_usage(model: EndpointChat) -> None:
    reply = model.invoke("Hello")
    assert reply.content == "Hello, what shall we look at?"
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["input_tokens"] == 20
    assert model.meter.used.calls == 1
    assert model.meter.used.tokens == reply.usage_metadata["total_tokens"]


def test_stream(model: EndpointChat) -> None:
    pieces = list(model.stream("Hello"))
    assert len([one for one in pieces if one.content]) > 3
    whole = pieces[0]
    for one in pieces[1:]:
        whole = whole + one
    assert whole.content == "Hello, what shall we look at?"
    assert model.meter.used.calls == 1
    assert model.meter.used.tokens == 29


def test_async_and_async_stream(model: EndpointChat) -> None:
    async def both() -> tuple[str, str]:
        reply = await model.ainvoke("Hello")
        text = "".join([str(one.content) async for one in model.astream("Hello")])
        return str(reply.content), text

    assert asyncio.run(both()) == ("Hello, what shall we look at?",) * 2


def test_a_tool_is_called_and_its_result_answered(model: EndpointChat) -> None:
    bound = model.bind_tools([tiny.TOOL])
    call = bound.invoke(tiny.QUESTION)
    assert isinstance(call, AIMessage)
    assert [(one["name"], one["args"]) for one in call.tool_calls] == [
        ("count_proteins", {"tissue": "plasma"})
    ]
    given = ToolMessage("412", tool_call_id=call.tool_calls[0]["id"] or "")
    assert bound.invoke([HumanMessage(tiny.QUESTION), call, given]).content == tiny.ANSWER


def test_a_streamed_call_is_whole(model: EndpointChat) -> None:
    whole: AIMessageChunk | None = None
    for one in model.bind_tools([tiny.TOOL]).stream(tiny.QUESTION):
        assert isinstance(one, AIMessageChunk)
        whole = one if whole is None else whole + one
    assert whole is not None
    assert [(one["name"], one["args"]) for one in whole.tool_calls] == [
        ("count_proteins", {"tissue": "plasma"})
    ]


@pytest.mark.parametrize("form", ["native", "hermes"])
def test_the_tool_loop(model: EndpointChat, form: Any) -> None:
    asked: list[str] = []
    function = tiny.TOOL["function"]
    tool = LoopTool(
        "count_proteins",
        function["description"],  # type: ignore[index]
        function["parameters"],  # type: ignore[index]
        lambda tissue: str(asked.append(tissue) or 412),
    )
    if form == "hermes":  # the system turn that the tiny model has learned
        result = run_tool_loop(model, tiny.QUESTION, [tool], form=form, system="You are a helpful assistant.")
    else:
        result = run_tool_loop(model, tiny.QUESTION, [tool], form=form)
    assert (result.answer, asked, result.model_calls) == (tiny.ANSWER, ["plasma"], 2)


def test_langchain_agents_work_on_it(model: EndpointChat) -> None:
    agents = pytest.importorskip("langchain.agents")
    from langchain_core.tools import StructuredTool

    function: Any = tiny.TOOL["function"]
    tool = StructuredTool(
        name=function["name"],
        description=function["description"],
        args_schema=function["parameters"],
        func=lambda tissue: "412" if tissue == "plasma" else "0",
    )
    said = agents.create_agent(model, [tool]).invoke({"messages": [HumanMessage(tiny.QUESTION)]})
    assert [one.type for one in said["messages"]] == ["human", "ai", "tool", "ai"]
    assert said["messages"][-1].content == tiny.ANSWER


def test_a_broken_call_that_fails_in_the_server_ends_with_a_reason_and_is_never_carried_out(
    model: EndpointChat,
) -> None:
    """This server answers 500 when the model's call is no JSON, whether tools were offered or not; the reply is lost."""
    with httpx.Client(timeout=60) as client:
        raw = client.post(
            f"{model.openai_api_base}/chat/completions",
            json={
                "model": model.model_name,
                "messages": [{"role": "user", "content": tiny.BROKEN_QUESTION}],
                "tools": [tiny.TOOL],
                "max_tokens": 64,
            },
        )
    assert raw.status_code == 500, "the server mends this now: the way around it may go"
    ran: list[str] = []
    function = tiny.TOOL["function"]
    tool = LoopTool(
        "count_proteins", "counts", function["parameters"], lambda tissue: str(ran.append(tissue))
    )  # type: ignore[index]
    result = run_tool_loop(model, tiny.BROKEN_QUESTION, [tool], max_model_calls=2)
    assert ran == []
    assert result.ended in ("call_limit", "answer") or "HTTP 500" in result.reason
    assert model.meter.used.calls >= 3, "asked again, and then with the tools in the text"
    with pytest.raises(EndpointError, match="HTTP 500"):
        model.model_copy(update={"tools_in_text": False}).bind_tools([tiny.TOOL]).invoke(tiny.BROKEN_QUESTION)


def test_ceilings_stop_before_the_call(tiny_server: Served, tmp_path: Path) -> None:
    model = model_of(tiny_server, tmp_path, llm_max_calls=1)
    model.invoke("Hello")
    with pytest.raises(CeilingReached, match="limit of 1 model calls"):
        model.invoke("Hello")
    few = model_of(tiny_server, tmp_path, llm_max_tokens=200)
    with pytest.raises(CeilingReached, match="limit of 200 tokens could be passed"):
        list(few.stream("Hello"))
    assert few.meter.used.calls == 0


def test_a_prompt_beyond_the_window_is_not_sent(tiny_server: Served, tmp_path: Path) -> None:
    model = model_of(tiny_server, tmp_path, llm_context_tokens=4096)
    text = "protein " * 5000
    with pytest.raises(ContextOverflow, match="4096 are allowed") as caught:
        model.invoke(text)
    assert str(model.get_num_tokens(text) + 8) in str(caught.value), "counted by the model's own tokenizer"
    assert model.meter.used.calls == 0


def test_what_the_server_can_do_is_found(model: EndpointChat) -> None:
    found = probe(model)
    assert found.usable
    assert found.state("reachable") == "yes"
    assert found.state("streaming") == "yes"
    assert found.state("context window") == "unknown"
    assert found.state("reads the whole prompt") == "yes"
    assert found.state("structured output") == "no", "this server accepts a schema and ignores it"


def test_the_command_tells_it(tiny_server: Served, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from nereus.cli import app

    named = {
        "NEREUS_HOME": str(tmp_path),
        "NEREUS_LLM_BASE_URL": tiny_server.plan.url,
        "NEREUS_LLM_MODEL": tiny_server.plan.model,
        "NEREUS_LLM_REPLY_TOKENS": "256",
    }
    done = CliRunner().invoke(app, ["llm", "check"], env=named)
    assert done.exit_code == 0, done.output
    assert "chat                     yes" in done.stdout
    assert "accepted and ignored" in done.stdout, done.stdout


def test_an_endpoint_that_is_away_is_named_with_the_reason(tmp_path: Path) -> None:
    settings = load_settings(
        home=tmp_path, llm_base_url="http://127.0.0.1:9/v1", llm_model="m", llm_retries=1
    )
    model = chat_model(settings)
    assert model is not None
    with pytest.raises(EndpointError, match=r"127\.0\.0\.1:9.*the connection failed \(Connect") as caught:
        model.invoke("Hello")
    assert "127.0.0.1" not in caught.value.reason
    assert chat_model(load_settings(home=tmp_path)) is None
