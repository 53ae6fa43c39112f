"""The unmodified `openai` client against ``/v1``: sync, async, streams, tools, errors, embeddings, responses."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from nereus.memory.embedding import HashedEmbedder
from tests.api.openai.conftest import Served

HELP: list[Any] = [{"role": "user", "content": "help"}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture
def client(served: Served) -> OpenAI:
    return OpenAI(base_url=f"{served.url}/v1", api_key=served.tokens["ada"], max_retries=0, timeout=120)


def test_the_models_are_listed_and_looked_up(client: OpenAI) -> None:
    names = [one.id for one in client.models.list()]
    assert names == ["nereus", "nereus-rules", "nereus-embedding"]
    assert client.models.retrieve("nereus").owned_by == "nereus"


def test_the_agent_answers_whole_and_says_what_it_rests_on(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="nereus", messages=HELP)
    assert answer.object == "chat.completion"
    assert answer.choices[0].finish_reason == "stop"
    assert len(answer.choices[0].message.content or "") > 40
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert set(answer.model_extra["nereus"]) >= {"run_id", "evidence", "artifacts", "notices"}  # type: ignore[index]


def test_a_stream_is_the_same_answer_in_parts_and_counts_where_asked(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="nereus-rules", messages=HELP)
    parts = list(
        client.chat.completions.create(
            model="nereus-rules", messages=HELP, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(one.choices[0].delta.content or "" for one in parts if one.choices)
    assert text == whole.choices[0].message.content
    assert len([one for one in parts if one.choices and one.choices[0].delta.content]) > 2
    assert [one.choices[0].finish_reason for one in parts if one.choices][-1] == "stop"
    assert parts[-1].usage == whole.usage
    assert not parts[-1].choices
    assert len({one.id for one in parts}) == 1


def test_the_streaming_helper_of_the_client_reads_it(client: OpenAI) -> None:
    with client.chat.completions.stream(model="nereus", messages=HELP) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.content


def test_the_async_client_works_and_answers_come_side_by_side(served: Served) -> None:
    async def main() -> list[Any]:
        async with AsyncOpenAI(
            base_url=f"{served.url}/v1", api_key=served.tokens["ada"], timeout=120
        ) as client:
            whole = [client.chat.completions.create(model="nereus", messages=HELP) for _ in range(8)]
            stream = await client.chat.completions.create(model="nereus", messages=HELP, stream=True)
            parts = [one async for one in stream]
            return [*await asyncio.gather(*whole), parts]

    *answers, parts = asyncio.run(main())
    texts = {one.choices[0].message.content for one in answers}
    assert len(texts) == 1
    assert "".join(one.choices[0].delta.content or "" for one in parts) in texts


@pytest.mark.parametrize(
    ("changes", "error", "param"),
    [
        ({"model": "gpt-9"}, openai.NotFoundError, "model"),
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, openai.BadRequestError, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, openai.BadRequestError, "messages.0.role"),
        ({"messages": "hello"}, openai.BadRequestError, "messages"),
        ({"n": 3}, openai.BadRequestError, "n"),
        ({"n": 0}, openai.BadRequestError, "n"),
        ({"logprobs": True}, openai.BadRequestError, "logprobs"),
        ({"response_format": {"type": "json_object"}}, openai.BadRequestError, "response_format"),
        ({"tools": [{"type": "web_search"}]}, openai.BadRequestError, "tools.0.type"),
        ({"tools": [TOOL], "tool_choice": "required"}, openai.BadRequestError, "tool_choice"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "x"}}},
            openai.BadRequestError,
            "tool_choice",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            openai.BadRequestError,
            "messages.0.content.0",
        ),
        ({"extra_headers": {"X-Nereus-Thread": "../../etc"}}, openai.BadRequestError, "metadata.thread_id"),
    ],
)
def test_what_cannot_be_answered_raises_the_clients_own_exception(
    client: OpenAI, changes: dict[str, Any], error: type[openai.APIStatusError], param: str
) -> None:
    for stream in (False, True):
        with pytest.raises(error) as raised:
            client.chat.completions.create(
                **{"model": "nereus", "messages": HELP, "stream": stream, **changes}
            )
        assert raised.value.param == param
        assert raised.value.body["message"]  # type: ignore[index]


def test_who_may_not_come_in_gets_the_clients_own_exception(served: Served) -> None:
    for key, error in (
        ("nrs_wrong", openai.AuthenticationError),
        (served.tokens["reader"], openai.PermissionDeniedError),
    ):
        client = OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0)
        with pytest.raises(error) as raised:
            client.chat.completions.create(model="nereus", messages=HELP)
        assert raised.value.body["type"] in ("authentication_error", "permission_error")  # type: ignore[index]
    reader = OpenAI(base_url=f"{served.url}/v1", api_key=served.tokens["reader"], max_retries=0)
    assert list(reader.models.list())
    broken = httpx.post(
        f"{served.url}/v1/chat/completions",
        content=b"{",
        headers={"authorization": f"Bearer {served.tokens['ada']}", "content-type": "application/json"},
    )
    assert broken.status_code == 400
    assert broken.json()["error"]["type"] == "invalid_request_error"


def test_tools_that_nobody_can_choose_are_left_out_with_a_notice(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="nereus", messages=HELP, tools=[TOOL])
    assert answer.choices[0].message.tool_calls is None
    assert any("no language model" in one for one in answer.model_extra["nereus"]["notices"])  # type: ignore[index]


def test_an_answer_is_cut_where_the_client_says_so(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="nereus", messages=HELP, max_completion_tokens=5)
    assert answer.choices[0].finish_reason == "length"
    assert len(answer.choices[0].message.content or "") <= 20


@pytest.mark.parametrize("form", ["float", "base64"])
def test_embeddings_are_those_of_the_embedder(client: OpenAI, form: Any) -> None:
    texts = ["liver proteins", "proteins of the liver", "Σ 肝臓"]
    answer = client.embeddings.create(model="nereus-embedding", input=texts, encoding_format=form)
    found = [
        np.frombuffer(base64.b64decode(one.embedding), "<f4")
        if isinstance(one.embedding, str)
        else np.array(one.embedding)
        for one in answer.data
    ]
    np.testing.assert_allclose(np.array(found), HashedEmbedder().embed(texts), atol=1e-6)
    assert [one.index for one in answer.data] == [0, 1, 2]
    single = client.embeddings.create(model="nereus-embedding", input=texts[0])
    np.testing.assert_allclose(single.data[0].embedding, HashedEmbedder().embed(texts[:1])[0], atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"dimensions": 64}, "dimensions"),
        ({"input": []}, "input"),
        ({"input": [[1, 2, 3]]}, "input"),
        ({"input": ""}, "input"),
    ],
)
def test_vectors_that_cannot_be_made_are_refused(client: OpenAI, changes: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.embeddings.create(**{"model": "nereus-embedding", "input": "x", **changes})
    assert raised.value.param == param
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="nereus", input="x")


def test_a_response_is_made_gone_on_from_and_streamed(client: OpenAI) -> None:
    first = client.responses.create(model="nereus", input="help", instructions="Be brief.")
    assert first.status == "completed"
    assert len(first.output_text) > 40
    again = client.responses.create(model="nereus", input="help", previous_response_id=first.id)
    assert again.output_text
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="nereus", input="help", previous_response_id="resp_none")
    with client.responses.stream(model="nereus", input="help") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert final.output_text == first.output_text


def test_another_cannot_go_on_from_a_response(client: OpenAI, served: Served) -> None:
    mine = client.responses.create(model="nereus", input="help")
    eve = OpenAI(base_url=f"{served.url}/v1", api_key=served.tokens["eve"], max_retries=0)
    with pytest.raises(openai.NotFoundError):
        eve.responses.create(model="nereus", input="help", previous_response_id=mine.id)


def test_a_file_in_a_message_becomes_a_data_set_of_the_one_who_sent_it(
    client: OpenAI, served: Served
) -> None:
    table = b"protein,a_1,a_2\nP1,1,2\n"
    part: Any = {
        "type": "file",
        "file": {
            "filename": "mine.csv",
            "file_data": f"data:text/csv;base64,{base64.b64encode(table).decode()}",
        },
    }
    content: list[Any] = [{"type": "text", "text": "help"}, part]
    client.chat.completions.create(model="nereus", messages=[{"role": "user", "content": content}])
    assert "mine.csv" in [one.name for one in served.state.uploads.list("ada")]
    assert not served.state.uploads.list("eve")
