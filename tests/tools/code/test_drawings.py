"""Drawings that come out of the sandbox: every plain plot passes, and nothing that could be alive in a browser does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from nereus.tools.base import Result
from nereus.tools.code import drawing_check
from nereus.tools.code.drawing_check import fault
from nereus.tools.code.inside import drawn

SVG = 'xmlns="http://www.w3.org/2000/svg"'
BOMB = "".join(f'<g id="b{i + 1}"><use href="#b{i}"/><use href="#b{i}"/></g>' for i in range(30))
FILLS = "".join(f'<pattern id="b{i + 1}"><rect fill="url(#b{i})"/></pattern>' for i in range(30))


@pytest.mark.parametrize(
    "svg",
    [
        f"<svg {SVG}><script>1</script></svg>",
        f'<?xml-stylesheet type="text/xsl" href="http://x/y.xsl"?><svg {SVG}/>',
        f'<!DOCTYPE svg SYSTEM "http://x/y.dtd"><svg {SVG}/>',
        f'<!DOCTYPE svg [<!ENTITY a "b">]><svg {SVG}>&a;</svg>',
        f'<?xml version="1.0" encoding="utf-7"?><svg {SVG}/>',
        f'<svg {SVG}><metadata><h:script xmlns:h="http://www.w3.org/1999/xhtml">1</h:script></metadata></svg>',
        f'<svg {SVG}><metadata><img xmlns="urn:x" src="x" onerror="1"/></metadata></svg>',
        f'<svg {SVG}><metadata><img xmlns="http://purl.org/dc/elements/1.1/" src="x"/></metadata></svg>',
        f'<svg {SVG}><metadata onload="1"/></svg>',
        f"<svg {SVG}><!--><img src=x onerror=alert(1)>--></svg>",
        f"<svg {SVG}><title><![CDATA[><img src=x onerror=alert(1)>]]></title></svg>",
        f"<svg {SVG} style=\"background-image:image-set('http://x' 1x)\"/>",
        f"<svg {SVG} style=\"background-image:image-set('x' 1x)\"/>",
        f'<svg {SVG}><rect fill="url(http://x)"/></svg>',
        f'<svg {SVG}><rect fill="url( http://x)"/></svg>',
        f"<svg {SVG}><style>@import 'x'</style></svg>",
        f"<svg {SVG}><style>* {{fill: url(#a)}}</style></svg>",
        f'<svg {SVG}><image href="http://x/y.png"/></svg>',
        f'<svg {SVG}><image href="data:image/svg+xml;base64,PHN2Zy8+"/></svg>',
        f'<svg {SVG} onload="1"/>',
        f"<svg {SVG}><foreignObject/></svg>",
        f'<svg {SVG}><g xmlns="http://www.w3.org/1999/xhtml"/></svg>',
        f'<svg {SVG}><path id="b0"/>{BOMB}<use href="#b30"/></svg>',
        f'<svg {SVG}><rect id="b0"/>{FILLS}<rect fill="url(#b30)"/></svg>',
        "<svg/>",
        f"<svg {SVG}>",
        "",
    ],
)
def test_what_is_more_than_a_drawing_is_refused(svg: str) -> None:
    assert fault(svg)


def test_one_of_too_many_parts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing_check, "MOST_PARTS", 10)
    assert "parts" in fault(f"<svg {SVG}>{'<g/>' * 20}</svg>")


X, Y, R = np.arange(10.0), np.random.default_rng(0).random(10), np.random.default_rng(1).random((9, 9))
PLOTS: dict[str, Callable[[], Any]] = {
    "line": lambda: (plt.plot(X, Y, "o-", label='<a> & "b"--'), plt.legend()),
    "scatter": lambda: (plt.scatter(X, Y, c=Y), plt.colorbar()),
    "bars": lambda: plt.bar(["a", "b"], [1, 2], hatch="//"),
    "distributions": lambda: (plt.hist(Y), plt.boxplot([Y, Y]), plt.violinplot([Y, Y])),
    "image": lambda: plt.imshow(R),
    "mesh and contours": lambda: (plt.pcolormesh(R), plt.contourf(R), plt.contour(R)),
    "errors": lambda: (plt.errorbar(X, Y, Y), plt.fill_between(X, Y), plt.stem(X, Y)),
    "pie": lambda: plt.pie([1, 2], labels=["a", "b"]),
    "polar": lambda: plt.polar(X, Y),
    "dates": lambda: plt.plot(pd.date_range("2020-01-01", periods=10), Y),
    "categories": lambda: plt.plot(["a", "b"], [1, 2]),
    "hexagons": lambda: plt.hexbin(X, Y, gridsize=5),
    "arrows": lambda: (plt.quiver(X, Y, X, Y), plt.annotate("p", (1, 1), (2, 2), arrowprops={})),
    "formula": lambda: plt.title(r"$\alpha^2$ < 3"),
    "links": lambda: plt.plot(X, Y)[0].set_url("http://x"),
    "gradients": lambda: plt.tripcolor(X, Y[::-1], Y, shading="gouraud"),
    "raster": lambda: plt.scatter(X, Y, rasterized=True),
}


@pytest.mark.parametrize("name", PLOTS)
def test_plain_plots_pass(name: str) -> None:
    plt.close("all")
    PLOTS[name]()
    (made,) = drawn.figures()
    assert fault(made["svg"]) == ""
    assert "http://x" not in made["svg"]


def test_a_drawing_that_is_too_large_comes_as_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn, "_LARGEST", 100)
    plt.close("all")
    plt.plot(X, Y)
    (made,) = drawn.figures()
    assert "data:image/png" in made["svg"]
    assert fault(made["svg"]) == ""


def test_dates_have_points() -> None:
    plt.close("all")
    PLOTS["dates"]()
    (made,) = drawn.figures()
    assert made["points"]["n_rows"] == 10


def test_a_notebook_shows_a_summary_as_text() -> None:
    shown = Result(summary="<img src=x onerror=alert(1)>")._repr_html_()
    assert "<img" not in shown
