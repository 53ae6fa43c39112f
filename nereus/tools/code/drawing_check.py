"""Is a drawing that came out of a sandbox only a drawing? One that could do anything when it is opened is refused."""

from __future__ import annotations

import re
from xml.etree import ElementTree

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = ("href", "{http://www.w3.org/1999/xlink}href")
_ELEMENTS = frozenset(
    (  # noqa: SIM905 - one word a line would say no more
        "svg g defs path line polyline polygon rect circle ellipse text tspan use clipPath mask style title desc "
        "linearGradient radialGradient stop pattern marker symbol image metadata"
    ).split()
)
_IMAGE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=\s]+\Z")
_UNSAFE = re.compile(r"url\(\s*['\"]?(?!#)|expression|script:|@import|@font-face|\\", re.IGNORECASE)


def fault(svg: str) -> str:
    """Why a drawing is refused; an empty text for a plain one.

    Parameters
    ----------
    svg
        The drawing, as anybody may have written it.
    """
    if "<!ENTITY" in svg.upper() or svg.count("<!") - svg.count("<!--") > 1 or svg.count("<?") > 1:
        return "it declares more than a drawing"
    try:
        root = ElementTree.fromstring(svg)
    except (ElementTree.ParseError, ValueError, RecursionError):
        return "it is no well-formed SVG"
    if root.tag != f"{_SVG}svg":
        return "it is no SVG"
    inert: set[ElementTree.Element] = set()
    for element in root.iter():
        if element in inert:
            continue
        if not isinstance(element.tag, str) or element.tag.removeprefix(_SVG) not in _ELEMENTS:
            return "it holds an element that is no part of a drawing"
        if element.tag == f"{_SVG}metadata":  # said of the drawing, and not drawn
            if any(
                not str(one.tag).startswith("{") or str(one.tag).startswith(_SVG)
                for one in element.iter()
                if one is not element
            ):
                return "its metadata hold elements of a drawing"
            inert |= set(element.iter())
            continue
        for name, value in element.attrib.items():
            if name.rpartition("}")[2].lower().startswith("on"):
                return "it holds a handler of events"
            if name in _HREF:
                if not (value.startswith("#") or (element.tag == f"{_SVG}image" and _IMAGE.match(value))):
                    return "it refers to something outside"
            elif _UNSAFE.search(value):
                return "a style refers to something outside"
        if element.tag == f"{_SVG}style" and _UNSAFE.search(element.text or ""):
            return "a style refers to something outside"
    return ""
