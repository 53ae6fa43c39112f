"""Answers that come late, twice, wrongly or elsewhere: what runs is what was asked, once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage

import nereus
from nereus.agents.chat.book import Book
from nereus.agents.chat.graph import perform
from nereus.agents.chat.local_desk import LocalDesk
from nereus.agents.chat.turn import ASKED_IN, Focus, Outcome, Turn
from nereus.errors import InputError
from tests.agents.chat.conftest import Conversation, told
from tests.agents.chat.scripted import calls, in_turn

Talk = Callable[..., Conversation]


def test_a_late_yes_is_for_what_was_shown(talk: Talk, desk: LocalDesk, tmp_path: Path) -> None:
    data = next(one for one in desk.datasets() if one.name == "values.csv")
    conversation = talk()
    conversation.say("analyse it", datasets=[data.id])
    asked = conversation.requests()[0]["action_request"]["args"]
    assert asked["dataset"] == data.id
    newer = tmp_path / "newer.csv"
    newer.write_text("protein,a_1,a_2\nP1,1,2\n")
    desk.add_file(newer)
    assert conversation.requests()[0]["action_request"]["args"] == asked
    conversation.answer({"type": "ignore"})


def test_what_leaves_the_run_to_the_conversation_is_pinned(
    talk: Talk, desk: LocalDesk, analysed: nereus.Run
) -> None:
    conversation = talk(approval="always")
    conversation.say("try without normalisation", run=analysed.id)
    assert conversation.requests()[0]["action_request"]["args"]["run"] == analysed.id
    conversation.answer({"type": "ignore"})


def test_wrong_answers_are_asked_again_and_nothing_runs(talk: Talk, desk: LocalDesk) -> None:
    before = len(desk.runs())
    conversation = talk()
    conversation.say("analyse it")
    wrong = (
        {"type": "maybe"},
        {"type": "edit", "args": {"args": {"budget": ["steps=-4"]}}},
        {"type": "edit", "args": {"args": {"dataset": "d0000000000000000"}}},
    )
    for one in wrong:
        conversation.answer(one)
        assert "could not be used" in conversation.requests()[0]["description"]
    assert len(desk.runs()) == before
    answer = conversation.answer({"type": "response", "args": "not today"})
    assert "not today" in str(answer.content)
    again = conversation.answer({"type": "accept"})  # nothing waits any more
    assert again.content == answer.content
    assert len(desk.runs()) == before


def test_one_of_two_rejected_runs_only_the_other(talk: Talk, desk: LocalDesk) -> None:
    tool = ("call_tool", {"tool": "run_code", "params": {"code": "print(1)"}})
    start = ("start_run", {"dataset": desk.datasets()[0].id, "question": "never"})
    conversation = talk(in_turn(calls(start, ("forget", {"all_of_them": True}), tool), "Done."))
    desk.remember("a note that is to go")
    conversation.say("both")
    names = [one["action_request"]["action"] for one in conversation.requests()]
    assert names == ["start_run", "forget", "call_tool"]
    conversation.answer({"type": "ignore"}, {"type": "accept"}, {"type": "ignore"})
    assert not desk.recall("", 10)
    assert not [one for one in desk.runs() if one.question == "never"]


def test_a_call_that_is_done_again_after_a_crash_begins_no_second_run(
    desk: LocalDesk, analysed: nereus.Run
) -> None:
    turn = Turn(desk=desk, book=Book(), focus=Focus(run=analysed.id), thread_id="t", call="t/call_1")
    first = perform(turn, "reanalyse", {"not_for": ["all"]})
    assert not first.failed, first.text
    known = len(desk.runs())
    again = Turn(desk=desk, book=Book(), focus=Focus(run=analysed.id), thread_id="t", call="t/call_1")
    second = perform(again, "reanalyse", {"not_for": ["all"]})
    assert (second.run_id, len(desk.runs())) == (first.run_id, known)
    assert desk.header(first.run_id).settings[ASKED_IN] == "t/call_1"


def test_a_defect_of_an_action_ends_the_action_and_not_the_conversation(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nereus.agents.chat.actions.catalogue import ACTIONS

    def broken(turn: Turn, args: object) -> Outcome:
        raise KeyError("a defect")

    monkeypatch.setitem(ACTIONS, "help", type(ACTIONS["help"])("help", "", ACTIONS["help"].args, broken))
    conversation = talk()
    assert "defect of Nereus (KeyError)" in str(conversation.say("help").content)
    assert "runs" in str(conversation.say("list runs").content)


def test_a_part_of_a_message_that_is_not_understood_is_told(talk: Talk, analysed: nereus.Run) -> None:
    name = analysed.hypotheses[0].claim.entities[0].name
    answer = talk().say(f"What about {name}? Sing me something in Finnish!")
    assert any("Sing me something" in one for one in told(answer)["notices"])


def test_a_test_is_made_on_a_part_of_the_samples(talk: Talk, desk: LocalDesk, analysed: nereus.Run) -> None:
    name = analysed.hypotheses[0].claim.entities[0].name
    conversation = talk()
    conversation.say(f"what about {name}?")
    answer = conversation.say("is it still there in the Sweden samples only?")
    test = desk.record(told(answer)["run_id"]).steps()[-1]
    assert test.params["contrast"]["subset"] == {"_collection site": "Sweden"}
    assert "adjusted for" in str(answer.content)
    assert "Not any more" not in str(answer.content)  # fewer samples are no proof
    for text, why in (
        ("is it up in smokers only?", "has the value"),
        ("is it up in biochemical AD only?", "compared"),
    ):
        assert why in str(talk().say(text, run=analysed.id).content)


def test_notes_are_forgotten_by_their_words(talk: Talk, desk: LocalDesk) -> None:
    conversation = talk()
    conversation.say("remember that plate seven was dropped")
    conversation.say("remember that the fridge of Kiel failed")
    assert "no note" in str(conversation.say("forget about the moon").content).lower()
    conversation.say("forget about the fridge")
    assert [one.text for one in desk.recall("", 9)] == ["plate seven was dropped"]
    conversation.say("forget everything")
    assert "Forgotten" in str(conversation.answer({"type": "accept"}).content)
    assert not desk.recall("", 9)


def test_files_that_are_no_tables_are_answered_plainly(talk: Talk, desk: LocalDesk, tmp_path: Path) -> None:
    conversation = talk()
    for name, content in (
        ("empty.csv", b""),
        ("bin.csv", bytes(range(256)) * 9),
        ("latin.csv", b"Prot\xe9ine,a\nP1,1\n"),
    ):
        (tmp_path / name).write_bytes(content)
        answer = conversation.say("what is in this file?", datasets=[desk.add_file(tmp_path / name).id])
        assert name in str(answer.content)
        assert "defect" not in str(answer.content)
        assert "SMILES" in str(conversation.say("predict the solubility of CCO").content)
    for place in (tmp_path / "missing.csv", tmp_path / "folder"):
        if place.name == "folder":
            place.mkdir()
            os.mkfifo(place / "pipe")
        with pytest.raises(InputError):
            desk.add_file(place)


def test_a_sheet_that_came_last_is_the_sheet_of_the_data(desk: LocalDesk) -> None:
    found = Turn(desk=desk, book=Book()).dataset()
    assert found.name != "samples.csv" or found.samples is not None


def test_a_conversation_in_other_tongues_is_not_answered_wrongly(talk: Talk) -> None:
    message = talk().say("Quel temps fait-il ?")
    assert isinstance(message, AIMessage)
    assert "did not understand" in str(message.content)
