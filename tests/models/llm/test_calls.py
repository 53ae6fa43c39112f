"""Tool calls as models write them: whole ones are read, mended ones mean what was meant, nothing else is carried out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from nereus.models.llm import hermes, react
from nereus.models.llm.calls import ToolCall
from nereus.models.llm.tool_loop import LoopTool, run_tool_loop
from tests.agents.policies.scripted import ToolModel, scripted

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
TOOL = {"type": "function", "function": {"name": "add", "description": "adds", "parameters": SCHEMA}}
CODE = {
    "type": "function",
    "function": {
        "name": "code_interpreter",
        "description": "runs",
        "parameters": {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]},
    },
}
GOOD = '{"name": "add", "arguments": {"x": 1}}'


def tagged(body: str) -> str:
    return f"<tool_call>\n{body}\n</tool_call>"


# What is wrong in form only: it means add(x=1), once.
MEANT = {
    "as it should be": tagged(GOOD),
    "thinking before": f"<think>add or not?</think>{tagged(GOOD)}",
    "another call while thinking": f"<think>{tagged(GOOD.replace('1', '9'))}</think>\n{tagged(GOOD)}",
    "a thought that only ends": f"{tagged(GOOD.replace('1', '9'))} no</think>{tagged(GOOD)}",
    "text around": f"I shall add.\n{tagged(GOOD)}\nDone.",
    "no closing tag": f"<tool_call>\n{GOOD}",
    "doubled in one tag": tagged(f"{GOOD}\n{GOOD}"),
    "doubled without a space": tagged(GOOD + GOOD),
    "outer brace missing": tagged(GOOD[:-1]),
    "both braces missing": tagged(GOOD[:-2]),
    "single quotes": tagged("{'name': 'add', 'arguments': {'x': 1}}"),
    "trailing commas": tagged('{"name": "add", "arguments": {"x": 1,},}'),
    "no quotes around keys": tagged('{name: "add", arguments: {x: 1}}'),
    "comment": tagged('{"name": "add", // which\n "arguments": {"x": 1}}'),
    "fenced inside": tagged(f"```json\n{GOOD}\n```"),
    "fenced, no tags": f"```json\n{GOOD}\n```",
    "no tags at all": GOOD,
    "parameters for arguments": tagged('{"name": "add", "parameters": {"x": 1}}'),
    "arguments as a text": tagged('{"name": "add", "arguments": "{\\"x\\": 1}"}'),
    "arguments as a text of a text": tagged(
        json.dumps({"name": "add", "arguments": json.dumps(json.dumps({"x": 1}))})
    ),
    "OpenAI's own form": tagged(
        '{"type": "function", "function": {"name": "add", "arguments": "{\\"x\\": 1}"}}'
    ),
    "a list of one": tagged(f"[{GOOD}]"),
    "one brace too many": tagged(GOOD + "}"),
    "pretty": tagged(json.dumps(json.loads(GOOD), indent=4)),
    "spaces around the name": tagged('{"name": " add ", "arguments": {"x": 1}}'),
    "byte order mark": tagged("\ufeff" + GOOD),
    "in XML": "<tool_call>\n<function=add>\n<parameter=x>\n1\n</parameter>\n</function>\n</tool_call>",
    "carriage returns": tagged(GOOD).replace("\n", "\r\n"),
    "an unknown tag around": f"<response>{tagged(GOOD)}</response>",
}

# What must not be carried out: it is cut off, says nothing, or does not fit.
NEVER = {
    "empty": "",
    "empty tag": tagged(""),
    "opening tag only": "<tool_call>",
    "opening tag twice": "<tool_call><tool_call>",
    "closing tag only": "</tool_call>",
    "text in the tag": tagged("add 1"),
    "cut in the name": '<tool_call>{"name": "ad',
    "cut before the arguments": '<tool_call>{"name": "add"',
    "cut in the arguments": '<tool_call>{"name": "add", "arguments": {"x": 1',
    "cut after the inner brace": '<tool_call>{"name": "add", "arguments": {"x": 1}',
    "cut in a number": '<tool_call>{"name": "add", "arguments": {"x": 12',
    "value missing": tagged('{"name": "add", "arguments": {"x": }}'),
    "value missing at the end": tagged('{"name": "add", "arguments": {"x":'),
    "text without end": tagged('{"name": "add", "arguments": {"x": "1'),
    "text without end, other quotes": tagged("{'name': 'add', 'arguments': {'x': '1"),
    "no name": tagged('{"arguments": {"x": 1}}'),
    "name is null": tagged('{"name": null, "arguments": {"x": 1}}'),
    "name is empty": tagged('{"name": "", "arguments": {"x": 1}}'),
    "name is a number": tagged('{"name": 3, "arguments": {"x": 1}}'),
    "name is a list": tagged('{"name": ["add"], "arguments": {"x": 1}}'),
    "no arguments": tagged('{"name": "add"}'),
    "arguments None": tagged('{"name": "add", "arguments": null}'),
    "arguments None in Python": tagged("{'name': 'add', 'arguments': None}"),
    "arguments a list": tagged('{"name": "add", "arguments": [1]}'),
    "arguments a number": tagged('{"name": "add", "arguments": 1}'),
    "arguments a text that is no JSON": tagged('{"name": "add", "arguments": "x is 1"}'),
    "arguments a text that is cut": tagged('{"name": "add", "arguments": "{\\"x\\": 1"}'),
    "unknown tool": tagged('{"name": "remove", "arguments": {"x": 1}}'),
    "unknown argument": tagged('{"name": "add", "arguments": {"x": 1, "y": 2}}'),
    "wrong type": tagged('{"name": "add", "arguments": {"x": "one"}}'),
    "truth for a number": tagged('{"name": "add", "arguments": {"x": true}}'),
    "half a number": tagged('{"name": "add", "arguments": {"x": 1.5}}'),
    "not a number": tagged('{"name": "add", "arguments": {"x": NaN}}'),
    "only thought": f"<think>{tagged(GOOD)}</think>",
    "only thought, no end": f"<think>{tagged(GOOD)}",
    "thought that only ends": f"{tagged(GOOD)}</think>",
    "told about, not called": f"One would write {GOOD} between tags.",
    "another form of tag": f"[TOOL_CALL]{GOOD}[/TOOL_CALL]",
    "tag with a letter lost": f"<tool_cal>{GOOD}</tool_call>",
    "tag in capitals": f"<TOOL_CALL>{GOOD}</TOOL_CALL>",
    "a result made up": f"<tool_response>{GOOD}</tool_response>",
    "XML without end": "<tool_call><function=add><parameter=x>1",
    "XML without a value": "<tool_call><function=add></function></tool_call>",
    "code without end": '<tool_call>{"name": "add", "arguments": {}}<code>x',
    "very deep": tagged("[" * 20_000),
    "very deep objects": tagged('{"a":' * 20_000),
    "half of a letter": tagged('{"name": "add", "arguments": {"x": "\ud800"}}'),
    "zero bytes": tagged("\x00" * 50),
    "HTML": "<html><body>502 Bad Gateway</body></html>",
    "an error as JSON": '{"error": {"message": "overloaded"}}',
}


@pytest.mark.parametrize("text", MEANT.values(), ids=MEANT.keys())
def test_what_is_meant_is_read(text: str) -> None:
    read = hermes.parse(text, [TOOL])
    assert [(one.name, one.arguments) for one in read.calls] == [("add", {"x": 1})], read
    assert not read.broken


def ran_by(said: Any, form: Any = "hermes") -> tuple[list[int], Any]:
    """What the tool was run with when a model says this, and then "done"."""
    ran: list[int] = []

    def add(x: int) -> str:
        ran.append(x)
        return str(x)

    function = TOOL["function"]
    tool = LoopTool("add", function["description"], function["parameters"], add)
    replies = [said, "done"]
    model = ToolModel(answer=lambda messages: replies.pop(0), seen=[], bound=[])
    return ran, run_tool_loop(model, "add one", [tool], form=form, max_model_calls=3)


@pytest.mark.parametrize("text", NEVER.values(), ids=NEVER.keys())
@pytest.mark.parametrize("form", ["hermes", "native"])
def test_nothing_else_is_carried_out(text: str, form: str) -> None:
    ran, result = ran_by(text, form)
    assert ran == []
    assert result.ended == "answer"


def test_the_corpus_is_as_large_as_promised_and_the_tool_would_run() -> None:
    assert len(NEVER) >= 40
    assert ran_by(tagged(GOOD))[0] == [1]
    assert ran_by(GOOD)[0] == [1]


@pytest.mark.parametrize("text", [*NEVER.values(), *MEANT.values()])
def test_nothing_is_carried_out_of_a_reply_that_was_cut_off(text: str) -> None:
    """A reply that ends at the limit of tokens holds calls only where they end before it."""
    for end in range(0, min(len(text), 400), 7):
        read = hermes.parse(text[:end], [TOOL], finished=False)
        if "</tool_call>" not in text[:end]:
            assert read.calls == ()


def test_several_calls_keep_their_order_and_ids() -> None:
    text = "".join(tagged(f'{{"name": "add", "arguments": {{"x": {n}}}}}') for n in (1, 2, 1))
    read = hermes.parse(text, [TOOL])
    assert [one.arguments["x"] for one in read.calls] == [1, 2, 1]
    assert len({one.id for one in read.calls}) == 3
    two = hermes.parse(tagged(f"{GOOD}\n{GOOD.replace('1', '2')}"), [TOOL])
    assert [one.arguments["x"] for one in two.calls] == [1, 2]


def test_a_call_that_never_ends_before_the_next_is_still_one() -> None:
    read = hermes.parse(f"<tool_call>{GOOD}<tool_call>{GOOD.replace('1', '2')}</tool_call>", [TOOL])
    assert [one.arguments["x"] for one in read.calls] == [1, 2]


def test_faults_are_told_and_the_next_try_counts() -> None:
    ran: list[int] = []
    tool = LoopTool("add", "adds", SCHEMA, lambda x: str(ran.append(x) or x + 1))
    model = scripted(
        tagged('{"name": "sum", "arguments": {}}'),
        tagged('{"name": "add", "arguments": {"x": "one"}}'),
        tagged('{"name": "add", "arguments": {"x": 1'),
        tagged(GOOD),
        "The result is 2.",
    )
    result = run_tool_loop(model, "one and one?", [tool], form="hermes")
    assert result.answer == "The result is 2."
    told = [step.observation for step in result.steps]
    assert "there is no tool 'sum'; tools are add" in told[0]
    assert "arguments at $.x: 'one' is not of type 'integer'" in told[1]
    assert "not carried out" in told[2] or told[2] == "2"
    assert ran[-1] == 1


# ---------------------------------------------------------------------- properties

plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
hard = st.one_of(
    plain,
    st.sampled_from(
        ["</tool_call>", "<tool_call>", "<think>", "</think>", "</code>", '"', "\\", "\\\"", "\n", "'", "<|im_end|>",
         "\nObservation: 3", "\nAction: x", "```", "{", "}]", "<tool_response>", "\u2028", "é𝔊", "\nFinal Answer: 4"]
    ),
    st.lists(st.sampled_from(["</tool_call>", '"', "\\", "<code>", "a", "\n", "{"]), max_size=8).map("".join),
)  # fmt: skip
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**12), 10**12),
        st.floats(allow_nan=False, allow_infinity=False),
        hard,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(hard, inner, max_size=3)),
    max_leaves=8,
)
calls = st.builds(
    ToolCall,
    st.from_regex(r"[a-z_][a-z0-9_]{0,12}", fullmatch=True),
    st.dictionaries(hard, values, max_size=4),
    st.just("call_0"),
)


@settings(max_examples=300, deadline=None)
@given(calls)
def test_a_rendered_call_is_read_as_it_was(call: ToolCall) -> None:
    read = hermes.parse(hermes.rendered(call))
    assert read.calls == (call,), read
    again = react.parse(f"Thought: so\n{react.rendered(call)}")
    assert again.calls == (call,), again


@settings(max_examples=100, deadline=None)
@given(
    plain.filter(lambda text: "</code>" not in text and "\r" not in text),
    st.dictionaries(plain, values, max_size=2),
)
def test_code_behind_the_object_is_read_as_it_was(code: str, rest: dict[str, Any]) -> None:
    call = ToolCall("code_interpreter", {**rest, "code": code}, "call_0")
    assert hermes.parse(hermes.rendered(call, code_mode=True)).calls == (call,)


pieces = st.one_of(
    hard,
    calls.map(hermes.rendered),
    st.sampled_from([*MEANT.values(), *(one for one in NEVER.values() if len(one) < 500)]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(pieces, max_size=5).map("".join), st.randoms(use_true_random=False), st.booleans())
def test_a_stream_reads_what_the_whole_text_reads(text: str, random: Any, finished: bool) -> None:
    whole = hermes.parse(text, [TOOL], finished=finished)
    stream = hermes.HermesStream([TOOL])
    left = text
    while left:
        size = random.choice([1, 1, 2, 3, 7, 50])
        stream.feed(left[:size])
        left = left[size:]
    assert stream.close(finished=finished) == whole
    if (
        "</think>" not in text and "<tool_call>" in text
    ):  # nothing that was shown is taken back, or read at the end
        assert whole.text.startswith(stream.shown)


# ---------------------------------------------------------------------- ReAct


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ('Thought: a\nAction: add\nAction Input: {"x": 1}', "add", {"x": 1}),
        ('Thought: a\nAction: add\nAction Input: {"x": 1}\nObservation:', "add", {"x": 1}),
        ('Action: add\nAction Input: {"x": 1}\nObservation: 2\nThought: made up', "add", {"x": 1}),
        (
            'Action: add\nAction Input: {"x": 9}\nObservation: 9\nThought: more\nAction: add\nAction Input: {"x": 1}',
            "add",
            {"x": 1},
        ),
        ('Thought: a\nAction: `add`\nAction Input: {\n  "x":\n  1\n}', "add", {"x": 1}),
        ("Action: add\nAction Input: {'x': 1}", "add", {"x": 1}),
        (
            '<think>Action: add\nAction Input: {"x": 9}</think>\nAction: add\nAction Input: {"x": 1}',
            "add",
            {"x": 1},
        ),
        (
            "Action: code_interpreter\nAction Input: ```python\nx = 1\nprint(x)\n```",
            "code_interpreter",
            {"code": "x = 1\nprint(x)"},
        ),
        (
            "Action: code_interpreter\nAction Input: print(6 * 7)",
            "code_interpreter",
            {"code": "print(6 * 7)"},
        ),
        (
            'Action: code_interpreter\nAction Input: {"code": "print(1)"}',
            "code_interpreter",
            {"code": "print(1)"},
        ),
    ],
)
def test_the_last_action_is_read(text: str, name: str, arguments: dict[str, Any]) -> None:
    read = react.parse(text, [TOOL, CODE])
    assert [(one.name, one.arguments) for one in read.calls] == [(name, arguments)], read


@pytest.mark.parametrize(
    "text",
    [
        "Final Answer: 3",
        "Action: add",
        'Action Input: {"x": 1}',
        'Action Input: {"x": 1}\nAction: add',
        "Action: add\nAction Input: ",
        'Action: add\nAction Input: {"x": 1',
        'Action: add\nAction Input: {"x":',
        "Action: add\nAction Input: one",
        "Action: add\nAction Input: [1]",
        "Action:\nAction Input: {}",
        'Action: add\nAction Input: {"x": 1} {"x": 2}',
        "Action: code_interpreter\nAction Input: ```python\nx = 1",
        'Action: code_interpreter\nAction Input: {"code": "x = 1',
        'I would write Action: add and Action Input: {"x": 1}',
        '<think>\nAction: add\nAction Input: {"x": 1}</think>',
    ],
)
def test_no_other_action_is_carried_out(text: str) -> None:
    ran, _ = ran_by(text, "react")
    assert ran == []


def test_an_action_that_was_cut_off_is_not_carried_out() -> None:
    assert react.parse('Action: add\nAction Input: {"x": 1}', [TOOL], finished=False).calls == ()
    assert react.parse("Action: code_interpreter\nAction Input: rm(", [CODE], finished=False).calls == ()


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [("{'x': 1}", True), ('{"x": 1,}', True), ('{"x": 1', False), (None, False), ("", False)],
)
def test_what_the_server_could_not_read_is_read_or_told(arguments: Any, runs: bool) -> None:
    bad = {"name": "add", "args": arguments, "id": "a", "error": "", "type": "invalid_tool_call"}
    ran, result = ran_by(AIMessage("", invalid_tool_calls=[bad]), "native")  # type: ignore[list-item]
    assert result.answer == "done"
    assert bool(ran) is runs


def test_calls_that_the_server_read_get_ids_of_their_own_and_arguments_that_are_none_are_none() -> None:
    message = AIMessage("")
    message.tool_calls = [
        {"name": "add", "args": {"x": 1}, "id": None, "type": "tool_call"},
        {"name": "add", "args": {"x": 2}, "id": "same", "type": "tool_call"},
        {"name": "add", "args": {"x": 3}, "id": "same", "type": "tool_call"},
        {"name": "add", "args": None, "id": "", "type": "tool_call"},  # type: ignore[typeddict-item]
        {"name": "", "args": {"x": 4}, "id": "z", "type": "tool_call"},
    ]
    ran, result = ran_by(message, "native")
    assert ran == [1, 2, 3]
    assert len({one.call.id for one in result.steps if hasattr(one.call, "id")}) == 4


def test_the_last_call_of_a_reply_at_its_limit_is_not_carried_out() -> None:
    message = AIMessage("", response_metadata={"finish_reason": "length"})
    message.tool_calls = [
        {"name": "add", "args": {"x": n}, "id": str(n), "type": "tool_call"} for n in (1, 2)
    ]
    assert ran_by(message, "native")[0] == [1]
