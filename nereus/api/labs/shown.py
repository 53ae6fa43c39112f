"""How lists and things look in a notebook: small tables of HTML, with every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from markupsafe import Markup
from pydantic import BaseModel

T = TypeVar("T", bound=BaseModel)

_SHOWN = 50
_LONGEST = 160


class Listing(list[T]):
    """A list that a notebook shows as a table.

    Parameters
    ----------
    items
        Its content.
    columns
        Fields that are shown.
    title
        What they are.
    """

    def __init__(self, items: Iterable[T], columns: Sequence[str], title: str) -> None:
        super().__init__(items)
        self._columns = tuple(columns)
        self._title = title

    def _repr_html_(self) -> str:
        head = Markup("").join(Markup("<th>{}</th>").format(name) for name in self._columns)
        rows = Markup("").join(
            Markup("<tr>{}</tr>").format(
                Markup("").join(
                    Markup("<td style='text-align:left'>{}</td>").format(_text(getattr(one, name, "")))
                    for name in self._columns
                )
            )
            for one in self[:_SHOWN]
        )
        more = Markup("<p>and {} more</p>").format(len(self) - _SHOWN) if len(self) > _SHOWN else ""
        return str(
            Markup("<p>{} {}</p><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>{}").format(
                len(self), self._title, head, rows, more
            )
        )


def card(title: str, fields: Mapping[str, Any]) -> str:
    """A thing as HTML: its title, and what is told of it."""
    rows = Markup("").join(
        Markup("<tr><th style='text-align:left'>{}</th><td style='text-align:left'>{}</td></tr>").format(
            name, _text(value)
        )
        for name, value in fields.items()
        if value not in (None, "", {}, [])
    )
    return str(
        Markup(
            "<div style='border:1px solid #8884;border-radius:10px;padding:12px 16px;max-width:760px'>"
            "<h3 style='margin:.2em 0 .5em'>{}</h3><table>{}</table></div>"
        ).format(title, rows)
    )


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        value = ", ".join(f"{name}: {_text(one)}" for name, one in value.items())
    elif isinstance(value, list | tuple):
        value = ", ".join(_text(one) for one in value)
    elif isinstance(value, float):
        value = f"{value:.4g}"
    text = "" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
