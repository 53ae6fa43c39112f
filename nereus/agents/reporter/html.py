"""``report.html``: the page (being built)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nereus.agents.reporter.render import known_names, render_html
from nereus.agents.reporter.sources import Sources


def render_report(sources: Sources, read_figure: Callable[[Any], bytes]) -> str:  # noqa: ARG001
    """The report as one self-contained page."""
    names = known_names(sources.record)
    items = "".join(f"<li>{render_html(h.statement, sources, names)}</li>" for h in sources.record.hypotheses)
    return f"<!doctype html><meta charset=utf-8><ol>{items}</ol>\n"
