"""Learned actions are called from a conversation: after a yes, in the sandbox, and only where they may be and fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import nereus
from nereus.agents.chat.local_desk import LocalDesk
from nereus.memory.actions import Actions as Kept
from nereus.memory.actions import ActionTest, LearnedAction
from tests.agents.chat.conftest import Conversation, told

Talk = Callable[..., Conversation]
NAME = "answer_differential_two_groups"
STEP = (
    'step("{tool}", purpose="compare", inputs={{"dataset": "run/prepared"}}, params={{"contrast": contrast}})'
)


def learned(
    desk: LocalDesk, name: str = NAME, asks: str = "differential_abundance", **plan: Any
) -> LearnedAction:
    """An active action that was validated elsewhere."""
    kept = Kept(desk.workspace.database)
    kind = {"kind": "differential", "template": "two groups", "signature": {"kind": "differential"}}
    known = kept.add(
        LearnedAction(
            name=name,
            domain="omics",
            source=f"def {name}(contrast: dict) -> list:\n    s1 = {STEP.format(tool=asks)}\n    return [s1]\n",
            parameters=(("contrast", "dict"),),
            description="Compare two groups.",
            plan={**kind, "tools": ["differential_abundance"], "warned": [False], **plan},
        )
    )
    kept.validated(known, [ActionTest(task=f"held out {name}", call=f"{name}(...)", expected="0" * 64)])
    return kept.approve(name, "a person")


def test_an_action_answers_a_question_after_a_yes_with_evidence_of_its_own(
    talk: Talk, desk: LocalDesk, analysed: nereus.Run
) -> None:
    action = learned(desk)
    conversation = talk()
    assert NAME in str(conversation.say("list learned actions").content)
    before = len(desk.runs())
    conversation.say(f"use the action {NAME}", run=analysed.id)
    request = conversation.requests()[0]
    assert request["action_request"]["action"] == "use_action"
    assert "in the sandbox" in request["description"]
    assert len(desk.runs()) == before
    answer = conversation.answer({"type": "accept"})
    fresh = desk.record(told(answer)["run_id"])
    assert fresh.header.forked_from == analysed.id
    assert fresh.header.status == "finished", answer.content
    assert fresh.steps()[-1].tool == "differential_abundance"
    assert told(answer)["evidence"]
    standing = Kept(desk.workspace.database).standing(action)
    assert (standing.uses, standing.successes) == (1, 1)


@pytest.mark.parametrize(
    ("name", "asks", "plan", "why"),
    [
        (
            "answer_other_kind",
            "differential_abundance",
            {"kind": "association"},
            "answers association questions",
        ),
        ("answer_other_data", "differential_abundance", {"signature": {"roles": "other"}}, "does not fit"),
        ("answer_with_more", "run_code", {}, "approved with"),
        ("answer_without_test", "normalise", {"tools": ["normalise"]}, "make no"),
    ],
)
def test_what_does_not_fit_or_asks_for_more_than_was_approved_computes_nothing(
    talk: Talk, desk: LocalDesk, analysed: nereus.Run, name: str, asks: str, plan: dict[str, Any], why: str
) -> None:
    learned(desk, name, asks, **plan)
    before = len(desk.runs())
    conversation = talk()
    answer = conversation.say(f"use the action {name}", run=analysed.id)
    if conversation.requests():
        answer = conversation.answer({"type": "accept"})
    assert why in str(answer.content)
    assert len(desk.runs()) == before


def test_a_revoked_action_and_one_that_is_not_there_are_refused(
    talk: Talk, desk: LocalDesk, analysed: nereus.Run
) -> None:
    learned(desk, "answer_revoked")
    conversation = talk()
    conversation.say("use the action answer_revoked", run=analysed.id)
    assert conversation.requests()
    Kept(desk.workspace.database).revoke("answer_revoked", "a person", "it was wrong")
    assert "may not be used" in str(conversation.answer({"type": "accept"}).content)
    assert "no action" in str(talk().say("use the action answer_nothing", run=analysed.id).content)
