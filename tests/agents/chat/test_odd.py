"""Odd things that people and others say: each gets a plain answer, and nothing else happens."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

import nereus
from nereus.agents.chat.answering import inert
from nereus.agents.chat.local_desk import LocalDesk
from nereus.agents.chat.router import understood
from tests.agents.chat.conftest import Conversation
from tests.agents.chat.test_router import vocabulary

Talk = Callable[..., Conversation]

PLAIN: dict[str, str] = {
    "": "You said nothing",
    "  \n ": "You said nothing",
    "\U0001f9ec\U0001f9ec": "did not understand",
    "42 42": "did not understand your message",
    "'; DROP TABLE runs; --": "",
    "<script>alert(1)</script>": "&lt;script>",
    "![x](http://elsewhere.example/a.png)": "]\\(",
    "show the results of r0000000000-7": "no run",
    "compare r0000000000-1 and r1111111111-1": "no run",
    "why is FOO123 up?": "tested nothing called",
    "adjust for age but do not adjust for age": "contradicts itself",
    "adjust for shoe size": "no column",
    "leave out Sample_9999": "no sample",
    "use quantum normalisation instead": "vsn",
    "draw notasmiles((": "no structure",
    "predict the solubility of notamolecule": "SMILES",
    "fit asgn": "",
    "fit asgn to predict nothing": "",
    "E999999": "no evidence",
    "forget m000000000000": "no note",
    "{{c1}} {{c999|.2f}}": "",
    "\x00\x1b[31mred": "",
}


@pytest.mark.parametrize("text", PLAIN, ids=range(len(PLAIN)))
def test_an_odd_input_gets_a_plain_answer_and_starts_nothing(
    talk: Talk, desk: LocalDesk, analysed: nereus.Run, text: str
) -> None:
    before = [one.id for one in desk.runs()]
    conversation = talk()
    answer = str(conversation.say(text, run=analysed.record.header.id).content)
    assert PLAIN[text] in answer
    assert answer
    assert not conversation.requests()
    assert [one.id for one in desk.runs()] == before


@pytest.mark.parametrize("text", ["x" * 1_000_000, "word " * 200_000, "a1 " * 5000, "why is " * 1000])
def test_a_long_message_costs_little(text: str) -> None:
    start = time.process_time()
    found = understood(text, vocabulary())
    assert time.process_time() - start < 5
    assert found.notices


def test_answers_hold_no_markup_and_no_link() -> None:
    assert inert("<img src=x> [a](http://b) a < b") == "&lt;img src=x> [a]\\(http://b) a < b"
