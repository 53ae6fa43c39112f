"""What all figures share: the measure of a text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from nereus.tools.figures.style import text_size


def test_text_is_as_wide_as_its_outlines() -> None:
    """The farthest control point is on the outline in every glyph that a label may hold."""
    glyphs = [
        chr(code) for code in (*range(0x21, 0x7F), *range(0xA1, 0x180), *range(0x391, 0x3CA)) if code != 0xAD
    ]
    for bold in (False, True):
        font = FontProperties(family="DejaVu Sans", size=8, weight="bold" if bold else "normal")
        for text in [
            *map("".join, pairwise(glyphs)),
            "Regulation of glycolysis (GO:0006096)",
        ]:
            box = TextPath((0, 0), text.replace("$", "S"), prop=font).get_extents()
            assert text_size(text, 8, bold=bold)[0] == pytest.approx(box.x1 - min(box.x0, 0.0), abs=1e-9)
    assert text_size("  ", 8) == (0.0, 8)
