"""The page of a report: each number with its source, and the page as a whole."""

from __future__ import annotations

import re

from nereus.agents.reporter.cells import equal_texts
from nereus.agents.reporter.formats import format_value
from nereus.agents.reporter.html import render_report
from nereus.agents.reporter.page_numbers import PageNumber, read_page
from nereus.agents.reporter.render import exact
from nereus.agents.reporter.verify.execution import Recomputed
from nereus.agents.reporter.verify.verification import TOLERANCE, Verification, attempt, first_line
from nereus.errors import NereusError

_NUMBER = re.compile(
    r'<a (class="num" data-(?:evidence|source)="[^"]*" data-format="[^"]*") data-value="[^"]*" href="[^"]*">[^<]*</a>'
)
_DRAWING = re.compile(r'<div class="paper"><svg.*')


def check_page(page: str, recomputed: Recomputed, found: Verification) -> None:
    """Compare every number of the page, and the page as a whole."""
    sources = recomputed.sources
    content = read_page(page)
    before = len(found.differences)
    for number in content.numbers:
        now = attempt(lambda one=number: sources.value(one.source))  # type: ignore[misc]
        found.count(*_page_number(number, now))
    for loose in content.loose:
        found.count(False, f"report.html: {loose!r} stands on the page without a source")
    try:
        rendered = render_report(sources, recomputed.figure)
    except NereusError as error:
        found.count(False, f"report.html: {first_line(error)}")
        return
    stored, fresh = (_comparable(text, recomputed.draws_alike()) for text in (page, rendered))
    same = stored == fresh
    if same or len(found.differences) == before:
        found.count(same, "report.html: " + _first_difference(stored, fresh))


def _page_number(number: PageNumber, now: object) -> tuple[bool, str]:
    where = f"report.html, {number.source}"
    if isinstance(now, NereusError):
        return False, f"{where}: {first_line(now)}"
    if number.value is None:  # a text or a name
        stored, expected = number.text, exact(now) if not isinstance(now, str) else now  # type: ignore[arg-type]
        return stored == expected, f"{where}: the page says {stored!r}, recomputed {expected!r}"
    value = now if isinstance(now, bool | int | float | str) else None
    shown = attempt(lambda: format_value(value, number.format, typographic=True))
    if not equal_texts(number.value, exact(value), TOLERANCE):
        return False, f"{where}: the page holds {number.value}, recomputed {exact(value)}"
    same = (
        equal_texts(number.text, str(shown), TOLERANCE) if number.format == "exact" else number.text == shown
    )
    return same, f"{where}: the page says {number.text!r}, recomputed {shown!r}"


def _comparable(page: str, drawings: bool) -> list[str]:
    """The page's lines without its numbers, which are compared by themselves and may differ in their last bit.

    Drawings are left out, too, where another version of the drawing library makes them differ.
    """
    lines = _NUMBER.sub(r"<a \1></a>", page).splitlines()
    return lines if drawings else [_DRAWING.sub("<div>drawing</div>", line) for line in lines]


def _first_difference(page: list[str], rendered: list[str]) -> str:
    for number, (a, b) in enumerate(zip(page, rendered, strict=False), start=1):
        if a != b:
            start = next(
                (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
            )
            return f"line {number} is not what this record renders: {a[max(0, start - 30) : start + 60]!r}"
    return "the page is not what this record renders: it is cut short or goes on"
