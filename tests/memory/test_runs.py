"""The record of runs."""

from __future__ import annotations

import pytest

from nereus.errors import ResumeRefused, StoreError
from nereus.memory.database import Database, DatabaseLedger
from nereus.memory.fingerprint import check_resume, fingerprint_parts
from nereus.memory.records import Edit, RunHeader, RunRecord
from nereus.memory.rows import natural_order
from nereus.memory.runs import RunRepository
from tests.memory.factories import call, decision, evidence, header, hypothesis, objective, workflow


def fill(database: Database, runs: RunRepository, run: RunHeader, order: int = 1) -> None:
    """A whole run; `order` -1 saves the independent rows backwards."""
    ledger = DatabaseLedger(database, run.id)
    plan = workflow()
    done = plan.steps[0].model_copy(update={"status": "done", "call_key": call(0).key})
    edited = plan.model_copy(
        update={
            "version": 2,
            "steps": (done, *plan.steps[2:]),
            "edits": (Edit(op="remove", step_id="O1.W1.S2", reason="nothing missing", trigger="E1"),),
        }
    )
    for number in range(3)[::order]:
        ledger.record_call(call(number))
    runs.save_objectives(run.id, [objective(number) for number in (1, 2, 10)][::order])
    runs.save_workflow(run.id, plan)
    runs.save_step(run.id, plan, done)
    runs.save_workflow(run.id, edited)
    runs.save_step(
        run.id, edited, edited.steps[1].model_copy(update={"status": "done", "call_key": call(1).key})
    )
    runs.save_evidence(run.id, [evidence(number, number % 3) for number in range(1, 13)][::order])
    runs.save_hypotheses(run.id, [hypothesis(2, ("E2", "E12")), hypothesis(1)][::order])
    runs.save_decisions(run.id, [decision(number) for number in (1, 2, 11)][::order])
    runs.save_notices(run.id, ["no gene sets", "stopped early"])
    runs.save_outputs(run.id, {"claims": "O1.W1.S3/claims"})


def test_a_run_comes_back_whole(database: Database, runs: RunRepository, run: RunHeader) -> None:
    fill(database, runs, run)
    record = runs.load(run.id)
    assert record.header == run
    assert [one.id for one in record.objectives] == ["O1", "O2", "O10"]
    assert record.objectives[0] == objective(1)
    assert [(one.id, one.version) for one in record.workflows] == [("O1.W1", 2)]
    assert [(step.id, step.status) for step in record.workflows[0].steps] == [
        ("O1.W1.S1", "done"),
        ("O1.W1.S3", "done"),
    ]
    assert record.workflows[0].edits[0].reason == "nothing missing"
    assert record.calls == {call(n).key: call(n) for n in (0, 1, 2)}
    assert list(record.evidence) == [f"E{n}" for n in range(1, 13)]
    assert record.evidence["E7"] == evidence(7, 1)
    assert record.hypotheses == (hypothesis(1), hypothesis(2, ("E2", "E12")))
    assert [one.id for one in record.decisions] == ["D1", "D2", "D11"]
    assert record.decisions[0] == decision(1)
    assert record.notices == ("no gene sets", "stopped early")
    assert record.outputs == {"claims": "O1.W1.S3/claims"}
    assert [step.call_key for step in record.steps()] == [call(0).key, call(1).key]
    assert RunRecord.model_validate_json(record.model_dump_json()) == record


def test_saving_again_changes_nothing(database: Database, runs: RunRepository, run: RunHeader) -> None:
    fill(database, runs, run)
    once = runs.load(run.id)
    fill(database, runs, run)
    assert runs.load(run.id) == once


def test_the_order_of_saving_does_not_show(database: Database, runs: RunRepository) -> None:
    one, two = runs.create_run(header()), runs.create_run(header())
    fill(database, runs, one)
    fill(database, runs, two, order=-1)
    blank = {"header": one}
    assert runs.load(one.id).model_copy(update=blank) == runs.load(two.id).model_copy(update=blank)


def test_every_version_of_a_workflow_is_kept(database: Database, runs: RunRepository, run: RunHeader) -> None:
    fill(database, runs, run)
    versions = runs.workflow_versions(run.id, "O1.W1")
    assert [(one.version, len(one.steps)) for one in versions] == [(1, 3), (2, 2)]
    runs.save_workflow(run.id, workflow(n_steps=1))
    assert len(runs.workflow_versions(run.id, "O1.W1")[0].steps) == 1, (
        "a step that a version lost is gone from it"
    )


def test_newer_hypotheses_replace_older_ones(database: Database, runs: RunRepository, run: RunHeader) -> None:
    fill(database, runs, run)
    refuted = hypothesis(2, ("E3",)).model_copy(update={"status": "refuted", "atoms": ()})
    runs.save_hypotheses(run.id, [refuted])
    assert runs.load(run.id).hypotheses == (hypothesis(1), refuted)


def test_nothing_is_stored_that_cannot_be_traced(
    database: Database, runs: RunRepository, run: RunHeader
) -> None:
    with pytest.raises(StoreError, match="contradict"):
        runs.save_evidence(run.id, [evidence(1, 77)])
    with pytest.raises(StoreError, match="contradict"):
        runs.save_hypotheses(run.id, [hypothesis(1, ("E404",))])
    with pytest.raises(StoreError, match="contradict"):
        runs.save_objectives("r0", [objective()])
    assert runs.load(run.id).hypotheses == ()


