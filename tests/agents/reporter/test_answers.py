"""The run in short: every question with what came of it."""

from __future__ import annotations

from nereus.agents.reporter.answers import answers, relations_of
from nereus.agents.reporter.sources import Sources
from nereus.memory.records import Objective, ObjectiveKind
from tests.agents.reporter.conftest import ToyRun


def sources_of(run: ToyRun, **changes: object) -> Sources:
    done = tuple(one.model_copy(update={"status": "done"}) for one in run.record.objectives)
    return Sources(
        run.record.model_copy(update={"objectives": done, **changes}), lambda ref: run.artifacts.table(ref)
    )


def test_a_question_is_answered_by_what_holds_about_it(toy_run: ToyRun) -> None:
    sources = sources_of(toy_run)
    answer = answers(sources)[0]
    live = [h for h in toy_run.record.hypotheses if h.status in ("supported", "tentative")]
    assert answer.best
    assert {one.id for one in answer.best} <= {one.id for one in live}
    assert [one.rank for one in answer.best] == sorted(one.rank for one in answer.best)
    assert answer.claims is not None
    table = toy_run.artifacts.table(
        next(c for c in toy_run.record.calls.values() if c.spec.tool == "toy_claims").outputs["claims"]
    )
    assert sources.value(answer.claims) == (table["contrast"] == answer.objective.about).sum()


def test_nothing_is_an_answer_too(toy_run: ToyRun) -> None:
    refuted = tuple(one.model_copy(update={"status": "refuted"}) for one in toy_run.record.hypotheses)
    told = answers(sources_of(toy_run, hypotheses=refuted, outputs={}))
    assert told
    assert {(one.best, one.more, one.claims) for one in told} == {((), False, None)}


def test_what_was_not_carried_through_is_no_answer(toy_run: ToyRun) -> None:
    given_up = tuple(one.model_copy(update={"status": "abandoned"}) for one in toy_run.record.objectives)
    assert answers(sources_of(toy_run, objectives=given_up)) == []


def test_questions_that_claim_something_have_relations() -> None:
    describing = {ObjectiveKind.DESCRIBE, ObjectiveKind.MARKERS}
    silent = {ObjectiveKind.DATA, ObjectiveKind.QUALITY, ObjectiveKind.SYNTHESIS, *describing}
    for kind in ObjectiveKind:
        told = relations_of(Objective(id="O1", kind=kind, statement=""))
        assert bool(told) == (kind not in silent), kind
