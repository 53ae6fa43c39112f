"""Replies as weak models really write them: read where the object is meant, refused where it is not there."""

from __future__ import annotations

import json
import random

import pytest
from langchain_core.messages import AIMessage

from nereus.agents.policies.base import ObjectivesChoice, WorkflowDraft
from nereus.agents.policies.replies import read_message, read_reply

GOOD = json.dumps({"ids": ["O3"], "reason": "it matches the question"})
MEANT = ObjectivesChoice.model_validate_json(GOOD)

# One line each: how it fails, the reply.
FAILURES = {
    "thinking before": f'<think>I could say {{"ids": ["O9"]}}</think>{GOOD}',
    "thinking that only ends": f"I could say {{O9}}, but no.</think>\n{GOOD}",
    "another tag for thinking": f"<reasoning>hm</reasoning>\n\n{GOOD}",
    "code fence": f"```json\n{GOOD}\n```",
    "code fence without a language": f"```\n{GOOD}\n```",
    "code fence that never closes": f"```json\n{GOOD}",
    "text around": f"Certainly! Here it is: {GOOD} Hope that helps.",
    "doubled": f"{GOOD}{GOOD}",
    "doubled on lines": f"{GOOD}\n{GOOD}",
    "inside a broken one": '{"broken": ' + GOOD,
    "last brace missing": GOOD[:-1],
    "last bracket and brace missing": '{"reason": "it matches the question", "ids": ["O3"',
    "last quote and brace missing": GOOD[:-2],
    "trailing comma": '{"ids": ["O3",], "reason": "it matches the question",}',
    "single quotes": "{'ids': ['O3'], 'reason': 'it matches the question'}",
    "keys without quotes": '{ids: ["O3"], reason: "it matches the question"}',
    "comments": '{"ids": ["O3"], // the best\n "reason": "it matches the question"}',
    "typographic quotes": "{“ids”: [“O3”], “reason”: “it matches the question”}",
    "one brace too many": GOOD + "}",
    "byte order mark": "\ufeff" + GOOD,
    "wrapped as arguments": json.dumps({"name": "ObjectivesChoice", "arguments": json.loads(GOOD)}),
    "wrapped as a string": json.dumps({"name": "ObjectivesChoice", "arguments": GOOD}),
    "wrapped under its own name": json.dumps({"ObjectivesChoice": json.loads(GOOD)}),
    "pretty": json.dumps(json.loads(GOOD), indent=4),
    "example first, answer after": '{"ids": 3} is wrong. ' + GOOD,
    "a tag of a tool call": f"<tool_call>\n{GOOD}\n</tool_call>",
    "a list around": f"[{GOOD}]",
    "nested code fences": f"Here:\n```text\nno\n```\nand\n```json\n{GOOD}\n```\nDone.",
}


@pytest.mark.parametrize("reply", FAILURES.values(), ids=FAILURES.keys())
def test_what_is_meant_is_read(reply: str) -> None:
    payload, wrong = read_reply(reply, ObjectivesChoice)
    assert payload == MEANT, wrong


def test_python_literals_are_read() -> None:
    payload, wrong = read_reply(
        "{'template': None, 'steps': [{'tool': 'pca_variance', 'purpose': 'x', 'params': {'scale': True}}]}",
        WorkflowDraft,
    )
    assert payload is not None, wrong
    assert payload.template is None
    assert payload.steps[0].params == {"scale": True}


@pytest.mark.parametrize(
    "message",
    [
        AIMessage("", tool_calls=[{"name": "f", "args": json.loads(GOOD), "id": "1"}]),
        AIMessage("", invalid_tool_calls=[{"name": "f", "args": GOOD[:-1], "id": "1", "error": "broken"}]),
        AIMessage(GOOD, tool_calls=[{"name": "f", "args": {}, "id": None}]),
        AIMessage(
            GOOD, invalid_tool_calls=[{"name": "f", "args": None, "id": None, "error": "no arguments"}]
        ),
        AIMessage([{"type": "text", "text": GOOD}]),
        AIMessage(["<think>well</think>", {"type": "text", "text": GOOD}]),
        AIMessage("", tool_calls=[{"name": "f", "args": {"arguments": GOOD}, "id": "1"}]),
        AIMessage(
            "",
            tool_calls=[
                {"name": "f", "args": {"ids": 1}, "id": "1"},
                {"name": "f", "args": json.loads(GOOD), "id": "2"},
            ],
        ),
    ],
    ids=[
        "call",
        "broken arguments",
        "empty arguments",
        "arguments None",
        "blocks",
        "mixed",
        "wrapped",
        "second call",
    ],
)
def test_messages_with_and_without_tool_calls_are_read(message: AIMessage) -> None:
    payload, wrong = read_message(message, ObjectivesChoice)
    assert payload == MEANT, wrong


def test_an_empty_message_says_so() -> None:
    assert read_message(AIMessage(""), ObjectivesChoice) == (None, ["the reply is empty"])


def test_garbage_is_never_an_exception_and_never_an_answer_of_another_content() -> None:
    rng = random.Random(5)
    alphabet = list(GOOD) + list('{}[]",:`<>\\\n')
    read = 0
    for _ in range(1500):
        text = list(GOOD)
        for _ in range(rng.randrange(1, 6)):
            place = rng.randrange(len(text))
            text[place : place + rng.randrange(0, 3)] = rng.choices(alphabet, k=rng.randrange(0, 3))
        payload, wrong = read_reply("".join(text), ObjectivesChoice)
        assert (payload is None) == bool(wrong)
        read += payload is not None
    assert read > 300


def test_a_very_long_or_deep_reply_is_refused_in_time() -> None:
    assert read_reply("{" * 100_000, ObjectivesChoice)[0] is None
    assert read_reply("[" * 5_000 + GOOD, ObjectivesChoice)[0] in (None, MEANT)
    assert read_reply("x" * 1_000_000, ObjectivesChoice)[0] is None
