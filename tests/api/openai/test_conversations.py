"""Conversations, the client's own tools with a language model, and LangChain's client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_openai import ChatOpenAI
from openai import OpenAI

from nereus.api.openai import client_tools
from nereus.api.openai.agent import conversations_of
from tests.api.openai.conftest import Served
from tests.api.openai.test_openai_client import HELP, TOOL


class Weatherman(BaseChatModel):
    """Calls the client's tool, and then says what it gave."""

    @property
    def _llm_type(self) -> str:
        return "weatherman"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(tools=tools)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        last = messages[-1]
        names = [one["function"]["name"] for one in kwargs.get("tools", ())]
        if isinstance(last, ToolMessage):
            said = AIMessage(f"It is {last.content}.")
        elif "agent" in str(last.content):
            said = AIMessage("", tool_calls=[{"name": "ask_nereus", "args": {"question": "help"}, "id": "a"}])
        else:
            assert "weather" in names
            said = AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "Turin"}, "id": "call_w"}])
        return ChatResult(generations=[ChatGeneration(message=said)])


@pytest.fixture
def client(served: Served) -> OpenAI:
    return OpenAI(base_url=f"{served.url}/v1", api_key=served.tokens["ada"], max_retries=0, timeout=120)


def test_a_model_calls_the_clients_tools_and_answers_from_their_results(
    client: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_tools, "_model", lambda asking: Weatherman())
    question: list[Any] = [{"role": "user", "content": "What is the weather in Turin?"}]
    asked = client.chat.completions.create(model="nereus", messages=question, tools=[TOOL])
    assert asked.choices[0].finish_reason == "tool_calls"
    calls = asked.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.name == "weather"  # type: ignore[union-attr]
    assert calls[0].function.arguments == '{"city": "Turin"}'  # type: ignore[union-attr]
    told = [
        *question,
        asked.choices[0].message,
        {"role": "tool", "tool_call_id": calls[0].id, "content": "sunny"},
    ]
    answer = client.chat.completions.create(model="nereus", messages=told, tools=[TOOL])
    assert answer.choices[0].message.content == "It is sunny."
    assert any("not read from evidence" in one for one in answer.model_extra["nereus"]["notices"])  # type: ignore[index]
    with client.chat.completions.stream(model="nereus", messages=question, tools=[TOOL]) as stream:
        final = stream.get_final_completion().choices[0]
    assert final.finish_reason == "tool_calls"
    assert final.message.tool_calls[0].function.arguments == '{"city": "Turin"}'  # type: ignore[index]
    response = client.responses.create(
        model="nereus", input="Weather?", tools=[{"type": "function", "strict": False, **TOOL["function"]}]
    )
    assert [one.type for one in response.output] == ["function_call"]
    handed = client.chat.completions.create(
        model="nereus", messages=[{"role": "user", "content": "ask the agent"}], tools=[TOOL]
    )
    assert len(handed.choices[0].message.content or "") > 40, "the agent was asked, and its answer told"


def test_a_conversation_is_recognised_by_what_was_said_and_is_its_owners(
    client: OpenAI, served: Served
) -> None:
    first = client.chat.completions.create(
        model="nereus", messages=[{"role": "user", "content": "what can you do?"}]
    )
    said: list[Any] = [
        {"role": "user", "content": "what can you do?"},
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": "help"},
    ]
    from nereus.api.openai.said import Said

    heard = [Said(one["role"], one["content"]) for one in said]
    kept = conversations_of(served.app)
    place, new = kept.find("ada", heard)
    assert place is not None
    assert [one.text for one in new] == ["help"]
    assert kept.find("eve", heard)[0] is None
    assert client.chat.completions.create(model="nereus", messages=said).choices[0].message.content


def test_a_thread_that_has_a_name_is_kept(client: OpenAI) -> None:
    headers = {"X-Nereus-Thread": "mine"}
    for _ in range(2):
        answer = client.chat.completions.create(model="nereus", messages=HELP, extra_headers=headers)
        assert answer.model_extra["nereus"]["thread"] == "mine"  # type: ignore[index]


def test_langchains_client_talks_to_the_agent(served: Served) -> None:
    model = ChatOpenAI(
        model="nereus", base_url=f"{served.url}/v1", api_key=served.tokens["ada"], timeout=120, max_retries=0
    )
    whole = model.invoke("help")
    assert len(str(whole.content)) > 40
    assert whole.usage_metadata is not None
    parts = [one.content for one in model.stream("help")]
    assert "".join(map(str, parts)) == whole.content


def test_a_client_that_goes_away_in_the_middle_leaves_the_server_well(client: OpenAI) -> None:
    for _ in range(5):
        stream = client.chat.completions.create(model="nereus", messages=HELP, stream=True)
        next(iter(stream))
        stream.close()
    assert client.chat.completions.create(model="nereus", messages=HELP).choices[0].finish_reason == "stop"
