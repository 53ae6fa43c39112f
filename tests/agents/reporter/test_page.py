"""The page: every number with a source, nothing from data that is not text, nothing from the network."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nereus.agents.reporter import write_bundle
from nereus.agents.reporter.card import card_html
from nereus.agents.reporter.html import render_report
from nereus.agents.reporter.page_numbers import read_page
from nereus.agents.reporter.sources import Sources
from nereus.agents.reporter.svg import inline_svg
from nereus.errors import ToolError
from nereus.memory.records import RunRecord
from tests.agents.reporter.conftest import HOSTILE, ToyRun


class Elements(HTMLParser):
    """All elements of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, {k: v or "" for k, v in attrs}))


def page_of(run: ToyRun) -> str:
    return render_report(Sources(run.record, run.artifacts.table), run.artifacts.figure)


@pytest.fixture(scope="module")
def real_page(real_report: Path) -> str:
    return (real_report / "report.html").read_text(encoding="utf-8")


def test_every_number_has_a_source_that_gives_it(toy_run):
    sources = Sources(toy_run.record, toy_run.artifacts.table)
    content = read_page(page_of(toy_run))
    assert content.loose == []
    assert len(content.numbers) > 60
    for number in content.numbers:
        assert sources.value(number.source) is not None, number


def test_no_digit_without_a_source_on_a_real_page(real_page):
    content = read_page(real_page)
    assert content.loose == []
    assert {n.source.partition(":")[0] for n in content.numbers} >= {
        "E1",
        "value",
        "cell",
        "count",
        "param",
        "summary",
    }


def test_a_typed_number_is_marked_for_all_to_see(toy_run):
    record = toy_run.record.model_copy(update={"notices": ("About 40 proteins were lost.",)})
    page = page_of(ToyRun(record, toy_run.artifacts))
    assert '<mark class="unsourced" title="no reference">40</mark>' in page
    assert read_page(page).loose == ["40"]


@pytest.mark.parametrize("which", ["toy", "real"])
def test_self_contained_and_well_linked(which, toy_run, real_page):
    page = page_of(toy_run) if which == "toy" else real_page
    elements = Elements(page).found
    ids = [a["id"] for _, a in elements if "id" in a]
    assert len(ids) == len(set(ids)), "ids are unique, figures included"
    for tag, attributes in elements:
        assert tag not in ("iframe", "object", "embed", "link", "base", "form", "foreignobject")
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            target = attributes.get(name, "")
            assert not re.match(r"(?i)\s*(https?:|//|javascript:|file:)", target), (tag, target)
            if target.startswith("#") and tag == "a":
                assert target[1:] in ids, f"{target} leads nowhere"
            if target.startswith("data:"):
                assert target.startswith("data:image/png;base64,")
    assert page.count("<script") == 1


def test_links_to_files_lead_to_files(real_report, real_page):
    links = {
        a["href"] for tag, a in Elements(real_page).found if tag == "a" and not a["href"].startswith("#")
    }
    assert len(links) > 10
    for link in links:
        assert (real_report / link).is_file(), link


