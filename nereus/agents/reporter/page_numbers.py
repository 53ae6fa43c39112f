"""Reads the numbers of a report page back, for `nereus verify` and for any other checker.

A number is an element with ``data-evidence`` or ``data-source``; ``data-value`` is its full value, ``data-format`` how
the text was made of it. Without ``data-value`` the element's text itself is the value. Any digit outside such an
element must be part of a name (class ``name``, ``cite``, ``hash``), a drawing, a citation or the page's own machinery; one
that is not is *loose*.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

_CLOSED_BY_PARSER = frozenset({"meta", "link", "br", "hr", "img", "input"})
# Names, citations, drawings and code are no numbers of the run.
_EXEMPT_CLASSES = frozenset({"name", "cite"})
_EXEMPT_ELEMENTS = frozenset({"style", "script", "svg", "cite", "title", "head"})
_LOOSE = re.compile(r"(?<!\w)[^\W\d_]*\d[\w.,%]*")


@dataclass(frozen=True)
class PageNumber:
    """One number, name or text with a source."""

    source: str
    format: str
    value: str | None
    """``data-value``; None where the text is the value."""
    text: str


@dataclass
class PageContent:
    """What a page says, as far as it can be checked."""

    numbers: list[PageNumber] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    """Words with digits that nothing accounts for."""


def read_page(page: str) -> PageContent:
    """Collect the numbers of a page, and the digits that nothing accounts for."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.content


@dataclass
class _Element:
    tag: str
    exempt: bool
    source: str | None = None
    format: str = ""
    value: str | None = None
    text: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.content = PageContent()
        self._open: list[_Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _CLOSED_BY_PARSER:
            return
        attributes = {key: value or "" for key, value in attrs}
        classes = set(attributes.get("class", "").split())
        exempt = tag in _EXEMPT_ELEMENTS or bool(classes & _EXEMPT_CLASSES)
        source = attributes.get("data-evidence") or attributes.get("data-source")
        self._open.append(
            _Element(tag, exempt, source, attributes.get("data-format", ""), attributes.get("data-value"))
        )

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element without content holds no number."""

    def handle_endtag(self, tag: str) -> None:
        while self._open:
            element = self._open.pop()
            if element.source is not None:
                self.content.numbers.append(
                    PageNumber(element.source, element.format, element.value, "".join(element.text))
                )
            if element.tag == tag:
                return

    def handle_data(self, data: str) -> None:
        for element in self._open:
            if element.source is not None:
                element.text.append(data)
        if not any(element.exempt or element.source is not None for element in self._open):
            self.content.loose += [
                word[0].rstrip(".,") for word in _LOOSE.finditer(data) if not _is_name(word[0].rstrip(".,"))
            ]


def _is_name(word: str) -> bool:
    """Words of the field such as log2 or PC1, as opposed to numbers."""
    return word.lower() in ("log2", "h5ad") or bool(re.match(r"[^\W\d_]*[A-Z][^\W\d_]*\d[\w]*\Z", word))
