"""Two runs side by side: what went in, what was asked and done, and what was found."""

from __future__ import annotations

from nereus.agents.reporter.comparison.differences import Comparison, compare_records
from nereus.agents.reporter.comparison.page import comparison_html
from nereus.agents.reporter.comparison.text import comparison_text

__all__ = ["Comparison", "compare_records", "comparison_html", "comparison_text"]
