"""Numbers that may be said in a thread: each was read from a record by our code and has an id to cite it by.

Nobody who writes an answer, rule or language model, types a number. Texts hold references such as ``{{c7}}`` or
``{{c7|.2f}}``, which are filled in from here; a digit that neither a reference nor a known name covers is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from nereus.agents.reporter.formats import format_value
from nereus.agents.reporter.render import interval_sources, uncovered_numbers
from nereus.agents.reporter.sources import Sources
from nereus.errors import UnresolvedNumber, on_one_line
from nereus.memory.records import Record, Scalar, ToolCall

REFERENCE = re.compile(r"\{\{\s*(c\d+)\s*(?:\|([^{}|]*))?\}\}")
_OF_RUN = re.compile(r"\{\{\s*([^{}|]+?)\s*(?:\|([^{}|]*))?\}\}")
OMITTED = "[number without evidence]"
_DIGITS = re.compile(r"\d")


class Cited(Record):
    """A number that may be said."""

    run_id: str = ""
    """The run that it is read from; empty where it belongs to none."""
    id: str
    """Evidence id, or another source path of `nereus.agents.reporter.sources`, or ``call:<key>/<name>``."""
    label: str
    value: Scalar
    row: str = ""
    """Row of the table that it stands in: the protein that it is about; empty where it is about no single one."""


class Book:
    """The numbers of one thread.

    Parameters
    ----------
    entries
        What was cited before, as the graph's state keeps it.
    """

    def __init__(self, entries: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._entries = {name: Cited.model_validate(one) for name, one in (entries or {}).items()}
        self._names = {(one.run_id, one.id): name for name, one in self._entries.items()}

    def entries(self) -> dict[str, dict[str, Any]]:
        """What is cited, as JSON."""
        return {name: one.model_dump(mode="json") for name, one in self._entries.items()}

    def __getitem__(self, name: str) -> Cited:
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    # ------------------------------------------------------------------ citing

    def cite(self, run_id: str, source: str, label: str, value: Scalar, form: str = "", row: str = "") -> str:
        """A reference to a value; equal sources of a run are one entry, with the newest value."""
        name = self._names.setdefault((run_id, source), f"c{len(self._names) + 1}")
        self._entries[name] = Cited(run_id=run_id, id=source, label=label, value=value, row=row)
        return "{{" + name + (f"|{form}" if form else "") + "}}"

    def of_run(self, sources: Sources, source: str, label: str = "", form: str = "", row: str = "") -> str:
        """A reference to what lies at a source path of a run's record."""
        found = sources.record.evidence.get(source)
        row = row or ((found.row or "") if found is not None else _row_of(source))
        if not label and found is not None:
            label = " ".join(one for one in (found.quantity, found.row or "") if one)
        value = sources.value(source)
        return self.cite(sources.record.header.id, source, label or source, value, form, row)

    def told(self, run_id: str, source: str, label: str, text: str) -> str:
        """A reference to a recorded text that may hold numbers: a warning, a notice, a reason."""
        return self.cite(run_id, source, label, on_one_line(text))

    def of_call(self, call: ToolCall, name: str, label: str = "", form: str = "") -> str:
        """A reference to a named value of a recorded tool call that belongs to no run."""
        source = f"call:{call.key[:16]}/{name}"
        return self.cite("", source, label or name.replace("_", " "), call.values[name], form)

    def carried_over(self, statement: str, sources: Sources, row: str = "") -> str:
        """A text of a run, about the protein of a row where one is named, with references of this book."""

        def replaced(match: re.Match[str]) -> str:
            source, form = match[1], (match[2] or "").strip()
            if form == "ci" or form.startswith("ci "):
                low, high = interval_sources(source, sources)
                spec = form[2:].strip() or ".2f"
                ends = [self.of_run(sources, one, "", spec, row) for one in (low, high)]
                return f"[{ends[0]}, {ends[1]}]"
            return self.of_run(sources, source, "", form, row)

        return _OF_RUN.sub(replaced, statement)

    # ------------------------------------------------------------------ saying

    def faults(self, text: str, names: Iterable[str] = ()) -> list[str]:
        """What is wrong with a text; empty where all its numbers are references that can be filled in."""
        names = spoken(names)
        wrong = []
        for match in REFERENCE.finditer(text):
            name, form = match[1], (match[2] or "").strip()
            if name not in self._entries:
                wrong.append(f"{name} is no number of this conversation")
                continue
            try:
                format_value(self._entries[name].value, form)
            except (UnresolvedNumber, ValueError, TypeError, OverflowError):
                wrong.append(f"{name} cannot be written in the format {form!r}")
        rest = REFERENCE.sub(" ", text)
        if "{{" in rest and not any("{{" in name for name in names):
            wrong.append("what stands in double braces is no reference")
        return wrong + [f"the number {one!r} has no reference" for one in uncovered_numbers(rest, names)]

    def said(self, text: str, names: Iterable[str] = ()) -> tuple[str, list[Cited], list[str]]:
        """A text with its numbers, what it cites, and the numbers that were left out because nothing covers them."""
        names = spoken(names)
        used: dict[str, Cited] = {}
        out: list[str] = []
        omitted: list[str] = []
        position = 0
        for match in REFERENCE.finditer(text):
            out.append(_without_numbers(text[position : match.start()], names, omitted))
            position = match.end()
            entry = self._entries.get(match[1])
            try:
                if entry is None:
                    raise UnresolvedNumber(f"there is no {match[1]!r}")
                out.append(format_value(entry.value, (match[2] or "").strip()))
                used[match[1]] = entry
            except (UnresolvedNumber, ValueError, TypeError, OverflowError):
                omitted.append(match[0])
                out.append(OMITTED)
        out.append(_without_numbers(text[position:], names, omitted))
        return "".join(out), list(used.values()), omitted

    def with_values(self, text: str) -> str:
        """A text as a language model reads it: each number beside the reference that cites it."""

        def shown(match: re.Match[str]) -> str:
            entry = self._entries.get(match[1])
            if entry is None:
                return match[0]
            try:
                return f"{format_value(entry.value, (match[2] or '').strip())} {match[0]}"
            except (UnresolvedNumber, ValueError, TypeError, OverflowError):
                return match[0]

        return REFERENCE.sub(shown, text)