def test_ids_come_from_content_and_count(runs: RunRepository) -> None:
    first, second = runs.create_run(header()), runs.create_run(header())
    stem = f"r{header().fingerprint[:10]}"
    assert [first.id, second.id] == [f"{stem}-1", f"{stem}-2"]
    assert runs.create_run(first) == first, "a given id is created once"
    assert first.started


def test_runs_are_found(runs: RunRepository) -> None:
    assert runs.last_run() is None
    made = [runs.create_run(header(number)) for number in range(3)]
    runs.set_status(made[2].id, "finished", used={"steps": 4.0})
    assert [one.id for one in runs.list_runs()] == [one.id for one in reversed(made)]
    assert [one.id for one in runs.list_runs(limit=1)] == [made[2].id]
    assert [one.id for one in runs.list_runs(data_id=made[1].inputs["data"].id)] == [made[1].id]
    newest, open_one = runs.last_run(), runs.last_run(resumable=True)
    assert newest is not None
    assert open_one is not None
    assert (newest.id, newest.status, newest.used) == (made[2].id, "finished", {"steps": 4.0})
    assert newest.finished is not None
    assert open_one.id == made[1].id
    with pytest.raises(StoreError, match="did you mean") as caught:
        runs.load(made[0].id[:-1])
    assert made[0].id in str(caught.value)


def test_objectives_done_on_a_data_file_are_counted(runs: RunRepository) -> None:
    one, two, other = runs.create_run(header()), runs.create_run(header()), runs.create_run(header(1))
    for run in (one, two, other):
        runs.save_objectives(run.id, [objective(1), objective(2).model_copy(update={"status": "abandoned"})])
    data_id = one.inputs["data"].id
    assert runs.times_done(data_id) == runs.times_done(data_id, "differential") == 2
    assert runs.times_done(data_id, "quality") == 0


def test_notices_are_told_once(runs: RunRepository, run: RunHeader) -> None:
    for text in ("b", "a", "b"):
        runs.add_notice(run.id, text)
    assert runs.load(run.id).notices == ("b", "a")
    with pytest.raises(StoreError, match="no run"):
        runs.add_notice("r0", "x")


def test_outputs_are_added_up(runs: RunRepository, run: RunHeader) -> None:
    runs.save_outputs(run.id, {"profile": "O1.W1.S1/columns"})
    runs.save_outputs(run.id, {"claims": "O2.W1.S1/claims"})
    assert runs.load(run.id).outputs == {"profile": "O1.W1.S1/columns", "claims": "O2.W1.S1/claims"}


def test_deleting_a_run_spares_what_others_share(database: Database, runs: RunRepository) -> None:
    one, two = runs.create_run(header()), runs.create_run(header())
    fill(database, runs, one)
    fill(database, runs, two)
    runs.delete_run(one.id)
    assert len(runs.load(two.id).calls) == 3
    assert [run.id for run in runs.list_runs()] == [two.id]
    assert database.problems() == []


def test_an_approval_is_asked_and_answered_once(runs: RunRepository, run: RunHeader) -> None:
    asked = runs.request_approval(run.id, "A1", "objectives", {"ids": ["O1"]})
    runs.request_approval(run.id, "A2", "tool", {})
    assert [one.id for one in runs.approvals(run.id, pending_only=True)] == ["A1", "A2"]
    given = runs.answer_approval(run.id, "A1", {"approve": True}, by="me")
    assert runs.request_approval(run.id, "A1", "objectives", {"ids": ["O1"]}) == given, (
        "asked again after a crash"
    )
    assert runs.answer_approval(run.id, "A1", {"approve": True}) == given
    with pytest.raises(StoreError, match="answered before"):
        runs.answer_approval(run.id, "A1", {"approve": False})
    with pytest.raises(StoreError, match="no approval 'A9'"):
        runs.answer_approval(run.id, "A9", {})
    assert [one.id for one in runs.approvals(run.id, pending_only=True)] == ["A2"]
    assert (asked.status, given.answer, given.answered_by) == ("pending", {"approve": True}, "me")


def test_resuming_names_what_differs() -> None:
    run = header(3).model_copy(update={"id": "r1"})
    check_resume(run, run.fingerprint_parts)
    other = fingerprint_parts("2", {"seed": 3, "policy": "llm"}, {"data": "ab"})
    with pytest.raises(ResumeRefused) as caught:
        check_resume(run, other)
    told = caught.value.what
    assert "graph version was 1, now 2" in told
    assert 'setting policy was not set, now "llm"' in told
    assert "input data was" in told
    assert "seed" not in told
    with pytest.raises(ResumeRefused, match="record was changed"):
        check_resume(run.model_copy(update={"fingerprint": "0" * 64}), run.fingerprint_parts)


def test_ids_are_ordered_as_people_count() -> None:
    assert sorted(["E10", "E2", "O2.W1.S10", "O2.W1.S9", "O10", "E1"], key=natural_order) == [
        "E1", "E2", "E10", "O2.W1.S9", "O2.W1.S10", "O10",
    ]  # fmt: skip
