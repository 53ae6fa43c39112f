"""The `llm` policy through langchain-openai, against a small server that speaks the protocol on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from nereus.agents.policies import make_policy
from nereus.agents.policies.base import DecisionContext, DecisionKind, ObjectivesChoice
from nereus.agents.policies.hybrid import HybridPolicy
from nereus.errors import SettingsError
from nereus.memory.records import Budget, Objective, ObjectiveKind
from nereus.settings import load_settings

CONTEXT = DecisionContext(
    objectives=tuple(
        Objective(id=f"O{n}", kind=ObjectiveKind.DIFFERENTIAL, statement=f"question {n}", priority=0.1 * n)
        for n in (2, 3, 4)
    )
)
ARGUMENTS = json.dumps({"ids": ["O3"], "reason": "as asked"})
Reply = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


def said(message: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "tiny",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}],
        "usage": {"prompt_tokens": 900, "completion_tokens": 100, "total_tokens": 1000},
    }


def by_tool(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    name = request["tools"][0]["function"]["name"]
    call = {"id": "1", "type": "function", "function": {"name": name, "arguments": ARGUMENTS}}
    return 200, said({"content": None, "tool_calls": [call]})


def in_text_only(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    if "tools" in request:
        return 400, {
            "error": {"message": "this model does not support tools", "type": "invalid_request_error"}
        }
    return 200, said({"content": f"<think>hm</think>```json\n{ARGUMENTS}\n```"})


@contextmanager
def server(reply: Reply) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append({**body, "_key": self.headers.get("Authorization"), "_path": self.path})
            status, answer = reply(body)
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}/v1", seen
    finally:
        listening.shutdown()
        listening.server_close()


def settings(url: str, tmp_path: Any, **more: Any) -> Any:
    return load_settings(
        home=tmp_path, policy="llm", llm_base_url=url, llm_model="tiny", llm_api_key="sk-test-1", **more
    )


@pytest.mark.parametrize("reply", [by_tool, in_text_only])
def test_an_endpoint_decides_by_tool_or_in_text(reply: Reply, tmp_path: Any) -> None:
    pytest.importorskip("langchain_openai")
    with server(reply) as (url, seen):
        policy = make_policy(settings(url, tmp_path, llm_price_prompt=1.0, llm_price_reply=2.0), Budget())
        verdict = policy.decide(DecisionKind.CHOOSE_OBJECTIVES, CONTEXT, seed=0)
    assert not verdict.fallback, verdict.fallback_reason
    assert isinstance(verdict.payload, ObjectivesChoice)
    assert verdict.payload.ids == ("O3",)
    assert seen[-1]["_key"] == "Bearer sk-test-1"
    assert seen[-1]["_path"] == "/v1/chat/completions"
    assert seen[-1]["model"] == "tiny"
    assert (seen[-1].get("max_tokens") or seen[-1].get("max_completion_tokens")) == 2048
    if reply is by_tool:
        assert (verdict.calls, verdict.tokens) == (1, 1000)
        assert verdict.usd == pytest.approx(0.0011)


def test_an_endpoint_that_is_down_or_refuses_the_key_leaves_it_to_the_rules(tmp_path: Any) -> None:
    pytest.importorskip("langchain_openai")
    with server(lambda request: (401, {"error": {"message": "wrong key sk-test-1"}})) as (url, seen):
        policy = make_policy(settings(url, tmp_path), Budget())
        verdict = policy.decide(DecisionKind.CHOOSE_OBJECTIVES, CONTEXT, seed=0)
        assert len(seen) == 1, "the client does not try again on its own: the calls are counted"
    assert verdict.fallback
    assert "AuthenticationError" in verdict.fallback_reason
    assert "sk-test" not in verdict.fallback_reason
    gone = make_policy(settings(url, tmp_path), Budget()).decide(
        DecisionKind.CHOOSE_OBJECTIVES, CONTEXT, seed=0
    )
    assert gone.fallback


def test_a_mapping_sends_each_kind_to_its_policy(tmp_path: Any) -> None:
    pytest.importorskip("langchain_openai")
    with server(by_tool) as (url, seen):
        loaded = load_settings(
            home=tmp_path,
            policy={"default": "rules", "choose_objectives": "llm"},
            llm_base_url=url,
            llm_model="tiny",
        )
        policy = make_policy(loaded, Budget())
        assert isinstance(policy, HybridPolicy)
        assert policy.id == "hybrid:default=rules,choose_objectives=llm" == loaded.policy
        assert policy.decide(DecisionKind.CHOOSE_OBJECTIVES, CONTEXT, seed=0).policy == "llm"
        assert policy.decide(DecisionKind.PROPOSE_OBJECTIVES, CONTEXT, seed=0).policy == "rules"
        assert len(seen) == 1


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("rules", "rules"),
        ("hybrid:critique=llm", "hybrid:default=rules,critique=llm"),
        ("hybrid:merge=rules,default=llm,critique=rules", "hybrid:default=llm,critique=rules,merge=rules"),
        ('{"critique": "llm"}', "hybrid:default=rules,critique=llm"),
        ({"default": "llm"}, "llm"),
    ],
)
def test_a_policy_has_one_name(given: Any, canonical: str, tmp_path: Any) -> None:
    loaded = load_settings(home=tmp_path, policy=given, llm_model="m", llm_base_url="http://127.0.0.1:1/v1")
    assert loaded.policy == canonical


@pytest.mark.parametrize("policy", ["hybrid:", "hybrid:critique=gpt", "wish", "{broken", "hybrid:a b=llm"])
def test_a_policy_that_does_not_exist_is_refused(policy: str, tmp_path: Any) -> None:
    with pytest.raises(SettingsError, match="policy"):
        load_settings(home=tmp_path, policy=policy, llm_model="m", llm_base_url="http://127.0.0.1:1/v1")


def test_a_kind_of_decision_that_does_not_exist_is_refused(tmp_path: Any) -> None:
    loaded = load_settings(
        home=tmp_path, policy="hybrid:critic=llm", llm_model="m", llm_base_url="http://127.0.0.1:1/v1"
    )
    with pytest.raises(SettingsError, match="no kind of decision 'critic'"):
        make_policy(loaded, Budget())


def test_money_needs_prices(tmp_path: Any) -> None:
    with pytest.raises(SettingsError, match="llm_max_usd needs"):
        settings("http://127.0.0.1:1/v1", tmp_path, llm_max_usd=1.0)
    with pytest.raises(SettingsError, match="no room"):
        settings("http://127.0.0.1:1/v1", tmp_path, llm_context_tokens=4096, llm_reply_tokens=4096)
