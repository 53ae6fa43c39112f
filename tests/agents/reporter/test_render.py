"""References become numbers; a number without a reference is refused."""

from __future__ import annotations

import pytest

from nereus.agents.reporter.formats import format_value
from nereus.agents.reporter.render import (
    known_names,
    render_html,
    render_strict,
    render_text,
    uncovered_numbers,
)
from nereus.agents.reporter.sources import Sources
from nereus.errors import UnresolvedNumber


@pytest.fixture
def sources(toy_run):
    return Sources(toy_run.record, toy_run.artifacts.table)


@pytest.mark.parametrize(
    ("value", "spec", "plain", "typographic"),
    [
        (1.23456, ".2f", "1.23", "1.23"),
        (-1.23456, "+.1f", "-1.2", "−1.2"),
        (3.4e-8, "p", "3.4e-08", "3.4 × 10⁻⁸"),
        (0.0312, "p", "0.031", "0.031"),
        (0.0, "p", "<1e-300", "<10⁻³⁰⁰"),
        (1.0, "p", "1", "1"),
        (1542, "", "1,542", "1,542"),
        (0.98, ".0%", "98%", "98%"),
        (2.0, "fold", "4", "4"),
        (None, ".2f", "not available", "not available"),
        ("MaxQuant", ".2f", "MaxQuant", "MaxQuant"),
        (True, "", "yes", "yes"),
        (-0.0001, ".2f", "0.00", "0.00"),
        (1.5e6, "", "1.5e+06", "1.5 × 10⁶"),
    ],
)
def test_formats(value, spec, plain, typographic):
    assert format_value(value, spec) == plain
    assert format_value(value, spec, typographic=True) == typographic


@pytest.mark.parametrize("spec", ["s", "10d", "{x}", "!r", ".999f"])
def test_unknown_formats_are_refused(spec):
    with pytest.raises(UnresolvedNumber, match="format"):
        format_value(1.0, spec)


@pytest.mark.parametrize(
    "template",
    ["{{E99}}", "{{O9.W9.S9.n}}", "{{cell:O1.W1.S2/differential/NOBODY/q}}", "{{E5|ci}}", "{{}}x1"],
)
def test_references_to_nothing_are_refused(sources, template):
    with pytest.raises(UnresolvedNumber):
        render_strict(template, sources)


def test_every_kind_of_path(sources):
    text = (
        "{{value:O1.W1.S2/n_tested}} {{O1.W1.S2.n_tested}} "
        "{{cell:O1.W1.S2/differential/P1%3BP2/n_a}} {{rows:O1.W1.S2/differential}} "
        "{{param:O1.W1.S2/factor}} {{count:hypotheses.refuted}} "
        "{{field:budget/run/steps}} {{field:hypothesis/H1/confidence|.2f}} "
        "{{summary:O1.W1.S2}}"
    )
    assert render_strict(text, sources) == "4 4 3 4 group 1 60 0.93 Tested 4 features."


@pytest.mark.parametrize(
    ("text", "loose"),
    [
        ("SOD1 and Q5HYN5 are higher, log2 scale, PC1, mTORC1", []),
        ("SOD1 is 2.4 times higher", ["2.4"]),
        ("about 50% of 12 samples", ["50%", "12"]),
        ("p53 and n12", ["p53", "n12"]),
        ("AD2.5 is no gene", ["AD2.5"]),
        ("half, ½, or x²", ["½", "x²"]),
        ("{{E1|.2f}} and {{E2}}", []),
        ("{{E1}}5", ["5"]),
        ("-3,000 rows", ["3,000"]),
        ("१२ rows", ["१२"]),
    ],
)
def test_loose_numbers(text, loose):
    assert uncovered_numbers(text) == loose


def test_names_cover_their_digits():
    assert uncovered_numbers("14-3-3 zeta in stage 2 vs stage 1", ["14-3-3 zeta", "stage 2 vs stage 1"]) == []
    assert uncovered_numbers("stage 22", ["stage 2"]) == ["22"], "a name does not cover part of a longer word"
    assert uncovered_numbers("falls with E15 ({{E15|+.2f}})", ["E15"]) == [], (
        "a group may be called as evidence is"
    )


def test_a_name_in_braces_is_a_name_and_other_braces_are_refused(sources):
    assert render_strict("{{7*7}} is a gene", sources, ["{{7*7}}"]) == "{{7*7}} is a gene"
    with pytest.raises(UnresolvedNumber, match="is no reference"):
        render_strict("{{effect}} is higher", sources)


def test_strict_names_the_number(sources, toy_run):
    with pytest.raises(UnresolvedNumber, match="'7'"):
        render_strict("SOD1 rises in 7 samples", sources, known_names(toy_run.record))


def test_html_wraps_numbers_and_escapes_the_rest(sources):
    html = render_html("<b>{{E1|.2f}}</b> & 7", sources)
    value = sources.value("E1")
    attributes = f'data-evidence="E1" data-format=".2f" data-value="{value!r}" href="#E1"'
    assert f'<a class="num" {attributes}>{value:.2f}</a>' in html
    assert html.startswith("&lt;b&gt;")
    assert '<mark class="unsourced" title="no reference">7</mark>' in html
    assert render_text("{{E1|.2f}}", sources) == f"{value:.2f}"


def test_html_of_a_hostile_value_is_text(hostile_run):
    sources = Sources(hostile_run.record, hostile_run.artifacts.table)
    html = render_html(hostile_run.record.hypotheses[1].statement, sources)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