def test_only_our_script_may_run(toy_run):
    page = page_of(toy_run)
    script = re.search(r"<script>(.*)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert "default-src 'none'" in page


XSS = [
    HOSTILE,
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<svg/onload=alert(1)>",
    "javascript:alert(1)",
    "{{7*7}}{% for x in y %}",
    "<!--",
    "]]><script>alert(1)</script>",
    "&lt;script&gt;",
    "\u2028alert(1)",
]


@pytest.mark.parametrize("text", XSS)
def test_text_from_data_stays_text(hostile_run, text):
    """Put a hostile text wherever a name from data can stand, and look for elements that it made."""
    plain = page_of(hostile_run)
    dumped = hostile_run.record.model_dump_json()
    # Through the JSON of the record: every statement, name, question, notice and parameter at once.
    escaped = dumped.replace("{{", "\x00")
    swapped = escaped.replace(_in_json(HOSTILE), _in_json(text)).replace("\x00", "{{")
    record = RunRecord.model_validate_json(swapped)
    page = page_of(ToyRun(record, hostile_run.artifacts))
    before, after = ([tag for tag, _ in Elements(one).found] for one in (plain, page))
    assert after.count("script") == 1
    assert after.count("img") == 0
    assert set(after) == set(before)
    attributes = {name for _, a in Elements(page).found for name in a}
    assert not [name for name in attributes if name.startswith("on")]
    assert "<script>alert" not in page.replace(text, "") or text not in page


def _in_json(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)[1:-1]


def test_hostile_names_in_a_whole_report(hostile_run, tmp_path):
    folder = write_bundle(hostile_run.record, hostile_run.artifacts, tmp_path / "out")
    page = (folder / "report.html").read_text()
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert") > 5
    assert [p.name for p in (folder / "inputs").iterdir()] == ["table _b_.csv"]
    notebook = (folder / "analysis.ipynb").read_text()
    assert "<script>" not in notebook.split('"source"')[1]


def test_two_drawings_do_not_share_ids():
    svg = b"""<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9pt" height="5pt">
    <defs><clipPath id="a"><rect width="1" height="1"/></clipPath></defs>
    <g clip-path="url(#a)" style="fill: url('#a')"><use xlink:href="#a"/></g></svg>"""
    one, two = inline_svg(svg, "f1"), inline_svg(svg, "f2")
    assert 'id="f1-a"' in one
    assert "url(#f1-a)" in one
    assert 'href="#f2-a"' in two
    assert "f1-" not in two
    assert 'viewBox="0 0 9 5"' in one


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        '<g onclick="alert(1)"/>',
        '<a href="javascript:alert(1)"><text>x</text></a>',
        '<foreignObject><body xmlns="http://www.w3.org/1999/xhtml">x</body></foreignObject>',
        '<image href="http://example.org/x.png"/>',
        '<use href="http://example.org/x.svg#a"/>',
        '<rect style="fill: url(http://example.org/x)"/>',
        "<style>* { background: url(http://example.org/x) }</style>",
        '<animate attributeName="href" values="javascript:alert(1)"/>',
        '<image href="data:image/svg+xml;base64,PHN2Zy8+"/>',
        '<iframe xmlns="http://www.w3.org/1999/xhtml" src="x"/>',
    ],
)
def test_drawings_are_stripped_of_everything_that_acts(inside):
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1">{inside}<text>kept &lt;b&gt;</text></svg>'
    )
    clean = inline_svg(svg.encode(), "f1")
    for word in (
        "script",
        "onclick",
        "javascript",
        "foreignObject",
        "example.org",
        "animate",
        "svg+xml",
        "iframe",
    ):
        assert word not in clean
    assert "kept &lt;b&gt;" in clean


@pytest.mark.parametrize(
    "svg",
    [
        b"<svg",
        b"<html/>",
        b'<!DOCTYPE svg [<!ENTITY a "b">]><svg xmlns="http://www.w3.org/2000/svg">&a;</svg>',
    ],
)
def test_what_is_no_drawing_is_refused(svg):
    with pytest.raises(ToolError):
        inline_svg(svg, "f1")


def test_a_run_that_found_nothing_still_has_a_page(toy_run):
    record = toy_run.record.model_copy(
        update={
            "hypotheses": (),
            "objectives": (),
            "workflows": (),
            "calls": {},
            "evidence": {},
            "outputs": {},
            "decisions": (),
        }
    )
    page = page_of(ToyRun(record, toy_run.artifacts))
    assert "No hypothesis holds up" in page
    assert read_page(page).loose == []


def test_a_stopped_run_says_so_first(toy_run):
    header = toy_run.record.header.model_copy(
        update={"status": "stopped", "stop_reason": "The budget of steps is used up."}
    )
    page = page_of(ToyRun(toy_run.record.model_copy(update={"header": header}), toy_run.artifacts))
    assert page.index("The budget of steps is used up") < page.index('id="findings"')


def test_card_for_a_notebook(toy_run, hostile_run):
    assert "SOD1" in card_html(toy_run.record)
    assert "<script" not in card_html(hostile_run.record)
