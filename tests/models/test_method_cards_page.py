"""The page of cards is what the cards say, and `benchmarks.run` knows how each benchmark is asked."""

from __future__ import annotations

import sys

import pytest

from benchmarks import method_cards, run
from nereus.models import registry


def test_page_is_made_from_the_cards() -> None:
    assert method_cards.PAGE.read_text(encoding="utf-8") == method_cards.page(), (
        "cards or results have changed: run `python -m benchmarks.run`"
    )


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
