"""Is a drawing that came out of a sandbox only a drawing? One that could do anything when it is opened is refused.

It may be opened as a file, or stand within a page: a text that reads as a harmless drawing by the rules of XML must not read
as something else by those of HTML. So what surrounds the drawing is a fixed text, and a comment holds no bracket.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = ("href", "{http://www.w3.org/1999/xlink}href")
_ELEMENTS = frozenset(
    (  # noqa: SIM905 - one word a line would say no more
        "svg g defs path line polyline polygon rect circle ellipse text tspan use clipPath mask style title desc "
        "linearGradient radialGradient stop pattern marker symbol image metadata"
    ).split()
)
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_CC, _DC = "{http://creativecommons.org/ns#}", "{http://purl.org/dc/elements/1.1/}"
# What matplotlib says of a drawing, and nothing else: an element of another name may be alive in a page.
_SAID = frozenset({f"{_RDF}RDF", f"{_CC}Work", f"{_CC}Agent"}) | frozenset(
    f"{_DC}{name}"
    for name in (
        *("type", "date", "format", "creator", "title", "contributor", "coverage", "description"),
        *("identifier", "language", "publisher", "relation", "rights", "source", "subject"),
    )
)
_SAID_OF = frozenset({f"{_RDF}resource", f"{_RDF}about"})
_START = re.compile(
    r'\s*(?:<\?xml version="1\.0" encoding="utf-8"(?: standalone="no")?\?>\s*)?'
    r'(?:<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1\.1//EN"\s+'
    r'"http://www\.w3\.org/Graphics/SVG/1\.1/DTD/svg11\.dtd">\s*)?(?=<svg[\s>/])'
)
_COMMENT = re.compile(r"<!-- [^<>]*-->")
_IMAGE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=\s]+\Z")
_UNSAFE = re.compile(
    r"url\(\s*(?!\s|#[\w.-]+\s*\))|expression|script:|[\\@]|//|/\*|(?:set|src|image|fade|element|import)\s*\(",
    re.IGNORECASE,
)
_TARGET = re.compile(r"url\(\s*#([\w.-]+)")
MOST_PARTS = 1_000_000
"""Elements of a drawing, ends and comments counted, too: more would fill the memory of who reads it."""


def fault(svg: str) -> str:
    """Why a drawing is refused; an empty text for a plain one.

    Parameters
    ----------
    svg
        The drawing, as anybody may have written it.
    """
    start = _START.match(svg)
    rest = _COMMENT.sub("", svg[start.end() :]) if start else "<!"
    if "<!" in rest or "<?" in rest:
        return "it declares more than a drawing"
    if svg.count("<") > MOST_PARTS:
        return f"it has more than {MOST_PARTS} parts"
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
        if not isinstance(element.tag, str) or not element.tag.startswith(_SVG):
            return "it holds an element that is no part of a drawing"
        if element.tag.removeprefix(_SVG) not in _ELEMENTS:
            return "it holds an element that is no part of a drawing"
        if element.tag == f"{_SVG}metadata":  # said of the drawing, and not drawn
            said = [one for one in element.iter() if one is not element]
            if any(one.tag not in _SAID or not set(one.attrib) <= _SAID_OF for one in said):
                return "its metadata hold more than is said of a drawing"
            inert |= set(said)
        if why := _fault_of(element):
            return why
    return "it refers to what refers again" if _refers_again(root) else ""


def _fault_of(element: ElementTree.Element) -> str:
    for name, value in element.attrib.items():
        if name.rpartition("}")[2].lower().startswith("on"):
            return "it holds a handler of events"
        if name in _HREF:
            if not (value.startswith("#") or (element.tag == f"{_SVG}image" and _IMAGE.match(value))):
                return "it refers to something outside"
        elif _UNSAFE.search(value):
            return "a style refers to something outside"
    style = element.text or "" if element.tag == f"{_SVG}style" else ""
    return "a style refers to something outside" if _UNSAFE.search(style) or "url(" in style.lower() else ""


def _refers_again(root: ElementTree.Element) -> bool:
    """Whether something that is drawn by reference holds a reference: thirty such steps would draw a billion paths."""
    above = {child: parent for parent in root.iter() for child in parent}
    targets: set[str] = set()
    referring: set[ElementTree.Element] = set()
    for element in root.iter():
        found = set(_targets(element))
        targets |= found
        one: ElementTree.Element | None = element if found else None
        while one is not None and one not in referring:
            referring.add(one)
            one = above.get(one)
    return any(one.get("id") in targets for one in referring)


def _targets(element: ElementTree.Element) -> Iterator[str]:
    for name, value in element.attrib.items():
        if name in _HREF:
            yield value.removeprefix("#")
        else:
            yield from _TARGET.findall(value)
