"""A card as text for people: what `nereus methods show` prints, and what a page of the documentation is made of."""

from __future__ import annotations

from textwrap import indent, wrap

from nereus.models.card import Card, Column
from nereus.models.config import Config

_WIDTH = 110


def card_text(card: Card, config: type[Config]) -> str:
    """The card, and the fields of the method's configuration with their defaults."""
    paper = card.paper
    parts = [
        f"{card.title} ({card.name})",
        f"{paper.title}. {paper.venue} {paper.year}, {paper.link}.",
        _block("For", card.purpose),
        _block("Status", card.status.value),
        _block("The paper says", paper.headline),
        *(
            _block("We measured", f"{one.metric} {one.value} on {one.data}; {one.baseline} ({one.result})")
            for one in card.figures
        ),
        "Takes\n" + "\n".join(_column(one) for one in card.inputs),
        "Gives\n" + "\n".join(_column(one) for one in card.outputs),
        _block("Can", ", ".join(card.verbs)),
        "Components\n" + "\n".join(f"  {one.name} [{one.origin}; {one.place}]" for one in card.components),
        "Limits\n" + "\n".join(indent("\n".join(wrap(one, _WIDTH)), "  ") for one in card.limits),
        "Licences\n" + "\n".join(f"  {one}" for one in card.licences),
        "Settings\n" + "\n".join(_fields(config, "")),
    ]
    return "\n\n".join(parts)


def _block(title: str, text: str) -> str:
    return f"{title}\n" + indent("\n".join(wrap(text, _WIDTH)), "  ")


def _column(one: Column) -> str:
    marks = ", ".join(mark for mark, so in (("optional", not one.required), ("several", one.many)) if so)
    return f"  {one.name} ({one.kind}{', ' + marks if marks else ''}): {one.about}"


def _fields(config: type[Config] | type, prefix: str) -> list[str]:
    lines = []
    for name, field in config.model_fields.items():  # type: ignore[union-attr]
        default = field.get_default(call_default_factory=True)
        if hasattr(default, "model_fields_set"):
            lines += _values(default, f"{prefix}{name}.")
        else:
            lines.append(f"  {prefix}{name} = {default!r}: {_one_line(field.description)}")
    return lines


def _values(part: object, prefix: str) -> list[str]:
    fields = type(part).model_fields  # type: ignore[attr-defined]
    return [
        f"  {prefix}{name} = {getattr(part, name)!r}: {_one_line(field.description)}"
        for name, field in fields.items()
    ]


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())
