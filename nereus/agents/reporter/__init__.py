"""What comes out of a run: report, notebook, hypotheses, claims, tables, figures; and how to verify them."""

from nereus.agents.reporter.bundle import is_report, refuse_foreign_folder, write_bundle
from nereus.agents.reporter.render import known_names, render_strict, render_text, uncovered_numbers
from nereus.agents.reporter.sources import Sources

__all__ = [
    "Sources",
    "is_report",
    "known_names",
    "refuse_foreign_folder",
    "render_strict",
    "render_text",
    "uncovered_numbers",
    "write_bundle",
]
