"""Makes a drawing safe to stand inside a page: only shapes and text, and ids of its own.

Figures hold names from data files, and several of them share a page. So a drawing is parsed, everything that is not
on a short list of drawing elements and attributes is dropped (scripts, handlers, links, foreign objects, styles,
external references), and every id gets a prefix. What remains is written out again by a serialiser, never pasted.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from markupsafe import Markup

from nereus.errors import ToolError

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_ELEMENTS = frozenset(
    (  # noqa: SIM905 - one word a line would say no more
        "svg g defs path line polyline polygon rect circle ellipse text tspan use clipPath mask "
        "linearGradient radialGradient stop pattern marker symbol title desc image"
    ).split()
)
_ATTRIBUTES = frozenset(
    (  # noqa: SIM905 - one word a line would say no more
        "id class x y x1 y1 x2 y2 cx cy r rx ry fx fy dx dy d points width height viewBox "
        "preserveAspectRatio transform style fill fill-opacity fill-rule stroke stroke-width "
        "stroke-opacity stroke-dasharray stroke-dashoffset stroke-linecap stroke-linejoin stroke-miterlimit "
        "opacity clip-path clip-rule mask offset stop-color stop-opacity gradientUnits gradientTransform "
        "spreadMethod patternUnits patternTransform patternContentUnits clipPathUnits maskUnits "
        "markerWidth markerHeight refX refY orient markerUnits marker-end marker-start marker-mid "
        "text-anchor dominant-baseline alignment-baseline font-family font-size font-weight font-style rotate "
        "textLength lengthAdjust href"
    ).split()
)
_URL = re.compile(r"url\(\s*['\"]?#([^)'\"\s]+)['\"]?\s*\)")
_UNSAFE_STYLE = re.compile(r"url\((?!#)|expression|javascript:|@import|[<>\\]", re.IGNORECASE)
_INLINE_IMAGE = re.compile(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/=\s]+\Z")
_DOCTYPE = re.compile(rb"<!DOCTYPE[^>\[]*(?:\[.*?\]\s*)?>", re.DOTALL)


def inline_svg(svg: bytes, prefix: str, label: str = "") -> Markup:
    """A drawing as an ``<svg>`` element for a page.

    Parameters
    ----------
    svg
        The drawing, as a tool made it.
    prefix
        Put before every id, so that two drawings on a page do not share one.
    label
        What it shows, for readers who do not see it.

    Raises
    ------
    ToolError
        When the drawing is no well-formed SVG, or declares entities.
    """
    bare = _DOCTYPE.sub(b"", svg)
    if b"<!ENTITY" in svg:
        raise ToolError("the drawing declares XML entities", where=prefix, mend="draw it with plain text")
    try:
        root = ElementTree.fromstring(bare)
    except ElementTree.ParseError as error:
        raise ToolError(f"the drawing is no well-formed SVG: {error}", where=prefix) from error
    if root.tag != f"{_SVG}svg":
        raise ToolError(f"the drawing is a {root.tag!r}", where=prefix)
    clean = _clean(root, prefix)
    assert clean is not None
    # What Matplotlib says in a style sheet, which would otherwise apply to the whole page.
    clean.set("style", "stroke-linejoin:round;stroke-linecap:butt")
    clean.set("xmlns", "http://www.w3.org/2000/svg")
    clean.set("role", "img")
    clean.set("aria-label", label)
    for fixed in ("width", "height"):
        clean.attrib.pop(fixed, None)
    if "viewBox" not in clean.attrib:
        width, height = (re.sub(r"[^\d.]", "", root.get(side, "")) or "100" for side in ("width", "height"))
        clean.set("viewBox", f"0 0 {width} {height}")
    return Markup(ElementTree.tostring(clean, encoding="unicode"))


def _clean(element: ElementTree.Element, prefix: str) -> ElementTree.Element | None:
    if not isinstance(element.tag, str) or not element.tag.startswith(_SVG):
        return None
    name = element.tag.removeprefix(_SVG)
    if name not in _ELEMENTS:
        return None
    copy = ElementTree.Element(name)
    for key, value in element.attrib.items():
        kept = _attribute(name, "href" if key == _HREF else key, value, prefix)
        if kept is not None:
            copy.set(kept[0], kept[1])
    copy.text = element.text
    for child in element:
        inner = _clean(child, prefix)
        if inner is not None:
            inner.tail = child.tail
            copy.append(inner)
    return copy


def _attribute(element: str, key: str, value: str, prefix: str) -> tuple[str, str] | None:
    if key not in _ATTRIBUTES or key == "class":
        return None
    if key == "id":
        return key, f"{prefix}-{value}"
    if key == "href":
        if value.startswith("#"):
            return key, f"#{prefix}-{value[1:]}"
        return (key, value) if element == "image" and _INLINE_IMAGE.match(value) else None
    if _UNSAFE_STYLE.search(_URL.sub("url(#", value)):
        return None
    return key, _URL.sub(lambda match: f"url(#{prefix}-{match[1]})", value)
