"""What a model writes is shown while it is written, and never a number that nothing covers."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk

import nereus
from nereus.agents.chat.answering import quoted
from nereus.agents.chat.book import counted_in_words
from nereus.agents.chat.spoken import ANSWER_PART, TAKEN_BACK, Draft, Stopped, interruptible, settled
from tests.agents.chat.conftest import Conversation, told
from tests.agents.chat.scripted import ToolModel, calls, in_turn

Talk = Callable[..., Conversation]


class Slowly(ToolModel):
    """Says its text in pieces of three letters."""

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        message = self._generate(messages).generations[0].message
        made = [
            {
                "name": one["name"],
                "args": json.dumps(one["args"]),
                "id": one["id"],
                "index": place,
                "type": "tool_call_chunk",
            }
            for place, one in enumerate(getattr(message, "tool_calls", ()))
        ]
        if made:
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=made))
            return
        for piece in re.findall(r".{1,3}", str(message.content), re.DOTALL):
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))


def slowly(*replies: Any) -> Slowly:
    left = list(replies)

    def reply(messages: list[BaseMessage]) -> Any:
        one = left.pop(0) if len(left) > 1 else left[0]
        return one(messages) if callable(one) else one

    return Slowly(reply=reply, seen=[])


def heard(talk: Conversation, text: str) -> tuple[list[tuple[str, str]], list[dict[str, Any]]]:
    """Pieces in the stream mode ``messages`` with their ids, and events of parts."""
    pieces: list[tuple[str, str]] = []
    parts: list[dict[str, Any]] = []
    part: Any
    given = {"messages": [HumanMessage(text)]}
    for mode, part in talk.graph.stream(given, talk.config, stream_mode=["messages", "custom"]):
        if mode == "messages" and type(part[0]).__name__.startswith("AIMessage"):
            pieces.append((str(part[0].id), str(part[0].content)))
        elif mode == "custom" and part["type"] == ANSWER_PART:
            parts.append(part)
    return pieces, parts


def last(talk: Conversation) -> Any:
    return talk.graph.get_state(talk.config).values["messages"][-1]


def cites(messages: list[BaseMessage]) -> str:
    found = re.search(r"\{\{c\d+[^}]*\}\}", str(messages[-1].content))
    assert found is not None
    return f"<think>It was 99.</think>There are {found[0]} of them. That is all."


def test_pieces_of_an_answer_come_under_its_id_and_make_it_up(talk: Talk) -> None:
    conversation = talk(slowly(calls(("list", {})), cites))
    pieces, parts = heard(conversation, "which runs are there?")
    answer = last(conversation)
    mine = [text for identity, text in pieces if identity == answer.id]
    assert len(mine) > 4
    assert "".join(mine) == answer.content == "".join(one["text"] for one in parts)
    assert [one["start"] for one in parts] == [
        sum(len(one["text"]) for one in parts[:place]) for place in range(len(parts))
    ]
    assert "99" not in str(answer.content)
    assert told(answer)["evidence"]


@pytest.mark.parametrize(
    "invented", ["It rises 3.7 fold. So there.", "It is threefold higher. Yes.", "About ½ of them are. Yes."]
)
def test_an_invented_number_is_never_shown_and_what_was_shown_is_taken_back(
    talk: Talk, invented: str
) -> None:
    conversation = talk(slowly(calls(("list", {})), f"I looked it up now. {invented}", "There are some."))
    pieces, parts = heard(conversation, "is it 3.7 fold, threefold?")
    answer = last(conversation)
    assert answer.content == "There are some."
    seen = "".join(one["text"] for one in parts)
    assert seen.startswith("I looked it up now.")
    assert seen.endswith(TAKEN_BACK)
    assert not re.search(r"3\.7|threefold|½", seen + str(answer.content))
    assert answer.id not in {identity for identity, text in pieces if TAKEN_BACK in text}


def test_a_number_of_one_protein_is_not_said_of_another(talk: Talk, analysed: nereus.Run) -> None:
    first, second = [
        one.claim.entities[0] for one in analysed.hypotheses if one.grain == "entity" and one.claim.entities
    ][:2]

    def number(messages: list[BaseMessage]) -> str:
        texts = [str(one.content) for one in messages if "<data" in str(one.content)]
        found = re.search(r"\{\{c\d+[^}]*\}\}", texts[-1])
        assert found is not None
        return found[0]

    model = slowly(
        calls(("explain", {"entity": first.name})),
        lambda messages: f"{second.name} changes by {number(messages)}.",
        lambda messages: f"{first.name} changes by {number(messages)}.",
    )
    conversation = talk(model)
    heard(conversation, "and?")
    assert str(last(conversation).content).startswith(f"{first.name} changes by ")
    assert "cannot be shown" in str(model.seen[-1][-1].content)


def test_a_draft_lets_whole_words_through_and_waits_for_references() -> None:
    draft = Draft(lambda text: ["bare"] if re.search(r"(?<!log)\d", text) else [], lambda text: text)
    shown = ""
    for letter in "log2 of it is up. Then 3 more. And on.":
        shown += draft.more(letter)
    assert shown == "log2 of it is up. Then"
    assert draft.held
    assert settled("a {{c1|.2f") == "a"
    assert settled("<think>no 5</thi") == ""
    assert settled('{"action": "list"} ') == ""
    assert settled("```json x ") == ""


def test_what_hangs_is_left_when_nobody_waits() -> None:
    gone = threading.Event()

    def hangs() -> Iterator[int]:
        yield 1
        gone.wait(30)
        yield 2

    nobody = threading.Event()
    pieces = interruptible(hangs, nobody.is_set)
    assert next(pieces) == 1
    nobody.set()
    with pytest.raises(Stopped):
        next(pieces)
    assert not gone.is_set()
    gone.set()


def test_a_stopped_answer_says_so_and_starts_nothing(talk: Talk) -> None:
    stop = threading.Event()

    def hang(messages: list[BaseMessage]) -> str:
        stop.set()
        time.sleep(1.0)
        return "late"

    conversation = talk(slowly(hang), stopped=stop.is_set)
    answer = conversation.say("analyse it")
    assert "Stopped" in str(answer.content)
    assert not conversation.requests()


def test_claims_of_a_question_are_no_names() -> None:
    assert quoted("is SOD1 p<0.05 and 3.7x, 2-fold or p0.05 in P10636-2, Sample_003 and mTORC1?") == [
        "is", "SOD1", "and", "or", "in", "P10636-2", "Sample_003", "and", "mTORC1",
    ]  # fmt: skip
    assert counted_in_words("five of the two groups doubled", ["five"])
    assert not counted_in_words("one of the two groups, in the Five Points cohort", ["Five Points"])


def test_a_model_without_streams_still_answers(talk: Talk) -> None:
    answer = talk(in_turn("Hello.")).say("hi")
    assert answer.content == "Hello."