def _row_of(source: str) -> str:
    """The row that a source path of a table's cell names."""
    kind, _, rest = source.partition(":")
    parts = rest.split("/") if kind == "cell" else []
    return unquote(parts[2]) if len(parts) > 2 else ""


def spoken(names: Iterable[str]) -> list[str]:
    """Names that may hold digits: what is nothing but a number is no name, whatever column it stands in."""
    return [one for one in names if any(letter.isalpha() for letter in one)]


def _without_numbers(text: str, names: list[str], omitted: list[str]) -> str:
    """A piece of text with every bare number replaced."""
    if not _DIGITS.search(text):
        return text
    for word in dict.fromkeys(uncovered_numbers(text, names)):
        omitted.append(word)
        text = re.sub(rf"(?<![\w.]){re.escape(word)}(?!\w)", OMITTED, text)
    return text


_COUNTS = re.compile(
    r"\b(?:three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|"
    r"nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundreds?|thousands?|millions?|billions?|dozens?|"
    r"per ?cent|percentage|twofold|threefold|fourfold|fivefold|tenfold|doubl(?:ed|es)|tripl(?:ed|es)|quadrupl(?:ed|es)|"
    r"halved|twice|thrice|half (?:of|as|the)|two[- ]thirds|one[- ](?:third|quarter|half|in)|three[- ]quarters)\b",
    re.IGNORECASE,
)


def counted_in_words(text: str, names: Iterable[str] = ()) -> list[str]:
    """Counts and sizes that a language model wrote in words: they have no reference either.

    Small ones that rarely are a result ("the two groups", "one of them") are let be.
    """
    held = [one for one in names if _COUNTS.search(one) and not _COUNTS.fullmatch(one)]
    for name in sorted(held, key=len, reverse=True):
        text = text.replace(name, " ")
    return [f"the number {one!r} has no reference" for one in dict.fromkeys(_COUNTS.findall(text))]
