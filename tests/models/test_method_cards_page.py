"""The pages of cards and of what was asked are what their sources say, and `benchmarks.run` knows how each benchmark is asked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import method_acceptance, method_cards, run
from nereus.models import registry


def test_page_is_made_from_the_cards() -> None:
    assert method_cards.PAGE.read_text(encoding="utf-8") == method_cards.page(), (
        "cards or results have changed: run `python -m benchmarks.run`"
    )


def test_page_of_what_was_asked_is_made_from_results() -> None:
    assert method_acceptance.PAGE.read_text(encoding="utf-8") == method_acceptance.page(), (
        "results have changed: run `python -m benchmarks.run`"
    )


def test_what_was_asked_is_of_methods_and_its_tests_exist() -> None:
    tests = Path(__file__).parents[1]
    for row in method_acceptance.asked():
        assert row.method in {*registry.names(), "all"}
        for one in row.tests:
            file, _, name = one.partition("::")
            assert f"def {name}(" in (tests / file).read_text(encoding="utf-8"), one


def test_status_follows_the_stored_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    row = method_acceptance.Row(method="bsm", asks="a gap", place="bsm.json:figures.gap", least=0.5)
    for value, told in ((0.5, "met"), (0.49, "missed"), (None, "not measured")):
        monkeypatch.setattr(method_acceptance, "stored", lambda _, value=value: value)
        assert method_acceptance.status(row) == told
    monkeypatch.undo()
    assert method_acceptance.stored("bsm.json:figures.pairs.worst_mixed_gap") > 0
    assert method_acceptance.stored("bsm.json:figures.no.such.entry") is None
    assert method_acceptance.stored("nowhere.json:figures") is None
    within = method_acceptance.Row(method="mgssl", asks="a count", place="x", within=(1, 2))
    monkeypatch.setattr(method_acceptance, "stored", lambda _: 3)
    assert method_acceptance.status(within) == "missed"
    with pytest.raises(ValueError, match="one bound"):
        method_acceptance.Row(method="bsm", asks="two", place="x", least=1, most=2)
    with pytest.raises(ValueError, match="a reason why it was not measured"):
        method_acceptance.Row(method="bsm", asks="nothing")


def test_table_has_every_method_and_every_figure() -> None:
    rows = method_cards.rows()
    assert {one["method"] for one in rows} == set(registry.names())
    told = [(one["method"], one["figure"], one["ours"]) for one in rows if one["ours"] is not None]
    assert told == [
        (name, one.metric, one.value) for name in registry.names() for one in registry.card(name).figures
    ]
    assert all(one["seeds"] for one in rows if one["ours"] is not None)


def test_every_method_has_a_benchmark() -> None:
    assert set(registry.names()) <= set(run.names())


def test_options_go_to_the_benchmarks_that_take_them() -> None:
    given = {"device": "cpu", "scale": "cpu", "data": None, "zinc": "folder"}
    assert run.command("mgssl", given) == [
        *(sys.executable, "-m", "benchmarks.methods.mgssl"),
        *("--device", "cpu", "--scale", "cpu", "--zinc", "folder"),
    ]
    assert "--zinc" not in run.command("unimatch", given)
    with pytest.raises(LookupError, match="mgssl needs --zinc"):
        run.command("mgssl", {**given, "zinc": None})


def test_benchmarks_that_cannot_run_are_told_and_those_that_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        run, "command", lambda name, given: [sys.executable, "-c", f"raise SystemExit({name!r} == 'b')"]
    )
    assert run.run(["a", "b"], {}) == {"a": "done", "b": "failed with exit code 1"}
    monkeypatch.undo()
    assert run.run(["mgssl"], {}) == {"mgssl": "not run: mgssl needs --zinc"}
