"""Answers by the grammar, about a run on real data: every number is evidence that the record recomputes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import nereus
from nereus.agents.chat.local_desk import LocalDesk
from nereus.agents.reporter.formats import format_value
from nereus.agents.reporter.sources import Sources
from tests.agents.chat.conftest import Conversation, told

Talk = Callable[..., Conversation]


def test_findings_cite_evidence_that_the_record_holds(
    talk: Talk, desk: LocalDesk, analysed: nereus.Run
) -> None:
    answer = told(talk().say("what did you find?"))
    assert answer["run_id"] == analysed.id
    sources = Sources(desk.record(analysed.id), desk.table)
    checked = [one for one in answer["evidence"] if re.fullmatch(r"E\d+|field:.*", one["id"])]
    assert len(checked) >= 4
    for one in checked:
        assert sources.value(one["id"]) == one["value"]


def test_every_number_in_an_answer_is_a_cited_value(talk: Talk, analysed: nereus.Run) -> None:
    conversation = talk()
    first = analysed.hypotheses[0].claim.entities[0].name
    for text in ("what did you find?", f"why is {first} up?", "top 5 proteins", "how is it going?"):
        message = conversation.say(text)
        answer = told(message)
        template = str(answer["template"])
        assert "{{c" in template
        values = {one["id"]: one["value"] for one in answer["evidence"]}
        assert values
        shown = [str(format_value(value, "")) for value in values.values()]
        assert all(shown)
        assert "number without evidence" not in str(message.content)


def test_adjusting_starts_a_real_run_and_cites_its_evidence(
    talk: Talk, desk: LocalDesk, analysed: nereus.Run
) -> None:
    conversation = talk()
    entity = next(
        one.claim.entities[0]
        for one in analysed.hypotheses
        if one.claim.relation in ("abundance", "association")
    )
    conversation.say(f"tell me about {entity.id.split(';')[0]}")
    answer = told(conversation.say("is it still there without adjusting for anything?"))
    fresh = desk.record(answer["run_id"])
    assert fresh.header.id != analysed.id
    assert fresh.header.forked_from == analysed.id
    assert fresh.header.status == "finished"
    test = fresh.steps()[-1]
    params = test.params.get("contrast") or test.params
    assert list(params["covariates"]) == []
    new = [
        one for one in answer["evidence"] if one["run_id"] == fresh.header.id and one["id"] in fresh.evidence
    ]
    assert new
    sources = Sources(fresh, desk.table)
    assert all(sources.value(one["id"]) == one["value"] for one in new)
    assert [one for one in answer["evidence"] if one["run_id"] == analysed.id]
    assert any(one["type"] == "run_event" for one in conversation.events)


def test_a_follow_up_of_a_follow_up_adds_to_what_was_asked(talk: Talk, desk: LocalDesk) -> None:
    conversation = talk()
    conversation.say("do not adjust for anything")
    answer = told(conversation.say("and adjusting for age?"))
    test = desk.record(answer["run_id"]).steps()[-1]
    params = test.params.get("contrast") or test.params
    assert list(params["covariates"]) == ["_age at CSF collection"]


def test_the_same_preparation_gives_the_same_numbers(
    talk: Talk, desk: LocalDesk, analysed: nereus.Run
) -> None:
    origin = desk.record(analysed.id)
    used = next(
        origin.calls[str(one.call_key)].spec.params["method"]
        for one in origin.steps()
        if one.tool == "normalise"
    )
    asked = (
        "without normalisation"
        if used == "none"
        else f"repeat it with {used.replace('_', ' ')} normalisation"
    )
    fresh = desk.record(told(talk().say(asked))["run_id"])
    step = fresh.steps()[-1]
    assert step.call_key in {one.call_key for one in origin.steps()}


def test_leaving_a_sample_out_changes_what_is_tested(
    talk: Talk, desk: LocalDesk, data: tuple[Path, Path]
) -> None:
    name = data[1].read_text().splitlines()[1].split(",")[0]
    answer = told(talk().say(f"leave out sample {name}"))
    fresh = desk.record(answer["run_id"])
    assert [one.tool for one in fresh.steps()].count("remove_samples") == 1


def test_what_was_not_done_cannot_be_left_out(talk: Talk) -> None:
    answer = talk().say("try without imputation")
    assert "rests on no step 'impute'" in str(answer.content)


def test_figures_come_from_the_run(talk: Talk, desk: LocalDesk) -> None:
    conversation = talk()
    for text in ("volcano plot", "show the PCA", "heatmap please"):
        shown = told(conversation.say(text))["artifacts"]
        assert shown, text
        assert shown[0]["kind"] == "figure"


def test_a_typo_is_taken_for_the_nearest_and_said(talk: Talk, analysed: nereus.Run) -> None:
    name = next(
        one.claim.entities[0].name
        for one in analysed.hypotheses
        if one.claim.entities
        and len(one.claim.entities[0].name) >= 5
        and one.claim.entities[0].name.isalpha()
    )
    swapped = name[:1] + name[2] + name[1] + name[3:]
    answer = str(talk().say(f"why is {swapped} up?").content)
    assert name in answer


def test_a_wrong_direction_is_contradicted(talk: Talk, analysed: nereus.Run) -> None:
    one = next(h for h in analysed.hypotheses if h.claim.entities[0].direction in ("up", "down"))
    entity = one.claim.entities[0]
    wrong = "down" if entity.direction == "up" else "up"
    answer = str(talk().say(f"why is {entity.id.split(';')[0]} {wrong}?").content)
    assert f"is not {wrong}" in answer


def test_runs_are_compared(talk: Talk, analysed: nereus.Run) -> None:
    conversation = talk()
    conversation.say("without normalisation")
    answer = conversation.say("compare with the previous run")
    assert analysed.id in str(answer.content)
    assert told(answer)["evidence"]


def test_a_molecule_is_drawn_and_nothing_is_predicted_without_a_model(talk: Talk) -> None:
    conversation = talk()
    answer = conversation.say("draw CC(=O)Oc1ccccc1C(=O)O and predict its solubility")
    assert told(answer)["artifacts"][0]["kind"] == "figure"
    assert "no trained model" in str(answer.content).lower()
    assert not re.search(r"solubility -?\d", str(answer.content))


def test_notes_outlive_a_thread(talk: Talk) -> None:
    talk(thread_id="one").say("remember that site Magdeburg froze its samples twice")
    answer = talk(thread_id="two").say("what do you remember about Magdeburg")
    assert "froze its samples twice" in str(answer.content)


def test_without_a_file_it_says_what_to_do(empty_desk: LocalDesk) -> None:
    conversation = Conversation(empty_desk)
    for text in ("analyse it", "what did you find?", "why is APOE up?", "show me"):
        assert "file" in str(conversation.say(text).content)


def test_a_file_that_was_not_analysed_is_not_answered_from_another(
    talk: Talk, desk: LocalDesk, tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("protein,a_1,a_2,b_1,b_2\nP1,1,2,3,4\n")
    answer = talk().say("what did you find?", datasets=[desk.add_file(other).id])
    assert "not analysed yet" in str(answer.content)


def test_a_desk_serves_one_person(talk: Talk) -> None:
    from nereus.errors import NotFound

    with pytest.raises(NotFound):
        talk(owner="somebody else").say("list runs")
